"""What every runtime of agent files must do: a pytest suite to inherit from.

class TestMine(RuntimeContract):
    def make(self): return Mine()
    def settings(self): return {"argv": ["mine"]}
"""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from queue import Queue
from unittest import mock

from runkon.errors import Cancelled
from runkon.executors.agents.choosing import Chosen
from runkon.executors.agents.executor import AgentExecutor
from runkon.executors.agents.files import AgentFiles
from runkon.model.agents import AgentDefinition, AgentReply, AgentRequest, AgentRuntime, Availability
from runkon.model.ids import RunID, StepPath
from runkon.model.output import EMPTY, JsonValue, Usage
from runkon.model.ports import StepRequest
from runkon.testing.requests import cancel, request_for
from runkon.testing.scripted import PATIENCE

CALLERS = 4
SECRET = "a secret that goes nowhere"


class RuntimeContract:
    """Inherit, name the class `Test…`, and say what `make` gives."""

    def make(self) -> AgentRuntime:
        """The runtime under test, as a plugin would register it: a new one for each test."""
        raise AssertionError("override `make`: it returns the runtime under test")

    def settings(self) -> Mapping[str, JsonValue]:
        """Its table in the settings."""
        return EMPTY

    def request(self) -> AgentRequest:
        """A request this runtime answers well, without network and within a second or two."""
        return agent_request(settings=self.settings())

    # ── what it says about itself ─────────────────────────────────────────────────────────────────
    def test_it_has_a_name_and_a_version(self) -> None:
        made = self.make()
        assert isinstance(made.name, str)
        assert made.name
        assert isinstance(made.version, str)
        assert made.version

    def test_it_says_whether_calls_cost(self) -> None:
        assert isinstance(getattr(self.make(), "metered", True), bool)

    def test_it_knows_its_models(self) -> None:
        made = self.make()
        for model in ("", "no-such-model", "provider:name", "x" * 1000, "a b\n"):
            assert made.offers(model) in (True, False)
        assert made.offers("no-such-model-of-anybody") is False

    def test_its_availability_is_one_line_and_asks_no_network(self) -> None:
        made = self.make()
        for settings in (self.settings(), EMPTY):
            with mock.patch.object(socket.socket, "connect", side_effect=AssertionError("it asks the network")):
                found = made.availability(settings)
            assert isinstance(found, Availability)
            assert found.ready in (True, False, None)
            assert "\n" not in found.detail

    def test_the_most_that_a_call_costs_is_an_amount_or_unknown(self) -> None:
        most = self.make().most_cost_usd(self.request())
        assert most is None or most >= 0

    # ── what it answers ───────────────────────────────────────────────────────────────────────────
    def test_it_answers(self) -> None:
        reply = self.make().run(self.request())
        assert isinstance(reply, AgentReply)
        assert isinstance(reply.text, str)
        assert reply.values is None or json.loads(json.dumps(dict(reply.values), allow_nan=False)) == dict(reply.values)
        assert reply.session is None or reply.session

    def test_its_usage_is_an_amount_or_unknown(self) -> None:
        usage = self.make().run(self.request()).usage
        assert usage is None or isinstance(usage, Usage)
        if usage is not None:
            assert usage.cost_usd is None or usage.cost_usd >= 0
            assert min(usage.input_tokens, usage.output_tokens, usage.turns) >= 0

    def test_it_answers_again(self) -> None:
        made = self.make()
        assert [isinstance(made.run(self.request()), AgentReply) for _ in range(2)] == [True, True]

    def test_it_takes_concurrent_calls(self) -> None:
        made = self.make()
        outcomes: Queue[object] = Queue()
        callers = [
            threading.Thread(target=lambda: outcomes.put(outcome(made, self.request())), daemon=True)
            for _ in range(CALLERS)
        ]
        for caller in callers:
            caller.start()
        found = [outcomes.get(timeout=PATIENCE) for _ in callers]
        assert [one for one in found if not isinstance(one, AgentReply)] == []

    def test_it_reports_progress_as_text(self) -> None:
        lines: list[object] = []
        request = self.request()
        self.make().run(replace(request, step=replace(request.step, emit=lines.append)))
        assert [line for line in lines if not isinstance(line, str)] == []

    # ── what is on record ─────────────────────────────────────────────────────────────────────────
    def test_what_its_answers_depend_on_changes_its_description(self) -> None:
        request = self.request()
        first = self.description(request)
        others = (
            replace(request, prompt=f"{request.prompt} And more."),
            replace(request, model="another-model"),
            replace(request, agent=replace(request.agent, can_commit=not request.agent.can_commit)),
            replace(request, step=replace(request.step, max_turns=7)),
        )
        assert [number for number, other in enumerate(others) if self.description(other) == first] == []

    def test_what_differs_from_run_to_run_does_not(self) -> None:
        request = self.request()
        step = replace(
            request.step,
            run_id=RunID("01JTESTRVN0000000000000001"),
            path=StepPath("another/place"),
            attempt=3,
            idempotency_key="another",
            timeout=1234.0,
            log_path=Path("another.log"),
            marks={"RUNKON_OWNERS": "another"},
        )
        assert self.description(replace(request, step=step)) == self.description(request)

    def test_no_secret_is_in_its_description(self) -> None:
        request = self.request()
        step = replace(request.step, secrets={"token": SECRET})
        assert SECRET not in json.dumps(self.description(replace(request, step=step)))

    def description(self, request: AgentRequest) -> Mapping[str, JsonValue]:
        """What the record keeps of a request."""
        chosen = Chosen(request.runtime, self.make(), request.model)
        executor = AgentExecutor(request.agent, chosen, request.settings, AgentFiles())
        return executor.describe(replace(request.step, prompt=request.prompt))

    # ── how it stops ──────────────────────────────────────────────────────────────────────────────
    def test_a_step_cancelled_before_it_began_is_not_carried_out(self) -> None:
        request = self.request()
        cancel(request.step)
        assert isinstance(outcome(self.make(), request), Cancelled)


class CancellableRuntimeContract(RuntimeContract):
    """For runtimes that can be stopped in the middle: `slow_request` says how to keep one busy."""

    def slow_request(self) -> AgentRequest:
        """A request that keeps the runtime busy until it is cancelled; it must `emit` a line once it is busy."""
        raise AssertionError("override `slow_request`: it returns a request that lasts until it is cancelled")

    def test_a_busy_call_stops_when_it_is_cancelled(self) -> None:
        made = self.make()
        busy = threading.Event()
        request = self.slow_request()
        request = replace(request, step=replace(request.step, emit=lambda _: busy.set()))
        before = set(threading.enumerate())
        outcomes: Queue[object] = Queue()
        caller = threading.Thread(target=lambda: outcomes.put(outcome(made, request)), daemon=True)
        caller.start()
        assert busy.wait(PATIENCE), "it never emitted a line"
        cancel(request.step)
        assert isinstance(outcomes.get(timeout=PATIENCE), Cancelled)
        caller.join(PATIENCE)
        left = [thread for thread in set(threading.enumerate()) - before if not thread.daemon]
        assert left == []


class FailingRuntimeContract(RuntimeContract):
    """For runtimes whose failures can be brought about: `failures` says how, and what each has to be."""

    def failures(self) -> Sequence[tuple[AgentRequest, type[BaseException]]]:
        """Requests that fail, with `Transient`, `Fatal`, `StepFailure` or whatever has to be raised."""
        raise AssertionError("override `failures`: it returns requests with what they raise")

    def test_failures_are_told_apart(self) -> None:
        made = self.make()
        for request, expected in self.failures():
            found = outcome(made, request)
            assert type(found) is expected, (request.prompt, found)
            assert str(found).strip()
            usage = getattr(found, "usage", None)
            assert usage is None or isinstance(usage, Usage)


def agent_request(
    prompt: str = "Say something.",
    *,
    settings: Mapping[str, JsonValue] = EMPTY,
    model: str | None = None,
    runtime: str = "runtime",
    step: StepRequest | None = None,
) -> AgentRequest:
    """A request as the engine makes it, without an engine. Other fields: `dataclasses.replace(request, …)`."""
    agent = AgentDefinition(name="tester", prompt=prompt, path=Path("tester.md"))
    return AgentRequest(
        step=step or request_for("tester"), agent=agent, prompt=prompt, model=model, runtime=runtime, settings=settings
    )


def outcome(made: AgentRuntime, request: AgentRequest) -> object:
    """What came of a call: the reply, or what was raised."""
    run: Callable[[AgentRequest], AgentReply] = made.run
    try:
        return run(request)
    except Exception as error:  # noqa: BLE001 - what was raised is the outcome the test looks at
        return error
