"""Values of a test as JSON, and JSON as it is written in a test."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping

from runkon.language import nodes
from runkon.language.strings import quoted
from runkon.model.output import JsonValue
from runkon.pattern import pattern

_WORDS: dict[str, JsonValue] = {"true": True, "false": False, "null": None}
_NAME = pattern(r"[A-Za-z_][A-Za-z0-9_-]*\Z")


def json_of(value: nodes.Value) -> JsonValue:
    """The value as JSON: `true false null` are what they say, other bare words are text, a duration its seconds."""
    match value:
        case nodes.Text():
            return value.text
        case nodes.Word():
            return _WORDS.get(value.text, value.text)
        case nodes.Number():
            return float(value.text) if "." in value.text else int(value.text)
        case nodes.DurationValue():
            seconds = value.milliseconds / 1000
            return int(seconds) if seconds.is_integer() else seconds
        case nodes.ListValue():
            return [json_of(item) for item in value.items]
        case nodes.MapValue():
            return object_of(value.entries)
        case _:
            raise TypeError(f"a condition is no value: {value!r}")


def object_of(entries: Iterable[nodes.Entry]) -> dict[str, JsonValue]:
    """Entries as a JSON object."""
    return {entry.name: json_of(entry.value) for entry in entries}


def texts_of(value: nodes.Value) -> list[tuple[str, nodes.Value]] | None:
    """The names in a list, or the one that stands alone, each with its place; None for anything else."""
    items = value.items if isinstance(value, nodes.ListValue) else (value,)
    found = [(item.text, item) for item in items if isinstance(item, nodes.Text | nodes.Word)]
    return found if len(found) == len(items) else None  # type: ignore[return-value]  # each item is a value


def seconds_of(value: nodes.Value) -> float | None:
    """A duration or a number as seconds; None for anything else."""
    if isinstance(value, nodes.DurationValue):
        return value.milliseconds / 1000
    return float(value.text) if isinstance(value, nodes.Number) and not value.text.startswith("-") else None


def written(value: JsonValue) -> str | None:
    """The value as a test would say it; None if the language has no way to."""
    match value:
        case None | bool():
            return {None: "null", True: "true", False: "false"}[value]
        case str():
            return quoted(value)
        case int():
            return str(value)
        case float():
            text = repr(value)
            return text if math.isfinite(value) and "e" not in text else None
        case list():
            items = [written(item) for item in value]
            return None if None in items else "[" + ", ".join(map(str, items)) + "]"
        case _:
            return written_object(value)


def written_object(value: Mapping[str, JsonValue]) -> str | None:
    """An object as a map; None if a key is no name."""
    parts = {key: written(item) for key, item in value.items()}
    if None in parts.values() or not all(_NAME.match(key) for key in parts):
        return None
    return "{ " + " ".join(f"{key} = {text}" for key, text in parts.items()) + " }" if parts else "{}"
