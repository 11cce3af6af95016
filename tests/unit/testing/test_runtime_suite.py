"""The suite for runtimes: what is right passes, and each thing that is wrong is found."""

from __future__ import annotations

from dataclasses import replace

import pytest

from runkon.errors import Fatal, Transient
from runkon.executors.agents.generator import Generator
from runkon.model.agents import AgentReply, AgentRequest, Availability
from runkon.model.output import Usage
from runkon.testing.runtime_suite import (
    CancellableRuntimeContract,
    FailingRuntimeContract,
    RuntimeContract,
    agent_request,
)


class Careful:
    """A runtime that does everything right."""

    name = "careful"
    version = "1"

    def run(self, request: AgentRequest) -> AgentReply:
        step = request.step
        step.cancel.raise_if_cancelled()
        if request.prompt == "limit":
            error = Transient("too many requests")
            error.usage = Usage(0.1)  # type: ignore[attr-defined]
            raise error
        if request.prompt == "key":
            raise Fatal("no such key")
        step.emit("at work")
        if request.prompt == "slow":
            step.cancel.wait(60)
            step.cancel.raise_if_cancelled()
        return AgentReply(text="said", usage=Usage(0.1))

    def offers(self, model: str) -> bool:
        return model == "careful-1"

    def availability(self, settings, *, check=False) -> Availability:
        return Availability(ready=None, detail="a key is present")

    def most_cost_usd(self, request: AgentRequest) -> float | None:
        return 0.1


class TestCareful(CancellableRuntimeContract, FailingRuntimeContract):
    def make(self):
        return Careful()

    def slow_request(self):
        return agent_request("slow")

    def failures(self):
        return [(agent_request("limit"), Transient), (agent_request("key"), Fatal)]


class TestGenerator(RuntimeContract):
    def make(self):
        return Generator()


def broken(**methods: object) -> RuntimeContract:
    class Broken(RuntimeContract):
        def make(self):
            return type("Broken", (Careful,), methods)()

    return Broken()


@pytest.mark.parametrize(
    ("methods", "test"),
    [
        ({"name": ""}, "test_it_has_a_name_and_a_version"),
        ({"metered": "yes"}, "test_it_says_whether_calls_cost"),
        ({"offers": lambda self, model: True}, "test_it_knows_its_models"),
        (
            {"availability": lambda self, settings, *, check=False: Availability(ready=True, detail="a\nb")},
            "test_its_availability_is_one_line_and_asks_no_network",
        ),
        ({"most_cost_usd": lambda self, request: -1.0}, "test_the_most_that_a_call_costs_is_an_amount_or_unknown"),
        ({"run": lambda self, request: "text"}, "test_it_answers"),
        ({"run": lambda self, request: AgentReply(usage=Usage(-1.0))}, "test_its_usage_is_an_amount_or_unknown"),
        ({"run": lambda self, request: request.step.emit(3) or AgentReply()}, "test_it_reports_progress_as_text"),
        (
            {"describe": lambda self, request: {"run": str(request.step.run_id)}},
            "test_what_differs_from_run_to_run_does_not",
        ),
        ({"describe": lambda self, request: dict(request.step.secrets)}, "test_no_secret_is_in_its_description"),
        (
            {"run": lambda self, request: AgentReply(text="said")},
            "test_a_step_cancelled_before_it_began_is_not_carried_out",
        ),
    ],
)
def test_what_is_wrong_is_found(methods: dict[str, object], test: str) -> None:
    with pytest.raises(AssertionError):
        getattr(broken(**methods), test)()


def test_a_failure_of_the_wrong_kind_is_found() -> None:
    class Wrong(TestCareful):
        def failures(self):
            return [(agent_request("limit"), Fatal)]

    with pytest.raises(AssertionError):
        Wrong().test_failures_are_told_apart()


def test_a_runtime_that_looks_up_hosts_when_asked_nothing_is_found() -> None:
    import socket

    def ask(self, settings, *, check=False):
        with socket.socket() as one:
            one.connect(("127.0.0.1", 9))

    with pytest.raises(AssertionError, match="asks the network"):
        broken(availability=ask).test_its_availability_is_one_line_and_asks_no_network()


def test_a_request_is_made_without_an_engine() -> None:
    request = replace(agent_request("do it", model="m", settings={"a": 1}), session="s")
    assert (request.prompt, request.model, request.settings, request.session) == ("do it", "m", {"a": 1}, "s")
