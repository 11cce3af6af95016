import threading

import pytest

from runkon.engine.cancellation import INTERRUPT, Token
from runkon.testing import FakeClock


def test_time_stands_still_until_it_is_moved():
    clock = FakeClock(start_ms=1_000)
    assert (clock.now_ms(), clock.monotonic()) == (1_000, 0.0)
    clock.advance(2.5)
    assert (clock.now_ms(), clock.monotonic()) == (3_500, 2.5)


def test_actions_run_in_the_order_they_are_due_and_at_their_own_time():
    clock = FakeClock()
    seen = []
    for when in (3.0, 1.0, 2.0, 9.0):
        clock.call_at(when, lambda when=when: seen.append((when, clock.monotonic())))
    assert clock.advance(5) == 3
    assert seen == [(1.0, 1.0), (2.0, 2.0), (3.0, 3.0)]
    assert clock.timers == [9.0]
    assert clock.monotonic() == 5.0


def test_actions_due_at_once_run_in_the_order_they_were_asked_for():
    clock = FakeClock()
    seen = []
    for name in "abc":
        clock.call_at(1.0, lambda name=name: seen.append(name))
    clock.advance(1)
    assert seen == ["a", "b", "c"]


def test_an_action_may_ask_for_another():
    clock = FakeClock()
    seen = []
    clock.call_at(1.0, lambda: clock.call_at(2.0, lambda: seen.append(clock.monotonic())))
    assert clock.advance(3) == 2
    assert seen == [2.0]


def test_an_undone_action_does_not_run():
    clock = FakeClock()
    undo = clock.call_at(1.0, lambda: pytest.fail("it ran"))
    undo()
    undo()
    assert clock.advance(2) == 0


def test_an_action_that_is_due_already_runs_with_the_next_advance():
    clock = FakeClock()
    clock.advance(5)
    seen = []
    clock.call_at(1.0, lambda: seen.append(clock.monotonic()))
    assert seen == []
    assert clock.advance(0) == 1
    assert seen == [5.0]


def test_time_can_jump_to_the_next_action():
    clock = FakeClock()
    clock.call_at(48 * 3600.0, lambda: None)
    assert clock.advance_to_next() == 1
    assert clock.monotonic() == 48 * 3600.0
    assert clock.advance_to_next() == 0


def test_a_wait_on_another_thread_ends_when_time_is_moved():
    clock = FakeClock()
    token = Token(clock)
    ends = []
    waiting = threading.Thread(target=lambda: ends.append(token.wait(60.0)), daemon=True)
    waiting.start()
    assert clock.wait_for_timers(1) == [60.0]
    clock.advance(60)
    waiting.join(10)
    assert ends == [False]


def test_a_wait_on_another_thread_ends_with_cancellation_and_leaves_no_timer():
    clock = FakeClock()
    token = Token(clock)
    ends = []
    waiting = threading.Thread(target=lambda: ends.append(token.wait(60.0)), daemon=True)
    waiting.start()
    clock.wait_for_timers(1)
    token.cancel(INTERRUPT)
    waiting.join(10)
    assert ends == [True]
    assert clock.timers == []


def test_a_wait_for_timers_nobody_sets_is_an_error():
    with pytest.raises(TimeoutError, match="0 timers wait, not 1"):
        FakeClock().wait_for_timers(1, timeout=0)


def test_a_certain_timer_can_be_waited_for():
    clock = FakeClock()
    asking = threading.Thread(target=lambda: clock.call_at(7.5, lambda: None), daemon=True)
    asking.start()
    clock.wait_for_timer(7.5)
    with pytest.raises(TimeoutError, match=r"no timer is due at 8.0, only at \[7.5\]"):
        clock.wait_for_timer(8.0, timeout=0)


def test_sleep_and_a_wall_clock_that_is_set_move_what_they_should():
    clock, seen = FakeClock(), []
    began = clock.now_ms()
    clock.call_at(10.0, lambda: seen.append("stands still"))
    clock.call_after(10.0, lambda: seen.append("goes on"))
    clock.sleep(10)
    assert (clock.monotonic(), clock.now_ms() - began) == (0.0, 10_000)
    clock.advance(0)
    assert seen == ["goes on"]
    clock.set_wall(-60)
    assert clock.now_ms() - began == -50_000
    clock.advance(10)
    assert seen == ["goes on", "stands still"]
