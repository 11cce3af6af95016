"""Syntax trees as compact JSON values and back, generic over the fields of the node classes.

A node is `[class, field, value, field, value, …]`, all by number, fields with their default left out; a node met
again is a reference. Many nodes in a row that are alike stand field by field, as `[columns, class, field, values, …]`:
a long workflow is read in half the time. What is seldom read (`Late` fields) stands as a text of its own, made into
nodes when somebody asks. Spans keep no file name: the reader of a tree says what its file is called.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from functools import cache, partial
from itertools import repeat
from typing import Any, TypeAlias, cast

from runkon.frozen import Later, defaults, filled, is_late, is_value
from runkon.language import nodes
from runkon.language.diagnostics import Diagnostic, Related, Severity
from runkon.language.source import Span

Encoded: TypeAlias = "str | int | float | bool | list[Encoded] | None"

_List: TypeAlias = list[Any]  # as JSON gives it: what does not fit fails, and is no tree

_TUPLE, _SPAN, _AGAIN, _SEVERITY, _RELATED, _LATER, _COLUMNS = -1, -2, -3, -4, -5, -6, -7
_MANY, _AT_ONCE = (
    16,
    128,
)  # nodes in a row that are tried as columns; one that is unlike the others spoils its part only
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
    return tuple(defaults(_BY_NUMBER[kind][0]).items())


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
            for start in range(0, len(value), _AT_ONCE):
                part = value[start : start + _AT_ONCE]
                together = self._together(part) if len(part) >= _MANY else None
                if together is not None:
                    encoded.append(together)
                    continue
                for item in part:
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

    def _together(self, items: Sequence[object]) -> Encoded:
        """Many items of a tuple as one value, if all were met before, or none of them and they are alike."""
        known = [self._numbers.get(id(item)) for item in items]
        if None not in known:
            return [_AGAIN, *known]
        are_new = not any(number is not None for number in known) and len(set(map(id, items))) == len(items)
        columns = _columns(items) if are_new else None
        if columns is not None:
            for item in items:
                self._numbers[id(item)] = len(self._numbers)
        return columns


def _columns(items: Sequence[object]) -> Encoded:
    """Nodes of one class, field by field; None for others."""
    class_ = type(items[0])
    kind = _NUMBERS.get(class_)
    if kind is None or any(type(item) is not class_ for item in items):
        return None
    encoded: list[Encoded] = [_COLUMNS, kind]
    for number, (name, default) in enumerate(_defaults(kind)):
        values = [getattr(item, name) for item in items]
        if any(type(value) is not type(default) or value != default for value in values):
            column = _column(values, is_late=is_late(class_, name))
            if column is None:
                return None
            encoded += [number, column]
    return encoded


def _column(values: Sequence[object], *, is_late: bool) -> Encoded:
    """The values of one field, if they are all of a kind that needs no look at what is around."""
    if is_late:
        texts = [_later(value) for value in values]
        return None if None in texts else [_LATER, *(cast(_List, text)[1] for text in texts)]
    if all(isinstance(value, Span) for value in values):
        return [_SPAN, *(number for value in values for number in cast(Span, value)[1:])]
    if all(value is None or type(value) in (str, int, float, bool) for value in values):
        return [_TUPLE, *cast("list[Encoded]", values)]
    return _columns(values)


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
                if type(item) is not list:
                    items.append(item)
                elif item[0] == _COLUMNS:
                    alike = self._column(item)
                    self._seen += alike
                    items += alike
                elif item[0] == _AGAIN:
                    items += [self._seen[number] for number in item[1:]]
                else:
                    items.append(self.decode(item))
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

    def _column(self, value: _List) -> Sequence[object]:
        """What `_column` and `_columns` wrote. Nodes are filled field by field, without a call for each of them."""
        kind, new = value[0], tuple.__new__
        if kind == _TUPLE:
            return value[1:]
        if kind == _LATER:
            return [Later(partial(_now, text, self._file)) for text in value[1:]]
        if kind == _SPAN:
            numbers = iter(value)
            next(numbers)
            places = zip(repeat(self._file), numbers, numbers, numbers, numbers, strict=False)
            return [new(Span, place) for place in places]
        if kind != _COLUMNS:
            raise NotATree("a column of no kind")
        class_, names = _BY_NUMBER[value[1]]
        columns = zip(value[2::2], value[3::2], strict=True)
        return filled(class_, {names[number]: self._column(column) for number, column in columns})
