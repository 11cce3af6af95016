"""`do`: statements in sequence. Its `output` and `with` reached the calls inside when the plan was made."""

from __future__ import annotations

from runkon.engine.interpreter import run_body
from runkon.engine.plan import Planned
from runkon.engine.scope import Scope
from runkon.language.nodes import DoBlock


def run_do(planned: Planned, scope: Scope) -> None:
    """Run the body. A name adds a segment to the paths inside."""
    assert isinstance(planned.node, DoBlock)
    if planned.node.name is None:
        run_body(planned.bodies[0], scope)
        return
    prefix, order = f"{scope.path_of(planned)}/", f"{scope.order_of(planned)}."
    run_body(planned.bodies[0], scope.inside(prefix, order, scope.iteration))
