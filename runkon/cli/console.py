"""Where text goes and how it looks: results to standard output, everything else to standard error.

Text of files, scripts and agents is data: it is made visible before it is written, so that nothing of it can move the
cursor or change a colour.
"""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterable, Mapping
from typing import TextIO

from runkon.language.columns import visible
from runkon.pattern import pattern

STYLES = {
    "good": "\x1b[32m",
    "bad": "\x1b[1;31m",
    "warning": "\x1b[33m",
    "quiet": "\x1b[2m",
    "bold": "\x1b[1m",
    "info": "",
}
_RESET = "\x1b[0m"
_COMMAND = pattern(
    r"(?m)(^ {2,}|next: |continue: |give up: |`)runkon "
    r"(?=(resume|cancel|answer|show|explain|events|logs|runs|db|recover)\b)"
)
_UNSAFE_IN_JSON = {code: f"\\u{code:04x}" for code in (0x7F, *range(0x80, 0xA0), 0x2028, 0x2029, 0x202E)}


class Console:
    """The two streams of one invocation. `live` is true if a picture may be redrawn on standard error. With
    `database`, the one given on the command line, the commands that people are told to type name it too."""

    def __init__(
        self,
        out: TextIO,
        err: TextIO,
        environ: Mapping[str, str],
        *,
        is_plain: bool = False,
        is_quiet: bool = False,
        no_color: bool = False,
        database: str | None = None,
    ) -> None:
        self._database = database
        self._out = out
        self._err = err
        self.is_quiet = is_quiet
        self.out_color = _wants_color(out, environ, no_color=no_color)
        self.err_color = _wants_color(err, environ, no_color=no_color)
        is_dumb = environ.get("TERM", "") == "dumb" or bool(environ.get("CI"))
        self.live = err.isatty() and not (is_plain or is_quiet or is_dumb)

    @property
    def err_stream(self) -> TextIO:
        return self._err

    @property
    def is_terminal(self) -> bool:
        """True if somebody reads standard output as it comes."""
        return self._out.isatty()

    def result(self, text: str) -> None:
        """One line, or several, of the result."""
        self._out.write(f"{self._complete(text) if 'next: ' in text else text}\n")

    def data(self, value: object, *, indent: int | None = 2) -> None:
        """A value as JSON. Numbers that JSON can't hold never reach this point."""
        self._out.write(json_text(value, indent=indent) + "\n")

    def note(self, text: str) -> None:
        """A line for people, left out by `--quiet`."""
        if not self.is_quiet:
            self.error(text)

    def error(self, text: str) -> None:
        """A line for people that `--quiet` keeps. It comes after every result so far, also where both streams are
        one pipe."""
        self._out.flush()
        self._err.write(f"{self._complete(text)}\n")
        self._err.flush()

    def _complete(self, text: str) -> str:
        """`text` with commands that reach the database they are about."""
        if self._database is None or "runkon " not in text:
            return text
        option = f"--db {shlex.quote(self._database)} "
        return _COMMAND.sub(lambda found: found[0] + option, text)

    def paint_out(self, style: str, text: str) -> str:
        return _painted(style, text) if self.out_color else text

    def paint_err(self, style: str, text: str) -> str:
        return _painted(style, text) if self.err_color else text

    def flush(self) -> None:
        self._out.flush()


def json_text(value: object, *, indent: int | None = None) -> str:
    """JSON in readable characters, without those that act on a terminal."""
    separators = (",", ": ") if indent else (",", ":")
    return json.dumps(value, ensure_ascii=False, indent=indent, separators=separators).translate(_UNSAFE_IN_JSON)


def visible_lines(text: str) -> Iterable[str]:
    """Each line of a text from elsewhere, safe to print."""
    return (visible(line) for line in text.rstrip("\n").split("\n"))


def columns(rows: Iterable[Iterable[str]]) -> list[str]:
    """Rows of visible cells as lines: every column as wide as its widest cell, the last one free."""
    table = [[visible(cell) for cell in row] for row in rows]
    if not table:
        return []
    widths = [max(len(row[at]) for row in table) for at in range(len(table[0]))]
    return ["  ".join(cell.ljust(size) for cell, size in zip(row, widths, strict=True)).rstrip() for row in table]


def _painted(style: str, text: str) -> str:
    code = STYLES[style]
    return f"{code}{text}{_RESET}" if code and text else text


def _wants_color(stream: TextIO, environ: Mapping[str, str], *, no_color: bool) -> bool:
    if no_color or environ.get("NO_COLOR"):
        return False
    forced = environ.get("FORCE_COLOR", "")
    if forced:
        return forced != "0"
    return stream.isatty() and environ.get("TERM", "") != "dumb"
