"""Which of several open blocks the author forgot to close, told by the indentation."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence

from runkon.language.source import SourceFile
from runkon.language.tokens import Token

_CHANGES = {"LBRACE": 1, "LSQB": 1, "LPAR": 1, "RBRACE": -1, "RSQB": -1, "RPAR": -1}


def _indent(source: SourceFile, line: int) -> int:
    text = source.line_text(line)
    return len(text) - len(text.lstrip())


def unclosed(source: SourceFile, tokens: Sequence[Token], missing: int) -> list[Token]:
    """The opening braces, at most `missing`, whose closing brace is most likely the forgotten one.

    A `}` that starts its line and stands further left than the line that opened the innermost block belongs to a
    block further out. Without such a hint it is the innermost block that is still open."""
    opened: list[Token] = []
    blamed: list[Token] = []
    for at, token in enumerate(tokens):
        if token.kind == "LBRACE":
            opened.append(token)
        elif token.kind == "RBRACE" and opened:
            starts_line = at == 0 or tokens[at - 1].line < token.line
            if starts_line:
                column = _indent(source, token.line)
                while len(opened) > 1 and len(blamed) < missing and column < _indent(source, opened[-1].line):
                    blamed.append(opened.pop())
            opened.pop()
    return (blamed + opened[::-1])[:missing]


def stands_left_of(source: SourceFile, token: Token, head: Token) -> bool:
    """True for a token whose line is indented no further than the line of `head`."""
    return _indent(source, token.line) <= _indent(source, head.line)


def missing_braces(tokens: Sequence[Token]) -> int:
    """How many `}` the whole text lacks; negative when it has too many."""
    return sum((token.kind == "LBRACE") - (token.kind == "RBRACE") for token in tokens)


def has_spare_brace(tokens: Sequence[Token], at: int) -> bool:
    """True if, from `tokens[at]` on, one `}` more is closed than opened before the next workflow begins."""
    depth = 0
    for number in range(at, len(tokens) - 1):
        kind = tokens[number].kind
        if kind == "LBRACE":
            depth += 1
        elif kind == "RBRACE":
            depth -= 1
            if depth < 0:
                return True
        elif kind == "WORKFLOW" and depth == 0 and tokens[number + 1].kind == "NAME":
            return False
    return False


def too_deep(tokens: Sequence[Token], limit: int) -> Token | None:
    """The first token that opens more than `limit` levels of blocks, lists, maps, parentheses or `not`."""
    depth = negations = 0
    for token in tokens:
        kind = token[0]
        if kind == "LBRACE" or kind == "LSQB" or kind == "LPAR":
            depth += 1
            if depth + negations > limit:
                return token
        elif kind == "RBRACE" or kind == "RSQB" or kind == "RPAR":
            depth -= 1
        elif kind == "NOT":
            negations += 1
            if depth + negations > limit:
                return token
            continue
        negations = 0 if kind != "LPAR" else negations
    return None


class Levels:
    """How many blocks, lists, maps and parentheses are open at an offset of the text."""

    def __init__(self, tokens: Sequence[Token]) -> None:
        self._offsets: list[int] = []
        self._depths = [0]
        for token in tokens:
            change = _CHANGES.get(token.kind)
            if change is not None:
                self._offsets.append(token.start)
                self._depths.append(self._depths[-1] + change)

    def at(self, offset: int) -> int:
        return max(0, self._depths[bisect_right(self._offsets, offset)])
