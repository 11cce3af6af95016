"""The standard streams as a program that must not be stopped by them has them: closed, full, or left by their reader.

What can't be written is dropped, the run goes on, and the end of the program says what was lost.
"""

from __future__ import annotations

import errno
import io
import os
import sys

from runkon.errors import EXIT_USAGE, UserError

TYPE_CHECKING = False  # as in `typing`, which help and version need not load
if TYPE_CHECKING:
    from typing import TextIO

_NAMES = ("stdin", "stdout", "stderr")


class Outlet(io.FileIO):
    """A file to write to that never raises: after the first failure everything is dropped. `lost` is that failure,
    `passed` the number of bytes that arrived before it."""

    def __init__(self, file: int | str, *, closefd: bool = True, is_closed: bool = False) -> None:
        super().__init__(file, "w", closefd=closefd)
        self.lost: OSError | None = None
        self.passed = 0
        self._is_closed = is_closed

    def write(self, data: object, /) -> int:
        size = memoryview(data).nbytes  # type: ignore[arg-type]  # bytes of a buffer, as the layer above has them
        if self.lost is None:
            try:
                return self._written(data)
            except OSError as error:
                self.lost = error
        return size

    def _written(self, data: object) -> int:
        if self._is_closed:
            raise OSError(errno.EBADF, "it is closed")
        count = super().write(data)  # type: ignore[arg-type]
        while count is None:  # somebody made the pipe non-blocking, and it is full
            import select  # late: rare

            select.select([], [self], [])
            count = super().write(data)  # type: ignore[arg-type]
        self.passed += count
        return count


def keep_standard_streams() -> None:
    """Put an `Outlet` below standard output and error, and something harmless on each of the numbers 0 to 2 that is
    closed: otherwise the next file opened, a database perhaps, would be taken for it."""
    for number, name in enumerate(_NAMES):
        stream: TextIO | None = getattr(sys, name)
        if stream is None:
            _occupy(number)
        if number and (stream is None or _number(stream) == number):
            setattr(sys, name, _text(Outlet(number, closefd=False, is_closed=stream is None), stream, number))


def _occupy(number: int) -> None:
    try:
        os.fstat(number)
    except OSError:
        found = os.open(os.devnull, os.O_RDWR)
        if found != number:
            os.dup2(found, number)
            os.close(found)
        os.set_inheritable(number, True)


def _number(stream: TextIO) -> int | None:
    try:
        return stream.fileno()
    except (OSError, ValueError):
        return None


def _text(outlet: Outlet, like: TextIO | None, number: int) -> TextIO:
    """A text stream over `outlet` that is buffered as `like` was; a sign the encoding lacks becomes its number."""
    at_once = number == 2 or bool(getattr(like, "line_buffering", False) or getattr(like, "write_through", False))
    return io.TextIOWrapper(
        io.BufferedWriter(outlet),
        encoding=like.encoding if like is not None else "utf-8",
        errors="backslashreplace",
        line_buffering=at_once,
    )


def open_outlet(path: str) -> TextIO:
    """A new text file that drops what it can't take. Raises OSError if it can't be opened."""
    return io.TextIOWrapper(io.BufferedWriter(Outlet(path)), encoding="utf-8", errors="backslashreplace", newline="\n")


def is_left(stream: TextIO) -> bool:
    """True if nobody reads any more what is written to `stream`, or it can't be written: the end of following."""
    outlet = _outlet(stream)
    if outlet is None or outlet.lost is not None:
        return outlet is not None
    import select  # late: only while a run is followed

    poll = select.poll()
    poll.register(outlet, 0)
    return any(event & select.POLLERR for _, event in poll.poll(0))


def undelivered(stream: TextIO) -> OSError | None:
    """Why somebody should be told that text did not arrive. A reader that has seen something and went away has seen
    enough."""
    outlet = _outlet(stream)
    if outlet is None or outlet.lost is None:
        return None
    return None if outlet.lost.errno == errno.EPIPE and (outlet.passed or _is_seen(outlet)) else outlet.lost


def _is_seen(outlet: Outlet) -> bool:
    """True if the other stream goes to the same reader and something of it arrived."""
    streams = [found for found in (_outlet(sys.stdout), _outlet(sys.stderr)) if found not in (None, outlet)]
    return any(
        other is not None and other.passed > 0 and os.path.sameopenfile(other.fileno(), outlet.fileno())
        for other in streams
    )


def _outlet(stream: TextIO) -> Outlet | None:
    raw = getattr(getattr(stream, "buffer", None), "raw", None)
    return raw if isinstance(raw, Outlet) else None


def unwritten(what: str, error: OSError) -> UserError:
    """The error for a stream or file that did not take what it was given."""
    reason = (error.strerror or str(error)).lower()
    return UserError("cannot-write", f"{what} can't be written: {reason}", help=_HELP.get(error.errno or 0))


_HELP = {
    errno.ENOSPC: "make room on that disk",
    errno.EFBIG: "allow larger files (`ulimit -f`)",
    errno.EROFS: "the disk is mounted for reading only; take another place",
    errno.EACCES: "give yourself the right to write there, or take another place",
    errno.EPIPE: "its reader went away before anything was written",
    errno.EBADF: "give it somewhere to go, like `> FILE` or `> /dev/null`",
}


def standard_input(asked_by: str) -> bytes:
    """All of standard input. Raises UserError `unreadable-input` if it is closed or can't be read."""
    reason = "it is closed"
    if sys.stdin is not None:
        try:
            return sys.stdin.buffer.read()
        except OSError as error:
            reason = (error.strerror or str(error)).lower()
    raise UserError(
        "unreadable-input",
        f"standard input, asked for by {asked_by}, can't be read: {reason}",
        help="give it a file (`< FILE`) or a pipe",
        exit_code=EXIT_USAGE,
    )
