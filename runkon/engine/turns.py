"""One thread at a time works for all that wait: who comes meanwhile is served by the next turn, together.

A lock would do, but not well: those already served would have to get the lock once more to learn it, one after the
other, while newcomers overtake them and take a turn for themselves alone.
"""

from __future__ import annotations

import sys
import threading

ENDLESS = 2**63  # a goal that no turn of others reaches: its thread always gets a turn of its own
DEATH_WATCH = 5.0  # seconds somebody waits before looking whether the thread that works still exists


class _Waiting:
    """A thread that waits until `goal` is reached, or until it has the turn."""

    __slots__ = ("goal", "has_turn", "thread", "woken")

    def __init__(self, goal: int, thread: int) -> None:
        self.goal = goal
        self.thread = thread
        self.has_turn = False
        self.woken = threading.Lock()
        self.woken.acquire()


class Turns:
    """Hands the turn from thread to thread, in order of arrival. `enter` and `leave` belong together; a thread that
    ended without `leave` loses its turn."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._holder: int | None = None  # the thread that has the turn
        self._waiting: list[_Waiting] = []

    def is_mine(self) -> bool:
        """True while this thread has the turn."""
        return self._holder == threading.get_ident()

    def enter(self, goal: int) -> bool:
        """True: the turn is this thread's, until it calls `leave`. False: a turn of another thread reached `goal`."""
        me = threading.get_ident()
        with self._lock:
            if self._holder is None:
                self._holder = me
                return True
            waiting = _Waiting(goal, me)
            self._waiting.append(waiting)
        try:
            while not waiting.woken.acquire(True, DEATH_WATCH):
                self._look_for_the_dead()
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
            self._holder = None if following is None else following.thread
            if following is not None:
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

    def _look_for_the_dead(self) -> None:
        """Hand the turn on if the thread that has it is no more. Not part of a turn that goes well: each takes a
        moment, and only who has waited for long looks."""
        holder = self._holder
        if holder is not None and holder not in sys._current_frames() and holder == self._holder:
            self.leave(reached=-1)
