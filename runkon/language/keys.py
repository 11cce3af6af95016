"""Under which key the result of a statement is found, and how a tree of statements is walked."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

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
    ParallelBlock,
    ScriptStep,
    Statement,
    StepOptions,
    WhileBlock,
    Workflow,
)

_STEPS = (CallStep, ScriptStep, CallWorkflow)


def agent_key(agent: AgentRef) -> str:
    """An agent's name, or the stem of its file: `.claude/agents/plan.md` is `plan`, `a.v2.md` is `a.v2`."""
    if agent.form == "name":
        return agent.text
    last = agent.text.rstrip("/").rpartition("/")[2]
    if last in ("", "."):
        return agent.text
    stem = last.rpartition(".")[0]
    return stem or last


def result_key(statement: Statement) -> str | None:
    """The key a statement's result is stored under; None for a block without a result of its own."""
    match statement:
        case CallStep():
            return statement.options.id or agent_key(statement.agent)
        case ScriptStep():
            return statement.options.id or statement.name
        case CallWorkflow():
            return statement.options.id or statement.workflow
        case GateStep() | ForEachBlock():
            return statement.key
        case ParallelBlock():
            return statement.name
        case _:
            return None


def step_options(statement: Statement) -> StepOptions | None:
    """The options of a step; None for blocks and gates."""
    return statement.options if isinstance(statement, _STEPS) else None


def bodies(statement: Statement) -> tuple[tuple[Statement, ...], ...]:
    """The bodies directly inside a statement, in text order."""
    match statement:
        case IfBlock():
            arms = tuple(arm.body for arm in statement.arms)
            return arms if statement.orelse is None else (*arms, statement.orelse)
        case WhileBlock() | DoWhileBlock() | DoBlock() | ParallelBlock() | AlwaysBlock():
            return (statement.body,)
        case ForEachBlock():
            return () if statement.body is None else (statement.body,)
        case _:
            return ()


def walk(body: Iterable[Statement]) -> Iterator[Statement]:
    """Every statement of a body at every depth, in text order; deep nesting costs no recursion."""
    stack = [iter(body)]
    while stack:
        for statement in stack[-1]:
            yield statement
            if not isinstance(statement, _STEPS) and (inner := bodies(statement)):
                stack.extend(map(iter, reversed(inner)))
                break
        else:
            stack.pop()


def all_statements(workflow: Workflow) -> Iterator[Statement]:
    """Every statement of a workflow: its body, then its top-level `always`."""
    yield from walk(workflow.body)
    yield from walk(workflow.always)


def call_schemas(workflow: Workflow) -> dict[int, str]:
    """The schema that the answer of each call has to match, by the identity of its statement: its own, else that of
    the nearest `do` around it; a `parallel` lends its own, and nothing from further out."""
    found: dict[int, str] = {}
    _lend(workflow.body, None, found)
    _lend(workflow.always, None, found)
    return found


def _lend(body: Iterable[Statement], lent: str | None, found: dict[int, str]) -> None:
    for statement in body:
        if isinstance(statement, CallStep):
            schema = statement.options.output or lent
            if schema is not None:
                found[id(statement)] = schema
        elif isinstance(statement, ParallelBlock):
            _lend(statement.body, statement.output, found)
        else:
            own = statement.output if isinstance(statement, DoBlock) else None
            for inner in bodies(statement):
                _lend(inner, own or lent, found)
