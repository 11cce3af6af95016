"""Facts about trees as plain values: what the cases of the language say, and how they reach it."""

from __future__ import annotations

from enum import Enum

from runkon.language import nodes

NONE = "<none>"  # TOML has no null


def look_up(start: object, path: str) -> object:
    """What stands at a dotted path below `start`: fields, positions, `length`. Raises LookupError naming the path."""
    found = start
    for part in path.split("."):
        if part == "length" and isinstance(found, (tuple, list)):
            found = len(found)
        elif part.isdigit() and isinstance(found, (tuple, list)):
            found = found[int(part)]
        elif hasattr(found, part):
            found = getattr(found, part)
        else:
            raise LookupError(f"no `{part}` of `{path}` in {found!r}")
    return plain(found)


def plain(value: object) -> object:
    """A node or field as TOML could write it: values as text, agents as `name:x`, references as `a.b`."""
    match value:
        case None:
            return NONE
        case nodes.AgentRef():
            return f"{value.form}:{value.text}"
        case nodes.Text() | nodes.Word() | nodes.Number() | nodes.DurationValue():
            return value.text
        case nodes.Reference():
            return ".".join(value.parts)
        case nodes.ListValue() | nodes.ListLiteral():
            return [plain(item) for item in value.items]
        case nodes.MapValue():
            return {entry.name: plain(entry.value) for entry in value.entries}
        case tuple() if value and all(isinstance(item, nodes.Entry) for item in value):
            return {entry.name: plain(entry.value) for entry in value}
        case tuple() | list():
            return [plain(item) for item in value]
        case Enum():
            return value.value
        case _:
            return value
