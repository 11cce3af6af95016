"""Names in conditions, outputs and gates: every result, input and loop variable must exist where it is read."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Literal

from runkon.language.checks.context import Context, name_span
from runkon.language.checks.flow import KeyUse, Passed, Scope, Test, sites
from runkon.language.diagnostics import Diagnostic, Related, diagnose
from runkon.language.nodes import (
    And,
    Compare,
    Condition,
    ForEachBlock,
    ListLiteral,
    ListValue,
    Not,
    Or,
    Reference,
    Statement,
    Value,
    Word,
)
from runkon.language.source import Span
from runkon.language.suggest import closest
from runkon.named import NamedTuple

# fmt: off
HOST_VARIABLES = frozenset((
    "ticket_id", "ticket_source_id", "ticket_source_type", "ticket_title", "ticket_body", "ticket_url",
    "ticket_raw_json", "repo_id", "repo_path", "repo_name", "feature_base_branch", "worktree_branch", "worktree_id",
    "pr_number", "workflow_run_id", "failed_step", "failure_reason", "retry_count", "workflow_status",
    "prior_context", "prior_contexts", "prior_output", "prior_output_file", "gate_feedback", "dry_run",
))
# fmt: on
RUN_FACTS = ("name", "run_id", "status")


class Read(NamedTuple):
    """One reference as it is read; `alone` if it is a test by itself, not an operand. `beside` is the reference it is
    compared with."""

    parts: tuple[str, ...]
    span: Span
    alone: bool
    beside: tuple[str, ...] = ()


def reads(condition: Condition, *, alone: bool = True, beside: tuple[str, ...] = ()) -> Iterator[Read]:
    """Every reference in a condition."""
    match condition:
        case Reference(parts=parts, span=span):
            yield Read(parts, span, alone, beside)
        case Not(operand=operand):
            yield from reads(operand)
        case And(operands=operands) | Or(operands=operands):
            for operand in operands:
                yield from reads(operand)
        case Compare(left=left, right=right):
            yield from reads(left, alone=False, beside=_parts(right))
            yield from reads(right, alone=False, beside=_parts(left))
        case ListLiteral(items=items):
            for item in items:
                yield from reads(item, alone=False, beside=beside)


def _parts(operand: Condition) -> tuple[str, ...]:
    return operand.parts if isinstance(operand, Reference) else ()


def check_references(context: Context) -> Iterable[Diagnostic]:
    """Unknown steps, steps that come later, unknown inputs, inputs that are no test."""
    for site in sites(context):
        match site:
            case Test(condition=condition, scope=scope):
                for read in reads(condition):
                    yield from _read(read, scope, context, "condition")
            case Passed(value=value, scope=scope, use=use) if use != "input":
                for read in _dotted_words(value, bare=use == "over"):
                    yield from _read(read, scope, context, "value")
            case KeyUse(text=text, span=span, scope=scope, gate=gate) if gate.source == text:
                yield from missing_result(text, span, scope, context, "gate")
            case _:
                pass


def _dotted_words(value: Value, *, bare: bool = False) -> Iterator[Read]:
    """Dotted references inside a value; a bare word is text."""
    match value:
        case Word(text=text, span=span) if "." in text:
            yield Read(tuple(text.split(".")), span, alone=False)
        case Reference(parts=parts, span=span) if bare or len(parts) > 1:
            yield Read(parts, span, alone=False)
        case ListValue(items=items):
            for item in items:
                yield from _dotted_words(item)
        case _:
            return


def _read(read: Read, scope: Scope, context: Context, place: str) -> Iterator[Diagnostic]:
    if len(read.parts) == 1:
        yield from _bare(read, scope, context)
        return
    fault = fault_of(read.parts, scope, context)
    if fault == "input":
        yield _unknown_input(read.parts[1], read.span, context)
    elif fault == "result":
        yield from missing_result(read.parts[0], read.span, scope, context, place)


def fault_of(parts: tuple[str, ...], scope: Scope, context: Context) -> Literal["input", "result", "channel"] | None:
    """What is missing behind a dotted reference; None if nothing is, or if nobody can tell."""
    head = parts[0]
    if head == "inputs" and not scope.producers(head):
        known = parts[1] in context.inputs or parts[1] in scope.variables or parts[1] in HOST_VARIABLES
        return None if known else "input"
    if head == "state" and context.workflow.state:
        return None  # channels have a rule of their own
    if head in scope.variables or head == "env" or (head == "workflow" and parts[1] in RUN_FACTS):
        return None
    if scope.producers(head) or head in context.inputs:
        return None
    if scope.opaque and head not in context.producers:
        return None
    return "channel" if head == "state" and head not in context.producers else "result"


def _bare(read: Read, scope: Scope, context: Context) -> Iterator[Diagnostic]:
    name = read.parts[0]
    declared = context.inputs.get(name)
    if name in scope.variables:
        return
    if declared is None:
        if not read.alone and name in HOST_VARIABLES:
            return
        yield _unknown_input(name, read.span, context, scope, read.beside)
    elif read.alone and declared.type != "boolean":
        related = (Related(declared.span, "declared here"),)
        yield diagnose("input-not-boolean", read.span, name=name, type=declared.type, related=related)


def _unknown_input(
    name: str, span: Span, context: Context, scope: Scope | None = None, beside: tuple[str, ...] = ()
) -> Diagnostic:
    close = closest(name, context.inputs)
    help: str | None = None
    if beside[1:] == ("status",):
        help = f'text stands in quotes: `"{name}"`'
    elif scope is not None and scope.producers(name):
        help = f"`{name}` is a step; ask for one of its markers: `{name}.MARKER`"
    elif close is not None:
        help = f"did you mean `{close}`?"
    elif beside:
        help = f'if it is text, put it in quotes: `"{name}"`; an input has to be declared: `inputs {{ {name} }}`'
    return diagnose("unknown-input", span, name=name, help=help)


def _loop_around(step: Statement, reader: Span, context: Context) -> str | None:
    """The key of the innermost `foreach` that has the step in its body and not who reads it."""
    found = None
    for loop in context.statements:
        if isinstance(loop, ForEachBlock) and loop.span.start < step.span.start < loop.span.end <= reader.start:
            found = loop.key
    return found


def missing_result(key: str, span: Span, scope: Scope, context: Context, place: str) -> Iterator[Diagnostic]:
    """The finding for a result that does not exist at a place; nothing if it does or may."""
    if scope.producers(key) or (scope.opaque and key not in context.producers):
        return
    span = Span(span.file, span.start, min(span.end, span.start + len(key)), span.line, span.column)
    later = context.producers.get(key)
    if later is not None:
        here = (Related(name_span(later), f"`{key}` stands here"),)
        loop = _loop_around(later, span, context)
        if later.span.end > span.start:
            yield diagnose("later-step", span, name=key, place=place, related=here)
        elif loop is not None:
            yield diagnose("inside-items", span, name=key, place=place, loop=loop, related=here)
        else:
            yield diagnose("other-branch", span, name=key, place=place, related=here)
        return
    close = closest(key, scope.keys())
    help = None
    if close is not None:
        found = context.producers.get(close)
        help = f"did you mean `{close}`" + (f" (line {found.span.line})?" if found else "?")
    yield diagnose("unknown-step", span, name=key, place=place, help=help)
