"""Telling event sinks what has become durable, in order, without letting any of them stop the run.

Each sink has a thread of its own, made with the first event. Whoever wrote the events waits until all sinks have heard
them, so that what is printed stays in order; a sink that takes too long over one event is not waited for any more
until it has caught up, and hears of a gap if it misses too much meanwhile.
"""

from __future__ import annotations

import sys
import threading
from collections import deque
from collections.abc import Callable, Sequence
from typing import TypeAlias

from runkon.engine.cancellation import Waiter
from runkon.model.events import Envelope
from runkon.model.ports import Clock, EventSink
from runkon.named import NamedTuple

SINK_PATIENCE = 5.0  # seconds a sink may take over one event
MOST_KEPT = 4_096  # events kept for a sink that is not waited for
Report: TypeAlias = Callable[[EventSink, Exception], None]


class Telling:
    """The sinks of one leg. `tell` and `close` are called by one thread at a time."""

    def __init__(self, sinks: Sequence[EventSink], clock: Clock) -> None:
        self._ears = [_Ear(sink, clock, self._failed) for sink in sinks]
        self._silenced: set[int] = set()

    def tell(self, batch: Sequence[Envelope]) -> None:
        """Return when every sink has heard `batch`, but for those that are late."""
        for ear in self._ears:
            ear.hear(batch)
        for ear in self._ears:
            ear.wait()

    def close(self) -> None:
        """Give late sinks one last chance and end their threads; one that never returns keeps its own."""
        for ear in self._ears:
            ear.close()

    def is_listening(self) -> bool:
        """True on a thread that tells a sink: it must not wait for what it is telling."""
        return any(ear.thread is threading.current_thread() for ear in self._ears)

    def _failed(self, sink: EventSink, error: Exception) -> None:
        if id(sink) not in self._silenced:
            self._silenced.add(id(sink))
            name = type(sink).__name__
            print(f"warning: event sink `{name}` failed, the run goes on: {error!r}", file=sys.stderr)


class _Gap(NamedTuple):
    """Events that a late sink never hears: numbers `first` to `last`."""

    first: int
    last: int


class _Ear:
    """One sink and what it still has to hear."""

    def __init__(self, sink: EventSink, clock: Clock, report: Report) -> None:
        self.thread: threading.Thread | None = None
        self._sink = sink
        self._clock = clock
        self._report = report
        self._lock = threading.Lock()
        self._queue: deque[Envelope | _Gap] = deque()
        self._news, self._done = Waiter(), Waiter()
        self._since: float | None = None  # when the event that it hears now was told
        self._is_late = False
        self._is_over = False
        self._undo: Callable[[], None] | None = None

    def hear(self, batch: Sequence[Envelope]) -> None:
        with self._lock:
            for envelope in batch:
                self._put(envelope)
        if self.thread is None:
            self.thread = threading.Thread(target=self._listen, name="runkon-sink", daemon=True)
            self.thread.start()
        if self._undo is None:
            self._watch(self._clock.monotonic() + SINK_PATIENCE)
        self._news.wake()

    def wait(self) -> None:
        """Return when everything was heard, or the sink is late."""
        while not self._is_late and self._has_more():
            self._done.wait()

    def close(self) -> None:
        if self.thread is None:
            return
        if self._is_late:
            with self._lock:
                self._since = self._clock.monotonic()
                self._is_late = False
            self._watch(self._since + SINK_PATIENCE)
        self.wait()
        self._is_over = True
        self._news.wake()
        if self._undo is not None:
            self._undo()
        if not self._is_late:
            self.thread.join(SINK_PATIENCE)

    def _put(self, envelope: Envelope) -> None:
        """Keep an event, or count it among those that are lost."""
        if len(self._queue) < MOST_KEPT or not self._is_late:
            self._queue.append(envelope)
            return
        last = self._queue[-1]
        if isinstance(last, _Gap):
            self._queue[-1] = last._replace(last=envelope.seq)
        else:
            self._queue.append(_Gap(envelope.seq, envelope.seq))

    def _has_more(self) -> bool:
        with self._lock:
            return bool(self._queue) or self._since is not None

    # ── on the sink's thread ──────────────────────────────────────────────────────────────────────
    def _listen(self) -> None:
        while not self._is_over:
            self._news.wait()
            while (following := self._next()) is not None:
                try:
                    self._tell(following)
                except Exception as error:  # noqa: BLE001  a sink is somebody else's code and never stops a run
                    self._report(self._sink, error)
            self._done.wake()

    def _next(self) -> Envelope | _Gap | None:
        with self._lock:
            if not self._queue:
                self._since, self._is_late = None, False
                return None
            self._since = self._clock.monotonic()
            return self._queue.popleft()

    def _tell(self, following: Envelope | _Gap) -> None:
        if isinstance(following, _Gap):
            gap = getattr(self._sink, "gap", None)
            if callable(gap):
                gap(following.first, following.last)
        else:
            self._sink.emit(following)

    # ── on the clock's thread ─────────────────────────────────────────────────────────────────────
    def _watch(self, when: float) -> None:
        self._undo = self._clock.call_at(when, self._look)

    def _look(self) -> None:
        """One timer for as long as events come, not one per event: it looks how long the present one has taken."""
        with self._lock:
            since = self._since
            is_late = since is not None and self._clock.monotonic() - since >= SINK_PATIENCE
            if is_late:
                self._is_late = True
            if since is None or is_late:
                self._undo = None
        if is_late:
            self._done.wake()
        elif since is not None:
            self._watch(since + SINK_PATIENCE)
