"""A source text with positions: files, spans, and the columns people see."""

from __future__ import annotations

from bisect import bisect_right

from runkon.digest import hex_digest
from runkon.named import NamedTuple

TAB_WIDTH = 4


class Span(NamedTuple):
    """A stretch of one file: character offsets `start` (inclusive) and `end` (exclusive); `line` and `column` of the
    start count from 1, columns in characters. The column shown to people is `SourceFile.display_column`."""

    file: str
    start: int
    end: int
    line: int
    column: int


class SourceFile:
    """The text of one `.wf` file. `path` is how the file is named in every message, kept as the caller wrote it."""

    __slots__ = ("_line_starts", "path", "text")

    def __init__(self, path: str, text: str) -> None:
        self.path = path
        self.text = text
        self._line_starts: list[int] | None = None

    @property
    def sha256(self) -> str:
        """Lowercase hex SHA-256 of the text as UTF-8 (lone surrogates are kept apart, never an error)."""
        return hex_digest(self.text.encode("utf-8", "surrogatepass"))

    @property
    def is_unicode(self) -> bool:
        """False if the text holds lone surrogates, which no file in UTF-8 does."""
        try:
            self.text.encode()
        except UnicodeEncodeError:
            return False
        return True

    @property
    def line_starts(self) -> list[int]:
        """Offset of the first character of each line; only U+000A ends a line."""
        if self._line_starts is None:
            starts = [0]
            find = self.text.find
            at = find("\n")
            while at >= 0:
                starts.append(at + 1)
                at = find("\n", at + 1)
            self._line_starts = starts
        return self._line_starts

    def line_text(self, line: int) -> str:
        """The text of line `line` (from 1) without its line end; empty beyond the last line."""
        starts = self.line_starts
        if not 1 <= line <= len(starts):
            return ""
        end = starts[line] - 1 if line < len(starts) else len(self.text)
        return self.text[starts[line - 1] : end].rstrip("\r")

    def span(self, start: int, end: int) -> Span:
        """The span between two offsets."""
        line = bisect_right(self.line_starts, start)
        return Span(self.path, start, end, line, start - self.line_starts[line - 1] + 1)
