"""The walk: one statement after the other, each run by its construct."""

from __future__ import annotations

from functools import partial

from runkon.engine.ends import Stopped, Waits
from runkon.engine.plan import Planned
from runkon.engine.scope import Scope
from runkon.engine.stopping import leave_stopped, leave_waiting


def run_body(body: tuple[Planned, ...], scope: Scope) -> None:
    """Run the statements in order. Raises `BodyFailed` at the first failure where the run stops at one, `Stopped`
    when told to stop before a statement, and what a statement raises."""
    token = scope.token
    for planned in body:
        if token.reason is not None:
            raise Stopped(token.reason)
        try:
            planned.run(planned, scope)
        except Stopped as stopped:
            leave_stopped(planned, scope, stopped)
            raise
        except Waits as waits:
            waits.leave.append(partial(leave_waiting, planned, scope))
            raise
