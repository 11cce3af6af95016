"""Groups the flat parts of an `inputs { … }` section into declarations.

`x boolean default = true description = "…" y` is one run of words and values: a name, then what may follow a name in
any order, until a word that can only be the next name.
"""

from __future__ import annotations

from typing import Literal, TypeAlias, cast

from runkon.language.builder_values import Report
from runkon.language.declaration_parts import InputValue, Part, PartReader
from runkon.language.diagnostics import diagnose
from runkon.language.nodes import DurationValue, InputDecl, ListValue, Number, Text, Value, Word
from runkon.language.source import Span
from runkon.language.suggest import closest
from runkon.language.tokens import Token

_Type: TypeAlias = Literal["string", "boolean", "number", "integer", "list", "secret", "one_of"]
_TYPES = frozenset({"boolean", "number", "integer", "list", "secret", "one_of"})
_TEXT = ("str", "string")
_OTHER_WORDS = {
    "int": "integer",
    "bool": "boolean",
    "float": "number",
    "num": "number",
    "array": "list",
    "enum": "one_of",
}
_SHORTEST_SLIP = 5  # letters; shorter words are too close to words that are names


def group_declarations(parts: tuple[Part, ...], file: str, report: Report) -> tuple[InputDecl, ...]:
    """The declarations in order. A part that belongs to none is reported as `invalid-declaration` and left out."""
    return tuple(_Grouping(parts, file, report).declarations())


class _Grouping(PartReader[InputDecl]):
    def declarations(self) -> list[InputDecl]:
        return self.read(self._named)

    def _named(self, name: Token, before: InputDecl | None) -> InputDecl:
        if before is not None:
            self._warn_of_type(name, before)
        return self._declaration(name)

    def _warn_of_type(self, word: Token, before: InputDecl) -> None:
        """`n int`: what follows a name on its line and looks like a type was meant as one."""
        if before.span.line != word.line or before.type != "string":
            return
        lower = word.text.lower()
        meant = lower if lower in _TYPES else _OTHER_WORDS.get(lower)
        if meant is None and len(lower) >= _SHORTEST_SLIP:
            near = closest(lower, sorted(_TYPES))
            meant = near if near is not None and (near[0], near[-1]) == (lower[0], lower[-1]) else None
        if meant is not None or lower in _TEXT:
            help = f"write `{before.name} {meant}`" if meant else "text needs no type"
            help += f"; if `{word.text}` is an input, put a comma in front of it"
            self._report(diagnose("type-as-input", word.span(self._file), word=word.text, help=help))

    def _refuse_type(self, name: Token, before: str, word: Token) -> None:
        help = f"if `{word.text}` is an input, put a comma in front of it"
        expected = f"no other type: `{name.text}` is declared as `{before}`"
        self._report(diagnose("invalid-declaration", word.span(self._file), expected=expected, help=help))

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
                if type_ not in ("string", word.text):
                    self._refuse_type(name, type_, word)
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
