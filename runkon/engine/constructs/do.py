"""`do`: statements in sequence. Its `output` and `with` reached the calls inside when the plan was made."""

from __future__ import annotations

from runkon.engine.ends import BodyFailed
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
    path, leg = scope.path_of(planned), scope.leg
    failed_before = len(scope.failures)
    try:
        run_body(planned.bodies[0], scope.inside(f"{path}/", f"{scope.order_of(planned)}.", scope.iteration))
    except BodyFailed as failed:
        leg.ended_badly(planned.key, path, failed.failure)
        raise
    if len(scope.failures) == failed_before:
        leg.ended(planned.key, path)
    elif leg.until in (planned.key, path):  # the walk was to go on after failures, but not after this block
        raise BodyFailed(scope.failures[failed_before])
