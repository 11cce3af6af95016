"""The engine's only writer for a run: it numbers events, groups them into transactions and tells the sinks.

Whoever needs durability writes: a thread that calls `commit` takes everything queued so far into one transaction,
while others that come meanwhile wait and are served together by the next one. So a lone chain never changes threads,
and many branches share commits. `append` alone arms one daemon thread, which writes what nobody came to write and
renews the lease when no commit did; it sleeps for good as soon as there is nothing left to do.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Sequence
from dataclasses import replace

from runkon.engine.turns import ENDLESS, Turns
from runkon.errors import InternalError, LeaseLost, RunkonError
from runkon.failpoints import failpoint, is_armed
from runkon.model.events import Envelope, Event, StepCompleted, StepFailed, StepTimedOut
from runkon.model.ports import Clock, EventSink, Recorder, RunStore
from runkon.model.records import Lease

TTL_MS = 30_000
LINGER = 0.002  # seconds an appended event may wait for company; written at the latest after twice this


class BatchRecorder(Recorder):
    """Writes one run's events under `lease`, numbered from `seq` + 1. Safe for concurrent calls.

    Events of one call are written together or not at all. Sinks hear every event once, after it is durable, in order;
    one that raises is reported on stderr the first time. After LeaseLost, StoreUnavailable or any other failure to
    write, every later call raises the same error. `ttl_ms` is how long a renewal of the lease lasts.
    """

    def __init__(
        self,
        store: RunStore,
        lease: Lease,
        clock: Clock,
        seq: int,
        sinks: Sequence[EventSink] = (),
        *,
        ttl_ms: int = TTL_MS,
        linger: float = LINGER,
    ) -> None:
        self._store = store
        self._lease = lease
        self._clock = clock
        self._sinks = tuple(sinks)
        self._silenced: set[int] = set()
        self._ttl_ms = ttl_ms
        self._queue_lock = threading.Lock()  # guards the queue and its number
        self._queue: list[Envelope] = []
        self._queued = seq
        self._turns = Turns()  # the one thread that has the turn writes and tells
        self._durable = seq
        self._writer: int | None = None
        self._failure: BaseException | None = None
        self.on_failure: Callable[[BaseException], None] | None = None  # told once, on the thread that failed to write
        self._renewed = clock.monotonic()
        self._background = _Background(linger, self._tick)
        self._armed = False  # read without a lock on the fast path
        self._pending_at_tick = seq
        self._undo_timer: Callable[[], None] | None = None
        self._set_timer()

    @property
    def lease(self) -> Lease:
        """The lease as last renewed."""
        return self._lease

    def append(self, *events: Event) -> None:
        """Queue `events`; they are durable with the next commit, at the latest a few milliseconds later."""
        with self._queue_lock:
            self._put(events)
            if not self._armed:
                self._armed = True
                self._background.wake()

    def commit(self, *events: Event) -> None:
        """Queue `events` and return once they and all queued before are durable and the sinks were told."""
        with self._queue_lock:
            self._put(events)
            target = self._queued
        self._write_until(target, release=False)

    def close(self, *events: Event) -> None:
        """`commit`, giving the lease back in the same transaction. Later calls raise LeaseLost."""
        try:
            with self._queue_lock:
                self._put(events)
                target = self._queued
            self._write_until(target, release=True)
        finally:
            self._stop_background(wait=True)

    # ── the queue ─────────────────────────────────────────────────────────────────────────────────
    def _put(self, events: Sequence[Event]) -> None:
        if self._failure is not None:
            raise self._failure
        lease, seq, at = self._lease, self._queued, self._clock.now_ms()
        for event in events:
            seq += 1
            self._queue.append(Envelope(lease.run, seq, at, lease.leg, lease.fence, event))
        self._queued = seq

    def _write_until(self, target: int, *, release: bool) -> None:
        self._alone(ENDLESS if release else target, lambda: self._write(release=release))

    def _alone(self, target: int, work: Callable[[], None]) -> None:
        """Do `work` while no other thread writes; not at all if another made `target` durable meanwhile."""
        if self._writer == threading.get_ident():
            raise InternalError("an event sink called the recorder that was telling it")
        if not self._turns.enter(target):
            if self._durable < target and self._failure is not None:
                raise self._failure
            return
        try:
            if self._durable < target:
                self._writer = threading.get_ident()
                work()
        finally:
            self._writer = None
            self._turns.leave(self._durable if self._failure is None else ENDLESS)

    def _write(self, *, release: bool) -> None:
        """One transaction with all that is queued, then the sinks. This thread has the turn."""
        with self._queue_lock:
            if self._failure is not None:
                raise self._failure
            batch, self._queue = self._queue, []
            if release:  # nothing may be queued behind the end
                self._failure = LeaseLost(f"run `{self._lease.run}` was given back by this engine")
        self._renew_with_commit()
        try:
            self._store.append(self._lease, batch, release=release)
        except BaseException as failure:  # noqa: BLE001  raised again, as everybody will see it from now on
            raise self._fail(failure)  # noqa: B904  its cause is set
        if batch:
            self._durable = batch[-1].seq
            failpoint("before_sinks")
            if is_armed():
                _acknowledge(batch)
            if self._sinks:
                self._tell(batch)

    def _tell(self, batch: Sequence[Envelope]) -> None:
        for sink in self._sinks:
            for envelope in batch:
                try:
                    sink.emit(envelope)
                except Exception as error:  # noqa: BLE001  a sink is somebody else's code and never stops a run
                    self._report(sink, error)

    def _report(self, sink: EventSink, error: Exception) -> None:
        if id(sink) not in self._silenced:
            self._silenced.add(id(sink))
            name = type(sink).__name__
            print(f"warning: event sink `{name}` failed, the run goes on: {error!r}", file=sys.stderr)

    def _fail(self, failure: BaseException) -> BaseException:
        """Remember why nothing can be written any more: that is what every later call raises."""
        if isinstance(failure, Exception) and not isinstance(failure, RunkonError):
            wrapped = InternalError(f"the recorder could not write: {failure!r}")
            wrapped.__cause__ = failure
            failure = wrapped
        with self._queue_lock:
            self._failure = failure
        if self.on_failure is not None:
            self.on_failure(failure)
        self._stop_background(wait=False)
        return failure

    # ── what the background thread does ───────────────────────────────────────────────────────────
    def _tick(self) -> bool:
        """Write what was queued a tick ago and is still there. False when nothing came since: sleep until woken."""
        self._renew_if_due()
        with self._queue_lock:
            overdue, self._pending_at_tick = self._pending_at_tick, self._queued
            if overdue == self._queued == self._durable or self._failure is not None:
                self._armed = False
                return False
        if self._durable < overdue:
            try:
                self._write_until(overdue, release=False)
            except BaseException:  # noqa: BLE001  kept by _fail, and raised to whoever records next
                return False
        return True

    def _stop_background(self, *, wait: bool) -> None:
        if self._undo_timer is not None:
            self._undo_timer()
        self._background.stop(wait=wait)

    # ── the lease ─────────────────────────────────────────────────────────────────────────────────
    def _renew_with_commit(self) -> None:
        """A commit renews for free: the store writes the lease's expiry with it. Not more than once a second, so that
        most commits cost no new lease object."""
        now = self._clock.monotonic()
        if now - self._renewed >= 1.0:
            self._renewed = now
            self._lease = replace(self._lease, expires_at=self._clock.now_ms() + self._ttl_ms)

    def _set_timer(self) -> None:
        self._undo_timer = self._clock.call_at(self._renewed + self._ttl_ms / 3000, self._renewal_due)

    def _renewal_due(self) -> None:
        """On the clock's thread, which must not block: the write happens on the background thread."""
        if not self._is_renewal_due():
            self._set_timer()  # a commit renewed meanwhile
            return
        with self._queue_lock:
            if self._failure is None:
                self._armed = True
                self._background.wake()

    def _is_renewal_due(self) -> bool:
        return self._clock.monotonic() - self._renewed >= self._ttl_ms / 3000

    def _renew_if_due(self) -> None:
        if self._is_renewal_due():
            try:
                self._alone(ENDLESS, self._renew)
            except BaseException:  # noqa: BLE001  kept by _fail, and raised to whoever records next
                return

    def _renew(self) -> None:
        if self._failure is not None:
            return
        try:
            extended = self._store.extend(self._lease, self._clock.now_ms(), self._ttl_ms)
            if extended is None:
                raise LeaseLost(f"run `{self._lease.run}` is held by another engine now")
        except BaseException as failure:  # noqa: BLE001  kept, and raised to whoever records next
            self._fail(failure)
            return
        self._lease, self._renewed = extended, self._clock.monotonic()
        self._set_timer()


def _acknowledge(batch: Sequence[Envelope]) -> None:
    """The ends of steps are durable from here on."""
    for envelope in batch:
        if isinstance(envelope.event, StepCompleted | StepFailed | StepTimedOut):
            failpoint("after_finish", envelope.event.path)


class _Background:
    """A daemon thread that is started when first woken, then calls `tick` every `pause` seconds until that returns
    false, and sleeps without polling until woken again."""

    def __init__(self, pause: float, tick: Callable[[], bool]) -> None:
        self._pause = pause
        self._tick = tick
        self._woken = threading.Event()
        self._stopped = threading.Event()
        self._thread: threading.Thread | None = None

    def wake(self) -> None:
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="runkon-recorder", daemon=True)
            self._thread.start()
        self._woken.set()

    def stop(self, *, wait: bool) -> None:
        """End the thread; with `wait`, return when it is gone. Don't wait while holding a lock that it may want."""
        self._stopped.set()
        self._woken.set()
        if wait and self._thread is not None and self._thread is not threading.current_thread():
            self._thread.join(timeout=5.0)

    def _run(self) -> None:
        while not self._stopped.is_set():
            self._woken.wait()
            self._woken.clear()
            while not self._stopped.wait(self._pause) and self._tick():
                pass
