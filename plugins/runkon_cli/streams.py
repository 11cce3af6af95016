"""What a coding agent prints, on its way: secrets out, into the log, cut into lines, in bounded memory."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping

from runkon.executors.capture import STDERR_TAIL, Capture, LogFile, Redaction
from runkon_cli.ask import Ear
from runkon_cli.lines import MOST, Lines
from runkon_cli.talk import Talk

STRAY = 4000  # bytes kept of a line that is no JSON


class Streams:
    """Receives both streams of a program. `hear` gets each line of standard output."""

    def __init__(self, log: LogFile, secrets: Mapping[str, str], hear: Callable[[bytes], None]) -> None:
        self.errors = Capture(STDERR_TAIL)
        self.lines = Lines()
        self.total = 0
        self._log = log
        self._hear = hear
        self._redactions = {"stdout": Redaction(secrets), "stderr": Redaction(secrets)}

    def receive(self, stream: str, piece: bytes) -> None:
        self.total += len(piece)
        self._keep(stream, self._redactions[stream].feed(piece))

    def finish(self) -> None:
        """Take what is held back; call once after the last piece."""
        for stream, redaction in self._redactions.items():
            self._keep(stream, redaction.rest())
        for line in self.lines.rest():
            self._hear(line)
        self._log.close()

    def _keep(self, stream: str, piece: bytes) -> None:
        if not piece:
            return
        self._log.write(piece)
        if stream == "stderr":
            self.errors.add(piece)
            return
        for line in self.lines.feed(piece):
            self._hear(line)


class JsonLines(Ear):
    """One JSON object per line; what is none is remembered as a note, in case no answer follows."""

    def __init__(self, talk: Talk, read: Callable[[Mapping[str, object], Talk], None]) -> None:
        self._talk = talk
        self._read = read

    def line(self, line: bytes) -> None:
        message = parsed(line.decode("utf-8", "replace"))
        if isinstance(message, dict):
            self._read(message, self._talk)
        elif line.strip():
            self._talk.stray = line[:STRAY].decode("utf-8", "replace")

    def finish(self, *, is_whole: bool) -> None:
        if not is_whole and not self._talk.is_over:
            self._talk.note = f"a line above {MOST >> 20} MiB was left out"


def parsed(text: str) -> object:
    """A JSON document, or None."""
    try:
        return json.loads(text.removeprefix("\ufeff"))
    except (ValueError, RecursionError):
        return None
