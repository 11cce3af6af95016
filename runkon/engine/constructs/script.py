"""`script`: one step, done by the executor named `script`, which gets the command with its values filled in."""

from __future__ import annotations

from runkon.engine.attempt import run_leaf
from runkon.engine.plan import Leaf
from runkon.engine.scope import Scope


def run_script(leaf: Leaf, scope: Scope) -> None:
    """Settle the step. In a dry run it completes without the command being executed."""
    if leaf.options.isolation is None:
        run_leaf(leaf, scope)
        return
    from runkon.engine.isolation import run_isolated  # late: few steps have a worktree

    run_isolated(leaf, scope, run_leaf)
