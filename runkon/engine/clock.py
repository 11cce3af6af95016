"""The clock of real runs: one timer thread per process for every deadline, backoff and grace."""

from __future__ import annotations

import heapq
import threading
import time
from collections.abc import Callable
from functools import cache
from queue import Empty, SimpleQueue

from runkon.model.ports import Clock

_SWEEP = 64  # undone timers are taken out of the heap once there are this many, and more than waiting ones


class _Timer:
    """An action and when it is due. Undone timers stay in the heap, without their action, until it is swept."""

    __slots__ = ("action", "when")

    def __init__(self, when: float, action: Callable[[], None]) -> None:
        self.when = when
        self.action: Callable[[], None] | None = action

    def __lt__(self, other: _Timer) -> bool:
        return self.when < other.when


class SystemClock(Clock):
    """Wall and monotonic time of this machine. The timer thread starts with the first `call_at` and sleeps exactly
    until something is due. `call_at` may be used in a signal handler once that thread runs."""

    def __init__(self) -> None:
        self._arrivals: SimpleQueue[_Timer] = SimpleQueue()
        self._undone = 0
        self._starting = threading.RLock()
        self._thread: threading.Thread | None = None

    def now_ms(self) -> int:
        return time.time_ns() // 1_000_000

    def monotonic(self) -> float:
        return time.monotonic()

    def call_at(self, when: float, action: Callable[[], None]) -> Callable[[], None]:
        timer = _Timer(when, action)
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
        while True:
            try:
                wait = max(0.0, heap[0].when - time.monotonic()) if heap else None
                heapq.heappush(heap, self._arrivals.get(timeout=wait))
            except Empty:
                self._run_due(heap)
            if self._undone > _SWEEP and self._undone * 2 > len(heap):
                self._undone = 0
                heap = [timer for timer in heap if timer.action is not None]
                heapq.heapify(heap)

    def _run_due(self, heap: list[_Timer]) -> None:
        now = time.monotonic()
        while heap and heap[0].when <= now:
            timer = heapq.heappop(heap)
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
