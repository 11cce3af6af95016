"""`cache`: the result of an earlier attempt, in any run, that was asked exactly the same.

Only attempts that completed count, by the executor of the same name and version, in runs that called it: no dry runs,
no replays, and no imported runs, whose answers are from elsewhere. Of an executor that does not say what it is asked,
the values it read have to be the same as well.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from runkon.engine.answers import Failed
from runkon.engine.asking import described
from runkon.engine.results import StepResult
from runkon.engine.reuse import seen_by, sees_the_same
from runkon.engine.updates import judged
from runkon.errors import UserError
from runkon.model.events import AttemptStarted, StepCompleted
from runkon.model.ids import RunID, StepPath
from runkon.model.records import Asked, RunRecord, StepRecord
from runkon.model.start_key import IMPORTED
from runkon.model.status import StepStatus

if TYPE_CHECKING:
    from runkon.engine.open_step import OpenStep
    from runkon.model.ports import ActionExecutor, RunStore

DAMAGED = frozenset({"corrupt-run", "corrupt-artifact"})  # errors of another run, which are none of this one


def from_cache(attempts: OpenStep, name: str) -> StepResult | None:
    """The result of an equal earlier attempt, recorded as this step's; None if there is none that may be used."""
    leaf, scope = attempts.leaf, attempts.scope
    leg = scope.leg
    executor, past = leg.executor(name), leg.past
    if executor is None or past is None or not _may_reuse(attempts, executor):
        return None
    asked = described(attempts, executor)
    if asked is None:
        return None
    leg.recorder.commit()  # an equal step of this run may have ended a moment ago
    for step in _found(past, asked, _oldest(attempts)):
        if not callable(getattr(executor, "describe", None)) and not sees_the_same(leaf, scope, step.seen):
            continue
        answer = judged(replace(step.output, usage=None), attempts.path, scope.env)
        if not isinstance(answer, Failed):
            attempts.reads = {*(attempts.reads or ()), *(step.seen.names if step.seen is not None else ())}
            leg.recorder.append(
                StepCompleted(
                    path=attempts.path,
                    output=answer,
                    info=scope.info_of(leaf),
                    epoch=attempts.epoch,
                    seen=seen_by(attempts),
                    cached_from=f"{step.run}/{step.path}",
                )
            )
            if scope.strand.markers is not None:
                scope.strand.markers |= answer.markers
            return StepResult(leaf.key, StepStatus.COMPLETED, answer, None, attempts.number, scope.iteration)
    return None


def _may_reuse(attempts: OpenStep, executor: ActionExecutor) -> bool:
    config = attempts.scope.leg.config
    effect = attempts.leaf.options.effect or executor.effect
    return effect != "write" and not config.dry_run and config.uses_cache and config.replay is None


def _oldest(attempts: OpenStep) -> int:
    """The earliest end that is young enough."""
    age = attempts.leaf.options.cache
    return 0 if age is None or isinstance(age, bool) else attempts.scope.leg.clock.now_ms() - age


def _found(past: RunStore, asked: Asked, oldest: int) -> Iterator[StepRecord]:
    """Steps whose last attempt was asked this and completed, the newest first within each run. A run whose record is
    damaged answers nothing."""
    for run in past.runs_asked(asked.request):
        try:
            found = _found_in(past, run, asked, oldest)
        except UserError as error:
            if error.code not in DAMAGED:
                raise
        else:
            yield from found


def _found_in(past: RunStore, run: RunID, asked: Asked, oldest: int) -> Sequence[StepRecord]:
    if not may_answer(past.run(run)):
        return ()
    paths = _last_asked(past, run)
    steps = [step for step in past.steps(run) if paths.get(step.path) == asked.digest and is_whole(step)]
    return sorted((step for step in steps if (step.ended_at or 0) >= oldest), key=lambda one: -(one.ended_at or 0))


def may_answer(record: RunRecord | None) -> bool:
    """False for a run that called nobody itself, or did so elsewhere."""
    if record is None or record.dry:
        return False
    return record.config.get("replay") is None and record.config.get(IMPORTED) is None


def _last_asked(past: RunStore, run: RunID) -> Mapping[StepPath, str]:
    """What the last attempt of each step was asked, by digest."""
    found = {}
    for envelope in past.events_of(run, {AttemptStarted.kind}):
        event = envelope.event
        if isinstance(event, AttemptStarted):
            found[event.path] = "" if event.asked is None else event.asked.digest
    return found


def is_whole(step: StepRecord) -> bool:
    """True for a result that may be given again: of a completed step, its own, and all of it."""
    is_own = step.cached_from is None and step.damage is None and not step.output.degraded
    return step.status is StepStatus.COMPLETED and is_own
