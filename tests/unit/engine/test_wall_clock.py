"""The wall clock may be set, and the machine may sleep: attempts, deadlines and leases go by clocks of their own."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from runkon.engine.cancellation import RunControl
from runkon.model.events import AttemptStarted, RetryScheduled, StepCompleted
from runkon.testing import FakeClock

Make = Callable[[str], Any]
HOUR = 3600.0


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.mark.parametrize("seconds", [HOUR, -HOUR], ids=["forward", "back"])
def test_a_wall_clock_that_is_set_ends_nothing_and_loses_nothing(flow: Make, clock: FakeClock, seconds: float) -> None:
    case = flow("meta { timeout = 10m } call a { timeout = 1m } call b { timeout = 1m }")
    case.clock = clock

    def set_it(_: Any) -> None:
        clock.set_wall(seconds)
        clock.advance(30)  # a renewal of the lease was due meanwhile

    scripted = case.answers({"a": set_it})
    assert case.start().status == "completed"
    assert scripted.paths == ["a", "b"]
    assert next(event.elapsed_ms for event in case.events if isinstance(event, StepCompleted)) == 30_000


def test_a_cancel_is_seen_after_the_wall_clock_went_back(flow: Make, clock: FakeClock) -> None:
    case = flow("call a call b")
    case.clock = clock
    control = RunControl()

    def set_it(request: Any) -> None:
        clock.set_wall(-HOUR)
        control.cancel("kim", "enough")
        assert request.cancel.wait(30) is True
        request.cancel.raise_if_cancelled()

    scripted = case.answers({"a": set_it})
    assert case.start(control).status == "cancelled"
    assert scripted.paths == ["a"]


def test_a_sleeping_machine_uses_up_no_attempt(flow: Make, clock: FakeClock) -> None:
    case = flow("call a { timeout = 1m }")
    case.clock = clock

    def doze(_: Any) -> None:
        clock.sleep(HOUR)
        clock.advance(0)

    scripted = case.answers({"a": doze})
    assert case.start().status == "completed"
    assert scripted.paths == ["a"]


def test_a_deadline_of_a_run_passes_while_the_machine_sleeps(flow: Make, clock: FakeClock) -> None:
    case = flow("meta { timeout = 10m } call a")
    case.clock = clock

    def doze(request: Any) -> None:
        clock.sleep(HOUR)
        clock.advance(0)
        request.cancel.raise_if_cancelled()

    case.answers({"a": doze})
    record = case.start()
    assert (record.status, record.reason) == ("failed", "run_timeout")


def test_a_backoff_ends_at_its_instant_whether_the_machine_slept_or_not(flow: Make, clock: FakeClock) -> None:
    case = flow("call a { retries = 1 delay = 1m jitter = false }")
    case.clock = clock
    case.answers({"a": [RuntimeError("no"), None]})
    end = case.begin()
    clock.wait_for_timer(60.0)
    clock.sleep(55)
    clock.advance(5)
    assert end().status == "completed"
    due = next(event.due_at for event in case.events if isinstance(event, RetryScheduled))
    again = [envelope.at for envelope in case.store.events(case.run_id) if isinstance(envelope.event, AttemptStarted)]
    assert again[1] == due
