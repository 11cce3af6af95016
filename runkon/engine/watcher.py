"""Who wants a run given up asks for it in the store, because the engine that advances it may be any process. One thread
per process looks, for all its runs together and only while there are some; a leg that is over soon never starts it.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from functools import cache

from runkon.engine.clock import system_clock
from runkon.errors import RunkonError
from runkon.model.ids import RunID
from runkon.model.ports import RunStore
from runkon.model.records import CancelRequest

ANSWERS_INTERVAL = 0.1  # while somebody waits for an answer
INTERVAL = 0.25  # seconds between two looks, and before the first one

Listener = Callable[[CancelRequest], None]


class Watcher:
    """Tells listeners of wishes: each once, and once more when `kill` is added. Safe for concurrent calls."""

    def __init__(self, interval: float = INTERVAL) -> None:
        self._interval = interval
        self._lock = threading.Lock()
        self._watched: dict[object, _Watched] = {}
        self._awaited: dict[object, _Awaited] = {}
        self._thread: threading.Thread | None = None
        self._stop = threading.Event()

    def watch(self, store: RunStore, run: RunID, listener: Listener) -> Callable[[], None]:
        """Call `listener` (short, on the watching thread) once somebody wants `run` given up; the result ends that."""
        key = object()
        clock = system_clock()

        is_over = False

        def begin() -> None:
            with self._lock:
                if is_over:
                    return
                self._watched[key] = _Watched(store, run, listener)
                self._begin()

        undo = clock.call_at(clock.monotonic() + self._interval, begin)

        def end() -> None:
            nonlocal is_over
            undo()
            with self._lock:
                is_over = True
                self._watched.pop(key, None)
            self._end_if_unneeded()

        return end

    def watch_answers(self, store: RunStore, run: RunID, listener: Callable[[], None]) -> Callable[[], None]:
        """Call `listener` (short, on the watching thread) whenever an answer to a gate of `run` has come since this
        was called; the result ends that."""
        key = object()
        awaited = _Awaited(store, run, listener, len(store.gate_answers(run)))
        with self._lock:
            self._awaited[key] = awaited
            self._begin()

        def end() -> None:
            with self._lock:
                self._awaited.pop(key, None)
            self._end_if_unneeded()

        return end

    def _begin(self) -> None:
        """Start the thread, if there is none; the lock is held."""
        if self._thread is None:
            self._stop = threading.Event()
            self._thread = threading.Thread(target=self._look, args=(self._stop,), name="runkon-watcher", daemon=True)
            self._thread.start()

    def _end_if_unneeded(self) -> None:
        with self._lock:
            thread = None if self._watched or self._awaited else self._thread
            if thread is not None:
                self._thread = None
                self._stop.set()
        if thread is not None and thread is not threading.current_thread():
            thread.join()

    def _look(self, stop: threading.Event) -> None:
        while not stop.is_set():
            with self._lock:
                watched = list(self._watched.values())
                awaited = list(self._awaited.values())
            for store in {id(one.store): one.store for one in watched}.values():
                _tell(store, [one for one in watched if one.store is store])
            for one in awaited:
                one.look()
            stop.wait(min(self._interval, ANSWERS_INTERVAL) if awaited else self._interval)


class _Awaited:
    """One run whose answers somebody waits for, and how many there were."""

    __slots__ = ("count", "listener", "run", "store")

    def __init__(self, store: RunStore, run: RunID, listener: Callable[[], None], count: int) -> None:
        self.store = store
        self.run = run
        self.listener = listener
        self.count = count

    def look(self) -> None:
        try:
            count = len(self.store.gate_answers(self.run))
        except (RunkonError, OSError):  # as for wishes
            return
        if count != self.count:
            self.count = count
            self.listener()


class _Watched:
    """One run, and the wish its listener knows of."""

    __slots__ = ("listener", "run", "store", "told")

    def __init__(self, store: RunStore, run: RunID, listener: Listener) -> None:
        self.store = store
        self.run = run
        self.listener = listener
        self.told: CancelRequest | None = None


def _tell(store: RunStore, watched: list[_Watched]) -> None:
    try:
        wishes = store.cancel_wishes([one.run for one in watched])
    except (RunkonError, OSError):  # the recorder meets the same trouble, and knows what to do
        return
    for one in watched:
        wish = wishes.get(one.run)
        if wish is not None and (one.told is None or (wish.kill and not one.told.kill)):
            one.told = wish
            one.listener(wish)


@cache
def watcher() -> Watcher:
    """The process's watcher."""
    return Watcher()
