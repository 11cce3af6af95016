"""What this version reads and checks but can't carry out yet. `run` refuses to start such a workflow."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from types import MappingProxyType

from runkon.language.diagnostics import Diagnostic, diagnose
from runkon.language.keys import all_statements
from runkon.language.nodes import CallWorkflow, ForEachBlock, Statement, Workflow
from runkon.language.program import CheckedWorkflow

OPTIONS: Mapping[str, frozenset[str]] = {
    "call": frozenset(),
    "script": frozenset({"stream"}),
    "call_workflow": frozenset({"idle_timeout", "max_turns"}),
    "foreach": frozenset(),
    "parallel": frozenset(),
}


def unsupported(
    workflow: Workflow, children: Mapping[str, CheckedWorkflow] = MappingProxyType({})
) -> tuple[Diagnostic, ...]:
    """Every construct and option of a workflow, and of its `children`, that this version can't execute, each at its
    place; what stands in another file is found at the call that leads there. Empty if it can be run."""
    found: list[Diagnostic] = []
    for statement in all_statements(workflow):
        found += _statement(statement)
        child = children.get(statement.workflow or "") if isinstance(statement, CallWorkflow | ForEachBlock) else None
        if child is not None and isinstance(statement, CallWorkflow | ForEachBlock):
            found += _below(statement, child)
    unique = {(finding.span.start, finding.message): finding for finding in found}
    return tuple(sorted(unique.values(), key=lambda finding: finding.span.start))


def _below(call: CallWorkflow | ForEachBlock, child: CheckedWorkflow) -> Iterator[Diagnostic]:
    for found in unsupported(child.workflow, child.children):
        if found.span.file == call.span.file:
            yield found
            continue
        name = found.message.split("`")[1]
        place = name if name.endswith(")") else f"{name} ({found.span.file}:{found.span.line})"
        yield diagnose("unsupported-construct", call.name_span, construct=place)


def _statement(statement: Statement) -> Iterator[Diagnostic]:
    for entry in getattr(statement, "written", ()):
        if entry.name in OPTIONS.get(statement.kind, ()):
            yield diagnose("unsupported-option", entry.name_span, option=entry.name, owner=statement.kind)
