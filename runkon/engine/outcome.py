"""How steps end: the events that say so, and the results later steps see."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from runkon.engine.account import CLOSED, INTERRUPTED, UNKNOWN
from runkon.engine.answers import Failed
from runkon.engine.cancellation import FAIL_FAST, FINAL, SILENT, CancelReason
from runkon.engine.dispatch import CLOCKS
from runkon.engine.ends import Failure, Stopped, reason_for
from runkon.engine.results import StepResult
from runkon.engine.reuse import difference, seen_by
from runkon.engine.scope import Leg, Scope
from runkon.engine.stopping import stopped_result
from runkon.failpoints import failpoint
from runkon.model.events import (
    AttemptCancelled,
    AttemptCutOff,
    AttemptFailed,
    AttemptTimedOut,
    Event,
    Note,
    StepCancelled,
    StepCompleted,
    StepFailed,
    StepSkipped,
    StepSuperseded,
    StepTimedOut,
)
from runkon.model.ids import StepPath, is_in_always
from runkon.model.output import NO_OUTPUT, Output, Usage
from runkon.model.records import StepError, StepRecord
from runkon.model.status import StepStatus

if TYPE_CHECKING:
    from runkon.engine.open_step import OpenStep
    from runkon.engine.plan import Leaf, Step
    from runkon.engine.scheduler import Strand

SKIP_BY_CONDITION = "condition"


# ── ends of steps ─────────────────────────────────────────────────────────────────────────────────
def complete(attempts: OpenStep, output: Output, *, is_degraded: bool = False) -> StepResult:
    """Queue the end; it is durable with the next commit, before anything can depend on it."""
    leg = attempts.scope.leg
    if is_degraded:
        output = replace(output, degraded=True)
    tree = attempts.scope.env.facts.tree
    if tree is not None:
        output = tree.told(attempts.path, output)
    failpoint("before_finish", attempts.path, attempts.number)
    seen = seen_by(attempts) if attempts.reads is not None else None
    leg.recorder.append(
        StepCompleted(
            path=attempts.path, output=output, epoch=attempts.epoch, elapsed_ms=attempts.elapsed_ms, seen=seen
        )
    )
    if leg.ledger is not None:
        leg.ledger.settle(leg.recorder, attempts.path, output.usage, CLOSED, answered=True)
    markers = attempts.scope.strand.markers
    if markers is not None:
        markers |= output.markers
    return StepResult(attempts.leaf.key, StepStatus.COMPLETED, output, None, attempts.number, attempts.scope.iteration)


def close_failed_attempt(attempts: OpenStep, failure: Failed) -> None:
    """Queue the end of one attempt; the step stays open."""
    kind = AttemptTimedOut if failure.error.kind in CLOCKS else AttemptFailed
    leg = attempts.scope.leg
    leg.recorder.append(
        kind(
            path=attempts.path,
            number=attempts.number,
            error=failure.error,
            epoch=attempts.epoch,
            usage=failure.usage,
            elapsed_ms=attempts.elapsed_ms,
            abandoned=failure.is_given_up,
        )
    )
    if leg.ledger is not None:
        leg.ledger.settle(leg.recorder, attempts.path, failure.usage, UNKNOWN if failure.is_given_up else CLOSED)
    if failure.is_given_up:
        _tell_given_up(leg, attempts.path)


def close_failed(attempts: OpenStep, failure: Failed, before: Sequence[Event] = ()) -> StepResult:
    """Queue that the step failed for good, in one transaction with the events `before`; the result later steps see has
    no markers."""
    leaf, scope = attempts.leaf, attempts.scope
    handled = "continue" if leaf.options.on_fail == "continue" else None
    status = StepStatus.FAILED
    event: Event
    if failure.error.kind in CLOCKS and attempts.number > 0:
        status = StepStatus.TIMED_OUT
        event = StepTimedOut(path=attempts.path, error=failure.error, epoch=attempts.epoch, handled=handled)
    else:
        event = StepFailed(
            path=attempts.path,
            error=failure.error,
            info=scope.info_of(leaf),
            epoch=attempts.epoch,
            handled=handled,
            seen=seen_by(attempts) if handled is not None else None,
        )
    failpoint("before_finish", attempts.path, attempts.number)
    scope.leg.recorder.append(*before, event)
    return StepResult(leaf.key, status, NO_OUTPUT, failure.error, attempts.number, scope.iteration)


def close_stopped(
    leg: Leg,
    path: StepPath,
    number: int,
    epoch: int,
    reason: CancelReason,
    *,
    is_given_up: bool,
    usage: Usage | None = None,
) -> None:
    """Queue the end of an attempt that was told to stop. A pause cuts it off, which is no failure; an end for good
    cancels it, or skips it where its block needed it no more. Nothing is written once the run belongs to others."""
    recorder = leg.recorder
    if reason.kind in SILENT:
        return
    if usage is None and path in leg.metered:
        usage = Usage()  # it has cost something, and nobody knows how much
    how = UNKNOWN if is_given_up else CLOSED
    if reason.kind not in FINAL:
        how = UNKNOWN if is_given_up else INTERRUPTED
        recorder.append(
            AttemptCutOff(path=path, number=number, certainty=how, cause=reason.kind, epoch=epoch, usage=usage)
        )
    else:
        error = StepError("cancelled", str(reason))
        end = StepSkipped if reason.kind == "until_reached" else StepCancelled
        recorder.append(
            AttemptCancelled(path=path, number=number, error=error, epoch=epoch, usage=usage, abandoned=is_given_up),
            end(path=path, reason=reason.kind, epoch=epoch),
        )
    if leg.ledger is not None:
        leg.ledger.settle(leg.recorder, path, usage, how)
    if is_given_up:
        _tell_given_up(leg, path)


def close_lost(leg: Leg, strand: Strand, reason: CancelReason | None) -> None:
    """Do what the thread of a strand that was given up will not: free the slot, close the attempt, leave a result."""
    ticket = strand.lost
    assert ticket is not None
    assert reason is not None
    leg.slots.release()
    close_stopped(leg, ticket.path, ticket.number, ticket.epoch, reason, is_given_up=True)
    if ticket.leave is not None and reason.kind in FINAL:
        ticket.leave(reason)


def leave_given_up(attempts: OpenStep, reason: CancelReason) -> None:
    """Leave what later steps see of a step whose attempt was given up."""
    result = stopped_result(attempts.leaf, attempts.scope, reason, attempts=attempts.number + 1)
    attempts.scope.env.results.put(attempts.leaf.key, result)


def _tell_given_up(leg: Leg, path: StepPath) -> None:
    leg.has_given_up = True
    text = f"the executor of `{path}` did not stop when told to; its late result will be refused"
    leg.recorder.append(Note(level="warning", code="attempt-abandoned", text=text, path=path))


# ── answers without an attempt ────────────────────────────────────────────────────────────────────
def skip_by_condition(leaf: Step, scope: Scope, path: StepPath, record: StepRecord | None) -> StepResult:
    """The step's own condition was false: it has a record, and a result without markers."""
    if record is None or record.status is not StepStatus.SKIPPED:
        scope.leg.recorder.append(
            StepSkipped(
                path=path,
                reason=SKIP_BY_CONDITION,
                info=scope.info_of(leaf),
                epoch=1 if record is None else record.epoch,
            )
        )
    return StepResult(leaf.key, StepStatus.SKIPPED, NO_OUTPUT, None, 0, scope.iteration)


def supersede(leg: Leg, record: StepRecord, why: str) -> StepRecord:
    """The record a step begins with after a settled one was put aside."""
    leg.recorder.append(StepSuperseded(path=record.path, why=why, epoch=record.epoch))
    failpoint("after_supersede", record.path)
    fresh = StepRecord(record.run, record.path, record.info, StepStatus.PENDING, epoch=record.epoch + 1)
    leg.recorded[record.path] = fresh
    return fresh


def look_again(leaf: Leaf, scope: Scope, record: StepRecord) -> StepRecord:
    """The record to go by where settled steps are compared with what they would see now: a step that would see
    something else is put aside."""
    scope.leg.visited.add(record.path)
    if not record.is_settled or record.status is StepStatus.SKIPPED:
        return record
    why = difference(leaf, scope, record)
    return record if why is None else supersede(scope.leg, record, why)


def put_aside_unvisited(leg: Leg) -> list[Event]:
    """The end of records that the walk has not come by, although it came to its end: they are results no more."""
    return [
        StepSuperseded(path=record.path, why="the run does not come to it any more", epoch=record.epoch)
        for record in leg.recorded.values()
        if record.path not in leg.visited and record.status is not StepStatus.PENDING and not is_in_always(record.path)
    ]


def stopped_before(reason: CancelReason | None = None) -> Stopped:
    """What a step does that an earlier leg stopped because its block could not succeed any more, which was taken."""
    stopped = Stopped(reason or FAIL_FAST)
    stopped.is_recorded = True
    return stopped


def replay(leaf: Step, scope: Scope, record: StepRecord) -> StepResult:
    """The result a settled step gave, exactly as it was first seen."""
    failpoint("during_replay", record.path)
    markers = scope.strand.markers
    if markers is not None:
        markers |= record.output.markers
    return StepResult(leaf.key, record.status, record.output, record.error, record.attempts, scope.iteration)


# ── what a failure does to the walk ───────────────────────────────────────────────────────────────
def failure_of(leaf: Step, scope: Scope, result: StepResult) -> Failure:
    """The failure of a step, in the words the run's error will have."""
    assert result.error is not None
    path = scope.path_of(leaf)
    tries = "" if result.attempts <= 1 else f" after {result.attempts} attempts"
    verb = "timed out" if result.status is StepStatus.TIMED_OUT else "failed"
    text = f"`{leaf.key}` {verb}{tries}: {result.error.message}"
    return Failure(path, text, reason_for(result.error.kind), (path,))
