"""`set`: updates of state channels from the file. It is no step: a later leg does it again, over restored values."""

from __future__ import annotations

from runkon.engine.ends import Failure
from runkon.engine.plan import Planned
from runkon.engine.scope import Scope
from runkon.language.nodes import SetStatement
from runkon.model.events import StateSet
from runkon.model.failures import StepFailure
from runkon.model.json_text import check_json
from runkon.model.secrets import redact_json


def run_set(planned: Planned, scope: Scope) -> None:
    """Compute all values, then make all updates or none. Values that can't be computed or do not fit end the walk."""
    from runkon.engine.state import Update  # late: few workflows have channels

    node, path, state = planned.node, scope.path_of(planned), scope.env.state
    assert isinstance(node, SetStatement)
    assert state is not None  # a check has seen that all channels are declared
    try:
        values = {entry.name: scope.env.at(path).value(entry.value) for entry in node.updates}
        kept = redact_json(check_json(values, "`set`"), scope.leg.secrets)
        assert isinstance(kept, dict)
        state.apply([Update(path, name, value) for name, value in kept.items()])
    except (StepFailure, ValueError) as problem:
        message = problem.message if isinstance(problem, StepFailure) else str(problem)
        where = f"{node.span.file}:{node.span.line}"
        is_conflict = isinstance(problem, StepFailure) and problem.kind == "state-conflict"
        reason = "state_conflict" if is_conflict else "invalid_value"
        scope.fail(Failure(path, f"`set` ({where}) failed: {message}", reason))
        return
    scope.leg.recorder.append(StateSet(path=path, updates=kept))
