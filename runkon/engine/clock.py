"""The clock of real runs: one timer thread per process for every deadline, backoff and grace.

Two kinds of time pass here. What an attempt may take is counted by a clock that stops while the machine sleeps, as its
work does. Deadlines and backoffs of runs are instants, so they are counted by one that goes on. The wall clock is only
read to write times down, and when a leg turns a stored instant into seconds that are left: setting it harms no timer.
"""

from __future__ import annotations

import heapq
import threading
import time
from collections.abc import Callable
from functools import cache
from queue import Empty, SimpleQueue

from runkon.model.ports import Clock

_SWEEP = 64  # undone timers are taken out of the heap once there are this many, and more than waiting ones
_LOOK = 30.0  # seconds after which the thread looks whether the machine has slept, while such a timer waits
_NO_SLEEP = 0.01  # seconds: two clocks are read one after the other
_BOOTTIME: int | None = getattr(time, "CLOCK_BOOTTIME", None)


def _slept() -> float:
    """Seconds for which this machine has slept since it started; 0 where that can't be told."""
    return 0.0 if _BOOTTIME is None else time.clock_gettime(_BOOTTIME) - time.monotonic()


class _Timer:
    """An action and when it is due. Undone timers stay in the heap, without their action, until it is swept. `slept`
    is how long the machine had slept when `when` was right; None where its sleep does not count."""

    __slots__ = ("action", "slept", "when")

    def __init__(self, when: float, action: Callable[[], None], slept: float | None = None) -> None:
        self.when = when
        self.action: Callable[[], None] | None = action
        self.slept = slept

    def __lt__(self, other: _Timer) -> bool:
        return self.when < other.when

    def wake_up(self, slept: float) -> None:
        """Be due sooner by what the machine has slept since."""
        if self.slept is not None and slept - self.slept > _NO_SLEEP:
            self.when -= slept - self.slept
            self.slept = slept


class SystemClock(Clock):
    """Wall and monotonic time of this machine. The timer thread starts with the first timer and sleeps until something
    is due; a machine that wakes up has its late timers run within `_LOOK` seconds. Both calls may be used in a signal
    handler once that thread runs. `slept` says for how many seconds the machine has slept so far."""

    def __init__(self, *, slept: Callable[[], float] = _slept) -> None:
        self._slept = slept
        self._arrivals: SimpleQueue[_Timer] = SimpleQueue()
        self._undone = 0
        self._through_sleep = 0  # timers in the heap that count it; of the timer thread
        self._starting = threading.RLock()
        self._thread: threading.Thread | None = None

    def now_ms(self) -> int:
        return time.time_ns() // 1_000_000

    def monotonic(self) -> float:
        return time.monotonic()

    def call_at(self, when: float, action: Callable[[], None]) -> Callable[[], None]:
        return self._add(_Timer(when, action))

    def call_after(self, seconds: float, action: Callable[[], None]) -> Callable[[], None]:
        return self._add(_Timer(time.monotonic() + seconds, action, self._slept()))

    def _add(self, timer: _Timer) -> Callable[[], None]:
        self._arrivals.put(timer)
        if self._thread is None:
            self.start()

        def undo() -> None:
            if timer.action is not None:
                timer.action = None
                self._undone += 1

        return undo

    def start(self) -> None:
        """Start the timer thread if it does not run yet."""
        with self._starting:
            if self._thread is None:
                self._thread = threading.Thread(target=self._loop, name="runkon-timer", daemon=True)
                self._thread.start()

    def _loop(self) -> None:
        heap: list[_Timer] = []
        slept = self._slept()
        while True:
            try:
                timer = self._arrivals.get(timeout=self._pause(heap))
                timer.wake_up(slept)
                self._through_sleep += timer.slept is not None
                heapq.heappush(heap, timer)
            except Empty:
                self._run_due(heap)
            if self._through_sleep and (now := self._slept()) - slept > _NO_SLEEP:
                slept = now
                for timer in heap:
                    timer.wake_up(slept)
                heapq.heapify(heap)
            if self._undone > _SWEEP and self._undone * 2 > len(heap):
                self._undone = 0
                heap = [timer for timer in heap if timer.action is not None]
                self._through_sleep = sum(timer.slept is not None for timer in heap)
                heapq.heapify(heap)

    def _pause(self, heap: list[_Timer]) -> float | None:
        """Seconds until something is due, or until the next look; None if nothing is waited for."""
        if not heap:
            return None
        seconds = max(0.0, heap[0].when - time.monotonic())
        return min(seconds, _LOOK) if self._through_sleep else seconds

    def _run_due(self, heap: list[_Timer]) -> None:
        now = time.monotonic()
        while heap and heap[0].when <= now:
            timer = heapq.heappop(heap)
            self._through_sleep -= timer.slept is not None
            action, timer.action = timer.action, None
            if action is not None:
                try:
                    action()
                except Exception:  # noqa: BLE001  one timer's failure must not silence all later ones
                    continue


@cache
def system_clock() -> SystemClock:
    """The process's clock: everybody shares its timer thread."""
    return SystemClock()
