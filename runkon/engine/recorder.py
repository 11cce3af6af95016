"""The engine's only writer for a run: it numbers events, groups them into transactions and tells the sinks.

Whoever needs durability writes: a thread that calls `commit` takes everything queued so far into one transaction,
while others that come meanwhile wait and are served together by the next one. So a lone chain never changes threads,
and many branches share commits. `append` alone arms one daemon thread, which writes what nobody came to write and
renews the lease when no commit did; it sleeps for good as soon as there is nothing left to do.
"""

from __future__ import annotations

import atexit
import os
import threading
from collections.abc import Callable, Sequence

from runkon.engine.renewal import Renewal
from runkon.engine.rescuing import Request, Rescue
from runkon.engine.telling import Telling
from runkon.engine.turns import ENDLESS, Turns
from runkon.errors import InternalError, LeaseLost, RunkonError, StoreUnavailable
from runkon.failpoints import failpoint, is_armed
from runkon.model.events import Envelope, Event, StepCompleted, StepFailed, StepTimedOut
from runkon.model.ports import Clock, EventSink, Recorder, RunStore
from runkon.model.records import Lease

TTL_MS = 30_000
LINGER = 0.002  # seconds an appended event may wait for company; written at the latest after twice this


class BatchRecorder(Recorder):
    """Writes one run's events under `lease`, numbered from `seq` + 1. Safe for concurrent calls.

    Events of one call are written together or not at all. Sinks hear every event once, after it is durable, in order;
    one that raises is reported on stderr the first time, one that blocks is left behind. After LeaseLost,
    StoreUnavailable or any other failure to write, `commit` and `close` raise the same error; what was queued, and
    what is appended later, goes to where the next leg finds it. `ttl_ms` is how long a renewal of the lease lasts.
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
        self._clock = clock
        self._ttl_ms = ttl_ms
        self._telling = Telling(sinks, clock) if sinks else None
        self._queue_lock = threading.Lock()  # guards the queue and its number
        self._queue: list[Request] = []
        self._queued = seq
        self._turns = Turns()  # the one thread that has the turn writes and tells
        self._taken: list[Request] = []  # what it writes now
        self._durable = seq
        self._failure: BaseException | None = None
        self._rescue: Rescue | None = None
        self.on_failure: Callable[[BaseException], None] | None = None  # told once, on the thread that failed to write
        self._background = _Background(linger, self._tick, self._fail)
        self._armed = False  # read without a lock on the fast path
        self._pending_at_tick = seq
        self._renewal = Renewal(lease, clock, ttl_ms, self._renewal_due)
        self._process = os.getpid()
        atexit.register(self._program_ends)

    @property
    def lease(self) -> Lease:
        """The lease as last renewed."""
        return self._renewal.lease

    @property
    def has_failed(self) -> bool:
        """True once something could not be written."""
        return self._rescue is not None

    @property
    def rescued(self) -> tuple[int, Sequence[str]]:
        """How many results could not be written and are kept elsewhere, and where."""
        rescue = self._rescue
        return (0, ()) if rescue is None else (rescue.count, tuple(rescue.places))

    def append(self, *events: Event) -> None:
        """Queue `events`; they are durable with the next commit, at the latest a few milliseconds later."""
        with self._queue_lock:
            self._put(events, is_awaited=False)
            if self._armed or self._failure is not None:
                return
            self._armed = self._background.wake()
            target = self._queued
        if not self._armed:  # no thread can be had
            self._write_until(target, release=False)

    def commit(self, *events: Event) -> None:
        """Queue `events` and return once they and all queued before are durable and the sinks were told."""
        with self._queue_lock:
            self._put(events, is_awaited=True)
            target = self._queued
        self._write_until(target, release=False)

    def hurry(self) -> None:
        """Wait no longer for a store that can't be written. Returns at once."""
        self._store.hurry()

    def close(self, *events: Event) -> None:
        """`commit`, giving the lease back in the same transaction. Later calls raise LeaseLost."""
        try:
            with self._queue_lock:
                self._put(events, is_awaited=True)
                target = self._queued
            self._write_until(target, release=True)
        finally:
            self._stop_background(wait=True)

    # ── the queue ─────────────────────────────────────────────────────────────────────────────────
    def _put(self, events: Sequence[Event], *, is_awaited: bool) -> None:
        if self._failure is not None and (is_awaited or self._rescue is None):
            raise self._failure
        lease, seq, at = self._renewal.lease, self._queued, self._clock.now_ms()
        envelopes = []
        for event in events:
            seq += 1
            envelopes.append(Envelope(lease.run, seq, at, lease.leg, lease.fence, event))
        if self._rescue is not None:
            self._queued = self._rescue.take([Request(envelopes, is_awaited)])
        elif envelopes:
            self._queue.append(Request(envelopes, is_awaited))
            self._queued = seq

    def _write_until(self, target: int, *, release: bool) -> None:
        self._alone(ENDLESS if release else target, lambda: self._write(release=release))

    def _alone(self, target: int, work: Callable[[], None]) -> None:
        """Do `work` while no other thread writes; not at all if another made `target` durable meanwhile."""
        if self._turns.is_mine() or (self._telling is not None and self._telling.is_listening()):
            raise InternalError("an event sink called the recorder that was telling it")
        try:
            if not self._turns.enter(target):
                if self._durable < target and self._failure is not None:
                    raise self._failure
                return
            if self._durable < target:
                work()
        finally:
            if self._turns.is_mine():
                self._turns.leave(self._durable if self._failure is None else ENDLESS)

    def _write(self, *, release: bool) -> None:
        """One transaction with all that is queued, then the sinks. This thread has the turn."""
        if self._taken:
            raise self._fail(InternalError("the thread that was writing has ended in the middle of it"))
        with self._queue_lock:
            if self._failure is not None:
                raise self._failure
            self._taken = self._queue
            self._queue = []
            if release:  # nothing may be queued behind the end
                self._failure = LeaseLost(f"run `{self._renewal.lease.run}` was given back by this engine")
        try:
            batch = [envelope for request in self._taken for envelope in request.envelopes]
            self._store.append(self._renewal.with_commit(), batch, release=release)
            self._taken = []
        except BaseException as failure:  # noqa: BLE001  raised again, as everybody will see it from now on
            raise self._fail(failure)  # noqa: B904  its cause is set
        if batch:
            self._durable = batch[-1].seq
            if is_armed():
                failpoint("before_sinks")
                _acknowledge(batch)
            if self._telling is not None:
                self._telling.tell(batch)

    def _fail(self, failure: BaseException) -> BaseException:
        """Remember why nothing can be written any more, and keep what is not written for the next leg."""
        if isinstance(failure, Exception) and not isinstance(failure, RunkonError):
            wrapped = InternalError(f"the recorder could not write: {failure!r}")
            wrapped.__cause__ = failure
            failure = wrapped
        with self._queue_lock:
            if self._rescue is not None and self._failure is not None:
                return self._failure
            is_fenced = isinstance(failure, LeaseLost)
            self._rescue = Rescue(self._store, self._renewal.lease, self._durable, is_fenced=is_fenced)
            left, self._taken, self._queue = [*self._taken, *self._queue], [], []
            self._queued = self._rescue.take(left)
            self._failure = failure
        if self.on_failure is not None:
            self.on_failure(failure)
        self._stop_background(wait=False)
        return failure

    def _program_ends(self) -> None:
        """The interpreter is about to take everything apart: nobody may wait for a thread that will not run again."""
        if os.getpid() == self._process:
            self._fail(StoreUnavailable("this program is ending, so nothing more is recorded"))

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
        self._renewal.stop()
        atexit.unregister(self._program_ends)
        self._background.stop(wait=wait)
        if wait and self._telling is not None:
            self._telling.close()

    # ── the lease ─────────────────────────────────────────────────────────────────────────────────
    def _renewal_due(self) -> None:
        """On the clock's thread, which must not block: the write happens on the background thread."""
        with self._queue_lock:
            if self._failure is None:
                self._armed = self._background.wake()

    def _renew_if_due(self) -> None:
        if self._renewal.is_due():
            try:
                self._alone(ENDLESS, self._renew)
            except BaseException:  # noqa: BLE001  kept by _fail, and raised to whoever records next
                return

    def _renew(self) -> None:
        lease = self._renewal.lease
        if self._failure is not None:
            return
        try:
            extended = self._store.extend(lease, self._clock.now_ms(), self._ttl_ms)
            if extended is None:
                raise LeaseLost(f"run `{lease.run}` is held by another engine now")
        except StoreUnavailable as error:  # nothing is lost by it: a commit has its own patience
            self._renewal.missed(error)
        except BaseException as failure:  # noqa: BLE001  kept, and raised to whoever records next
            self._fail(failure)
        else:
            self._renewal.renewed(extended)


def _acknowledge(batch: Sequence[Envelope]) -> None:
    """The ends of steps are durable from here on."""
    for envelope in batch:
        if isinstance(envelope.event, StepCompleted | StepFailed | StepTimedOut):
            failpoint("after_finish", envelope.event.path)


class _Background:
    """A daemon thread that is started when first woken, then calls `tick` every `pause` seconds until that returns
    false, and sleeps without polling until woken again."""

    def __init__(self, pause: float, tick: Callable[[], bool], died: Callable[[BaseException], object]) -> None:
        self._pause = pause
        self._tick = tick
        self._died = died
        self._woken = threading.Event()
        self._stopped = threading.Event()
        self._thread: threading.Thread | None = None

    def wake(self) -> bool:
        """False if no thread can be had."""
        if self._thread is None:
            thread = threading.Thread(target=self._run, name="runkon-recorder", daemon=True)
            try:
                thread.start()
            except RuntimeError:
                return False
            self._thread = thread
        self._woken.set()
        return True

    def stop(self, *, wait: bool) -> None:
        """End the thread; with `wait`, return when it is gone. Don't wait while holding a lock that it may want."""
        self._stopped.set()
        self._woken.set()
        if wait and self._thread is not None and self._thread is not threading.current_thread():
            self._thread.join(timeout=5.0)

    def _run(self) -> None:
        try:
            while not self._stopped.is_set():
                self._woken.wait()
                self._woken.clear()
                while not self._stopped.wait(self._pause) and self._tick():
                    pass
        except BaseException as error:  # noqa: BLE001  without this thread nobody writes what nobody waits for
            self._died(error)
