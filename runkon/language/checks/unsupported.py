"""What this version reads and checks but can't carry out yet. `run` refuses to start such a workflow."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from runkon.language.diagnostics import Diagnostic, diagnose
from runkon.language.keys import all_statements
from runkon.language.nodes import (
    CallWorkflow,
    ForEachBlock,
    GateStep,
    MetaSection,
    SetStatement,
    Statement,
    StateSection,
    Workflow,
)
from runkon.language.source import Span

META = frozenset({"budget_usd", "max_calls", "max_tokens"})
OPTIONS: Mapping[str, frozenset[str]] = {
    "call": frozenset({"cache", "isolation", "merge"}),
    "script": frozenset({"cache", "isolation", "merge", "stream"}),
    "parallel": frozenset({"isolation", "merge"}),
}


def unsupported(workflow: Workflow) -> tuple[Diagnostic, ...]:
    """Every construct and option of a workflow that this version can't execute, each at its place. Empty if it can
    be run."""
    found = [*_meta(workflow)]
    for statement in all_statements(workflow):
        found += _statement(statement)
    return tuple(sorted(found, key=lambda finding: finding.span.start))


def _meta(workflow: Workflow) -> Iterator[Diagnostic]:
    for section in workflow.items:
        if isinstance(section, StateSection):
            yield _construct(section, "state")
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
        case SetStatement():
            yield _construct(statement, "set")
        case CallWorkflow():
            yield _construct(statement, "call workflow")
        case _:
            for entry in getattr(statement, "written", ()):
                if entry.name in OPTIONS.get(statement.kind, ()):
                    yield diagnose("unsupported-option", entry.name_span, option=entry.name, owner=statement.kind)


def _construct(statement: Statement | StateSection, words: str) -> Diagnostic:
    """The finding marks the keyword, not the whole block."""
    span = statement.span
    keyword = words.partition(" ")[0]
    marked = Span(span.file, span.start, min(span.end, span.start + len(keyword)), span.line, span.column)
    return diagnose("unsupported-construct", marked, construct=words)
