"""`cache` on steps whose answer may not be used again: those that change something, and those that are given secrets.
Of a workflow that is called, all steps count, however far down."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from runkon.language.checks.context import Context, child_context, name_span, written_option
from runkon.language.diagnostics import Diagnostic, Related, diagnose
from runkon.language.keys import result_key, step_options
from runkon.language.nodes import (
    CallStep,
    CallWorkflow,
    Entry,
    GateStep,
    ListValue,
    MapValue,
    Reference,
    ScriptStep,
    Text,
    Value,
    Word,
)
from runkon.language.source import Span
from runkon.language.template import Placeholder, parse_template
from runkon.named import NamedTuple


class _Writer(NamedTuple):
    """What stands in the way inside of a called workflow: where, and what it does."""

    span: Span
    why: str


def check_cache(context: Context) -> Iterable[Diagnostic]:
    """Steps that may write, by their own word or as scripts do, and steps with a secret in their inputs."""
    secrets = {name for name, declared in context.inputs.items() if declared.type == "secret"}
    for step in context.statements:
        options = step_options(step)
        if options is None or not options.cache:
            continue
        entry = written_option(step, "cache")
        span, name = name_span(step) if entry is None else entry.name_span, result_key(step)
        if isinstance(step, CallWorkflow):
            if (writer := _writer(step.workflow, context, frozenset())) is not None:
                related = (Related(writer.span, "here"),)
                yield diagnose("cache-of-writer", span, name=name, why=writer.why, related=related)
        elif _may_write(step):
            yield diagnose("cache-of-writer", span, name=name, why="it may change something outside")
        given = secrets if isinstance(step, ScriptStep) else secrets & set(_names(options.inputs))
        if isinstance(step, CallWorkflow):
            given = given | _declared_secrets(step.workflow, context)
        if given:
            yield diagnose("cache-of-secret", span, name=name, secret=min(given))


def _may_write(step: object) -> bool:
    if not isinstance(step, CallStep | ScriptStep | CallWorkflow):
        return False
    return (step.options.effect or ("write" if isinstance(step, ScriptStep) else "read")) == "write"


def _writer(name: str, context: Context, above: frozenset[str]) -> _Writer | None:
    """The first step of the workflow `name`, or of one it calls, that may change something or asks a person."""
    loaded = context.children.get(name)
    if loaded is None or loaded.workflow is None or loaded.source is None or name in above:
        return None
    child = child_context(context, loaded)
    for step in child.statements:
        place = f"{name}/{result_key(step)}"
        if isinstance(step, GateStep):
            return _Writer(name_span(step), f"at its gate `{place}` somebody decides")
        if _may_write(step):
            return _Writer(name_span(step), f"its step `{place}` may change something outside")
        called = getattr(step, "workflow", None)
        if called is not None and (found := _writer(called, child, above | {name})) is not None:
            return found
    return None


def _declared_secrets(name: str, context: Context) -> set[str]:
    """The secret inputs of the workflow `name`: whoever calls it has to give them."""
    loaded = context.children.get(name)
    if loaded is None or loaded.workflow is None:
        return set()
    return {declared.name for declared in loaded.workflow.inputs if declared.type == "secret"}


def _names(inputs: Iterable[Entry]) -> Iterator[str]:
    """What the inputs of a call read, by first word: of `inputs.NAME` also the second."""
    for entry in inputs:
        for parts in _reads(entry.value):
            yield parts[0]
            yield from parts[1:2]


def _reads(value: Value) -> Iterator[tuple[str, ...]]:
    match value:
        case Text(text=text):
            yield from (piece.parts for piece in parse_template(text) if isinstance(piece, Placeholder))
        case Word(text=text):
            yield tuple(text.split("."))
        case Reference(parts=parts):
            yield tuple(parts)
        case ListValue(items=items):
            for item in items:
                yield from _reads(item)
        case MapValue(entries=entries):
            for entry in entries:
                yield from _reads(entry.value)
        case _:
            return
