"""Does a value look like its schema says? The first thing that does not, by place and in words."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TypeAlias

from runkon.named import NamedTuple
from runkon.pattern import pattern
from runkon.schemas.fields import FieldShape, Schema, SchemaField

_PLAIN = pattern(r"[A-Za-z_][\w-]*")
_WORDS = {"string": "text", "number": "a number", "boolean": "true or false", "array": "a list", "object": "an object"}
_MOST = 60  # characters of a value that are shown
_MOST_VARIANTS = 12
_ENCODER = json.JSONEncoder(ensure_ascii=False, default=dict)

_Value: TypeAlias = object  # JSON; a lowest package does not know the types of the model


class Violation(NamedTuple):
    """`where` is `$` or a place below it (`$.findings[2].severity`), `message` a clause about the value that stands
    there, `seen` an excerpt of what was given, in JSON."""

    where: str
    message: str
    seen: str

    @property
    def text(self) -> str:
        return f"{self.where}: {self.message}"


def violation(schema: Schema, value: object) -> Violation | None:
    """The first violation in the order of the fields, None if there is none. Members that no field names are fine;
    null never is."""
    if not isinstance(value, Mapping):
        return Violation("$", f"{described(value)} is not an object", shown(value))
    return _members(schema.fields, value, "$")


def shape_violation(shape: FieldShape, value: object, where: str = "$") -> Violation | None:
    """The same for a value of one field."""
    return _value(shape, value, where, shown(value))


def _members(fields: tuple[SchemaField, ...], value: Mapping[str, _Value], where: str) -> Violation | None:
    for field in fields:
        if field.name in value:
            place, item = where + _step(field.name), value[field.name]
            seen = _among(f"{_json(field.name)}: {shown(item)}", len(value))
            if found := _value(field.shape, item, place, seen):
                return found
        elif field.is_required:
            return Violation(where + _step(field.name), f"missing, should be {wanted(field.shape)}", shown(value))
    return None


def _value(shape: FieldShape, value: object, where: str, seen: str) -> Violation | None:
    if not _fits(shape, value):
        return Violation(where, f"{described(value)} is not {wanted(shape)}", seen)
    if isinstance(value, list) and shape.item is not None:
        for index, item in enumerate(value):
            if found := _value(shape.item, item, f"{where}[{index}]", _among(shown(item), len(value))):
                return found
    if isinstance(value, Mapping) and shape.fields is not None:
        return _members(shape.fields, value, where)
    return None


def _fits(shape: FieldShape, value: object) -> bool:
    match shape.type:
        case "string":
            return isinstance(value, str)
        case "number":
            return isinstance(value, int | float) and not isinstance(value, bool)
        case "boolean":
            return isinstance(value, bool)
        case "enum":
            return isinstance(value, str) and value in shape.variants
        case "array":
            return isinstance(value, list)
        case "object":
            return isinstance(value, Mapping)


def wanted(shape: FieldShape) -> str:
    """A type in a few words: `text`, `a list`, `one of low, high`."""
    if shape.type != "enum":
        return _WORDS[shape.type]
    rest = len(shape.variants) - _MOST_VARIANTS
    more = f" and {rest} more" if rest > 0 else ""
    return f"one of {', '.join(shape.variants[:_MOST_VARIANTS])}{more}"


def described(value: object) -> str:
    """A value in a few words: texts, numbers, booleans and null as they are, the others by what they are."""
    match value:
        case Mapping():
            return "an object"
        case list():
            return "a list"
        case _:
            return shown(value)


def shown(value: object) -> str:
    """JSON in one line, cut where it gets long."""
    text = _json(value)
    return text if len(text) <= _MOST else f"{text[: _MOST - 1]}…"


def _among(text: str, number: int) -> str:
    return f"…{text}…" if number > 1 else text


def _json(value: object) -> str:
    """The beginning of it is enough: an answer may have fifty megabytes."""
    text = ""
    for part in _ENCODER.iterencode(value[: 4 * _MOST] if isinstance(value, str) else value):
        text += part if len(part) <= 4 * _MOST else part[: 4 * _MOST]
        if len(text) > _MOST:
            break
    return text


def _step(name: str) -> str:
    return f".{name}" if _PLAIN.fullmatch(name) else f"[{_ENCODER.encode(name)}]"
