"""What an answer must look like: the types of a schema file, read once and then only looked at.

A schema is a list of named fields and, optionally, rules that turn an answer into markers. It checks the answers of
steps (`output =`) and of gates (`form =`), tells an agent what to write, and tells the checks which names can occur.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, TypeAlias

from runkon.frozen import value_class

ScalarType: TypeAlias = Literal["string", "number", "boolean", "enum"]
FieldType: TypeAlias = Literal["string", "number", "boolean", "enum", "array", "object"]
USUAL_MARKERS = (
    "has_critical_findings",
    "has_findings",
    "has_high_findings",
    "not_approved",
)  # without rules of its own


@value_class(frozen=True, slots=True, kw_only=True)
class FieldShape:
    """The type of one value. `variants` are those of an `enum`; `item` is the type of each element of an `array`, None
    for anything; `fields` are those of an `object`, None for anything."""

    type: FieldType
    variants: tuple[str, ...] = ()
    item: FieldShape | None = None
    fields: tuple[SchemaField, ...] | None = None


@value_class(frozen=True, slots=True, kw_only=True)
class SchemaField:
    """One named field. `description` and `examples` guide whoever answers; they are not checked."""

    name: str
    shape: FieldShape
    is_required: bool = True
    description: str = ""
    examples: tuple[str, ...] = ()


@value_class(frozen=True, slots=True, kw_only=True)
class Schema:
    """A schema file. `fields` stand in the order of their written names. `markers` are name and expression; None means
    the usual ones (`not_approved`, `has_findings`, …), an empty map means none. `digest` is the SHA-256 of the text."""

    name: str
    fields: tuple[SchemaField, ...]
    markers: Mapping[str, str] | None = None
    digest: str = ""
