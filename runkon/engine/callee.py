"""Who carries out a step: an executor of that name, else an agent file and the runtime chosen for it.

A leg keeps what was found under one name each, so that whoever needs the executor of a step asks `leg.executor`.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from runkon.language.nodes import AgentRef, CallStep

if TYPE_CHECKING:
    from runkon.engine.open_step import OpenStep
    from runkon.engine.plan import Leaf
    from runkon.engine.scope import Leg, Scope
    from runkon.model.ports import ActionExecutor, Executors


def callee(leaf: Leaf, scope: Scope) -> str:
    """The name by which the leg knows who carries out the step: the one the run's settings name for its key, else the
    option `executor`, else the agent itself."""
    chosen = scope.leg.config.executors.get(leaf.key) or leaf.options.executor
    node = leaf.node
    return _known(node.agent, chosen, leaf, scope) if isinstance(node, CallStep) else chosen or leaf.called


def fallback(leaf: Leaf, scope: Scope) -> str:
    """The same for the agent that is called in place of the one that failed."""
    ref = leaf.options.fallback
    assert ref is not None
    return _known(ref, None, leaf, scope)


def supplier(executor: ActionExecutor) -> str:
    """Who is not asked again in the same leg once they have failed for good."""
    try:
        name = getattr(executor, "supplier", None)
        return executor.name if name is None else str(name)
    except Exception:  # noqa: BLE001  of a plugin: then nobody else is behind it
        return executor.name


def most_cost(attempts: OpenStep, executor: ActionExecutor) -> float | None:
    """What the next attempt costs at most, in dollars: what its step says, else what its executor says of it; None
    where that is no amount."""
    leg, said = attempts.scope.leg, attempts.leaf.options.max_cost_usd
    ask = getattr(executor, "most_cost_usd", None)
    if said is not None or ask is None or leg.ledger is None or not leg.ledger.bounds_cost:
        return said
    from runkon.engine.request import make_request  # late: only calls with a price under a budget

    try:
        found: object = ask(make_request(attempts, attempts.scope.token, None))
    except Exception:  # noqa: BLE001  of a plugin, or of a request that can't be made: the attempt will say why
        return None
    return found if isinstance(found, int | float) and 0 <= found < math.inf else None


def may_cost(executors: Executors) -> bool:
    """False if nothing there can cost money."""
    if getattr(executors, "is_metered", None) is not None:
        return True
    return any(one is not None and one.metered for one in map(executors.find, executors.names()))


def costs(executors: Executors, name: str) -> bool:
    """True if calls of the executor, or the runtime, of that name cost money."""
    ask = getattr(executors, "is_metered", None)
    if ask is not None:
        return bool(ask(name))
    executor = executors.find(name)
    return executor is not None and executor.metered


def _known(ref: AgentRef, chosen: str | None, leaf: Leaf, scope: Scope) -> str:
    leg = scope.leg
    name = chosen or ref.text
    if (chosen or ref.form == "name") and leg.executor(name) is not None:
        return name
    return name if leg.find_agent is None else _agent(ref, chosen, leaf, scope)


def _agent(ref: AgentRef, chosen: str | None, leaf: Leaf, scope: Scope) -> str:
    """An agent file; `chosen` is then the runtime for it. What can't be found is told by the attempt."""
    from runkon.model.agents import AgentCall, AgentChoice, AgentRefused  # late: only runs with agents pay for it

    leg: Leg = scope.leg
    config, facts, model = leg.config, scope.env.facts, leaf.options.model
    dirs = leaf.options.plugin_dirs
    key = "\0".join((ref.form, ref.text, facts.workflow, chosen or "", model or "", *dirs))
    call = AgentCall(
        name=ref.text,
        form=ref.form,
        workflow=facts.workflow,
        roots=config.roots or (config.working_dir.absolute(),),
        plugin_dirs=dirs,
        runtime=chosen,
        model=model,
        choice=AgentChoice.from_json(config.agents),
    )
    try:
        leg.keep_agent(key, call)
    except AgentRefused as error:
        leg.exhausted[key] = f"{error.message}\nhelp: {error.help}" if error.help else error.message
    return key
