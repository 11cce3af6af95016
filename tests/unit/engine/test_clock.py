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
