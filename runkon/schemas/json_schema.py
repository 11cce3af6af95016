"""The same schema as JSON Schema (draft 2020-12), for providers that can be told what to answer."""

from __future__ import annotations

from runkon.schemas.fields import FieldShape, Schema, SchemaField


def as_json_schema(schema: Schema) -> dict[str, object]:
    """A JSON Schema that accepts the same answers. It allows members no field names, as the schema does."""
    return {"title": schema.name, **_members(schema.fields)}


def _members(fields: tuple[SchemaField, ...]) -> dict[str, object]:
    return {
        "type": "object",
        "properties": {field.name: _property(field) for field in fields},
        "required": [field.name for field in fields if field.is_required],
    }


def _property(field: SchemaField) -> dict[str, object]:
    described = {"description": field.description} if field.description else {}
    if not field.examples:
        return {**_shape(field.shape), **described}
    hint = f"For example: {', '.join(field.examples)}"  # texts, whatever the type: not the keyword `examples`
    return {**_shape(field.shape), "description": ". ".join([*described.values(), hint])}


def _shape(shape: FieldShape) -> dict[str, object]:
    if shape.type == "enum":
        return {"type": "string", "enum": list(shape.variants)}
    if shape.type == "array":
        return {"type": "array"} if shape.item is None else {"type": "array", "items": _shape(shape.item)}
    if shape.type == "object" and shape.fields is not None:
        return _members(shape.fields)
    return {"type": shape.type}
