"""One child process in a process group of its own: started, drained, stopped, and nothing of it left behind.

The calling thread reads both pipes, writes what is sent to the child, and waits for all of it at once, with the end of
the process and the wish to stop it. The leader is not reaped before its group is gone, so the group's number can't
belong to anybody else.
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
import subprocess
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from threading import Lock, Thread

from runkon.model import processes

CHUNK = 1 << 16
LINGER = 0.5  # seconds that what a process left running may go on writing after its end
DRAIN = 1.0  # seconds to read what is in the pipes once the group is killed
PROBE = 0.05  # seconds between two looks at a group that was asked to end


class ChildProcess:
    """A running child. `terminate` and `kill` may be called from any thread, at any time, as often as one likes."""

    def __init__(
        self,
        arguments: Sequence[str],
        *,
        folder: Path,
        environment: Mapping[str, str],
        owner: processes.Owner | None = None,
        has_input: bool = False,
    ) -> None:
        """Start it: own session and group, no standard input unless `has_input`. `owner` is the attempt that
        `environment` is marked with: stopped, what left the session is found by it. Raises OSError when the system
        refuses."""
        self._owner = owner
        self._wake_read, self._wake_write = os.pipe()  # first: what can fail must not leave a process behind
        try:
            self._popen = subprocess.Popen(
                arguments,
                cwd=folder,
                env=environment,
                stdin=subprocess.PIPE if has_input else subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                bufsize=0,
                start_new_session=True,
            )
        except BaseException:
            os.close(self._wake_read)
            os.close(self._wake_write)
            raise
        self.pid = self._popen.pid
        self.has_ended = False
        self.was_stopped = False  # somebody asked for the end before it came by itself
        self.ran_out: str | None = None  # why it was ended by `run`: `silence`, or the word given to `end_within`
        self._due: dict[str, float] = {}
        self._unsent: deque[memoryview] = deque()
        self._is_complete = not has_input  # nothing more will be sent
        self._is_killed = False  # somebody wants no grace
        self._lock = Lock()
        self._reaped = False

    # ── from any thread ───────────────────────────────────────────────────────────────────────────
    def terminate(self) -> None:
        """Ask the whole group to end; `run` kills what is left of it after its grace."""
        self._stop(signal.SIGTERM)

    def kill(self) -> None:
        """End the whole group now."""
        self._stop(signal.SIGKILL)

    def _stop(self, number: signal.Signals) -> None:
        with self._lock:
            if not self._reaped:
                self._is_killed = self._is_killed or number == signal.SIGKILL
                self.was_stopped = self.was_stopped or not self.has_ended
                self._signal(number)
                os.write(self._wake_write, b"s")

    def send(self, piece: bytes) -> None:
        """Write to its standard input, from the thread in `run`, as fast as the child reads. What a child that reads
        no more has not taken is dropped: it says by its end whether it minded."""
        with self._lock:
            if piece and not self._reaped and not self._is_complete:
                self._unsent.append(memoryview(piece))
                if len(self._unsent) == 1:
                    os.write(self._wake_write, b"i")

    def end_input(self) -> None:
        """Close its standard input once everything sent is written."""
        with self._lock:
            if not self._reaped and not self._is_complete:
                self._is_complete = True
                os.write(self._wake_write, b"i")

    def end_within(self, seconds: float, why: str) -> None:
        """It is ended, as by `terminate`, if it still runs by then; `ran_out` is `why` then."""
        with self._lock:
            if not self._reaped:
                self._due[why] = time.monotonic() + seconds
                os.write(self._wake_write, b"d")

    # ── from the thread that started it ───────────────────────────────────────────────────────────
    def run(
        self,
        receive: Callable[[str, bytes], None],
        *,
        kill_grace: float,
        silence: float | None = None,
        leaves_nothing: bool = False,
    ) -> int:
        """Hand every piece of output to `receive` (`"stdout"` or `"stderr"`, bytes) until the end; returns the exit
        code, negative for a signal. One that prints nothing for `silence` seconds is ended. When this returns or
        raises, no process of the group is left; of one that was stopped, or with `leaves_nothing`, none that the
        attempt started."""
        watcher = Thread(target=self._watch, name=f"wait-{self.pid}", daemon=True)
        try:
            watcher.start()
        except BaseException:  # no thread is left, or ^C: the process may not be left alone
            self._signal(signal.SIGKILL)
            self._reap()
            raise
        try:
            reader = _Reader(self, receive)
            self.ran_out = reader.watch(lambda: self.has_ended or self.was_stopped, self._due, silence)
            if self.ran_out is not None:
                self.terminate()
            if self.was_stopped:
                self._end_all(reader, kill_grace)
            else:
                reader.read_until(lambda: self.has_ended and not reader.is_open, seconds=LINGER)
            self._signal(signal.SIGKILL)
            if leaves_nothing:
                processes.Ending(lambda: processes.of_attempt(self._owner, self.pid)).kill()
            # whoever still holds a pipe has left the group, and is not waited for
            reader.read_until(lambda: self.has_ended and not reader.is_open, seconds=DRAIN)
        finally:
            self._signal(signal.SIGKILL)
            watcher.join()
            code = self._reap()
        return code

    def _end_all(self, reader: _Reader, grace: float) -> None:
        """Whatever the attempt started gets SIGTERM, also what left the group, and after the grace SIGKILL."""
        ending = processes.Ending(lambda: processes.of_attempt(self._owner, self.pid), told_group=self.pid)
        if not self._is_killed:
            ending.tell()
            reader.read_until(lambda: self._is_killed or (self.has_ended and ending.is_over()), seconds=grace)
        self._signal(signal.SIGKILL)
        ending.kill()

    def _watch(self) -> None:
        """Wait for the end without reaping, where the system can; then wake the reader."""
        if hasattr(os, "waitid"):
            with contextlib.suppress(ChildProcessError):
                os.waitid(os.P_PID, self.pid, os.WEXITED | os.WNOWAIT)
        else:
            self._popen.wait()
        self.has_ended = True
        os.write(self._wake_write, b"e")

    def _reap(self) -> int:
        with self._lock:
            self._reaped = True
            code = self._popen.wait()
            self._unsent.clear()
            for stream in (self._popen.stdin, self._popen.stdout, self._popen.stderr):
                if stream is not None:
                    stream.close()
            os.close(self._wake_read)
            os.close(self._wake_write)
        return code

    def _signal(self, number: signal.Signals) -> None:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.pid, number)


class _Reader:
    """Reads both pipes of a child, writes to the third, and wakes when the child ends or is stopped."""

    def __init__(self, child: ChildProcess, receive: Callable[[str, bytes], None]) -> None:
        self._child = child
        self._receive = receive
        self._poll = select.poll()
        self._streams: dict[int, str] = {}
        self._wake = child._wake_read
        self._heard = time.monotonic()
        self._poll.register(self._wake, select.POLLIN)
        for stream, name in ((child._popen.stdout, "stdout"), (child._popen.stderr, "stderr")):
            if stream is not None:
                self._streams[stream.fileno()] = name
                self._poll.register(stream, select.POLLIN)
        self._input = _Input(child, self._poll)

    @property
    def is_open(self) -> bool:
        """True while anybody can still write to one of the pipes."""
        return bool(self._streams)

    def watch(self, is_done: Callable[[], bool], due: Mapping[str, float], silence: float | None) -> str | None:
        """Read until `is_done`; or until an instant of `due` or the end of a `silence`, whose word is returned."""
        while not is_done():
            ends = [(when, why) for why, when in list(due.items())]  # another thread may add one
            if silence is not None:
                ends.append((self._heard + silence, "silence"))
            when, why = min(ends, default=(None, None))
            left = None if when is None else when - time.monotonic()
            if left is not None and left <= 0:
                return why
            self._wait(left)
        return None

    def read_until(self, is_done: Callable[[], bool], *, seconds: float | None = None) -> None:
        """Read until `is_done`, for at most `seconds`. With a limit `is_done` is also asked at intervals: a process
        that holds no pipe makes no event when it ends."""
        deadline = None if seconds is None else time.monotonic() + seconds
        while not is_done():
            left = None if deadline is None else deadline - time.monotonic()
            if left is not None and left <= 0:
                return
            self._wait(None if left is None else min(left, PROBE))

    def _wait(self, seconds: float | None) -> None:
        self._input.settle()
        for descriptor, _ in self._poll.poll(None if seconds is None else 1000 * seconds):
            if descriptor == self._input.descriptor:
                self._input.write()
            else:
                self._read(descriptor)

    def _read(self, descriptor: int) -> None:
        piece = os.read(descriptor, CHUNK)
        if descriptor == self._wake:
            return
        if piece:
            self._heard = time.monotonic()
            self._receive(self._streams[descriptor], piece)
        else:
            self._poll.unregister(descriptor)
            del self._streams[descriptor]


class _Input:
    """The standard input of a child: written while the child takes it, closed when all is written or it took enough."""

    def __init__(self, child: ChildProcess, poll: select.poll) -> None:
        self._child = child
        self._poll = poll
        self._stream = child._popen.stdin
        self.descriptor = -1 if self._stream is None else self._stream.fileno()
        self._is_watched = False
        if self._stream is not None:
            os.set_blocking(self.descriptor, False)

    def settle(self) -> None:
        """Watch the pipe only while there is something to write: one that nobody reads any more would always be due."""
        if self.descriptor < 0:
            return
        with self._child._lock:
            is_waiting, is_complete = bool(self._child._unsent), self._child._is_complete
        if is_waiting != self._is_watched:
            if is_waiting:
                self._poll.register(self.descriptor, select.POLLOUT)
            else:
                self._poll.unregister(self.descriptor)
            self._is_watched = is_waiting
        if is_complete and not is_waiting:
            self._close()

    def write(self) -> None:
        unsent = self._child._unsent
        piece = unsent[0]
        try:
            taken = os.write(self.descriptor, piece[:CHUNK])
        except BlockingIOError:
            return
        except OSError:  # the child closed it
            self._poll.unregister(self.descriptor)
            with self._child._lock:
                self._child._is_complete = True
                unsent.clear()
            self._close()
            return
        with self._child._lock:
            unsent[0] = piece[taken:]
            if not unsent[0]:
                unsent.popleft()

    def _close(self) -> None:
        self.descriptor = -1
        if self._stream is not None:
            self._stream.close()
