"""The limits of a run, and those that a called workflow has of its own."""

from __future__ import annotations

from typing import TYPE_CHECKING

from runkon.language.keys import all_statements
from runkon.language.nodes import CallWorkflow
from runkon.named import NamedTuple

if TYPE_CHECKING:
    from runkon.engine.config import RunConfig
    from runkon.language.nodes import Meta
    from runkon.language.program import CheckedWorkflow

MICRO = 1_000_000


class Limits(NamedTuple):
    """The most a run may use; None: any amount. `cost` in millionths of a dollar."""

    cost: int | None = None
    calls: int | None = None
    tokens: int | None = None


def limits_of(meta: Meta, config: RunConfig) -> Limits:
    """The lower of what the workflow and the command line say; what a resume was given replaces both."""
    given, new = {"budget_usd": config.budget_usd, "max_calls": config.max_calls}, config.new_limits

    def lowest(name: str) -> float | None:
        again = new.get(name)
        if isinstance(again, int | float):
            return again
        return min((one for one in (getattr(meta, name), given.get(name)) if one is not None), default=None)

    cost, calls, tokens = lowest("budget_usd"), lowest("max_calls"), lowest("max_tokens")
    return Limits(
        None if cost is None else round(cost * MICRO),
        None if calls is None else int(calls),
        None if tokens is None else int(tokens),
    )


def own_limits(meta: Meta, cap: float | None = None) -> Limits | None:
    """Those that a workflow has of its own, None if it has none; `cap` is what its call allows it, in dollars."""
    costs = [one for one in (meta.budget_usd, cap) if one is not None]
    if not costs and meta.max_calls is None and meta.max_tokens is None:
        return None
    return Limits(round(min(costs) * MICRO) if costs else None, meta.max_calls, meta.max_tokens)


def limits_below(program: CheckedWorkflow) -> bool:
    """True if a workflow that is called somewhere has limits of its own."""
    known = {id(program): program}
    waiting = [program]
    while waiting:
        one = waiting.pop()
        calls = (statement for statement in all_statements(one.workflow) if isinstance(statement, CallWorkflow))
        if any(call.options.max_cost_usd is not None for call in calls):
            return True
        for child in one.children.values():
            if own_limits(child.workflow.meta) is not None:
                return True
            if id(child) not in known:
                known[id(child)] = child
                waiting.append(child)
    return False
