"""`if`, `unless`, `else if`, `else`: at most one body runs, in the walk around it."""

from __future__ import annotations

from runkon.engine.group import Branch
from runkon.engine.interpreter import run_body
from runkon.engine.plan import Planned
from runkon.engine.scope import Scope
from runkon.language.nodes import IfBlock


def run_branch(planned: Planned, scope: Scope) -> None:
    """Test the arms in text order and run the first that holds; steps of the others leave no record."""
    node = planned.node
    assert isinstance(node, IfBlock)
    path = scope.path_of(planned)
    for number, arm in enumerate(node.arms):
        choice = scope.env.evaluate(arm.condition)
        is_negated = node.negated and number == 0
        is_taken = choice.result is not is_negated
        scope.chose(path, "unless" if is_negated else "if", choice, result=is_taken)
        if is_taken:
            run_body(planned.bodies[number], scope)
            return
    if node.orelse is not None:
        run_body(planned.bodies[-1], scope)
    elif isinstance(scope.strand, Branch) and scope.strand.planned is planned:
        scope.strand.is_taken = False
