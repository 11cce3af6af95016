"""`cache` on steps whose answer may not be used again: those that change something, and those that are given secrets."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from runkon.language.checks.context import Context, name_span, written_option
from runkon.language.diagnostics import Diagnostic, diagnose
from runkon.language.keys import result_key
from runkon.language.nodes import CallStep, ListValue, MapValue, Reference, ScriptStep, Text, Value, Word
from runkon.language.template import Placeholder, parse_template


def check_cache(context: Context) -> Iterable[Diagnostic]:
    """Steps that may write, by their own word or as scripts do, and steps with a secret in their inputs."""
    secrets = {name for name, declared in context.inputs.items() if declared.type == "secret"}
    for step in context.statements:
        if not isinstance(step, CallStep | ScriptStep) or not step.options.cache:
            continue
        entry = written_option(step, "cache")
        span, name = name_span(step) if entry is None else entry.name_span, result_key(step)
        effect = step.options.effect or ("write" if isinstance(step, ScriptStep) else "read")
        if effect == "write":
            yield diagnose("cache-of-writer", span, name=name)
        given = secrets if isinstance(step, ScriptStep) else secrets & set(_names(step))
        if given:
            yield diagnose("cache-of-secret", span, name=name, secret=min(given))


def _names(step: CallStep) -> Iterator[str]:
    """What the inputs of a call read, by first word: of `inputs.NAME` also the second."""
    for entry in step.options.inputs:
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
