"""Keeps what a process prints: all of it in the log, its beginning and its end in memory, secrets nowhere."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import BinaryIO

from runkon.model.secrets import marks_of
from runkon.model.value_text import harmless

HEAD = 16_384  # bytes of the beginning kept
STDOUT_TAIL = 8 << 20  # bytes of the end kept: an output block has to fit
STDERR_TAIL = 1 << 16
LINE = 400  # characters of a progress line


class Capture:
    """One stream in memory: the first `HEAD` bytes, and at least the last `tail` ones."""

    def __init__(self, tail: int) -> None:
        self._tail = tail
        self._head = b""
        self._pieces: deque[bytes] = deque()
        self._size = 0
        self._total = 0

    def add(self, piece: bytes) -> None:
        self._total += len(piece)
        if len(self._head) < HEAD:
            self._head += piece[: HEAD - len(self._head)]
        self._pieces.append(piece)
        self._size += len(piece)
        while self._size - len(self._pieces[0]) >= self._tail:
            self._size -= len(self._pieces.popleft())

    @property
    def is_whole(self) -> bool:
        """True if the beginning is all there is."""
        return self._total == len(self._head)

    def beginning(self) -> str:
        """The first bytes as text; what is not UTF-8 becomes `�`."""
        return self._head.decode("utf-8", "replace")

    def end(self) -> str:
        """The last bytes as text."""
        return b"".join(self._pieces).decode("utf-8", "replace")


class Redaction:
    """Replaces secrets in a stream of bytes, also one that is cut in two by the pieces it comes in."""

    def __init__(self, secrets: Mapping[str, str]) -> None:
        self._marks = [(form.encode("utf-8", "replace"), mark.encode()) for form, mark in marks_of(secrets)]
        self._held = b""

    def feed(self, piece: bytes) -> bytes:
        """What of the stream so far is surely free of secrets, in order."""
        if not self._marks:
            return piece
        text = self._replace(self._held + piece)
        keep = self._undecided(text)
        self._held = text[len(text) - keep :]
        return text[: len(text) - keep]

    def rest(self) -> bytes:
        """What was held back."""
        held, self._held = self._held, b""
        return held

    def _replace(self, text: bytes) -> bytes:
        for secret, mark in self._marks:
            text = text.replace(secret, mark)
        return text

    def _undecided(self, text: bytes) -> int:
        """Length of the longest end of `text` that a secret may begin with."""
        return max(_begun(form, text) for form, _ in self._marks)


def _begun(form: bytes, text: bytes) -> int:
    """Length of the longest end of `text` that `form` begins with, without being whole."""
    at = text.find(form[:1], max(0, len(text) - len(form) + 1))
    while at >= 0:
        if form.startswith(text[at:]):
            return len(text) - at
        at = text.find(form[:1], at + 1)
    return 0


class LogFile:
    """The full output of a script on disk, made with the first byte. A log that can't be written ends itself with
    one complaint: it never fails the script."""

    def __init__(self, path: Path | None, complain: Callable[[str], None]) -> None:
        self._path = path
        self._complain = complain
        self._file: BinaryIO | None = None

    def write(self, piece: bytes) -> None:
        if self._path is None or not piece:
            return
        try:
            if self._file is None:
                self._path.parent.mkdir(parents=True, exist_ok=True)
                self._file = self._path.open("ab", buffering=0)
            self._file.write(piece)
        except OSError as error:
            why = (error.strerror or str(error)).lower()
            self._complain(f"the log `{self._path.name}` can't be written, so what is printed is not kept: {why}")
            self._path = None

    def close(self) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None


class OutputStreams:
    """Receives both streams of a process: redacted, logged, kept, and told line by line as progress."""

    def __init__(self, log: LogFile, emit: Callable[[str], None], secrets: Mapping[str, str]) -> None:
        self.stdout = Capture(STDOUT_TAIL)
        self.stderr = Capture(STDERR_TAIL)
        self._log = log
        self._emit = emit
        self._redactions = {"stdout": Redaction(secrets), "stderr": Redaction(secrets)}

    def receive(self, stream: str, piece: bytes) -> None:
        safe = self._redactions[stream].feed(piece)
        self._keep(stream, safe)
        line = last_line(safe)
        if line:
            self._emit(line)

    def finish(self) -> None:
        """Take what is held back; call once after the last piece."""
        for stream, redaction in self._redactions.items():
            self._keep(stream, redaction.rest())
        self._log.close()

    def _keep(self, stream: str, piece: bytes) -> None:
        if piece:
            (self.stdout if stream == "stdout" else self.stderr).add(piece)
            self._log.write(piece)


def last_line(piece: bytes) -> str:
    """The last line of `piece` with anything on it, safe to print, at most `LINE` characters."""
    end = piece[-4 * LINE :].decode("utf-8", "replace")
    lines = [line for line in harmless(end).splitlines() if line.strip()]
    return lines[-1][:LINE] if lines else ""
