"""Static facts: how much a workflow can cost at most, and what it needs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from runkon.language.checks.context import Context
from runkon.language.checks.resources import Missing, missing_resources
from runkon.language.keys import bodies, result_key, step_options
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
    Number,
    ParallelBlock,
    ScriptStep,
    SetStatement,
    Statement,
    StepOptions,
    Text,
    WhileBlock,
    Word,
    Workflow,
)
from runkon.language.program import CheckedWorkflow, Facts
from runkon.named import NamedTuple
from runkon.pattern import pattern

_WHOLE = pattern(r"-?[0-9]{1,9}")


class Bound(NamedTuple):
    """Upper bounds of agent calls in all and of agents at once; None where there is none."""

    calls: int | None
    at_once: int | None


NOTHING = Bound(0, 0)
UNBOUNDED = Bound(None, None)


def facts_of(context: Context, children: Mapping[str, Facts], *, ends: bool = True) -> Facts:
    """The facts of one workflow; `children` are those of the workflows it calls, as far as they are known. Unless
    the calls of workflows `ends` somewhere there are no bounds."""
    bound = _Bounds(children).of(context.workflow) if ends else UNBOUNDED
    meta, statements = context.workflow.meta, context.statements
    gone = tuple(missing_resources(context))
    absent = {(missing.kind, missing.name) for missing in gone}
    missing = [*(f"{kind}:{name}" for kind, name, _ in gone), *_missing_workflows(context)]
    providers = (_provider_of(s) for s in statements if isinstance(s, ForEachBlock))
    reducers = (channel.reducer for channel in context.workflow.state)
    return Facts(
        calls_max=_least(bound.calls, meta.max_calls),
        concurrency_max=_least(bound.at_once, meta.max_parallel),
        gates=_own_and_below((s.key for s in statements if isinstance(s, GateStep)), children, "gates"),
        scripts=_own_and_below((s.name for s in statements if isinstance(s, ScriptStep)), children, "scripts"),
        inputs_required=_unique(declared.name for declared in context.workflow.inputs if declared.required),
        executors=_all(_executors(context, gone), children, "executors"),
        missing=_all(missing, children, "missing"),
        providers=_all((p for p in providers if p and ("provider", p) not in absent), children, "providers"),
        reducers=_all((r for r in reducers if ("reducer", r) not in absent), children, "reducers"),
    )


def _own_and_below(own: Iterable[str], children: Mapping[str, Facts], name: str) -> tuple[str, ...]:
    """What stands in the workflow, and in those it calls: `called/gate`."""
    below = (f"{child}/{one}" for child, facts in children.items() for one in getattr(facts, name))
    return _unique([*own, *below])


def _all(own: Iterable[str], children: Mapping[str, Facts], name: str) -> tuple[str, ...]:
    """What a run of the workflow needs, wherever it is named."""
    return _unique([*own, *(one for facts in children.values() for one in getattr(facts, name))])


def _least(*bounds: int | None) -> int | None:
    return min((bound for bound in bounds if bound is not None), default=None)


def _provider_of(statement: ForEachBlock) -> str | None:
    over = statement.over
    return over.text if isinstance(over, Word) and "." not in over.text else None


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
        if (options := step_options(statement)) is not None:
            helpers = (options.fallback, options.on_fail)
            found += [helper.text for helper in helpers if isinstance(helper, AgentRef)]
    return tuple(name for name in _unique(found) if name not in absent)


def _unique(names: Iterable[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(names))


# ── bounds ────────────────────────────────────────────────────────────────────────────────────────
class _Bounds:
    """Adds up the statements of one workflow, given the facts of those it calls."""

    def __init__(self, children: Mapping[str, Facts]) -> None:
        self._children = children

    def of(self, workflow: Workflow) -> Bound:
        return _sequence([self._body(workflow.body), self._body(workflow.always)])

    def _body(self, body: Iterable[Statement]) -> Bound:
        return _sequence([self._statement(statement) for statement in body])

    def _statement(self, statement: Statement) -> Bound:
        match statement:
            case CallStep(options=options):
                return Bound(1 + options.retries + _helpers(options), 1)
            case ScriptStep(options=options):
                return _agents_beside(options)
            case CallWorkflow(options=options):
                child = _times(self._child(statement.workflow), 1 + options.retries)
                return _sequence([child, _agents_beside(options)])
            case WhileBlock() | DoWhileBlock():
                return _times(self._body(statement.body), statement.max_iterations)
            case ParallelBlock():
                return self._parallel(statement)
            case ForEachBlock():
                return self._foreach(statement)
            case IfBlock():
                arms = [self._body(body) for body in bodies(statement)]
                return Bound(_largest(arm.calls for arm in arms), _largest(arm.at_once for arm in arms))
            case DoBlock() | AlwaysBlock():
                return self._body(statement.body)
            case GateStep() | SetStatement():
                return NOTHING

    def _child(self, name: str) -> Bound:
        facts = self._children.get(name)
        return UNBOUNDED if facts is None else Bound(facts.calls_max, facts.concurrency_max)

    def _parallel(self, statement: ParallelBlock) -> Bound:
        branches = [self._statement(branch) for branch in statement.body]
        calls = _sum(branch.calls for branch in branches)
        widths = [branch.at_once for branch in branches if branch.at_once is not None]
        if len(widths) < len(branches):
            return Bound(calls, None)
        return Bound(calls, sum(sorted(widths, reverse=True)[: statement.max_parallel]))

    def _foreach(self, statement: ForEachBlock) -> Bound:
        once = self._child(statement.workflow or "") if statement.body is None else self._body(statement.body)
        if once.calls == 0:
            return NOTHING
        items = _least(statement.max_items, _number_of_items(statement))
        width = max(statement.max_parallel, 1) if items is None else min(max(statement.max_parallel, 1), items)
        at_once = None if once.at_once is None else once.at_once * width
        return Bound(None if items is None or once.calls is None else once.calls * items, at_once)


def calls_bound(program: CheckedWorkflow) -> int | None:
    """The most calls of agents that a run of a checked workflow can make; None if there is no bound."""
    return _bound_of(program, {}).calls


def _bound_of(program: CheckedWorkflow, known: dict[int, Bound]) -> Bound:
    if id(program) not in known:
        below = {name: _bound_of(child, known) for name, child in program.children.items()}
        children = {name: Facts(bound.calls, bound.at_once, (), (), (), (), ()) for name, bound in below.items()}
        bound, meta = _Bounds(children).of(program.workflow), program.workflow.meta
        known[id(program)] = Bound(_least(bound.calls, meta.max_calls), _least(bound.at_once, meta.max_parallel))
    return known[id(program)]


def _number_of_items(statement: ForEachBlock) -> int | None:
    """How many items a list or a range of written numbers has; None for any other."""
    if isinstance(statement.over, ListValue):
        return len(statement.over.items)
    if _provider_of(statement) != "range":
        return None
    written = {entry.name: entry.value for entry in statement.scope or ()}
    numbers = {name: v.text for name, v in written.items() if isinstance(v, Text | Word | Number)}
    ends = [numbers.get("from", "1"), numbers.get("to", ""), numbers.get("step", "1")]
    if not all(_WHOLE.fullmatch(end) for end in ends) or int(ends[2]) == 0:
        return None
    first, last, step = map(int, ends)
    return len(range(first, last + (1 if step > 0 else -1), step))


def _helpers(options: StepOptions) -> int:
    """Agents that may be called besides the step's own attempts: its fallback, and the one told of the failure."""
    return int(isinstance(options.on_fail, AgentRef)) + int(options.fallback is not None)


def _agents_beside(options: StepOptions) -> Bound:
    return Bound(_helpers(options), min(_helpers(options), 1))


def _sequence(parts: Sequence[Bound]) -> Bound:
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
