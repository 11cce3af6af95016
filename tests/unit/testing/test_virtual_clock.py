"""Time that moves by itself: as far as it has to, in order, and only when nothing else can happen."""

from __future__ import annotations

import pytest

from runkon.errors import Transient
from runkon.testing import ScriptedExecutor, run_text
from runkon.testing.virtual_clock import VirtualClock

HOUR = 3600.0


def lasting(hours, answer=None):
    def give(request):
        request.cancel.wait(hours * HOUR)
        request.cancel.raise_if_cancelled()
        return answer

    return give


def run(text, answers, clock=None):
    clock = clock or VirtualClock()
    found = clock.run(lambda: run_text(text, ScriptedExecutor(answers, default=None), clock=clock))
    return found, clock.monotonic() / HOUR


def test_nothing_to_wait_for_takes_no_time():
    found, hours = run("workflow w { call a parallel { call b call c } }", {})
    assert (found.record.status, hours) == ("completed", 0.0)


def test_retries_wait_in_virtual_time():
    found, hours = run(
        "workflow w { call a { retries = 2 delay = 12h backoff = fixed } }",
        {"a": [Transient("x"), Transient("x"), "y"]},
    )
    assert (found.step("a").attempts, hours) == (3, 24.0)


def test_branches_wait_side_by_side():
    text = "workflow w { parallel { fail_fast = false min_success = 2 call a call b { timeout = 3h } call c } }"
    for _ in range(20):
        found, hours = run(text, {"a": lasting(5), "b": lasting(48), "c": lasting(2)})
        assert found.step("parallel/b").status == "timed_out"
        assert [found.step(f"parallel/{name}").ended_at // 1000 % 86400 // 3600 for name in "abc"] == [5, 3, 2]
        assert hours == 5.0


def test_a_lease_is_no_reason_to_wake_up():
    clock = VirtualClock()
    _, hours = run("workflow w { call a }", {"a": lasting(1000)}, clock)
    assert (hours, clock.timers) == (1000.0, [])


def test_what_the_work_raises_is_raised():
    def fail():
        raise ValueError("this")

    with pytest.raises(ValueError, match="this"):
        VirtualClock().run(fail)
