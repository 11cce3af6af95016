"""What a state channel may hold, and which reducers fit which type."""

from __future__ import annotations

import math
from collections.abc import Mapping

from runkon.language.nodes import DurationValue, ListValue, MapValue, Number, Text, Value, Word
from runkon.model.output import JsonValue

_ANY = ("text", "number", "integer", "boolean", "list", "map")
_NUMBERS = ("number", "integer")

# Name of each reducer of the language to the types it works on.
REDUCERS: Mapping[str, tuple[str, ...]] = {
    "replace": _ANY,
    "append": ("list",),
    "merge": ("map",),
    "union": ("list",),
    "sum": _NUMBERS,
    "max": _NUMBERS,
    "min": _NUMBERS,
    "error": _ANY,
}
IN_WORDS: Mapping[str, str] = {
    "text": "text",
    "number": "a number",
    "integer": "a whole number",
    "boolean": "`true` or `false`",
    "list": "a list",
    "map": "a map",
}


def fits(type_: str, value: JsonValue) -> bool:
    """True if a channel of that type may hold `value`. Nothing is converted: `"3"` is no number, `3.0` no integer."""
    match type_:
        case "text":
            return isinstance(value, str)
        case "boolean":
            return isinstance(value, bool)
        case "integer":
            return isinstance(value, int) and not isinstance(value, bool)
        case "number":
            return fits("integer", value) or (isinstance(value, float) and math.isfinite(value))
        case "list":
            return isinstance(value, list)
        case _:
            return isinstance(value, Mapping)


def constant(value: Value) -> JsonValue:
    """A written value as it stands, nothing in it looked up."""
    match value:
        case Text(text=text) | DurationValue(text=text):
            return text
        case Word(text=text):
            return {"true": True, "false": False, "null": None}.get(text, text)
        case Number(text=text):
            return float(text) if "." in text else int(text)
        case ListValue(items=items):
            return [constant(item) for item in items]
        case MapValue(entries=entries):
            return {entry.name: constant(entry.value) for entry in entries}
        case _:
            return None
