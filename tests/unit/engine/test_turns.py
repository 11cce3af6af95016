"""Turns: who works, who is served, who comes next. Nothing here depends on which thread is faster."""

from __future__ import annotations

import threading
from collections.abc import Callable

import pytest

from runkon.engine.turns import ENDLESS, Turns

PATIENCE = 20.0


class WatchedLock:
    """Says each time that something under it was done."""

    def __init__(self) -> None:
        self.done = threading.Semaphore(0)
        self._lock = threading.Lock()

    def __enter__(self) -> None:
        self._lock.acquire()

    def __exit__(self, *_: object) -> None:
        self._lock.release()
        self.done.release()


class Bench:
    """Turns, and threads that want one."""

    def __init__(self) -> None:
        self.turns = Turns()
        self.lock = WatchedLock()
        self.turns._lock = self.lock  # type: ignore[assignment]

    def enter(self, goal: int) -> bool:
        entered = self.turns.enter(goal)
        assert self.lock.done.acquire(timeout=PATIENCE)
        return entered

    def wants(self, goal: int) -> Callable[[], bool]:
        """A thread enters and waits; the result returns what it was told."""
        told: list[bool] = []
        thread = threading.Thread(target=lambda: told.append(self.turns.enter(goal)), daemon=True)
        thread.start()
        assert self.lock.done.acquire(timeout=PATIENCE)

        def result() -> bool:
            thread.join(PATIENCE)
            return told[0]

        return result


@pytest.fixture
def bench() -> Bench:
    return Bench()


def test_a_lone_thread_has_every_turn(bench: Bench) -> None:
    for goal in (1, 2, 3):
        assert bench.turns.enter(goal)
        bench.turns.leave(goal)


def test_one_turn_serves_all_who_came_before_it_and_the_next_all_others(bench: Bench) -> None:
    assert bench.enter(1)
    served = [bench.wants(goal) for goal in (2, 3)]
    first, *rest = [bench.wants(goal) for goal in (4, 5, 6)]
    bench.turns.leave(3)
    assert [result() for result in served] == [False, False]
    assert first() is True
    bench.turns.leave(6)
    assert [result() for result in rest] == [False, False]
    assert bench.turns.enter(7)


def test_an_endless_goal_always_gets_a_turn(bench: Bench) -> None:
    assert bench.enter(1)
    wants = bench.wants(ENDLESS)
    bench.turns.leave(99)
    assert wants() is True


def test_a_newcomer_does_not_overtake(bench: Bench) -> None:
    assert bench.enter(1)
    first = bench.wants(2)
    bench.turns.leave(1)
    assert first() is True
    newcomer = bench.wants(3)
    bench.turns.leave(2)
    assert newcomer() is True


def test_everybody_is_served_at_the_end(bench: Bench) -> None:
    assert bench.enter(1)
    results = [bench.wants(goal) for goal in (5, ENDLESS)]
    bench.turns.leave(ENDLESS)
    assert [result() for result in results] == [False, False]
    assert bench.turns.enter(9)


class Interrupted(BaseException):
    pass


class BrokenWait:
    """A wait that an interrupt ends, after `before` was called."""

    def __init__(self, before: Callable[[], None]) -> None:
        self.before = before

    def acquire(self, blocking: bool, timeout: float) -> None:
        self.before()
        raise Interrupted

    def release(self) -> None:
        pass


@pytest.mark.parametrize("has_turn_already", [False, True])
def test_an_interrupted_thread_takes_no_turn_with_it(monkeypatch: pytest.MonkeyPatch, has_turn_already: bool) -> None:
    turns = Turns()
    assert turns.enter(1)

    def before() -> None:
        if has_turn_already:
            turns.leave(1)

    waits = [threading.Lock(), BrokenWait(before)]

    class Waiting:
        def __init__(self, goal: int, thread: int) -> None:
            self.goal, self.thread, self.has_turn, self.woken = goal, thread, False, waits.pop()

    monkeypatch.setattr("runkon.engine.turns._Waiting", Waiting)
    with pytest.raises(Interrupted):
        turns.enter(2)
    if not has_turn_already:
        turns.leave(1)
    assert turns.enter(3)


def test_a_storm_of_threads_loses_nobody() -> None:
    turns, lock = Turns(), threading.Lock()
    state = {"queued": 0, "durable": 0, "inside": 0, "most": 0}

    def work() -> None:
        for _ in range(200):
            with lock:
                state["queued"] += 1
                goal = state["queued"]
            if turns.enter(goal):
                state["inside"] += 1
                state["most"] = max(state["most"], state["inside"])
                with lock:
                    state["durable"] = state["queued"]
                state["inside"] -= 1
                turns.leave(state["durable"])
            assert state["durable"] >= goal

    threads = [threading.Thread(target=work, daemon=True) for _ in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE)
    assert not any(thread.is_alive() for thread in threads)
    assert state["durable"] == 16 * 200
    assert state["most"] == 1


def test_the_turn_of_a_thread_that_ended_goes_to_the_next(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("runkon.engine.turns.DEATH_WATCH", 0.001)
    turns = Turns()
    gone = threading.Thread(target=turns.enter, args=(1,))
    gone.start()
    gone.join(PATIENCE)
    assert turns.enter(2)
    assert turns.is_mine()
    turns.leave(2)


def test_a_thread_that_works_for_long_keeps_its_turn(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("runkon.engine.turns.DEATH_WATCH", 0.001)
    turns, looked = Turns(), threading.Semaphore(0)
    look = turns._look_for_the_dead
    monkeypatch.setattr(turns, "_look_for_the_dead", lambda: (look(), looked.release()))
    assert turns.enter(1)
    told: list[bool] = []
    other = threading.Thread(target=lambda: told.append(turns.enter(1)), daemon=True)
    other.start()
    for _ in range(3):
        assert looked.acquire(timeout=PATIENCE)
    assert turns.is_mine()
    turns.leave(1)
    other.join(PATIENCE)
    assert told == [False]
