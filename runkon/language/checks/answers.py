"""What the answers of steps can hold, as far as schemas say it: fields, markers, variables for later steps."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping

from runkon.language.checks.context import Context
from runkon.language.keys import result_key
from runkon.language.nodes import CallStep, GateStep, Statement
from runkon.named import NamedTuple
from runkon.schemas.fields import USUAL_MARKERS, FieldShape, Schema, SchemaField

_OF_GATES = ("approved", "rejected", "timed_out", "decision", "reason", "feedback", "by", "at")
EVERYWHERE = frozenset({"status", "error", "context", "output", "attempts"})


class Answers(NamedTuple):
    """What is known of every result behind a key. `markers` is None where any may occur; `others` are fields that are
    there besides those of the schema."""

    schema: Schema
    markers: Mapping[str, str] | None
    others: tuple[str, ...] = ()

    @property
    def fields(self) -> tuple[str, ...]:
        return (*(field.name for field in self.schema.fields), *self.others)

    def shape(self, path: tuple[str, ...]) -> FieldShape | None:
        """The type of a field, nested with more names; None if it is not known."""
        shape, rest = None, path
        fields: tuple[SchemaField, ...] | None = self.schema.fields
        while rest:
            found = next((field for field in fields or () if field.name == rest[0]), None)
            if found is None:
                return None
            shape, rest = found.shape, rest[1:]
            fields = shape.fields
        return shape

    def lacks(self, path: tuple[str, ...]) -> str | None:
        """The first name of a nested field that no answer has; None if all may be there."""
        fields: tuple[SchemaField, ...] | None = self.schema.fields
        if path[0] in self.others or path[0] in EVERYWHERE:
            return None
        for name in path:
            if fields is None:
                return None
            found = next((field for field in fields if field.name == name), None)
            if found is None:
                return name
            is_scalar = found.shape.type not in ("object", "array")
            fields = () if is_scalar else found.shape.fields
        return None


def answers_read(parts: tuple[str, ...], producers: Collection[str], context: Context) -> Answers | None:
    """What is known of the results that a reference reads a field or a marker of; `producers` is what may stand behind
    its first name. None where nothing is known, and for what every result has."""
    if len(parts) < 2 or parts[1] in EVERYWHERE or producers not in ({"step"}, {"typed_gate"}):
        return None
    return answers_behind(parts[0], context)


def answers_behind(key: str, context: Context) -> Answers | None:
    """What the results of `key` hold; None unless one schema that can be read says it for all of them."""
    found = [_answers(statement, context) for statement in context.behind.get(key, ())]
    first = found[0] if found else None
    return first if first is not None and all(one == first for one in found) else None


def exported_names(statement: Statement, context: Context) -> frozenset[str] | None:
    """The variables that a finished step leaves for later ones; None if nobody can tell."""
    if not isinstance(statement, CallStep) or _is_code(statement, context):
        return None
    name = context.schemas.get(id(statement))
    if name is None:
        return frozenset()  # an agent without a schema gives markers and a context
    schema = context.schema(name)
    return None if schema is None else frozenset(field.name for field in schema.fields)


def _answers(statement: Statement, context: Context) -> Answers | None:
    if isinstance(statement, GateStep):
        schema = None if statement.form is None else context.schema(statement.form)
        return None if schema is None else Answers(schema, {}, _OF_GATES)
    if not isinstance(statement, CallStep):
        return None
    name = context.schemas.get(id(statement))
    schema = None if name is None else context.schema(name)
    if schema is None:
        return None
    if schema.markers is not None:
        return Answers(schema, schema.markers)
    return Answers(schema, None if _is_code(statement, context) else dict.fromkeys(USUAL_MARKERS, ""))


def _is_code(call: CallStep, context: Context) -> bool:
    """True for a call of an executor, which may give markers and fields of its own; agents only answer."""
    names = [call.agent.text] if call.agent.form == "name" else []
    chosen = context.overrides.get(result_key(call) or "") or call.options.executor
    fallback = call.options.fallback
    names += [] if fallback is None else [fallback.text]
    return chosen is not None or any(context.catalog.knows("executor", name) for name in names)


def listed(names: Iterable[str]) -> str:
    """Names in back quotes, the first dozen of them."""
    return ", ".join(_few(f"`{name}`" for name in names))


def _few(names: Iterable[str]) -> Iterator[str]:
    for number, name in enumerate(names):
        if number == 12:
            yield "…"
            return
        yield name
