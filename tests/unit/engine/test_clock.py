from __future__ import annotations

import threading

from runkon.engine.clock import SystemClock, system_clock


def test_actions_run_in_the_order_of_their_time_on_one_thread() -> None:
    clock = SystemClock()
    seen: list[tuple[str, str]] = []
    done = threading.Event()

    def note(name: str) -> None:
        seen.append((name, threading.current_thread().name))
        if name == "last":
            done.set()

    known = threading.Event()
    clock.call_at(0, lambda: known.wait(30) and None)  # nothing else is due before all are known
    now = clock.monotonic()
    clock.call_at(now - 1, lambda: note("last"))
    clock.call_at(now - 2, lambda: note("second"))
    clock.call_at(now - 3, lambda: note("first"))
    known.set()
    assert done.wait(30)
    assert seen == [("first", "runkon-timer"), ("second", "runkon-timer"), ("last", "runkon-timer")]


def test_an_undone_action_never_runs() -> None:
    clock = SystemClock()
    seen: list[str] = []
    undone, done = threading.Event(), threading.Event()
    clock.call_at(0, lambda: undone.wait(30) and None)  # nothing is due before the other one is undone
    clock.call_at(0, lambda: seen.append("undone"))()
    undone.set()
    clock.call_at(0, done.set)
    assert done.wait(30)
    assert seen == []


def test_an_action_that_fails_does_not_stop_the_clock() -> None:
    clock = SystemClock()
    done = threading.Event()

    def broken() -> None:
        raise RuntimeError("no")

    clock.call_at(0, broken)
    clock.call_at(0, done.set)
    assert done.wait(30)


def test_many_undone_timers_are_not_kept() -> None:
    clock = SystemClock()
    far = clock.monotonic() + 1000
    for _ in range(500):
        clock.call_at(far, lambda: None)()
    swept = threading.Event()
    clock.call_at(0, swept.set)
    assert swept.wait(30)
    clock.call_at(0, swept.clear)
    assert clock._undone <= 500


def test_the_process_has_one_clock() -> None:
    assert system_clock() is system_clock()
    assert system_clock().now_ms() > 1_500_000_000_000


def test_what_is_on_record_goes_on_while_the_machine_sleeps_and_attempts_do_not() -> None:
    slept = [0.0]
    clock = SystemClock(slept=lambda: slept[0])
    seen: list[str] = []
    due = threading.Event()

    def run_deadline() -> None:
        seen.append("deadline")
        due.set()

    clock.call_at(clock.monotonic() + 3600, lambda: seen.append("attempt"))
    clock.call_after(7200, lambda: seen.append("later"))
    clock.call_after(3600, run_deadline)
    slept[0] = 3601.0
    clock.call_at(0, lambda: None)  # whatever wakes the timer thread, at the latest its own look
    assert due.wait(30)
    assert seen == ["deadline"]


def test_a_timer_set_after_the_sleep_does_not_count_it() -> None:
    slept = [5000.0]
    clock = SystemClock(slept=lambda: slept[0])
    seen: list[str] = []
    done = threading.Event()
    clock.call_after(3600, lambda: seen.append("early"))
    clock.call_after(0, done.set)
    assert done.wait(30)
    slept[0] = 8000.0
    again = threading.Event()
    clock.call_after(0, again.set)
    assert again.wait(30)
    assert seen == []


def test_an_undone_timer_that_counts_sleep_never_runs() -> None:
    slept = [0.0]
    clock = SystemClock(slept=lambda: slept[0])
    seen: list[str] = []
    clock.call_after(3600, lambda: seen.append("undone"))()
    slept[0] = 4000.0
    done = threading.Event()
    clock.call_after(0, done.set)
    assert done.wait(30)
    assert seen == []
