"""A workflow that was read becomes one that may run, or findings that say why not.

The rules live in `checks/`, one family per file; each is a pure function from `Context` to findings. This file only
says which there are, runs them, and decides.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from types import MappingProxyType

from runkon.language.checks.caching import check_cache
from runkon.language.checks.commands import check_commands
from runkon.language.checks.context import Context, Family, child_context
from runkon.language.checks.defaults import check_input_defaults
from runkon.language.checks.facts import facts_of
from runkon.language.checks.host_variables import check_host_variables
from runkon.language.checks.names import check_ambiguous_keys, check_duplicate_inputs, check_duplicate_workflows
from runkon.language.checks.never_true import check_never_true
from runkon.language.checks.never_true_answers import check_answers
from runkon.language.checks.prompts import check_prompts
from runkon.language.checks.references import check_references
from runkon.language.checks.resources import check_resources
from runkon.language.checks.shared_trees import check_shared_trees
from runkon.language.checks.shell import check_tainted_shell
from runkon.language.checks.state import check_state
from runkon.language.checks.templates import check_templates
from runkon.language.checks.unreachable import check_unreachable
from runkon.language.checks.workflows import (
    call_span,
    check_called_workflows,
    check_cycles,
    check_order_of_items,
)
from runkon.language.diagnostics import Diagnostic, Severity, diagnose
from runkon.language.nodes import Workflow
from runkon.language.program import Catalog, CheckedWorkflow, CheckResult, ParseResult

Rule = Callable[[Context], Iterable[Diagnostic]]

RULES: tuple[Rule, ...] = (
    check_references,
    check_never_true,
    check_answers,
    check_unreachable,
    check_templates,
    check_tainted_shell,
    check_prompts,
    check_commands,
    check_duplicate_inputs,
    check_input_defaults,
    check_duplicate_workflows,
    check_ambiguous_keys,
    check_resources,
    check_host_variables,
    check_state,
    check_cache,
    check_shared_trees,
    check_called_workflows,
    check_order_of_items,
    check_cycles,
)
SURROUNDINGS: tuple[Rule, ...] = (check_resources, check_called_workflows)  # what another folder or plugin can change
_NONE: Mapping[str, str] = MappingProxyType({})
Results = dict[tuple[str, str], CheckResult]  # by file and name of a called workflow


class Known:
    """What was found about called workflows, for several checks with the same catalog and executors: each of them is
    looked up and checked once. Not for longer than the files stay as they are."""

    def __init__(self) -> None:
        self.family: Family = {}
        self.results: Results = {}


def check(
    parsed: ParseResult,
    workflow: Workflow,
    catalog: Catalog,
    *,
    executors: Mapping[str, str] = _NONE,
    known: Known | None = None,
) -> CheckResult:
    """All findings about `workflow`, one of the workflows of `parsed`, by position, with its static facts.

    `executors` are those a run will use instead of the written ones, by result key. The workflow counts as checked
    if neither it nor any workflow it calls has an error; warnings never stop it. `known` is
    shared by checks of several files. Never raises."""
    known = Known() if known is None else known
    return _check(Context(parsed, workflow, catalog, executors, known.family), known.results)


def check_again(
    parsed: ParseResult, workflow: Workflow, catalog: Catalog, *, executors: Mapping[str, str] = _NONE
) -> tuple[CheckedWorkflow | None, tuple[Diagnostic, ...]]:
    """As `check`, for a text that was accepted once: only what it names is looked for again, which may be gone. So an
    accepted run goes on, whatever a later version would say of its text, and a resume waits a tenth as long."""
    return _accepted(Context(parsed, workflow, catalog, executors), {})


_Known = dict[tuple[str, str], tuple[CheckedWorkflow | None, tuple[Diagnostic, ...]]]


def _accepted(context: Context, known: _Known) -> tuple[CheckedWorkflow | None, tuple[Diagnostic, ...]]:
    found = tuple(finding for rule in SURROUNDINGS for finding in rule(context))
    children: dict[str, CheckedWorkflow | None] = {}
    for name, loaded in context.children.items():
        if loaded.workflow is None or loaded.source is None:
            continue
        key = (loaded.source.path, loaded.workflow.name)
        if key not in known:
            known[key] = None, ()  # one that calls itself was never accepted, and is not followed for ever
            known[key] = _accepted(child_context(context, loaded), known)
        children[name], findings = known[key]
        found += findings
    failed = any(finding.severity is Severity.ERROR for finding in found)
    whole = {name: child for name, child in children.items() if child is not None}
    if failed or len(whole) < len(children) or not context.parsed.ok:
        return None, found
    return CheckedWorkflow(context.workflow, context.source, found, whole), found


def _check(context: Context, known: Results) -> CheckResult:
    findings = [finding for rule in RULES for finding in rule(context)]
    causes = sorted((finding for finding in findings if finding.severity is Severity.ERROR), key=_position)
    is_endless = any(finding.code in ("workflow-cycle", "workflow-too-deep") for finding in findings)
    children = {} if is_endless else dict(_children(context, known))
    for name, result in children.items():
        loaded = context.children[name]
        if result.checked is None and loaded.source is not None and loaded.source.path != context.source.path:
            causes += [result.cause] if result.cause is not None else []
            findings.append(_broken(name, context, result))
    ordered = tuple(sorted(dict.fromkeys(findings), key=_position))
    facts = facts_of(context, {name: result.facts for name, result in children.items()}, ends=not is_endless)
    failed = any(finding.severity is Severity.ERROR for finding in ordered)
    checked = {name: result.checked for name, result in children.items() if result.checked is not None}
    if failed or len(checked) < len(children) or not context.parsed.ok:
        return CheckResult(None, ordered, facts, next(iter(causes), None))
    return CheckResult(CheckedWorkflow(context.workflow, context.source, ordered, checked), ordered, facts)


def _children(context: Context, known: Results) -> Iterator[tuple[str, CheckResult]]:
    """The workflows this one calls, each checked once however often it is called."""
    for name, loaded in context.children.items():
        if loaded.workflow is None or loaded.source is None:
            continue
        key = (loaded.source.path, loaded.workflow.name)
        if key not in known:
            known[key] = _check(child_context(context, loaded), known)
        yield name, known[key]


def _position(finding: Diagnostic) -> tuple[int, int, str, str]:
    return (finding.span.start, finding.span.end, finding.code, finding.message)


def _broken(name: str, context: Context, result: CheckResult) -> Diagnostic:
    """The finding at the call of a workflow, in another file, that has errors, or calls one that has."""
    first = result.cause
    reason = f"{first.message} ({first.span.file}:{first.span.line})" if first else "a workflow it calls has errors"
    source = context.children[name].source
    file = first.span.file if first else source.path if source is not None else ""
    return diagnose("broken-workflow", call_span(context.workflow, name), name=name, reason=reason, file=file)
