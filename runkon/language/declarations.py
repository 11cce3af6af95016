"""Groups the flat parts of an `inputs { … }` section into declarations.

`x boolean default = true description = "…" y` is one run of words and values: a name, then what may follow a name in
any order, until a word that can only be the next name.
"""

from __future__ import annotations

from typing import Literal, TypeAlias, cast

from runkon.language.builder_values import Report
from runkon.language.diagnostics import diagnose
from runkon.language.nodes import DurationValue, InputDecl, ListValue, Number, Text, Value, Word
from runkon.language.source import Span
from runkon.language.tokens import Token
from runkon.named import NamedTuple

_Type: TypeAlias = Literal["string", "boolean", "number", "integer", "list", "secret", "one_of"]
_TYPES = frozenset({"boolean", "number", "integer", "list", "secret", "one_of"})


class InputValue(NamedTuple):
    """`= value` inside a declaration."""

    value: Value


class Separator(NamedTuple):
    """A `,` or `;`: what follows is the next name."""

    token: Token


Part: TypeAlias = Token | InputValue | ListValue | Separator


def group_declarations(parts: tuple[Part, ...], file: str, report: Report) -> tuple[InputDecl, ...]:
    """The declarations in order. A part that belongs to none is reported as `invalid-declaration` and left out."""
    return tuple(_Grouping(parts, file, report).declarations())


class _Grouping:
    def __init__(self, parts: tuple[Part, ...], file: str, report: Report) -> None:
        self._parts = parts
        self._file = file
        self._report = report
        self._at = 0

    def declarations(self) -> list[InputDecl]:
        found: list[InputDecl] = []
        after_separator = True
        while self._at < len(self._parts):
            part = self._parts[self._at]
            self._at += 1
            if isinstance(part, Token):
                found.append(self._declaration(part))
                after_separator = False
            elif isinstance(part, Separator):
                if after_separator:
                    self._refuse(part.token.span(self._file), "a name")
                after_separator = True
            else:
                stray = part.value if isinstance(part, InputValue) else part
                self._refuse(stray.span, "a name")
        return found

    def _refuse(self, span: Span, expected: str) -> None:
        self._report(diagnose("invalid-declaration", span, expected=expected))

    def _declaration(self, name: Token) -> InputDecl:
        type_: _Type = "string"
        choices: tuple[str, ...] = ()
        required = False
        values: dict[str, Value] = {}
        end = name.end
        while isinstance(word := self._peek(), Token):
            if word.text == "required":
                required = True
            elif word.text in _TYPES:
                type_ = cast(_Type, word.text)
            elif not (word.text in ("default", "description") and self._gives_value(word)):
                break
            end = word.end
            self._at += 1
            if word.text == "one_of":
                choices, end = self._choices(word)
            elif word.text in ("default", "description"):
                values[word.text] = value = self._value()
                end = value.span.end
        default = values.get("default")
        description = values.get("description")
        return InputDecl(
            span=Span(self._file, name.start, end, name.line, name.column),
            name=name.text,
            type=type_,
            choices=choices if type_ == "one_of" else (),
            required=type_ != "boolean" and (required or default is None),
            default=default,
            description=None if description is None else self._scalar(description),
            required_written=required,
        )

    def _peek(self) -> Part | None:
        return self._parts[self._at] if self._at < len(self._parts) else None

    def _gives_value(self, word: Token) -> bool:
        """True if a `=` follows; without one the word may still be the name of the next input, where that is clear."""
        after = self._parts[self._at + 1] if self._at + 1 < len(self._parts) else None
        if isinstance(after, InputValue):
            return True
        self._refuse(word.span(self._file), f"`=` and a value after `{word.text}`")
        return False

    def _value(self) -> Value:
        part = self._parts[self._at]
        assert isinstance(part, InputValue)
        self._at += 1
        return part.value

    def _choices(self, word: Token) -> tuple[tuple[str, ...], int]:
        part = self._peek()
        if not isinstance(part, ListValue):
            self._refuse(word.span(self._file), '`one_of ["a", "b"]`')
            return (), word.end
        self._at += 1
        return tuple(self._scalar(item) for item in part.items), part.span.end

    def _scalar(self, value: Value) -> str:
        if isinstance(value, Text | Word | Number | DurationValue):
            return value.text
        self._refuse(value.span, "text, a word or a number")
        return ""
