"""Syntax trees as compact JSON values and back, generic over the fields of the node classes.

A node is `[class, field, value, field, value, …]`, all by number, fields with their default left out; a node met
again is a reference. What is seldom read (`Late` fields) stands as a text of its own, made into nodes when somebody
asks. Spans keep no file name: the reader of a tree says what its file is called.
"""

from __future__ import annotations

import dataclasses
import json
from functools import cache, partial
from typing import Any, TypeAlias, cast

from runkon.frozen import Later, is_late, is_value
from runkon.language import nodes
from runkon.language.diagnostics import Diagnostic, Related, Severity
from runkon.language.source import Span

Encoded: TypeAlias = "str | int | float | bool | list[Encoded] | None"

_List: TypeAlias = list[Any]  # as JSON gives it: what does not fit fails, and is no tree

_TUPLE, _SPAN, _AGAIN, _SEVERITY, _RELATED, _LATER = -1, -2, -3, -4, -5, -6
_LONGEST_LATER = 4_000  # characters: a longer one may be nested deeper than whoever reads it has frames left
_SPAN_LENGTH = len(Span._fields)  # its kind in place of the file


class NotATree(Exception):
    """The value to be decoded was not written by this codec."""


# The classes by number, with the names of their fields.
_BY_NUMBER: tuple[tuple[type[object], tuple[str, ...]], ...] = tuple(
    (class_, class_.__slots__) for class_ in (*filter(is_value, vars(nodes).values()), Diagnostic)
)
_NUMBERS = {class_: number for number, (class_, _) in enumerate(_BY_NUMBER)}

# What a tree looks like; a file written under another shape must not be read under this one.
SHAPE = ";".join(f"{class_.__name__}({','.join(names)})" for class_, names in _BY_NUMBER)


@cache
def _defaults(kind: int) -> tuple[tuple[str, object], ...]:
    """The fields of a class with their defaults, MISSING where there is none."""
    return tuple((f.name, f.default) for f in dataclasses.fields(cast("type[nodes.Text]", _BY_NUMBER[kind][0])))


def encode(tree: object) -> Encoded:
    """`tree`, of nodes, diagnostics, tuples and plain values, as a JSON value. Raises TypeError for anything else."""
    return _Encoder().encode(tree)


class _Encoder:
    def __init__(self) -> None:
        self._numbers: dict[int, int] = {}

    # One method for all kinds, and loops instead of comprehensions: a level of nesting costs as few frames as it can.
    def encode(self, value: object) -> Encoded:
        if value is None or type(value) in (str, int, float, bool):
            return cast(Encoded, value)
        if isinstance(value, Span):
            return [_SPAN, *value[1:]]
        if isinstance(value, Related):
            return [_RELATED, self.encode(value.span), value.label]
        if isinstance(value, Severity):
            return [_SEVERITY, value.value]
        encoded: list[Encoded] = []
        if isinstance(value, tuple):
            encoded.append(_TUPLE)
            for item in value:
                encoded.append(self.encode(item))
            return encoded
        kind = _NUMBERS.get(type(value))
        if kind is None:
            raise TypeError(f"no part of a syntax tree: {type(value).__name__}")
        known = self._numbers.get(id(value))
        if known is not None:
            return [_AGAIN, known]
        encoded.append(kind)
        for number, (name, default) in enumerate(_defaults(kind)):
            given = getattr(value, name)
            if type(given) is not type(default) or given != default:
                encoded.append(number)
                later = _later(given) if is_late(type(value), name) else None
                encoded.append(self.encode(given) if later is None else later)
        self._numbers[id(value)] = len(self._numbers)
        return encoded


def _later(value: object) -> Encoded:
    """A value as a text of its own, without references to what is around; None if that gets too long."""
    text = json.dumps(encode(value), separators=(",", ":"))
    return [_LATER, text] if len(text) <= _LONGEST_LATER else None


def _now(text: str, file: str) -> object:
    return decode(json.loads(text), file)


def decode(value: Encoded, file: str) -> object:
    """The tree that was encoded, with `file` in all of its spans. Raises NotATree for a value of another origin."""
    try:
        return _Decoder(file).decode(value) if type(value) is list else value
    except (TypeError, ValueError, IndexError, AttributeError, KeyError) as error:
        raise NotATree(str(error)) from error


class _Decoder:
    """Reads what `_Encoder` wrote. Every start and resume waits for it: a third of a tree's values are spans, which are
    made in place, without the checks of their class."""

    def __init__(self, file: str) -> None:
        self._file = file
        self._seen: list[object] = []

    def decode(self, value: _List) -> object:
        kind = value[0]
        if type(kind) is not int:
            raise NotATree("a list without a kind")
        if kind >= 0:
            class_, names = _BY_NUMBER[kind]
            given: dict[str, object] = {}
            file, new = self._file, tuple.__new__
            rest = iter(value)
            next(rest)
            for number, field in zip(rest, rest, strict=True):
                if type(field) is not list:
                    given[names[number]] = field
                elif field[0] == _SPAN and len(field) == _SPAN_LENGTH:
                    field[0] = file  # nobody reads the list again
                    given[names[number]] = new(Span, field)
                elif field[0] == _LATER:
                    given[names[number]] = Later(partial(_now, field[1], self._file))
                else:
                    given[names[number]] = self.decode(field)
            node = class_(**given)
            self._seen.append(node)
            return node
        if kind == _TUPLE:
            items = []
            for item in value[1:]:
                items.append(item if type(item) is not list else self.decode(item))
            return tuple(items)
        if kind == _SPAN:
            return Span(self._file, *value[1:])
        if kind == _AGAIN:
            return self._seen[value[1]]
        if kind == _SEVERITY:
            return Severity(value[1])
        span = self.decode(value[1])
        if not isinstance(span, Span):
            raise NotATree("a related place without a span")
        return Related(span, value[2])
