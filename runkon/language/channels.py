"""Groups the flat parts of a `state { … }` section into channels: `score number = 0 reduce = max` is a name, a type,
and what may follow."""

from __future__ import annotations

from typing import Literal, TypeAlias, cast

from runkon.language.builder_values import Report
from runkon.language.declaration_parts import InputValue, Part, PartReader
from runkon.language.nodes import Channel, DurationValue, Number, Text, Value, Word
from runkon.language.source import Span
from runkon.language.suggest import closest
from runkon.language.tokens import Token

_Type: TypeAlias = Literal["text", "number", "integer", "boolean", "list", "map"]
TYPES = ("text", "number", "integer", "boolean", "list", "map")
_OTHER_WORDS = {
    "string": "text",
    "str": "text",
    "int": "integer",
    "float": "number",
    "bool": "boolean",
    "object": "map",
}


def group_channels(parts: tuple[Part, ...], file: str, report: Report) -> tuple[Channel, ...]:
    """The channels in order. A part that belongs to none is reported as `invalid-declaration` and left out."""
    return tuple(_Channels(parts, file, report).channels())


class _Channels(PartReader[Channel]):
    def channels(self) -> list[Channel]:
        return self.read(self._channel)

    def _channel(self, name: Token, _before: Channel | None) -> Channel:
        type_, end = self._type(name)
        initial: Value | None = None
        if (value := self._value()) is not None:
            initial, end = value, value.span.end
        reducer, reducer_span = "replace", None
        while (word := self._peek()) is not None and isinstance(word, Token) and word.text == "reduce":
            after = self._parts[self._at + 1] if self._at + 1 < len(self._parts) else None
            if not isinstance(after, InputValue):
                break  # a channel of that name
            self._at += 2
            end = after.value.span.end
            reducer, reducer_span = self._word(after.value), after.value.span
        return Channel(
            span=Span(self._file, name.start, end, name.line, name.column),
            name=name.text,
            type=type_,
            initial=initial,
            reducer=reducer,
            reducer_span=reducer_span,
        )

    def _type(self, name: Token) -> tuple[_Type, int]:
        word = self._peek()
        if isinstance(word, Token) and word.text in TYPES:
            self._at += 1
            return cast(_Type, word.text), word.end
        expected = f"a type behind `{name.text}`: " + ", ".join(f"`{each}`" for each in TYPES)
        if isinstance(word, Token) and word.line == name.line:
            meant = _OTHER_WORDS.get(word.text) or closest(word.text, TYPES)
            if meant is not None:
                self._at += 1
                expected = f"a type; did you mean `{meant}`?"
                self._refuse(word.span(self._file), expected)
                return cast(_Type, meant), word.end
        self._refuse(name.span(self._file), expected)
        return "text", name.end

    def _value(self) -> Value | None:
        part = self._peek()
        if not isinstance(part, InputValue):
            return None
        self._at += 1
        return part.value

    def _word(self, value: Value) -> str:
        if isinstance(value, Text | Word | Number | DurationValue):
            return value.text
        self._refuse(value.span, "the name of a reducer")
        return "replace"
