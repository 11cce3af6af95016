"""Threads: strands of work that can be given up, slots that bound executor calls, and the pool of leaf branches.

A strand is one thread's walk. When its token is cancelled while an executor runs on it, the executor is told, and if
it has not come back after the grace the strand is given up: whoever waits for the strand goes on, closes the attempt,
and the late result is refused. Only the attempt that claims its ticket first, by returning, may record itself.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from queue import SimpleQueue
from typing import TYPE_CHECKING

from runkon.engine.cancellation import Token, Waiter
from runkon.engine.ends import GivenUp, Stopped
from runkon.model.ids import StepPath
from runkon.model.ports import ActionExecutor, Clock

if TYPE_CHECKING:
    from runkon.engine.cancellation import CancelReason


class Ticket:
    """One open attempt. It is claimed once: by the executor's return, or by the end of the grace. `leave` leaves a
    result for later steps if it is given up."""

    __slots__ = ("_guard", "_is_claimed", "epoch", "executor", "leave", "number", "path")

    def __init__(
        self,
        executor: ActionExecutor,
        path: StepPath,
        number: int,
        epoch: int,
        leave: Callable[[CancelReason], None] | None = None,
    ) -> None:
        self.leave = leave
        self.executor = executor
        self.path = path
        self.number = number
        self.epoch = epoch
        self._guard = threading.Lock()
        self._is_claimed = False

    def claim(self) -> bool:
        """True for exactly one caller."""
        with self._guard:
            is_first, self._is_claimed = not self._is_claimed, True
        return is_first

    def while_open(self, action: Callable[[], None]) -> None:
        """Do what belongs to the attempt's record, unless it was claimed: nothing is recorded behind its end."""
        with self._guard:
            if not self._is_claimed:
                action()


class Grace:
    """How long, in seconds, executors of a leg may take to stop, and which attempts were told to."""

    __slots__ = ("clock", "dying", "seconds")

    def __init__(self, clock: Clock, seconds: float) -> None:
        self.clock = clock
        self.seconds = seconds
        self.dying: dict[Ticket, Strand] = {}

    def once_over(self, action: Callable[[], None]) -> None:
        """Call `action` when the grace that begins now has ended."""
        self.clock.call_at(self.clock.monotonic() + self.seconds, action)


class Strand:
    """One thread's walk. `current` is the attempt running on it; `lost` the one it was given up for; `error` what
    ended it unexpectedly. `markers` gathers those of its steps where a named block wants them."""

    __slots__ = ("current", "error", "is_inner", "is_over", "lost", "markers", "on_over")

    def __init__(self, on_over: Callable[[Strand], None]) -> None:
        self.on_over = on_over
        self.current: Ticket | None = None
        self.lost: Ticket | None = None
        self.error: BaseException | None = None
        self.markers: set[str] | None = None
        self.is_over = False
        self.is_inner = False  # the walk of a called workflow, which may lie inside of a block

    def finish(self) -> None:
        """The thread has ended its walk; silent if the strand was given up before."""
        if self.lost is None:
            self.is_over = True
            self.on_over(self)

    def stop(self, grace: Grace) -> None:
        """The strand's token was cancelled: tell the executor running on it and give it the grace."""
        ticket = self.current
        if ticket is None:
            return
        grace.dying[ticket] = self
        cancel = getattr(ticket.executor, "cancel", None)
        if callable(cancel):
            in_background(lambda: cancel(ticket.path), "runkon-cancel")
        grace.once_over(lambda: self._give_up(ticket))

    def step_aside(self) -> Callable[[], None]:
        """The walk waits for a decision, and others may go on in its place; call the result to take it back."""
        return _nothing

    def hurry(self, grace: Grace, ticket: Ticket) -> None:
        """The attempt was told to stop and nobody wants to wait any longer."""
        grace.once_over(lambda: self._give_up(ticket))

    def _give_up(self, ticket: Ticket) -> None:
        if ticket.claim():
            self.lost = ticket
            self.is_over = True
            self.on_over(self)


def run_strand(
    grace: Grace,
    token: Token,
    work: Callable[[Strand], None],
    name: str,
    on_keyboard: Callable[[], None] | None = None,
) -> Strand:
    """Run `work` on a thread of its own and wait for its end, or until it is given up. What it raised is `error`.
    With `on_keyboard` a KeyboardInterrupt of the waiting thread calls it, and the wait goes on."""
    waiter = Waiter()
    strand = Strand(lambda _: waiter.wake())
    claim = threading.Lock()  # a KeyboardInterrupt may come while a thread starts: of two, only one does the work
    threads: list[threading.Thread] = []

    def body() -> None:
        if claim.acquire(blocking=False):
            _walk(strand, work)

    undo = token.on_cancel(lambda: strand.stop(grace))
    try:
        while not strand.is_over:
            try:
                if not claim.locked():
                    threads.append(threading.Thread(target=body, name=name, daemon=True))
                    threads[-1].start()
                waiter.wait()
            except KeyboardInterrupt:
                if on_keyboard is None:
                    raise
                on_keyboard()
    finally:
        undo()
    if strand.lost is None:
        for thread in threads:
            if thread.is_alive():
                thread.join()
    return strand


def _walk(strand: Strand, work: Callable[[Strand], None]) -> None:
    try:
        work(strand)
    except GivenUp:
        return
    except BaseException as error:  # noqa: BLE001  handed to the thread that waits
        strand.error = error
    strand.finish()


def in_background(action: Callable[[], object], name: str) -> None:
    """Call what belongs to an executor on a thread of its own; nobody waits for it, its errors are its own."""

    def quietly() -> None:
        try:
            action()
        except Exception:  # noqa: BLE001  an executor's own clean-up; its step ends either way
            return

    threading.Thread(target=quietly, name=name, daemon=True).start()


class Slots:
    """How many executors may run at once in a run; waiting is in order of arrival and ends with the token."""

    def __init__(self, limit: int) -> None:
        self._lock = threading.Lock()
        self._free = limit
        self._waiting: deque[_Place] = deque()

    def acquire(self, token: Token) -> None:
        """Raises `Stopped` if `token` is cancelled before a slot is free."""
        with self._lock:
            if self._free > 0:
                self._free -= 1
                return
            place = _Place()
            self._waiting.append(place)
        undo = token.on_cancel(place.waiter.wake)
        place.waiter.wait()
        undo()
        with self._lock:
            if place.granted:
                return
            self._waiting.remove(place)
        assert token.reason is not None
        raise Stopped(token.reason)

    def try_acquire(self) -> bool:
        """A slot if one is free at once."""
        with self._lock:
            if self._free <= 0:
                return False
            self._free -= 1
            return True

    def release(self) -> None:
        with self._lock:
            if not self._waiting:
                self._free += 1
                return
            place = self._waiting.popleft()
            place.granted = True
        place.waiter.wake()


class _Place:
    """A place in the queue for a slot."""

    __slots__ = ("granted", "waiter")

    def __init__(self) -> None:
        self.granted = False
        self.waiter = Waiter()


class Pool:
    """The one pool of a run for leaf branches: threads are made when there is work and none is idle, never more than
    `limit`. Work never waits for other work of the pool, so it can't block itself."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self._lock = threading.Lock()
        self._work: SimpleQueue[Callable[[], None] | None] = SimpleQueue()
        self._threads: list[threading.Thread] = []
        self._lost = 0
        self._unclaimed = 0  # idle threads minus queued work

    def submit(self, work: Callable[[], None]) -> None:
        """Run `work` on one of the threads, in order of arrival. It must not raise anything but GivenUp."""
        self._work.put(work)
        with self._lock:
            self._unclaimed -= 1
            if self._unclaimed >= 0 or len(self._threads) - self._lost >= self.limit:
                return
            self._start_thread()

    @property
    def is_contended(self) -> bool:
        """True if other work waits for a thread."""
        return not self._work.empty()

    def lose_thread(self) -> None:
        """One thread is stuck in an executor that was given up: another may take its place."""
        with self._lock:
            self._lost += 1
            if self._unclaimed < 0:
                self._start_thread()

    def close(self) -> None:
        """End the idle threads; those stuck are left behind, they keep nothing alive."""
        with self._lock:
            threads, self._threads = self._threads, []
            lost, self._lost = self._lost, 0
        for _ in threads:
            self._work.put(None)
        if not lost:
            for thread in threads:
                thread.join()

    def _start_thread(self) -> None:
        """With the lock held: another thread may finish the work meanwhile, and the pool may be closed."""
        self._unclaimed += 1
        thread = threading.Thread(target=self._loop, name=f"runkon-leaf-{len(self._threads)}", daemon=True)
        self._threads.append(thread)
        thread.start()

    def _loop(self) -> None:
        while True:
            work = self._work.get()
            if work is None:
                return
            try:
                work()
            except GivenUp:
                return
            with self._lock:
                self._unclaimed += 1


def _nothing() -> None:
    """Takes back what was never given away."""
