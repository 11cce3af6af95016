"""Answers that have to match the schema of their step: checked, whoever gave them, and what follows from them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, cast

from runkon.engine.answers import Answer, Failed
from runkon.errors import UserError
from runkon.language.schema_files import find_schema
from runkon.model.failures import ValueFailure
from runkon.model.gates import with_fields
from runkon.model.output import JsonValue, Output
from runkon.model.records import StepError
from runkon.schemas.checking import violation
from runkon.schemas.deriving import context_of, markers_of
from runkon.schemas.examples import example_value
from runkon.schemas.forms import field_lines

if TYPE_CHECKING:
    from runkon.engine.open_step import OpenStep
    from runkon.engine.scope import Scope
    from runkon.schemas.fields import Schema


def call_fitted(attempts: OpenStep, call: Callable[[], Answer], dry: Output | None) -> Answer:
    """What `call` answers if that matches the schema of the step, else a failure of kind `schema`. `dry` is what a dry
    run says in place of calling: then the answer is made up. Raises ValueFailure for a schema that can't be used, and
    whatever `call` raises."""
    leaf, scope = attempts.leaf, attempts.scope
    assert leaf.schema is not None
    schema = schema_named(leaf.schema, scope)
    if dry is not None:
        return made_up(schema, dry)
    return fitted(call(), schema)


def schema_named(name: str, scope: Scope) -> Schema:
    """The schema of that name, as it is now. Raises ValueFailure (`unknown-schema`, `invalid-schema`)."""
    config = scope.leg.config
    try:
        return find_schema(config.roots or (config.working_dir,), name, scope.env.facts.workflow)
    except UserError as error:
        raise ValueFailure(error.code, error.message, help=error.help) from None


def prompt_with_form(prompt: str, form: str, scope: Scope) -> str:
    """What a person reads at a gate with a form. One that can't be used yet is no reason not to wait."""
    try:
        return with_fields(prompt, field_lines(schema_named(form, scope)))
    except ValueFailure as failure:
        return f"{prompt}\n{failure.message}"


def made_up_form(form: str, scope: Scope) -> Mapping[str, JsonValue]:
    """What a dry run answers at a gate. Raises ValueFailure like `schema_named`."""
    return cast("dict[str, JsonValue]", example_value(schema_named(form, scope)))


def fitted(answer: Answer, schema: Schema) -> Answer:
    """The same answer with the markers and the context that follow from it, or the failure it is. What an executor said
    of markers counts only where the schema has no rules of its own; its context goes before a derived one."""
    if isinstance(answer, Failed):
        return answer
    values = _whole(answer, schema)
    found = violation(schema, values)
    if found is not None:
        message = f"output does not match schema `{schema.name}`\n{found.text}\n{found.seen}"
        return Failed(StepError("schema", message), usage=answer.usage)
    return _with_derived(answer, values, schema)


def as_told(output: Output, name: str, scope: Scope) -> Output:
    """What a person says that a lost attempt has given, with what follows from it where it matches the schema. Where it
    does not, it stays as it is: the person knows."""
    try:
        answer = fitted(output, schema_named(name, scope))
    except ValueFailure:
        return output
    return output if isinstance(answer, Failed) else answer


def made_up(schema: Schema, dry: Output) -> Output:
    """An answer for a dry run, which says that nobody gave it."""
    values = cast("dict[str, JsonValue]", example_value(schema))
    text = f"{dry.text}; its answer is made up from schema `{schema.name}`"
    return _with_derived(replace(dry, text=text), values, schema)


def _with_derived(answer: Output, values: Mapping[str, JsonValue], schema: Schema) -> Output:
    said = frozenset[str]() if schema.markers is not None else answer.markers
    return replace(
        answer,
        values=values,
        markers=markers_of(schema, values) | said,
        context=answer.context or context_of(schema, values),
    )


def _whole(answer: Output, schema: Schema) -> Mapping[str, JsonValue]:
    """The values as they were given: `context` and `markers` were taken out of them, which a schema may declare."""
    taken: dict[str, JsonValue] = {"context": answer.context, "markers": [*sorted(answer.markers)]}
    declared = {field.name for field in schema.fields}
    missing = {name: value for name, value in taken.items() if value and name in declared and name not in answer.values}
    return {**answer.values, **missing} if missing else answer.values
