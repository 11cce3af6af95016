"""Rules for values and names: matched tokens → value nodes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeAlias, cast

from runkon.language.diagnostics import Diagnostic, diagnose
from runkon.language.nodes import AgentRef, DurationValue, Entry, ListValue, MapValue, Number, Text, Value, Word
from runkon.language.option_types import parse_duration
from runkon.language.source import Span
from runkon.language.strings import canonical_duration, canonical_number, string_text
from runkon.language.tokens import Token

Report: TypeAlias = Callable[[Diagnostic], None]

NUMBERS = "a number, or a duration such as `90s` or `1h30m`"

_new = tuple.__new__  # a span per value: NamedTuple's own constructor takes twice as long


class ValueRules:
    """One method per grammar rule, named like it; called with the rule's children, tokens or what a method returned.

    `file` goes into every span, `report` receives what the grammar accepts and the language does not."""

    def __init__(self, file: str, report: Report) -> None:
        self._file = file
        self._report = report

    def _at(self, token: Token) -> Span:
        return _new(Span, (self._file, token[2], token[3], token[4], token[5]))

    def _between(self, first: Token, end: int) -> Span:
        return _new(Span, (self._file, first[2], end, first[4], first[5]))

    def text(self, token: Token) -> Text:
        written = token[1]
        return Text(span=self._at(token), text=string_text(written), multiline=written.startswith('"""'))

    def number(self, token: Token) -> Number | DurationValue:
        span = self._at(token)
        if token[0] == "NUMBER":
            return Number(span=span, text=canonical_number(token[1]))
        return DurationValue(span=span, text=canonical_duration(token[1]), milliseconds=self._milliseconds(token, span))

    def _milliseconds(self, token: Token, span: Span) -> int:
        milliseconds = parse_duration(token[1])
        if milliseconds is None:
            self._report(diagnose("invalid-value", span, option=token[1], expected=NUMBERS))
        return milliseconds or 0

    def word(self, *names: Token) -> Word:
        if len(names) == 1:
            return Word(span=self._at(names[0]), text=names[0][1])
        return Word(span=self._between(names[0], names[-1][3]), text=".".join([name[1] for name in names]))

    def list(self, *parts: Token | Value) -> ListValue:
        items = cast("tuple[Value, ...]", parts[1:-1])
        return ListValue(span=self._brackets(parts), items=items)

    def map(self, *parts: Token | Entry) -> MapValue:
        entries = cast("tuple[Entry, ...]", parts[1:-1])
        return MapValue(span=self._brackets(parts), entries=entries)

    def _brackets(self, parts: Sequence[object]) -> Span:
        """From an opening to a closing bracket."""
        return self._between(cast(Token, parts[0]), cast(Token, parts[-1]).end)

    def entry(self, name: Token, value: Value) -> Entry:
        span = self._between(name, value.span[2])
        return Entry(span=span, name=name[1], name_span=self._at(name), value=value)

    option = entry

    def agent_name(self, name: Token) -> AgentRef:
        return AgentRef(span=self._at(name), form="name", text=name[1])

    def agent_path(self, path: Token) -> AgentRef:
        return AgentRef(span=self._at(path), form="path", text=string_text(path[1]))
