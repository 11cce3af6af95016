"""Strings that were not closed: which one it was, and where it should have ended.

A forgotten quote turns the rest of the file inside out: what was text becomes words, what was words becomes text, and
the error shows up lines later. So the stack is remembered at every string that spans lines; a mistake soon behind one
puts the blame on it, if the text parses with the string ending on its first line.
"""

from __future__ import annotations

from collections.abc import Sequence

from runkon.language.recovery_stack import Saved, Stack
from runkon.language.source import SourceFile
from runkon.language.table import Table
from runkon.language.tokens import UNCLOSED, Token, tokenize
from runkon.named import NamedTuple
from runkon.pattern import pattern

_NEAR = 4  # a mistake so many tokens behind a string may be the string's
_TRIED = 4  # so many tokens have to fit behind the shorter string
_DEFAULT = pattern(r'([^"\n]*+)"\s*+\}\}')  # behind the quote that was to open a default
_REST = pattern(r'[^"\\]*+(?:\\(?s:.)[^"\\]*+)*+"')  # of the string around it


class Suspect(NamedTuple):
    """A place to come back to: the token, its number in the input, and the stack before it."""

    token: Token
    at: int
    saved: Saved


class Cut(NamedTuple):
    """The input with a string ended on its first line: all its tokens, and the number of that string."""

    tokens: list[Token]
    at: int


class Default(NamedTuple):
    """The first default of a template whose quotes ended the string: its name, its text, and both quotes as a token."""

    name: str
    text: str
    quotes: Token


def ends_before_default(token: Token) -> bool:
    """True for a string in plain quotes that ends in `{{name ?? "`: the quote was to open the default."""
    return token.kind == "STRING" and _ends_before_default(token.text)


def _ends_before_default(text: str) -> bool:
    head = text[:-1].rstrip()
    return head.endswith("??") and head.rfind("{{") > head.rfind("}}")


def first_default(source: SourceFile, string: Token) -> Default | None:
    """What stands in the quotes behind such a string; None if no `"}}` follows on its line."""
    found = _DEFAULT.match(source.text, string.end)
    if found is None:
        return None
    place = source.span(string.end - 1, found.end(1) + 1)
    name = string.text[string.text.rfind("{{") + 2 : string.text.rfind("??")].strip()
    return Default(name, found[1], Token("STRING", source.text[place.start : place.end], *place[1:]))


def rejoined(source: SourceFile, table: Table, tokens: Sequence[Token], suspect: Suspect) -> Cut | None:
    """The input with the string read up to the quote that was to end it, over every default inside."""
    string = suspect.token
    end, text = string.end, string.text
    while _ends_before_default(text):
        default = _DEFAULT.match(source.text, end)
        rest = None if default is None else _REST.match(source.text, default.end())
        if rest is None:
            return None
        end, text = rest.end(), rest[0]
    whole = Token("STRING", '""', string.start, end, string.line, string.column)
    return Cut([*tokens[: suspect.at], whole, *tokenize(source, table, end)], suspect.at)


def may_be_unclosed(token: Token) -> bool:
    """True for a string in plain quotes that spans lines."""
    return token.kind == "STRING" and "\n" in token.text


def has_unclosed(tokens: Sequence[Token]) -> bool:
    """True if the text ends inside a string: some quote in it, not always the last, has no partner."""
    return any(token.kind == UNCLOSED for token in tokens[-2:])


def is_near(suspect: Suspect, at: int) -> bool:
    return suspect.at <= at <= suspect.at + _NEAR


def shortened(source: SourceFile, table: Table, tokens: Sequence[Token], suspect: Suspect, stack: Stack) -> Cut | None:
    """The input with the suspect ending on its first line, or with its quote left out as a stray one; None if neither
    parses better. A string that has no end at all ends on its line in any case."""
    string, before = suspect.token, tokens[: suspect.at]
    end = _end_on_line(source, string, stack)
    shorter = Token("STRING", '""', string.start, end, string.line, string.column)
    if _goes_on(stack, [shorter, *tokenize(source, table, end, _TRIED)]):
        return Cut([*before, shorter, *tokenize(source, table, end)], suspect.at)
    if _goes_on(stack, tokenize(source, table, string.start + 1, _TRIED)):
        return Cut([*before, *tokenize(source, table, string.start + 1)], suspect.at)
    if string.kind != UNCLOSED:
        return None
    return Cut([*before, shorter, *tokenize(source, table, end)], suspect.at)


def _goes_on(stack: Stack, tokens: Sequence[Token]) -> bool:
    following = [token.kind for token in tokens]
    fitting = stack.fits(following)
    return fitting == len(following) or following[fitting] == UNCLOSED


def ends_in_escape(token: Token) -> bool:
    """True for an unclosed string whose last character is a backslash that escapes nothing."""
    return (len(token.text) - len(token.text.rstrip("\\"))) % 2 == 1


def _end_on_line(source: SourceFile, string: Token, stack: Stack) -> int:
    """The end of the line, but for the closing brackets of what was opened on this line; of a text in three quotes,
    the end of the lines that are indented further."""
    if string.text.startswith('"""'):
        return _end_of_indented(source, string.line)
    newline = source.text.find("\n", string.start)
    end = len(source.text) if newline < 0 else newline
    closable = [stack.shifted[n] for n in stack.open_brackets()]
    same_line = sum(1 for bracket in closable if bracket is not None and bracket.line == string.line)
    text = source.text[string.start + 1 : end].rstrip()
    shorter = text
    while same_line and shorter.endswith(("}", "]", ")")):
        shorter = shorter[:-1].rstrip()
        same_line -= 1
    return string.start + 1 + len(shorter)


def _end_of_indented(source: SourceFile, line: int) -> int:
    opening = source.line_text(line)
    indent = len(opening) - len(opening.lstrip())
    last = line
    for following in range(line + 1, len(source.line_starts) + 1):
        text = source.line_text(following)
        if text.strip() and len(text) - len(text.lstrip()) <= indent:
            break
        last = following
    return source.line_starts[last - 1] + len(source.line_text(last))
