"""What attempts cost and how often they are made, over legs; executors that failed for good; the run's deadline."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import pytest

from runkon.engine.cancellation import RunControl
from runkon.errors import Cancelled, Fatal
from runkon.model.output import Output, Usage
from runkon.testing import FakeClock, Hold

Make = Callable[[str], Any]


def of(case: Any, kind: str) -> list[Any]:
    return [event for event in case.events if event.kind == kind]


# ── retries over legs ─────────────────────────────────────────────────────────────────────────────
@pytest.mark.parametrize(("automatic", "calls", "status"), [(False, [2, 3, 4], "failed"), (True, [2], "failed")])
def test_a_leg_nobody_asked_for_grants_no_retries_afresh(
    flow: Make, automatic: bool, calls: list[int], status: str
) -> None:
    case = flow("call a { retries = 2 }")
    case.answers({"a": RuntimeError("no")})
    case.start()
    second = [at for at, kind in enumerate(case.kinds, 1) if kind == "retry_scheduled"][1]
    case.kill_at(second)
    case.configure(automatic=automatic)
    scripted = case.answers({"a": RuntimeError("no")})
    assert case.resume().status == status
    assert [call.attempt for call in scripted.calls] == calls


def test_what_has_failed_for_good_stays_failed_in_a_leg_nobody_asked_for(flow: Make) -> None:
    case = flow("call a { retries = 1 } call b")
    case.answers({"a": RuntimeError("no")})
    case.start()
    case.kill_at(len(case.events) - 1).configure(automatic=True)
    scripted = case.answers({})
    assert case.resume().status == "failed"
    assert scripted.calls == ()
    case.configure(automatic=False)
    assert case.resume().status == "completed"


def test_a_fallback_is_still_tried_in_a_leg_nobody_asked_for(flow: Make) -> None:
    case = flow("call a { fallback = b }")
    case.answers({"a": RuntimeError("no"), "b": {"context": "spare"}})
    case.start()
    case.kill_at(case.kinds.index("attempt_failed") + 1).configure(automatic=True)
    scripted = case.answers({})
    assert case.resume().status == "completed"
    assert [(call.name, call.attempt) for call in scripted.calls] == [("a", 1)]
    assert of(case, "attempt_started")[-1].executor == scripted.name
    assert case.steps["a"].output.degraded


# ── what attempts cost, whatever becomes of them ──────────────────────────────────────────────────
def paid(error: Exception, dollars: float) -> Exception:
    error.usage = Usage(cost_usd=dollars)  # type: ignore[attr-defined]
    return error


def test_failed_attempts_are_paid_for(flow: Make) -> None:
    case = flow("call a { retries = 1 } call b { on_fail = continue }")
    case.answers(
        {
            "a": [paid(RuntimeError("no"), 0.5), Output(usage=Usage(cost_usd=0.25))],
            "b": Output(values={"x": float("nan")}, usage=Usage(cost_usd=0.125)),
        }
    )
    assert case.start().cost_usd == 0.875
    assert [event.usage for event in of(case, "attempt_failed")] == [Usage(0.5), Usage(0.125)]


def test_a_usage_that_is_none_costs_nothing(flow: Make) -> None:
    case = flow("call a { on_fail = continue }")
    error = RuntimeError("no")
    error.usage = Usage(cost_usd=-1.0)  # type: ignore[attr-defined]
    case.answers({"a": error})
    assert (case.start().cost_usd, of(case, "attempt_failed")[0].usage) == (0.0, None)


def test_a_stopped_attempt_is_paid_for(flow: Make) -> None:
    case = flow("parallel { call a call bad }").configure(max_parallel=2)
    hold = Hold()

    def stopped(request: Any) -> Any:
        try:
            return hold.answer(request)
        except Cancelled as error:
            raise paid(error, 0.5) from error

    def bad(request: Any) -> Any:
        hold.wait_begun()
        raise RuntimeError("bad")

    case.answers({"a": stopped, "bad": bad})
    assert case.start().cost_usd == 0.5
    assert of(case, "attempt_cancelled")[0].usage == Usage(0.5)


# ── breakers and deadlines ────────────────────────────────────────────────────────────────────────
def test_branches_that_began_together_are_not_called_after_a_fatal_failure(flow: Make) -> None:
    case = flow("parallel p { fail_fast = false min_success = 0 max_parallel = 2 call a call b }")
    first = threading.Event()

    def fatal(request: Any) -> Any:
        first.set()
        raise Fatal("no credit")

    case.configure(max_parallel=2)
    scripted = case.answers({"a": fatal, "b": fatal})
    case.start()
    errors = {step.error.message for step in case.steps.values() if step.error is not None}
    assert errors == {"no credit"}
    assert 1 <= len(scripted.calls) <= 2
    assert case.statuses["p"] == "completed"


def test_the_deadline_of_a_run_is_an_instant_that_legs_keep(flow: Make) -> None:
    clock = FakeClock()
    case = flow("meta { timeout = 10s } call a always { call tidy }")
    case.clock = clock
    hold, control = Hold(), RunControl()
    case.answers({"a": hold})
    begun = clock.now_ms()
    end = case.begin(control)
    hold.wait_begun()
    control.interrupt()
    assert end().status == "interrupted"
    assert (case.record.deadline_at, of(case, "run_started")[0].deadline_at) == (begun + 10_000, begun + 10_000)
    clock.advance(20)
    scripted = case.answers({})
    record = case.resume()
    assert (record.status, record.reason) == ("failed", "run_timeout")
    assert scripted.paths == ["always#2/tidy"]
    case.configure(timeout=30.0, timeout_anew=True)
    assert case.resume().status == "completed"
    assert case.record.deadline_at == clock.now_ms() + 30_000
