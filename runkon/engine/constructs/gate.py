"""`gate`: a step that somebody, or something, decides. It has one record, like any step, and holds no slot."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from runkon.engine.ends import Failure
from runkon.engine.gate_terms import Verdict, at_timeout, judged
from runkon.engine.outcome import stopped_before
from runkon.engine.plan import Planned
from runkon.engine.results import StepResult
from runkon.engine.scope import Scope, replay_mismatch
from runkon.engine.stopping import look_up
from runkon.engine.updates import write_output
from runkon.failpoints import failpoint
from runkon.language.nodes import GateStep
from runkon.model.decisions import APPROVED, REJECTED
from runkon.model.events import Event, StepCompleted, StepFailed, StepTimedOut
from runkon.model.failures import StepFailure
from runkon.model.output import EMPTY, NO_OUTPUT, JsonValue
from runkon.model.records import StepError, StepInfo, StepRecord
from runkon.model.status import StepStatus

if TYPE_CHECKING:
    from runkon.model.ids import StepPath

DRY_RUN = "dry-run"  # who approves in a dry run


def run_gate(planned: Planned, scope: Scope) -> None:
    """Settle the gate and put its result where conditions find it. Raises `BodyFailed`, `Stopped`, `Waits`."""
    node = planned.node
    assert isinstance(node, GateStep)
    path, leg = scope.path_of(planned), scope.leg
    record = leg.recorded.get(path)
    if record is not None:
        if (record.info.kind, record.info.name) != ("gate", node.type) and record.status is not StepStatus.PENDING:
            raise replay_mismatch(path, record.info, "gate", node.type)
        leg.visited.add(path)
        if record.status is StepStatus.CANCELLED and record.handled is not None:
            raise stopped_before()
    if scope.token.is_recall:
        look_up(planned, scope, record)
    if record is not None and record.is_settled:
        result = _replayed(node, scope, record)
    else:
        result = _settle(node, scope, path, scope.info_of(planned))
    _put(node, scope, path, result)


def _put(node: GateStep, scope: Scope, path: StepPath, result: StepResult) -> None:
    results, output = scope.env.results, result.output
    results.put(node.key, result)
    write_output(path, result, scope)
    feedback = output.values.get("feedback")
    if isinstance(feedback, str):
        results.give_feedback(feedback)
    if scope.strand.markers is not None:
        scope.strand.markers |= output.markers
    if result.error is not None and not _goes_on(node, result):
        verb = "" if result.status is StepStatus.TIMED_OUT else "failed: "  # that time was up, the message says
        failure = Failure(path, f"gate `{node.key}` {verb}{result.error.message}", "step_failed", (path,))
        scope.leg.ended_badly(node.key, path, failure)
        scope.fail(failure)
    else:
        scope.leg.ended(node.key, path)


def _goes_on(node: GateStep, result: StepResult) -> bool:
    return result.status is StepStatus.TIMED_OUT and node.on_timeout == "continue"


# ── how it ends ───────────────────────────────────────────────────────────────────────────────────
def _settle(node: GateStep, scope: Scope, path: StepPath, info: StepInfo) -> StepResult:
    leg = scope.leg
    try:
        if node.type == "quality_gate":
            verdict = judged(node, scope.env, leg.clock.now_ms())
            return _close(node, scope, path, verdict, (), info)
        if leg.config.dry_run:
            verdict = Verdict(APPROVED, DRY_RUN, DRY_RUN, leg.clock.now_ms(), values=_made_up(node, scope))
            return _close(node, scope, path, verdict, (), info)
        assert leg.decide_gate is not None
        decided = leg.decide_gate(node, scope, path, info)
    except StepFailure as failure:
        error = StepError("value", failure.message)
        leg.recorder.append(StepFailed(path=path, error=error, info=info, epoch=leg.epoch_of(path)))
        return StepResult(node.key, StepStatus.FAILED, NO_OUTPUT, error, 0, scope.iteration, block=True)
    failpoint("before_apply", path)
    return _close(node, scope, path, decided.verdict, decided.before, None)


def _made_up(node: GateStep, scope: Scope) -> Mapping[str, JsonValue]:
    if node.form is None:
        return EMPTY
    from runkon.engine.fitting import made_up_form  # late: few gates have a form

    return made_up_form(node.form, scope)


def _close(
    node: GateStep, scope: Scope, path: StepPath, verdict: Verdict, before: tuple[Event, ...], info: StepInfo | None
) -> StepResult:
    """Record how the gate was decided and what that comes to, in one transaction."""
    epoch, output = scope.leg.epoch_of(path), verdict.output()
    event: Event = StepCompleted(path=path, output=output, info=info, epoch=epoch)
    status, error = StepStatus.COMPLETED, None
    if verdict.decision == REJECTED and (node.on_fail if node.source is not None else node.on_reject) == "fail":
        status, error = StepStatus.FAILED, StepError("rejected", _rejected(node, verdict))
        event = StepFailed(path=path, error=error, info=info, epoch=epoch, output=output)
    elif verdict.decision not in (APPROVED, REJECTED):
        status, error = StepStatus.TIMED_OUT, StepError("timeout", verdict.reason)
        handled = "continue" if node.on_timeout == "continue" else None
        event = StepTimedOut(path=path, error=error, info=info, epoch=epoch, handled=handled)
    scope.leg.recorder.append(*before, event)
    failpoint("after_decide", path)
    return StepResult(node.key, status, output, error, 0, scope.iteration, block=True)


def _rejected(node: GateStep, verdict: Verdict) -> str:
    if node.source is not None:
        return verdict.reason
    said = f": {verdict.reason}" if verdict.reason else ""
    return f"`{node.key}` was rejected by {verdict.by}{said}"


def _replayed(node: GateStep, scope: Scope, record: StepRecord) -> StepResult:
    """The result a settled gate gave, exactly as it was first seen."""
    failpoint("during_replay", record.path)
    output = record.output
    if record.status is StepStatus.TIMED_OUT:
        assert scope.leg.deadline_of is not None
        due = scope.leg.deadline_of(record.path)
        output = at_timeout(node, due or record.ended_at or 0).output()
    return StepResult(node.key, record.status, output, record.error, 0, scope.iteration, block=True)
