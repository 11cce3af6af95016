"""A nested `always`: a walk that starts with a clean failure flag. The block of the whole workflow is run by the
runner, at every end of a leg."""

from __future__ import annotations

from runkon.engine.interpreter import run_body
from runkon.engine.plan import Planned
from runkon.engine.scope import Scope


def run_always(planned: Planned, scope: Scope) -> None:
    """Run the body; what fails inside counts outside only once the body has ended."""
    inner = scope.with_env(scope.env)
    try:
        run_body(planned.bodies[0], inner)
    finally:
        scope.failures.extend(inner.failures)
