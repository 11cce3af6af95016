"""A clock that stands still until the test moves it."""

from __future__ import annotations

import threading
from collections.abc import Callable

from runkon.testing.scripted import PATIENCE

START_MS = 1_767_225_600_000  # 2026-01-01T00:00:00Z


class FakeClock:
    """Virtual time. `advance` runs what became due, in order, on the calling thread; nothing else moves it but `sleep`,
    for the machine's, and `set_wall`, which only changes what is written down.

    Work on other threads asks for a time first and the test advances then: `wait_for_timers` is how the test knows
    that it asked."""

    def __init__(self, start_ms: int = START_MS) -> None:
        self._start_ms = start_ms
        self._elapsed = 0.0
        self._number = 0
        self._timers: dict[int, tuple[float, Callable[[], None]]] = {}
        self._through_sleep: set[int] = set()
        self._changed = threading.Condition()

    def now_ms(self) -> int:
        return self._start_ms + round(self.monotonic() * 1000)

    def monotonic(self) -> float:
        with self._changed:
            return self._elapsed

    def call_at(self, when: float, action: Callable[[], None]) -> Callable[[], None]:
        """Keep `action` until time reaches `when`. What is due already waits for the next `advance`, also of zero."""
        return self._keep(when, action)[1]

    def call_after(self, seconds: float, action: Callable[[], None]) -> Callable[[], None]:
        """As `call_at`, so many seconds from now, some of which the machine may sleep."""
        number, undo = self._keep(self.monotonic() + seconds, action)
        self._through_sleep.add(number)
        return undo

    def sleep(self, seconds: float) -> None:
        """The machine sleeps: the wall clock goes on, and so do timers of `call_after`; nothing runs meanwhile."""
        with self._changed:
            self._start_ms += round(seconds * 1000)
            for number in self._through_sleep & self._timers.keys():
                when, action = self._timers[number]
                self._timers[number] = (when - seconds, action)
            self._changed.notify_all()

    def set_wall(self, seconds: float) -> None:
        """Somebody sets the wall clock so many seconds forward, or back."""
        self._start_ms += round(seconds * 1000)

    def _keep(self, when: float, action: Callable[[], None]) -> tuple[int, Callable[[], None]]:
        with self._changed:
            self._number += 1
            number = self._number
            self._timers[number] = (when, action)
            self._changed.notify_all()

        def undo() -> None:
            with self._changed:
                self._timers.pop(number, None)
                self._changed.notify_all()

        return number, undo

    @property
    def timers(self) -> list[float]:
        """When the waiting actions are due, the earliest first."""
        with self._changed:
            return sorted(when for when, _ in self._timers.values())

    def wait_for_timers(self, count: int, timeout: float = PATIENCE) -> list[float]:
        """Return once at least `count` actions wait. Raises TimeoutError after `timeout` (real) seconds."""
        with self._changed:
            if not self._changed.wait_for(lambda: len(self._timers) >= count, timeout):
                raise TimeoutError(f"{len(self._timers)} timers wait, not {count}")
        return self.timers

    def wait_for_timer(self, when: float, timeout: float = PATIENCE) -> None:
        """Return once an action is due at `when`, give or take a millisecond. Raises TimeoutError after `timeout`
        (real) seconds."""
        with self._changed:
            if not self._changed.wait_for(
                lambda: any(abs(due - when) < 0.001 for due, _ in self._timers.values()), timeout
            ):
                due = sorted(due for due, _ in self._timers.values())
                raise TimeoutError(f"no timer is due at {when}, only at {due}")

    def advance(self, seconds: float) -> int:
        """Move time on, running each due action at its own time; what they schedule runs too if it is due by then.
        Returns how many ran."""
        with self._changed:
            until = self._elapsed + seconds
        ran = 0
        while (action := self._next(until)) is not None:
            action()
            ran += 1
        return ran

    def advance_to_next(self) -> int:
        """Move time to the earliest waiting action and run what is due then; 0 if nothing waits."""
        due = self.timers
        return self.advance(max(0.0, due[0] - self.monotonic())) if due else 0

    def _next(self, until: float) -> Callable[[], None] | None:
        with self._changed:
            due = min(((when, number) for number, (when, _) in self._timers.items() if when <= until), default=None)
            if due is None:
                self._elapsed = max(self._elapsed, until)
                return None
            when, number = due
            self._elapsed = max(self._elapsed, when)
            return self._timers.pop(number)[1]
