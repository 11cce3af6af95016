"""What this version reads and checks but can't carry out yet. `run` refuses to start such a workflow."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from runkon.language.diagnostics import Diagnostic, diagnose
from runkon.language.keys import all_statements, result_key
from runkon.language.nodes import (
    CallStep,
    CallWorkflow,
    ForEachBlock,
    GateStep,
    MetaSection,
    Reference,
    ScriptStep,
    Statement,
    Text,
    Word,
    Workflow,
)
from runkon.language.source import Span
from runkon.language.template import parse_template

LEAVES = (CallStep, ScriptStep)
META = frozenset({"budget_usd", "max_calls", "max_tokens"})
OPTIONS: Mapping[str, frozenset[str]] = {
    "call": frozenset({"cache", "isolation", "merge"}),
    "script": frozenset({"cache", "isolation", "merge", "stream"}),
    "parallel": frozenset({"until", "isolation", "merge"}),
}


def unsupported(workflow: Workflow) -> tuple[Diagnostic, ...]:
    """Every construct and option of a workflow that this version can't execute, each at its place. Empty if it can
    be run."""
    found = [*_meta(workflow)]
    for statement in all_statements(workflow):
        found += _statement(statement)
    found += _environment(workflow)
    return tuple(sorted(found, key=lambda finding: finding.span.start))


def _meta(workflow: Workflow) -> Iterator[Diagnostic]:
    for section in workflow.items:
        if isinstance(section, MetaSection):
            for entry in section.written:
                if entry.name in META:
                    yield diagnose("unsupported-option", entry.name_span, option=entry.name, owner="meta")


def _statement(statement: Statement) -> Iterator[Diagnostic]:
    match statement:
        case GateStep():
            yield _construct(statement, "gate")
        case ForEachBlock():
            yield _construct(statement, "foreach")
        case CallWorkflow():
            yield _construct(statement, "call workflow")
        case _:
            for entry in getattr(statement, "written", ()):
                if entry.name in OPTIONS.get(statement.kind, ()):
                    yield diagnose("unsupported-option", entry.name_span, option=entry.name, owner=statement.kind)


def _environment(workflow: Workflow) -> Iterator[Diagnostic]:
    """`env.NAME`: no setting of this version lists a name that may be read, so it could only be empty."""
    if any(declared.name == "env" for declared in workflow.inputs):
        return
    if any(isinstance(statement, LEAVES) and result_key(statement) == "env" for statement in all_statements(workflow)):
        return
    for name, span in dict.fromkeys(_reads_of_environment((workflow.body, workflow.always, workflow.outputs))):
        yield diagnose("unsupported-construct", span, construct=f"env.{name}")


def _reads_of_environment(part: object) -> Iterator[tuple[str, Span]]:
    match part:
        case tuple():
            for item in part:
                yield from _reads_of_environment(item)
        case Reference(parts=("env", name), span=span):
            yield name, span
        case Word(text=text, span=span) if text.startswith("env."):
            yield text.removeprefix("env."), span
        case Text(text=text, span=span):
            yield from _placeholders(text, span)
        case ScriptStep(run=run, run_span=span, env=env, options=options):
            yield from _placeholders(run, span)
            yield from _reads_of_environment((env, options))
        case _ if type(part).__module__ == Reference.__module__:
            for field in set(part.__slots__) - {"span", "name_span", "written"}:  # type: ignore[attr-defined]  # a node
                yield from _reads_of_environment(getattr(part, field))


def _placeholders(text: str, span: Span) -> Iterator[tuple[str, Span]]:
    for piece in parse_template(text):
        if not isinstance(piece, str) and len(piece.parts) == 2 and piece.parts[0] == "env":
            yield piece.parts[1], span


def _construct(statement: Statement, words: str) -> Diagnostic:
    """The finding marks the keyword, not the whole block."""
    span = statement.span
    keyword = words.partition(" ")[0]
    marked = Span(span.file, span.start, min(span.end, span.start + len(keyword)), span.line, span.column)
    return diagnose("unsupported-construct", marked, construct=words)
