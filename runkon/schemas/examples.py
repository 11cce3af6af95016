"""An answer that a schema accepts, made up without asking anybody: for dry runs and for trying things out.

It is always the same for the same schema, and a quiet one: nothing found, nothing left to do, so that loops end.
"""

from __future__ import annotations

from collections.abc import Iterator

from runkon.schemas.checking import shape_violation
from runkon.schemas.deriving import markers_of
from runkon.schemas.fields import FieldShape, Schema, SchemaField

_OPEN_ENDS = ("has_", "needs_", "requires_")  # a boolean of such a name says that something is left to do


def example_value(schema: Schema) -> dict[str, object]:
    """An answer the schema accepts. Of the answers that differ in one field, that with the fewest markers is taken:
    empty lists rather than findings, another variant, a high number. Booleans are true, but `has_…` and `needs_…`."""
    values = {field.name: _sample(field.shape, field) for field in schema.fields}
    for field in schema.fields:
        number = len(markers_of(schema, values))
        for other in _others(field.shape):
            tried = {**values, field.name: other}
            if len(markers_of(schema, tried)) < number:
                values, number = tried, len(markers_of(schema, tried))
    return values


def _others(shape: FieldShape) -> Iterator[object]:
    match shape.type:
        case "array":
            yield []
        case "enum":
            yield from shape.variants[1:]
        case "number":
            yield from (1, 100)


def _sample(shape: FieldShape, field: SchemaField) -> object:
    """A value of a field; `field` gives its name and its examples."""
    match shape.type:
        case "string":
            return next(iter(field.examples), "") or field.description or field.name
        case "number":
            return _number(field.examples)
        case "boolean":
            return not field.name.startswith(_OPEN_ENDS)
        case "enum":
            return next((text for text in field.examples if text in shape.variants), shape.variants[0])
        case "array":
            return [] if shape.item is None else [_sample(shape.item, field)]
        case "object":
            return {inner.name: _sample(inner.shape, inner) for inner in shape.fields or ()}


def _number(examples: tuple[str, ...]) -> float:
    for text in examples:
        for read in (int, float):
            try:
                value = read(text)
            except ValueError:
                continue
            if shape_violation(FieldShape(type="number"), value) is None and abs(value) < float("inf"):
                return value
    return 0
