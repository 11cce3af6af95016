"""One thread at a time works for all that wait: who comes meanwhile is served by the next turn, together.

A lock would do, but not well: those already served would have to get the lock once more to learn it, one after the
other, while newcomers overtake them and take a turn for themselves alone.
"""

from __future__ import annotations

import threading

ENDLESS = 2**63  # a goal that no turn of others reaches: its thread always gets a turn of its own


class _Waiting:
    """A thread that waits until `goal` is reached, or until it has the turn."""

    __slots__ = ("goal", "has_turn", "woken")

    def __init__(self, goal: int) -> None:
        self.goal = goal
        self.has_turn = False
        self.woken = threading.Lock()
        self.woken.acquire()


class Turns:
    """Hands the turn from thread to thread, in order of arrival. `enter` and `leave` belong together."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._is_taken = False
        self._waiting: list[_Waiting] = []

    def enter(self, goal: int) -> bool:
        """True: the turn is this thread's, until it calls `leave`. False: a turn of another thread reached `goal`."""
        with self._lock:
            if not self._is_taken:
                self._is_taken = True
                return True
            waiting = _Waiting(goal)
            self._waiting.append(waiting)
        try:
            waiting.woken.acquire()
        except BaseException:  # an interrupt of the main thread must not take the turn with it
            self._give_up(waiting)
            raise
        return waiting.has_turn

    def leave(self, reached: int) -> None:
        """Wake all whose goal is reached, and then the first of the others, which has the turn now."""
        with self._lock:
            served = [waiting for waiting in self._waiting if waiting.goal <= reached]
            self._waiting = [waiting for waiting in self._waiting if waiting.goal > reached]
            following = self._waiting.pop(0) if self._waiting else None
            if following is None:
                self._is_taken = False
            else:
                following.has_turn = True
        for waiting in served:
            waiting.woken.release()
        if following is not None:
            following.woken.release()

    def _give_up(self, waiting: _Waiting) -> None:
        with self._lock:
            if waiting in self._waiting:
                self._waiting.remove(waiting)
        if waiting.has_turn:
            self.leave(reached=-1)
