"""`call`: one step, done by an executor."""

from __future__ import annotations

from runkon.engine.attempt import run_leaf
from runkon.engine.plan import Leaf
from runkon.engine.scope import Scope


def run_call(leaf: Leaf, scope: Scope) -> None:
    """Settle the step. The executor is the one the run's settings name for its key, else the option `executor`, else
    the agent."""
    if leaf.options.isolation is None:
        run_leaf(leaf, scope)
        return
    from runkon.engine.isolation import run_isolated  # late: few steps have a worktree

    run_isolated(leaf, scope, run_leaf)
