"""The text that tells an agent what to write at the end of its answer."""

from __future__ import annotations

import json
from collections.abc import Iterator

from runkon.schemas.fields import FieldShape, Schema, SchemaField

_START, _END = "<<<FLOW_OUTPUT>>>", "<<<END_FLOW_OUTPUT>>>"
_DEEPEST = 6  # levels of an example that are written out

_GENERIC = f"""\
When you are finished, end your answer with this block, exactly once:

{_START}
{{"markers": [], "context": "one or two sentences for the next step"}}
{_END}

- `markers`: list of texts. The names your task tells you to report, of those that apply; empty if none does.
- `context`: text. A short summary of what you did or found.

Write valid JSON between the two lines and nothing after the block.
"""


def output_instructions(schema: Schema | None) -> str:
    """What an agent is told about its answer: by schema, or in general about markers and context. Ends with a newline;
    contains an example of the block, so it must not be searched for one."""
    if schema is None:
        return _GENERIC
    hints = "\n".join(_hints(schema.fields, ""))
    listed = f"The fields:\n{hints}\n\n" if hints else ""
    return f"""\
When you are finished, end your answer with this block, exactly once.
It holds one JSON object of the form `{schema.name}`:

{_START}
{json.dumps(_example(schema.fields, 0), ensure_ascii=False, indent=2)}
{_END}

{listed}Write valid JSON between the two lines and nothing after the block.
Never write `null`: leave out an optional field that has no value.
"""


def _example(fields: tuple[SchemaField, ...], depth: int) -> dict[str, object]:
    return {field.name: _sample(field.shape, field.description, depth) for field in fields}


def _sample(shape: FieldShape, description: str, depth: int) -> object:
    match shape.type:
        case "string":
            return description or "..."
        case "number":
            return 0
        case "boolean":
            return True
        case "enum":
            return "|".join(shape.variants)
        case "array" if shape.item is not None and depth < _DEEPEST:
            samples = 1 if shape.item.type == "object" else 2
            return [_sample(shape.item, "", depth + 1)] * samples
        case "object" if shape.fields is not None and depth < _DEEPEST:
            return _example(shape.fields, depth + 1)
        case "array":
            return []
        case "object":
            return {}


def _hints(fields: tuple[SchemaField, ...], inside: str) -> Iterator[str]:
    for field in fields:
        name = f"{inside}{field.name}"
        yield _hint(name, field)
        shape = field.shape
        while shape.type == "array" and shape.item is not None:
            name, shape = f"{name}[]", shape.item
        if shape.fields is not None:
            yield from _hints(shape.fields, f"{name}.")


def _hint(name: str, field: SchemaField) -> str:
    optional = "" if field.is_required else " (optional)"
    described = f". {field.description}" if field.description else ""
    examples = f". For example: {', '.join(field.examples)}" if field.examples else ""
    return f"- `{name}`: {_named(field.shape)}{optional}{described}{examples}"


def _named(shape: FieldShape) -> str:
    match shape.type:
        case "string":
            return "text"
        case "enum":
            return f"one of {', '.join(shape.variants)}"
        case "array":
            return "list" if shape.item is None else f"list, each element {_element(shape.item)}"
        case _:
            return shape.type


def _element(shape: FieldShape) -> str:
    return "an object" if shape.type == "object" else _named(shape)
