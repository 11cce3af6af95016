from __future__ import annotations

import threading

import pytest

from runkon.engine.cancellation import FAIL_FAST, INTERRUPT, TIMEOUT, RunControl, Token, Waiter, run_all
from runkon.engine.clock import SystemClock
from runkon.errors import Cancelled
from runkon.testing import FakeClock


def test_a_reason_goes_down_and_neither_up_nor_sideways() -> None:
    root = Token(FakeClock())
    left, right = root.child(), root.child()
    grandchild = left.child()
    left.cancel(FAIL_FAST)
    assert grandchild.reason == FAIL_FAST
    assert not right.is_cancelled
    assert not root.is_cancelled
    root.cancel(INTERRUPT)
    assert right.reason == INTERRUPT
    assert left.reason == FAIL_FAST


def test_the_first_reason_wins() -> None:
    token = Token(FakeClock())
    token.cancel(TIMEOUT)
    token.cancel(INTERRUPT)
    assert token.reason == TIMEOUT


def test_a_child_of_a_cancelled_token_is_cancelled() -> None:
    root = Token(FakeClock())
    root.cancel(INTERRUPT)
    assert root.child().reason == INTERRUPT


def test_actions_run_once_at_once_when_late_and_not_when_undone() -> None:
    token = Token(FakeClock())
    seen: list[str] = []
    token.on_cancel(lambda: seen.append("kept"))
    token.on_cancel(lambda: seen.append("undone"))()
    token.child().on_cancel(lambda: seen.append("below"))
    token.cancel(INTERRUPT)
    token.cancel(INTERRUPT)
    token.on_cancel(lambda: seen.append("late"))
    assert seen == ["kept", "below", "late"]


def test_an_action_that_fails_does_not_keep_the_others_from_running() -> None:
    seen: list[str] = []

    def broken() -> None:
        raise RuntimeError("no")

    run_all([broken, lambda: seen.append("other")])
    assert seen == ["other"]


def test_raise_if_cancelled_raises_what_executors_may_raise() -> None:
    token = Token(FakeClock())
    token.raise_if_cancelled()
    token.cancel(INTERRUPT)
    with pytest.raises(Cancelled, match="interrupted"):
        token.raise_if_cancelled()


def test_a_wait_ends_with_the_token() -> None:
    token = Token(SystemClock())
    waiting = threading.Thread(target=lambda: results.append(token.wait(1000)))
    results: list[bool] = []
    waiting.start()
    token.cancel(INTERRUPT)
    waiting.join(30)
    assert results == [True]


def test_a_wait_ends_with_its_time() -> None:
    clock = FakeClock()
    token = Token(clock)
    results: list[bool] = []
    waiting = threading.Thread(target=lambda: results.append(token.wait(5)))
    waiting.start()
    clock.wait_for_timers(1)
    clock.advance(5)
    waiting.join(30)
    assert results == [False]
    assert token.wait(0) is False


def test_a_detached_token_is_forgotten_by_its_parent() -> None:
    root = Token(FakeClock())
    child = root.child()
    child.detach()
    root.cancel(INTERRUPT)
    assert not child.is_cancelled


def test_waking_twice_is_waking_once_and_may_come_first() -> None:
    waiter = Waiter()
    waiter.wake()
    waiter.wake()
    waiter.wait()
    woken = threading.Thread(target=waiter.wait)
    woken.start()
    waiter.wake()
    woken.join(30)
    assert not woken.is_alive()


def test_requests_from_before_the_run_are_handed_over_when_it_listens() -> None:
    control = RunControl()
    control.interrupt("terminate")
    control.cancel("kim", "enough")
    seen: list[tuple[str, str, str]] = []
    control.listen(lambda reason: seen.append((reason.kind, reason.text, reason.by)))
    control.kill()
    assert [kind for kind, _, _ in seen] == ["terminate", "user", "kill"]
    assert seen[1] == ("user", "enough", "kim")
    control.listen(None)
    control.interrupt()
    assert len(seen) == 3
