"""Text to tokens, all of them before parsing. Never fails: what fits nowhere becomes a token of a kind of its own."""

from __future__ import annotations

import functools
import re
from bisect import bisect_right
from itertools import islice

from runkon.language.source import SourceFile, Span
from runkon.language.table import END, NAME, Table
from runkon.named import NamedTuple

UNCLOSED = "UNCLOSED"  # a string without its closing quote, up to the end of the text
BAD_NUMBER = "BAD_NUMBER"  # digits glued to something else: `5x`, `1.5h`
QUOTED = "QUOTED"  # text in single quotes
ODD = "ODD"  # characters that mean nothing in the language

# Possessive quantifiers throughout: no input makes the scanner go back and forth.
_MISTAKES = (
    (UNCLOSED, r'"(?s:.*+)'),
    (BAD_NUMBER, r"-?[0-9](?:[A-Za-z0-9_.]|-(?!>))*+"),
    (QUOTED, r"'[^'\n]*+'"),
    (ODD, r"&&|\|\||->|~>|!>|(?s:.)"),
)
_LONGEST_NUMBER = 100
_BYTE_ORDER_MARK = "\ufeff"


class Token(NamedTuple):
    """One token: offsets `start` and `end` (exclusive), `line` and `column` from 1, columns in characters."""

    kind: str
    text: str
    start: int
    end: int
    line: int
    column: int

    def span(self, file: str) -> Span:
        return Span(file, self.start, self.end, self.line, self.column)


def tokenize(source: SourceFile, table: Table, first: int = 0, most: int | None = None) -> list[Token]:
    """All tokens from offset `first` on, the last one of kind END; or the first `most` of them, without an END if
    there are more. A byte-order mark at the very start is skipped."""
    text = source.text
    words = table.words
    starts = source.line_starts
    line = bisect_right(starts, first)
    begin, following = starts[line - 1], _start_of(starts, line, len(text))
    tokens: list[Token] = []
    add, new = tokens.append, tuple.__new__
    if first == 0 and text.startswith(_BYTE_ORDER_MARK):
        first = 1
    for match in islice(_scanner(table.skipped, table.tokens).finditer(text, first), most):
        kind = match.lastgroup
        if kind is None:
            break
        start, end = match.span(kind)
        while start >= following:
            line += 1
            begin, following = following, _start_of(starts, line, len(text))
        word = text[start:end]
        if kind == NAME:
            kind = words.get(word, NAME)
        elif end - start > _LONGEST_NUMBER and (kind == "NUMBER" or kind == "DURATION"):
            kind = BAD_NUMBER
        add(new(Token, (kind, word, start, end, line, start - begin + 1)))
    if len(tokens) == most:
        return tokens
    last = tokens[-1] if tokens else None
    at = last.end if last else len(text)
    place = source.span(at, at)
    add(Token(END, "", at, at, place.line, place.column))
    return tokens


def _start_of(starts: list[int], line: int, length: int) -> int:
    """Where line `line` + 1 starts; beyond the text for the last one."""
    return starts[line] if line < len(starts) else length + 1


@functools.cache
def _scanner(skipped: str, tokens: tuple[tuple[str, str], ...]) -> re.Pattern[str]:
    groups = "|".join(f"(?P<{name}>{pattern})" for name, pattern in (*tokens, *_MISTAKES))
    return re.compile(rf"(?:{skipped})*+(?:{groups}|\Z)")
