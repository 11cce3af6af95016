"""Static facts: how much a workflow can cost at most, and what it needs."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from runkon.language.checks.context import Context
from runkon.language.checks.resources import Missing, missing_resources
from runkon.language.checks.workflows import child_context
from runkon.language.keys import result_key
from runkon.language.nodes import (
    AgentRef,
    AlwaysBlock,
    CallStep,
    CallWorkflow,
    DoBlock,
    DoWhileBlock,
    ForEachBlock,
    GateStep,
    IfBlock,
    ListValue,
    ParallelBlock,
    ScriptStep,
    Statement,
    StepOptions,
    WhileBlock,
)
from runkon.language.program import Facts


class Bound(NamedTuple):
    """Upper bounds of agent calls in all and of agents at once; None where there is none."""

    calls: int | None
    at_once: int | None


NOTHING = Bound(0, 0)
UNBOUNDED = Bound(None, None)


def facts_of(context: Context, *, bounded: bool = True) -> Facts:
    """The facts of one workflow. `bounded=False` leaves out the bounds: calls that go round in circles have none."""
    bound = _whole(context) if bounded else UNBOUNDED
    limit = context.workflow.meta.max_parallel
    at_once = bound.at_once if limit is None or bound.at_once is None else min(bound.at_once, limit)
    statements = context.statements
    gone = tuple(missing_resources(context))
    return Facts(
        calls_max=bound.calls,
        concurrency_max=at_once if at_once is not None else limit,
        gates=_unique(s.key for s in statements if isinstance(s, GateStep)),
        scripts=_unique(s.name for s in statements if isinstance(s, ScriptStep)),
        inputs_required=_unique(declared.name for declared in context.workflow.inputs if declared.required),
        executors=_executors(context, gone),
        missing=_unique([*(f"{kind}:{name}" for kind, name, _ in gone), *_missing_workflows(context)]),
    )


def _missing_workflows(context: Context) -> list[str]:
    return [
        f"workflow:{name}"
        for name, loaded in context.children.items()
        if loaded.workflow is None and (loaded.places or loaded.problem)
    ]


def _executors(context: Context, gone: Iterable[Missing]) -> tuple[str, ...]:
    """Everything that carries out steps of this workflow and is there."""
    absent = {missing.name for missing in gone if missing.kind in ("agent", "executor", "runtime")}
    found = []
    for statement in context.statements:
        if isinstance(statement, ScriptStep):
            found.append("script")
        elif isinstance(statement, CallStep):
            override = context.overrides.get(result_key(statement) or "")
            found.append(override or statement.options.executor or statement.agent.text)
    return tuple(name for name in _unique(found) if name not in absent)


def _unique(names: Iterable[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(names))


# ── bounds ────────────────────────────────────────────────────────────────────────────────────────
def _whole(context: Context) -> Bound:
    return _sequence((_body(context.workflow.body, context), _body(context.workflow.always, context)))


def _body(body: Iterable[Statement], context: Context) -> Bound:
    return _sequence(_statement(statement, context) for statement in body)


def _statement(statement: Statement, context: Context) -> Bound:
    match statement:
        case CallStep(options=options):
            return Bound(1 + options.retries + _extra_calls(options), 1)
        case ScriptStep(options=options):
            return _agents_beside(options)
        case CallWorkflow(options=options):
            return _sequence(
                (_times(_child(statement.workflow, context), 1 + options.retries), _agents_beside(options))
            )
        case IfBlock():
            return _if(statement, context)
        case WhileBlock() | DoWhileBlock():
            return _times(_body(statement.body, context), statement.max_iterations)
        case DoBlock() | AlwaysBlock():
            return _body(statement.body, context)
        case ParallelBlock():
            return _parallel(statement, context)
        case ForEachBlock():
            return _foreach(statement, context)
        case GateStep():
            return NOTHING


def _extra_calls(options: StepOptions) -> int:
    return int(isinstance(options.on_fail, AgentRef)) + int(options.fallback is not None)


def _agents_beside(options: StepOptions) -> Bound:
    extra = _extra_calls(options)
    return Bound(extra, min(extra, 1))


def _child(name: str, context: Context) -> Bound:
    loaded = context.children[name]
    return UNBOUNDED if loaded.workflow is None else _whole(child_context(context, loaded))


def _if(statement: IfBlock, context: Context) -> Bound:
    arms = [_body(arm.body, context) for arm in statement.arms]
    arms += [] if statement.orelse is None else [_body(statement.orelse, context)]
    return Bound(_largest(arm.calls for arm in arms), _largest(arm.at_once for arm in arms))


def _parallel(statement: ParallelBlock, context: Context) -> Bound:
    branches = [_statement(branch, context) for branch in statement.body]
    calls = _sum(branch.calls for branch in branches)
    widths = [branch.at_once for branch in branches]
    if None in widths:
        return Bound(calls, None)
    widest = sorted((width for width in widths if width is not None), reverse=True)
    return Bound(calls, sum(widest[: statement.max_parallel]))


def _foreach(statement: ForEachBlock, context: Context) -> Bound:
    body = statement.body
    once = _body(body, context) if body is not None else _child(statement.workflow or "", context)
    items = statement.max_items
    if isinstance(statement.over, ListValue):
        items = min(len(statement.over.items), items or len(statement.over.items))
    width = max(statement.max_parallel, 1) if items is None else min(max(statement.max_parallel, 1), items)
    at_once = None if once.at_once is None else once.at_once * width
    if once.calls == 0:
        return Bound(0, 0)
    return Bound(None if items is None or once.calls is None else once.calls * items, at_once)


def _sequence(parts: Iterable[Bound]) -> Bound:
    parts = tuple(parts)
    return Bound(_sum(part.calls for part in parts), _largest(part.at_once for part in parts))


def _times(once: Bound, number: int) -> Bound:
    if number == 0 or once.calls == 0:
        return NOTHING
    return Bound(None if once.calls is None else once.calls * number, once.at_once)


def _sum(numbers: Iterable[int | None]) -> int | None:
    total = 0
    for number in numbers:
        if number is None:
            return None
        total += number
    return total


def _largest(numbers: Iterable[int | None]) -> int | None:
    largest = 0
    for number in numbers:
        if number is None:
            return None
        largest = max(largest, number)
    return largest
