"""`env.NAME`: a workflow reads only those variables of the process that the settings list."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from runkon.language.checks.context import Context
from runkon.language.diagnostics import Diagnostic, diagnose
from runkon.language.nodes import Reference, ScriptStep, Text, Word
from runkon.language.source import Span
from runkon.language.template import parse_template


def check_host_variables(context: Context) -> Iterable[Diagnostic]:
    """Reads of variables that no setting lists: they could only be empty."""
    workflow, catalog = context.workflow, context.catalog
    if "env" in context.inputs or "env" in context.producers:
        return
    for name, span in dict.fromkeys(_reads((workflow.body, workflow.always, workflow.outputs))):
        if not catalog.knows("variable", name):
            listed = ", ".join(f'"{one}"' for one in (*catalog.names("variable"), name))
            yield diagnose("unlisted-variable", span, name=name, listed=listed)


def _reads(part: object) -> Iterator[tuple[str, Span]]:
    match part:
        case tuple():
            for item in part:
                yield from _reads(item)
        case Reference(parts=("env", name), span=span):
            yield name, span
        case Word(text=text, span=span) if text.startswith("env."):
            yield text.removeprefix("env."), span
        case Text(text=text, span=span):
            yield from _placeholders(text, span)
        case ScriptStep(run=run, run_span=span, env=env, options=options):
            yield from _placeholders(run, span)
            yield from _reads((env, options))
        case _ if type(part).__module__ == Reference.__module__:
            for field in set(part.__slots__) - {"span", "name_span", "written"}:  # type: ignore[attr-defined]  # a node
                yield from _reads(getattr(part, field))


def _placeholders(text: str, span: Span) -> Iterator[tuple[str, Span]]:
    for piece in parse_template(text):
        if not isinstance(piece, str) and len(piece.parts) == 2 and piece.parts[0] == "env":
            yield piece.parts[1], span
