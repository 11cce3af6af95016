"""The suite for runtimes, with text and with fields, streaming and not."""

from __future__ import annotations

from dataclasses import replace

import pytest

pytest.importorskip("pydantic_ai", reason="the extra is missing: pip install 'runkon[agents]'")

import runkon_agents
from runkon.errors import Fatal, Transient
from runkon.model.agents import AgentRuntime
from runkon.model.failures import StepFailure
from runkon.schemas.reading import read_schema
from runkon.testing.runtime_suite import CancellableRuntimeContract, FailingRuntimeContract, agent_request

SCHEMA = read_schema("verdict", "fields:\n  ok: boolean\n")
FAILURES = {
    "no key": (401, "invalid_api_key", Fatal),
    "no money": (429, "insufficient_quota", Fatal),
    "too fast": (429, "rate_limit_exceeded", Transient),
    "overload": (529, "overloaded_error", Transient),
    "break": (400, "bad_request", StepFailure),
}


def behave(talk) -> None:
    prompt = talk.asked["messages"][0]["content"]
    if prompt == "be busy":
        talk.head(kind="text/event-stream")
        talk.piece(content="busy\n")
        talk.wait_until_left()
    elif prompt in FAILURES:
        talk.error(*FAILURES[prompt][:2], "it said so")
    elif talk.asked.get("tools"):
        talk.say(calls=[("give_answer", {"ok": True})])
    else:
        talk.say("fine")


class Contract(CancellableRuntimeContract, FailingRuntimeContract):
    streams = True
    schema = None

    @pytest.fixture(autouse=True)
    def served(self, provider) -> None:
        provider.behaviours["model"] = behave
        self.provider = provider

    def make(self) -> AgentRuntime:
        found: list[AgentRuntime] = []
        runkon_agents.runkon_register_runtimes(found.append)
        (made,) = found
        return made

    def settings(self):
        return {"base_url": self.provider.url, "default_model": "model", "stream": self.streams}

    def request(self):
        return replace(agent_request(settings=self.settings()), schema=self.schema)

    def slow_request(self):
        return agent_request(prompt="be busy", settings={**self.settings(), "stream": True})

    def failures(self):
        return [
            (agent_request(prompt=prompt, settings=self.settings()), kind) for prompt, (_, _, kind) in FAILURES.items()
        ]


class TestText(Contract):
    pass


class TestWholeText(Contract):
    streams = False


class TestFields(Contract):
    schema = SCHEMA
