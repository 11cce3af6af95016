from __future__ import annotations

import threading

import pytest

from runkon.engine.cancellation import INTERRUPT, Action, Token
from runkon.engine.ends import GivenUp, Stopped
from runkon.engine.scheduler import Pool, Slots
from runkon.model.ports import Clock
from runkon.testing import FakeClock


class Noticed(Token):
    """A token that tells when somebody waits on it."""

    __slots__ = ("waited",)

    def __init__(self, clock: Clock) -> None:
        super().__init__(clock)
        self.waited = threading.Semaphore(0)

    def on_cancel(self, action: Action) -> Action:
        undo = super().on_cancel(action)
        self.waited.release()
        return undo


def test_a_slot_is_handed_on_in_order_of_arrival() -> None:
    slots = Slots(1)
    token = Noticed(FakeClock())
    slots.acquire(token)
    order: list[int] = []

    def take(number: int) -> None:
        slots.acquire(token)
        order.append(number)
        slots.release()

    threads = []
    for number in range(3):
        thread = threading.Thread(target=take, args=(number,))
        thread.start()
        assert token.waited.acquire(timeout=30)
        threads.append(thread)
    slots.release()
    for thread in threads:
        thread.join(30)
    assert order == [0, 1, 2]
    slots.acquire(token)


def test_waiting_for_a_slot_ends_with_the_token() -> None:
    slots = Slots(1)
    token = Token(FakeClock())
    slots.acquire(token)
    other = token.child()
    errors: list[Stopped] = []

    def take() -> None:
        try:
            slots.acquire(other)
        except Stopped as stopped:
            errors.append(stopped)

    waiting = threading.Thread(target=take)
    waiting.start()
    other.cancel(INTERRUPT)
    waiting.join(30)
    assert errors[0].reason == INTERRUPT
    slots.release()
    slots.acquire(token)


def test_the_pool_makes_a_thread_only_for_work_nobody_is_free_for() -> None:
    pool = Pool(4)
    release = threading.Event()
    names: list[str] = []

    def work() -> None:
        names.append(threading.current_thread().name)
        release.wait(30)

    pool.submit(work)
    assert len(pool._threads) == 1
    pool.submit(work)
    assert len(pool._threads) == 2
    release.set()
    pool.close()
    assert len(set(names)) == 2


@pytest.mark.parametrize("work_items", [3, 40])
def test_the_pool_never_has_more_threads_than_its_limit(work_items: int) -> None:
    pool = Pool(4)
    release = threading.Event()
    seen: set[int] = set()
    left = threading.Semaphore(0)

    def work() -> None:
        seen.add(threading.get_ident())
        release.wait(30)
        left.release()

    for _ in range(work_items):
        pool.submit(work)
    release.set()
    for _ in range(work_items):
        assert left.acquire(timeout=30)
    pool.close()
    assert len(seen) == min(4, work_items)


def test_a_thread_that_is_given_up_is_replaced() -> None:
    pool = Pool(1)
    stuck, begun = threading.Event(), threading.Event()
    done = threading.Event()

    def lost() -> None:
        begun.set()
        stuck.wait(30)
        raise GivenUp

    pool.submit(lost)
    pool.submit(done.set)
    begun.wait(30)
    assert not done.is_set()
    pool.lose_thread()
    assert done.wait(30)
    pool.close()
    stuck.set()
