"""Workflows that call workflows: the target exists, gets what it requires, and the calls come to an end."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from runkon.language.checks.context import Context, child_context
from runkon.language.diagnostics import Diagnostic, Related, diagnose
from runkon.language.keys import all_statements
from runkon.language.nodes import CallWorkflow, Entry, ForEachBlock, Statement, Word, Workflow
from runkon.language.program import LoadedWorkflow
from runkon.language.source import Span
from runkon.language.suggest import closest

MAX_DEPTH = 5  # workflows in one chain of calls, the first included


def check_called_workflows(context: Context) -> Iterable[Diagnostic]:
    """Targets that can't be found or read, and required inputs that are not passed."""
    for name, span, inputs in _calls(context.statements):
        loaded = context.children[name]
        if loaded.workflow is None:
            yield from _unusable(name, span, loaded, context)
            continue
        passed = {entry.name for entry in inputs}
        for declared in loaded.workflow.inputs:
            if declared.required and declared.name not in passed:
                related = (Related(declared.span, "declared here"),)
                yield diagnose("missing-workflow-input", span, workflow=name, input=declared.name, related=related)


def _calls(statements: Iterable[Statement]) -> Iterator[tuple[str, Span, tuple[Entry, ...]]]:
    for statement in statements:
        if isinstance(statement, CallWorkflow):
            yield statement.workflow, statement.name_span, statement.options.inputs
        elif isinstance(statement, ForEachBlock) and statement.workflow is not None:
            yield statement.workflow, _workflow_span(statement), statement.inputs


def call_span(workflow: Workflow, name: str) -> Span:
    """Where `workflow` first names the workflow `name`."""
    return next(span for called, span, _ in _calls(all_statements(workflow)) if called == name)


def _workflow_span(statement: ForEachBlock) -> Span:
    return next((entry.value.span for entry in statement.written if entry.name == "workflow"), statement.name_span)


def _unusable(name: str, span: Span, loaded: LoadedWorkflow, context: Context) -> Iterator[Diagnostic]:
    if loaded.source is not None and loaded.problem is not None:
        yield diagnose("broken-workflow", span, name=name, reason=loaded.problem, file=loaded.source.path)
    elif loaded.places or loaded.problem:
        close = closest(name, (workflow.name for workflow in context.parsed.workflows))
        searched = "\n".join(["looked in this file, then for", *loaded.places])
        help = f"did you mean `{close}`?" if close else "\n".join(filter(None, (loaded.problem, searched)))
        yield diagnose("unknown-workflow", span, name=name, help=help)


def check_order_of_items(context: Context) -> Iterable[Diagnostic]:
    """Skipping dependents needs an order among the items, and an order somebody who knows it: a list does not."""
    for statement in context.statements:
        if not isinstance(statement, ForEachBlock):
            continue
        written = {entry.name: entry.value.span for entry in statement.written}
        if statement.on_child_fail == "skip_dependents" and not statement.ordered:
            yield diagnose("skip-without-order", written["on_child_fail"], name=statement.name)
        if statement.ordered and not (isinstance(statement.over, Word) and "." not in statement.over.text):
            yield diagnose("no-order", written["ordered"], name=statement.name)


def check_cycles(context: Context) -> Iterable[Diagnostic]:
    """Chains of calls that come back to a workflow, or go deeper than the engine follows: one finding per call."""
    for name in context.calls:
        chain = _long_chain(name, context)
        if chain is None:
            continue
        span = call_span(context.workflow, name)
        again = next((at for at, called in enumerate(chain) if called in chain[:at]), None)
        if again is None:
            yield diagnose("workflow-too-deep", span, chain=" -> ".join(chain), limit=MAX_DEPTH)
        else:
            circle = chain[chain.index(chain[again]) : again + 1]
            yield diagnose("workflow-cycle", span, chain=" -> ".join(circle))


def _long_chain(name: str, context: Context) -> tuple[str, ...] | None:
    """A chain of calls through `name` with one workflow more than may be, which every circle has too. Walks level by
    level and keeps one way to each workflow, so that many calls cost no more than few."""
    level: dict[str, tuple[tuple[str, ...], Context]] = {context.workflow.name: ((context.workflow.name,), context)}
    wanted: tuple[str, ...] = (name,)
    for _ in range(MAX_DEPTH):
        deeper: dict[str, tuple[tuple[str, ...], Context]] = {}
        for chain, caller in level.values():
            for called in wanted or caller.calls:
                loaded = caller.children[called]
                if len(chain) == MAX_DEPTH:
                    return (*chain, called)
                if called not in deeper and loaded.workflow is not None:
                    deeper[called] = ((*chain, called), child_context(caller, loaded))
        level, wanted = deeper, ()
    return None
