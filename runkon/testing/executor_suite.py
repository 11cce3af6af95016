"""What every executor must do: a pytest suite to inherit from.

class TestLint(ExecutorContract):
    def make(self): return lint
    def request(self): return request_for("lint", inputs={"path": "src"})
"""

from __future__ import annotations

import copy
import json
import threading
from dataclasses import fields, replace
from queue import Queue

from runkon.errors import Cancelled
from runkon.model.ids import RunID, StepPath
from runkon.model.json_text import canonical
from runkon.model.output import Output, as_output
from runkon.model.ports import ActionExecutor, StepRequest
from runkon.plugin.decorator import EFFECTS, as_executor
from runkon.testing.requests import cancel, request_for
from runkon.testing.scripted import PATIENCE

CALLERS = 8


class ExecutorContract:
    """Inherit, name the class `Test…`, and say what `make` and `request` give."""

    def make(self) -> object:
        """The executor under test, as a plugin would register it: a new one for each test."""
        raise AssertionError("override `make`: it returns the executor under test")

    def request(self) -> StepRequest:
        """A request this executor answers well, without network and in well under a second."""
        return request_for()

    # ── what it says about itself ─────────────────────────────────────────────────────────────────
    def test_it_can_be_registered(self) -> None:
        made = as_executor(self.make())
        assert made.name
        assert made.version
        assert made.effect in EFFECTS
        assert isinstance(made.metered, bool)

    def test_it_says_the_same_after_work(self) -> None:
        made = as_executor(self.make())
        before = (made.name, made.version, made.effect, made.metered)
        made.execute(self.request())
        assert (made.name, made.version, made.effect, made.metered) == before

    def test_what_it_says_it_is_asked_is_the_same_in_every_run_and_names_no_secret(self) -> None:
        made, request = as_executor(self.make()), self.request()
        describe = getattr(made, "describe", None)
        if describe is None:
            return  # what the workflow gives it by name, and what it reads, is compared
        later = replace(request, run_id=RunID("01LATER"), path=StepPath("later/x"), attempt=3, idempotency_key="later")
        asked = canonical(dict(describe(request)))
        assert canonical(dict(describe(replace(later, marks={"A": "B"}, previous_error="it fell over")))) == asked
        assert [value for value in request.secrets.values() if value in asked] == []

    # ── what it answers ───────────────────────────────────────────────────────────────────────────
    def test_it_answers_with_an_output(self) -> None:
        assert isinstance(as_output(as_executor(self.make()).execute(self.request())), Output)

    def test_the_output_can_be_recorded_as_json(self) -> None:
        output = as_output(as_executor(self.make()).execute(self.request()))
        values = dict(output.values)
        assert json.loads(json.dumps(values, allow_nan=False)) == values
        assert all(isinstance(marker, str) for marker in output.markers)

    def test_it_answers_again(self) -> None:
        made = as_executor(self.make())
        assert [isinstance(as_output(made.execute(self.request())), Output) for _ in range(3)] == [True] * 3

    def test_it_leaves_the_request_alone(self) -> None:
        request = self.request()
        before = _copy_of(request)
        as_executor(self.make()).execute(request)
        assert _copy_of(request) == before

    def test_it_reports_progress_as_text(self) -> None:
        lines: list[object] = []
        as_executor(self.make()).execute(replace(self.request(), emit=lines.append))
        assert [line for line in lines if not isinstance(line, str)] == []

    def test_it_takes_concurrent_calls(self) -> None:
        made = as_executor(self.make())
        together = threading.Barrier(CALLERS)
        answers: Queue[object] = Queue()

        def call() -> None:
            together.wait(PATIENCE)
            answers.put(_outcome(made, self.request()))

        callers = [threading.Thread(target=call, daemon=True) for _ in range(CALLERS)]
        for caller in callers:
            caller.start()
        outcomes = [answers.get(timeout=PATIENCE) for _ in callers]
        assert [outcome for outcome in outcomes if not isinstance(outcome, Output)] == []

    # ── how it stops ──────────────────────────────────────────────────────────────────────────────
    def test_a_step_cancelled_before_it_began_ends_with_an_answer_or_as_cancelled(self) -> None:
        request = self.request()
        cancel(request)
        outcome = _outcome(as_executor(self.make()), request)
        assert isinstance(outcome, (Output, Cancelled)), outcome


class CancellableContract(ExecutorContract):
    """For executors that can be stopped in the middle: `slow_request` says how to keep one busy."""

    def slow_request(self) -> StepRequest:
        """A request that keeps the executor busy until it is cancelled; it must `emit` a line once it is busy."""
        raise AssertionError("override `slow_request`: it returns a request that lasts until it is cancelled")

    def test_a_busy_step_stops_when_it_is_cancelled(self) -> None:
        made = as_executor(self.make())
        busy = threading.Event()
        request = replace(self.slow_request(), emit=lambda _: busy.set())
        outcomes: Queue[object] = Queue()
        threading.Thread(target=lambda: outcomes.put(_outcome(made, request)), daemon=True).start()
        assert busy.wait(PATIENCE), "it never emitted a line"
        cancel(request)
        assert isinstance(outcomes.get(timeout=PATIENCE), Cancelled)


def _outcome(made: ActionExecutor, request: StepRequest) -> object:
    try:
        return as_output(made.execute(request))
    except Exception as error:  # noqa: BLE001 - what was raised is the outcome the test looks at
        return error


def _copy_of(request: StepRequest) -> dict[str, object]:
    apart = ("cancel", "emit")
    plain = {field.name: getattr(request, field.name) for field in fields(request) if field.name not in apart}
    return copy.deepcopy({name: dict(value) if hasattr(value, "keys") else value for name, value in plain.items()})
