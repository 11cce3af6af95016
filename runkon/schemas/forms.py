"""Forms: what somebody types becomes the values a schema wants, or a list of what is wrong with it."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping

from runkon.named import NamedTuple
from runkon.schemas.checking import shape_violation, shown, wanted
from runkon.schemas.fields import FieldShape, Schema, SchemaField

_YES, _NO = ("true", "yes", "y"), ("false", "no", "n")


class Filled(NamedTuple):
    """What came of a form: the values by field, and one sentence for each thing that is wrong."""

    values: Mapping[str, object]
    problems: tuple[str, ...] = ()


def fill_in(schema: Schema, texts: Mapping[str, str], *, is_complete: bool = True) -> Filled:
    """The values of a form from what was typed, by field. With `is_complete` no required field may be missing."""
    values: dict[str, object] = {}
    problems: list[str] = []
    known = {field.name: field for field in schema.fields}
    for name, text in texts.items():
        if name not in known:
            problems.append(f"there is no field `{name}`")
            continue
        try:
            values[name] = value_of(known[name].shape, text)
        except ValueError as error:
            problems.append(f"`{name}`: {error}")
    if is_complete:
        missing = [field for field in schema.fields if field.is_required and field.name not in texts]
        problems += [f"`{field.name}` is missing" for field in missing]
    return Filled(values, tuple(problems))


def value_of(shape: FieldShape, text: str) -> object:
    """The value a typed text stands for. Text is taken as it is; a list may be JSON or words with commas. Raises
    ValueError, in words, for one that does not fit."""
    if shape.type == "string":
        return text
    typed = text.strip()
    if shape.type == "enum":
        found: object = typed
    elif shape.type == "boolean":
        found = True if typed.lower() in _YES else False if typed.lower() in _NO else typed
    elif shape.type == "array" and not typed.startswith("["):
        item = shape.item or FieldShape(type="string")
        words = [word.strip() for word in typed.split(",") if word.strip()]
        found = [value_of(item, word) for word in words] if item.type not in ("array", "object") else typed
    else:
        found = _json(typed)
    problem = shape_violation(shape, found)
    if problem is not None:
        raise ValueError(problem.message if problem.where == "$" else f"{problem.where[1:]} {problem.message}")
    return found


def field_lines(schema: Schema) -> Iterator[str]:
    """One line per field: its name, its type, what it is about."""
    for field in schema.fields:
        optional = "" if field.is_required else ", optional"
        described = f": {' '.join(field.description.split())}" if field.description else ""
        yield f"{field.name} ({in_words(field)}{optional}){described}"


def in_words(field: SchemaField) -> str:
    """What a field takes, in a few words."""
    shape = field.shape
    if shape.type == "array" and shape.item is not None:
        return f"a list of {wanted(shape.item).removeprefix('a ').removeprefix('an ')}"
    return wanted(shape)


def _json(text: str) -> object:
    try:
        found: object = json.loads(text, parse_constant=_refuse)
    except (ValueError, RecursionError):
        return text
    return found if not isinstance(found, float) or math.isfinite(found) else text


def _refuse(word: str) -> object:
    raise ValueError(f"{shown(word)} is not JSON")
