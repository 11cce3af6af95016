"""^C and the other signals during a run: the first pauses it, the second kills.

The run is carried out by a thread of its own and the main thread only waits, so that a handler runs at once and never
inside the engine.
"""

from __future__ import annotations

import os
import select
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from types import FrameType
from typing import Generic, Protocol, TypeVar

from runkon.errors import EXIT_HANGUP, EXIT_INTERRUPTED, EXIT_TERMINATED

T = TypeVar("T")
KILL_PATIENCE = 2.0  # seconds the record gets after the second signal, before the process leaves anyway
_CAUSES = {signal.SIGINT: "interrupt", signal.SIGTERM: "sigterm", signal.SIGHUP: "sighup"}


class Stoppable(Protocol):
    """The engine's door for stopping a run; both calls return at once."""

    def interrupt(self, cause: str = ...) -> None: ...
    def kill(self) -> None: ...


class _Work(Generic[T]):
    """A function carried out on a thread of its own; its result or exception is handed over once.

    Waiting means reading a pipe: into `bell` the system writes a byte for every signal. A thread that waits for a lock
    is not always woken by one, and its handler would run only with the next."""

    def __init__(self, function: Callable[[], T]) -> None:
        self._function = function
        self._is_done = False
        self._result: list[T] = []
        self._error: BaseException | None = None
        self._heard, self.bell = os.pipe()
        os.set_blocking(self._heard, False)
        os.set_blocking(self.bell, False)
        self._thread = threading.Thread(target=self._run, name="runkon-run", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def _run(self) -> None:
        try:
            self._result.append(self._function())
        except BaseException as error:  # noqa: BLE001  # handed to the waiting thread
            self._error = error
        finally:
            self._is_done = True
            with suppress(BlockingIOError):  # full of signals: then somebody is about to look anyway
                os.write(self.bell, b"d")

    def wait(self, seconds: float | None = None) -> bool:
        """True once the work is done; handlers of signals run in here."""
        end = None if seconds is None else time.monotonic() + seconds
        poll = select.poll()
        poll.register(self._heard, select.POLLIN)
        while not self._is_done:
            left = None if end is None else max(0.0, end - time.monotonic())
            if not poll.poll(None if left is None else left * 1000):
                break
            with suppress(BlockingIOError):
                os.read(self._heard, 4096)
        return self._is_done

    def take(self) -> T:
        self._thread.join()
        os.close(self._heard)
        os.close(self.bell)
        if self._error is not None:
            raise self._error
        return self._result[0]


class _Stop:
    """What has been asked for so far by signals."""

    def __init__(self, control: Stoppable, say: Callable[[str], None]) -> None:
        self._control = control
        self._say = say
        self._count = 0
        self.cause = ""

    @property
    def exit_code(self) -> int:
        return {"interrupt": EXIT_INTERRUPTED, "sighup": EXIT_HANGUP}.get(self.cause, EXIT_TERMINATED)

    def take(self, number: int, _frame: FrameType | None) -> None:
        """The handler. A second signal of any kind ends the patience."""
        self._count += 1
        if self._count == 1:
            self.cause = _CAUSES.get(signal.Signals(number), "sigterm")
            self._say("stopping: running steps are told to stop (^C again kills them)")
            self._control.interrupt(self.cause)
        elif self._count == 2:
            self._control.kill()
            raise _Killed


class _Killed(Exception):
    """Raised by the handler to end the main thread's wait."""


def carry_out(function: Callable[[], T], control: Stoppable, say: Callable[[str], None]) -> T:
    """Run `function` and return its result, while signals go to `control`. After a second signal the record gets
    `KILL_PATIENCE` seconds; then the process leaves with the signal's exit code."""
    stop = _Stop(control, say)
    work = _Work(function)
    with _handling(stop, work.bell):
        work.start()
        try:
            work.wait()
        except _Killed:
            if not work.wait(KILL_PATIENCE):
                _leave(stop.exit_code)
    return work.take()


@contextmanager
def _handling(stop: _Stop, bell: int) -> Iterator[None]:
    """Signals go to `stop` inside; before and after, whoever had them has them."""
    if threading.current_thread() is not threading.main_thread():  # a caller's thread: signals are not ours
        yield
        return
    before = {}
    for number in _CAUSES:
        if signal.getsignal(number) is not signal.SIG_IGN:  # `nohup` stays in force
            before[number] = signal.signal(number, stop.take)
    bell_before = signal.set_wakeup_fd(bell, warn_on_full_buffer=False)
    try:
        yield
    finally:
        signal.set_wakeup_fd(bell_before)
        for number, handler in before.items():
            signal.signal(number, handler)


def _leave(code: int) -> None:
    """End the process without waiting for threads that may never end."""
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except OSError:
            continue
    os._exit(code)
