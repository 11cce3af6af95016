"""What a statement leaves that was stopped for good: its end on record, and a result, so that an earlier one under its
key does not answer for it. And how a walk that only looks at the record ends.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from runkon.engine.cancellation import FINAL, UNTIL_REACHED, Recall
from runkon.engine.ends import Stopped
from runkon.engine.results import StepResult
from runkon.model.status import StepStatus

if TYPE_CHECKING:
    from runkon.engine.cancellation import CancelReason, Token
    from runkon.engine.plan import Planned
    from runkon.engine.scope import Scope
    from runkon.model.records import StepRecord

BLOCKS = frozenset(
    {"foreach", "parallel"}
)  # kinds of statements that record their stop here, once what is inside ended
WALKED = BLOCKS | {"call_workflow"}
_SKIPS = frozenset({"until_reached", "always_grace"})
_WITHDRAWING = frozenset({"until_reached", "fail_fast"})


def leave_stopped(planned: Planned, scope: Scope, stopped: Stopped) -> None:
    """What follows for the statement of a walk that was stopped inside of it."""
    if not planned.kind or stopped.is_untouched or stopped.reason.kind not in FINAL:
        return
    if isinstance(scope.token, Recall) and scope.token.why is None:
        return
    if planned.kind in BLOCKS:
        record_stop(planned, scope, stopped.reason)
        stopped.is_recorded = True
    if stopped.is_recorded:
        scope.env.results.put(planned.key, stopped_result(planned, scope, stopped.reason, attempts=1))


def stopped_result(planned: Planned, scope: Scope, reason: CancelReason | None, *, attempts: int) -> StepResult:
    """What later steps see of it."""
    record = scope.leg.recorded.get(scope.path_of(planned))
    is_skipped = reason is not None and reason.kind in _SKIPS
    is_skipped = is_skipped or (record is not None and record.status is StepStatus.SKIPPED)
    status = StepStatus.SKIPPED if is_skipped else StepStatus.CANCELLED
    is_block = planned.kind in BLOCKS or planned.kind == "gate"
    attempts = 0 if is_block else attempts
    return StepResult(planned.key, status, attempts=attempts, iteration=scope.iteration, block=is_block)


def record_stop(planned: Planned, scope: Scope, reason: CancelReason) -> None:
    """The end of a statement that nobody has recorded: it was never begun, or its inside was stopped."""
    path, leg = scope.path_of(planned), scope.leg
    record = leg.recorded.get(path)
    if planned.kind != "gate" or record is None or record.status is not StepStatus.WAITING:
        scope.never_ran(planned, reason)
    elif leg.withdraw is not None and reason.kind in _WITHDRAWING:  # else the end of the run does it
        leg.withdraw(frozenset({path}), reason)


def leave_waiting(planned: Planned, scope: Scope, reason: CancelReason) -> None:
    """What follows for a statement whose walk waits for a decision which nobody needs any more."""
    if planned.kind in WALKED:
        record_stop(planned, scope, reason)
    if planned.kind:
        scope.env.results.put(planned.key, stopped_result(planned, scope, reason, attempts=1))


# ── walks that only look at the record ────────────────────────────────────────────────────────────
def look_up(planned: Planned, scope: Scope, record: StepRecord | None) -> None:
    """Raises `Stopped` unless the statement came to its own end on record."""
    if record is None or not record.is_settled or record.skip_reason == UNTIL_REACHED.kind:
        raise unsettled(planned, scope, record)


def look_into(planned: Planned, scope: Scope, *, is_seen: bool = False) -> None:
    """The same for a statement with others inside, unless it had begun and its end is to be told: those are looked at,
    too. If results from inside are to be seen outside (`is_seen`), also where its stop is on record."""
    path, leg = scope.path_of(planned), scope.leg
    record = leg.recorded.get(path)
    is_settled = record is not None and record.is_settled and not is_seen
    if (planned.kind and (is_settled or is_looking(scope))) or not leg.below(path):
        look_up(planned, scope, record)


def unsettled(planned: Planned, scope: Scope, record: StepRecord | None) -> Stopped:
    """What ends such a walk: something is left to do. If it had begun, its end is recorded, where the walk does so."""
    token = scope.token
    assert isinstance(token, Recall)
    if token.why is None or record is None or record.status is StepStatus.PENDING:
        return untouched()
    record_stop(planned, scope, token.why)
    stopped = Stopped(token.why)
    stopped.is_recorded = True
    return stopped


def untouched() -> Stopped:
    """The end of such a walk at something that was not begun, or that is left as it is."""
    stopped = Stopped(UNTIL_REACHED)
    stopped.is_untouched = True
    return stopped


def stop_of(token: Token) -> CancelReason | None:
    """Why work under this token ends early; None if it does not."""
    return token.why if isinstance(token, Recall) else token.reason


def is_looking(scope: Scope) -> bool:
    """True in a walk that looks at the record and leaves it as it is."""
    return isinstance(scope.token, Recall) and scope.token.why is None
