"""What the syntax tree does not hold: comments, blank lines and where brackets open and close.

The parser throws comments away; the formatter puts them back with this. A `Trivia` reads the text once and hands its
comments out in order, each exactly once.
"""

from __future__ import annotations

import re
from bisect import bisect_left

from runkon.language.source import SourceFile
from runkon.named import NamedTuple

_PIECE = re.compile(
    r"(?P<comment>(?://|\#)[^\n]*)"
    r'|(?P<string>"""(?:[^"\\]|\\.|"(?!""))*+"""|"[^"\\]*+(?:\\.[^"\\]*+)*+")'
    r"|(?P<open>[{\[])|(?P<close>[}\]])",
    re.DOTALL,
)


class Comment(NamedTuple):
    """One comment as written, without white space at its end; `start` is its offset."""

    start: int
    text: str


class Trivia:
    """The comments, strings and brackets of a text that parses."""

    def __init__(self, source: SourceFile) -> None:
        self._source = source
        self._text = source.text
        self._comments: list[Comment] = []
        self._opens: list[int] = []
        self._close_of: dict[int, int] = {}
        self._string_end: dict[int, int] = {}
        self._strings: list[int] = []
        self._next = 0
        self._read()

    def _read(self) -> None:
        open_brackets: list[int] = []
        for match in _PIECE.finditer(self._text):
            start = match.start()
            if match.lastgroup == "comment":
                self._comments.append(Comment(start, match.group().rstrip()))
            elif match.lastgroup == "string":
                self._string_end[start] = match.end()
                self._strings.append(start)
            elif match.lastgroup == "open":
                self._opens.append(start)
                open_brackets.append(start)
            elif open_brackets:
                self._close_of[open_brackets.pop()] = start

    def take(self, until: int) -> list[Comment]:
        """The comments before offset `until` that were not taken yet."""
        first = self._next
        while self._next < len(self._comments) and self._comments[self._next].start < until:
            self._next += 1
        return self._comments[first : self._next]

    def take_trailing(self, after: int, until: int) -> Comment | None:
        """The next comment, if it stands before `until` and on the line of the character before `after`."""
        if self._next == len(self._comments):
            return None
        comment = self._comments[self._next]
        if comment.start >= until or "\n" in self._text[after : comment.start]:
            return None
        self._next += 1
        return comment

    def has_comment(self, start: int, end: int) -> bool:
        """True if a comment, taken or not, stands between the two offsets."""
        at = bisect_left(self._comments, start, key=lambda comment: comment.start)
        return at < len(self._comments) and self._comments[at].start < end

    def on_one_line(self, start: int, end: int) -> bool:
        """True if the text between the offsets has neither line ends nor comments."""
        return "\n" not in self._text[start:end] and not self.has_comment(start, end)

    def blank_before(self, offset: int) -> bool:
        """True if `offset` is the first thing on its line and the line before is empty."""
        starts = self._source.line_starts
        line = self._source.span(offset, offset).line - 1
        if line == 0 or self._text[starts[line] : offset].strip():
            return False
        return not self._text[starts[line - 1] : starts[line]].strip()

    def brace(self, after: int, before: int) -> int | None:
        """The offset of the first `{` at or after `after`, None if there is none before `before`."""
        at = bisect_left(self._opens, after)
        while at < len(self._opens) and self._opens[at] < before:
            if self._text[self._opens[at]] == "{":
                return self._opens[at]
            at += 1
        return None

    def closing(self, opening: int) -> int:
        """The offset of the bracket that closes the one at `opening`."""
        return self._close_of[opening]

    def string_at(self, start: int) -> str | None:
        """The string literal that starts at the offset, with its quotes, as written."""
        end = self._string_end.get(start)
        return None if end is None else self._text[start:end]

    def string_behind(self, pattern: re.Pattern[str], start: int, end: int) -> int | None:
        """The offset of the last string between the offsets that stands right behind `pattern`."""
        found = None
        for at in self._strings[bisect_left(self._strings, start) :]:
            if at >= end:
                break
            if pattern.search(self._text, start, at):
                found = at
        return found

    def has_equals(self, start: int, end: int) -> bool:
        """True if an `=` stands between the offsets, outside of comments."""
        return any("=" in line.split("#")[0].split("//")[0] for line in self._text[start:end].split("\n"))
