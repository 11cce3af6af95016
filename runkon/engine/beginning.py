"""How a later leg begins: the records it answers from, and the events of its first transaction.

The plan is made from what is on record at that moment; the preview made the same from what was on record then. A leg
goes on *looking again* once steps were to be compared with what they would see now (`--only-failed`, `--with-edits`),
until the run completes: whoever resumes it after a crash need not know.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from runkon.engine.constructs import constructs
from runkon.engine.plan import Planned, plan_body
from runkon.engine.resume import FORK, Beginning, Resumption, cut_offs, recorded_by_path, sources_of
from runkon.engine.resume_places import Places, calls_workflows, has_choices
from runkon.engine.resume_plan import FROM, ONLY_FAILED, RESTART, Course, Wish, keep_cancelled, plan_resume
from runkon.errors import EXIT_USAGE, UserError
from runkon.model.events import (
    DefinitionChanged,
    Event,
    StepCancelled,
    StepCompleted,
    StepFailed,
    StepSkipped,
    StepTimedOut,
)
from runkon.model.gates import UNDECIDED
from runkon.model.plans import ASK, RERUN, REUSE
from runkon.model.ports import RunStore
from runkon.model.records import RunRecord, StepRecord, fresh_step
from runkon.model.status import RunStatus, StepStatus

if TYPE_CHECKING:
    from runkon.engine.call_retries import Made
    from runkon.engine.choices import Choices
    from runkon.language.program import CheckedWorkflow
    from runkon.model.ids import StepPath
    from runkon.model.output import JsonValue

_TELLING = frozenset({"run_resumed", "definition_changed", "run_completed"})


def make_course(
    steps: Sequence[StepRecord],
    body: Sequence[Planned],
    how: Resumption,
    *,
    seq: int,
    now: int,
    given: Mapping[str, JsonValue],
    is_read: bool = True,
) -> Course:
    """The plan of a resume asked for as `how`, for the statements `body` it goes on with; `given` are the inputs on
    record. Unless somebody reads it, what goes without saying is left out. Raises UserError `unknown-step` and
    `wrong-use`."""
    if how.step is not None and how.mode == RESTART:
        raise UserError(
            "wrong-use", "`--restart` runs every step again, so `--from` says nothing beside it", exit_code=EXIT_USAGE
        )
    places = Places(body)
    target = edits = None
    found_in = places
    if how.before is not None:
        from runkon.engine.resume_edits import compare  # late: only for an edited workflow

        found_in = Places(plan_body(how.before.workflow.body, constructs(), how.before.children))
        edits = compare(found_in, places)
    if how.step is not None:
        target = found_in.find(how.step, steps)
    inputs = how.inputs or {}
    changed = frozenset(
        name for name in {*inputs, *given} if how.inputs is not None and inputs.get(name) != given.get(name)
    )
    wish = Wish(FROM if target is not None else how.mode, target, edits, changed)
    return plan_resume(keep_cancelled(steps), places, wish, seq=seq, now=now, notes=how.notes, is_read=is_read)


def begin_again(
    store: RunStore, record: RunRecord, program: CheckedWorkflow, body: Sequence[Planned], how: Resumption, now: int
) -> Beginning:
    """The beginning of a later leg of the run."""
    is_known = how.known is not None and how.known.seq == record.seq
    steps = how.known.steps if how.known is not None and is_known else store.steps(record.id)
    course = make_course(steps, body, how, seq=record.seq, now=now, given=record.inputs, is_read=False)
    changed: list[Event] = []
    plan = course.plan
    if how.takes_edits:
        told = {change.path: change.reason for change in plan.changes}
        changed.append(DefinitionChanged(sources=sources_of(program), changes=told, inputs=how.inputs))
    changed += course.superseded(steps)
    changed += [_copy(course.recorded([step])[step.path], "") for step in steps if step.path in course.doubtful]
    moved = [step for step in steps if step.path in course.moved]
    kept = keep_cancelled(steps)
    recorded = recorded_by_path(list(course.recorded(kept).values()))
    for step in store.put_aside(record.id) if _may_have_put_aside(record) or calls_workflows(body) else ():
        recorded.setdefault(step.path, step)
    for step in moved:
        there = course.moved[step.path]
        there = replace(there, epoch=recorded[there.path].epoch if there.path in recorded else 1)
        changed.append(_copy(there, f"{record.id}/{step.path}"))
        recorded[there.path] = there
    looks_again, takes_edits = _looks_again(store, record, how)
    return Beginning(
        steps=steps,
        recorded=recorded,
        closed=tuple(cut_offs(steps)),
        changed=tuple(changed),
        reused=plan.count(REUSE) + course.kept,
        rerun=plan.count(RERUN) + plan.count(ASK),
        asked=plan.count(ASK),
        looks_again=looks_again,
        takes_edits=takes_edits,
        choices=_choices(store, record, body),
        retried=_retried(store, record, body, course.aside if how.name in ("from", "restart") else ()),
        crashed=record.status in (RunStatus.RUNNING, RunStatus.CANCELLING),
    )


def begin_fork(store: RunStore, record: RunRecord, body: Sequence[Planned], how: Resumption, now: int) -> Beginning:
    """The beginning of the first leg of a fork: what its origin has settled is taken over."""
    origin = record.forked_from
    assert origin is not None
    steps = store.steps(origin)
    before = store.run(origin)
    course = make_course(steps, body, how, seq=0, now=now, given={} if before is None else before.inputs)
    decisions = {line.path: line.decision for line in course.plan.lines}
    kept = [step for step in keep_cancelled(steps) if decisions.get(step.path) == REUSE]
    copies, recorded = [], {}
    for step in kept:
        there = replace(course.moved.get(step.path, step), run=record.id, epoch=1, cached_from=f"{origin}/{step.path}")
        copies.append(_copy(there, f"{origin}/{step.path}"))
        recorded[there.path] = there
    asked = [step for step in steps if decisions.get(step.path) == ASK]
    for step in asked:  # the new run has made no attempt, but somebody has to say what became of the old one
        there = replace(fresh_step(step), run=record.id, epoch=1, status=StepStatus.CANCELLED, skip_reason=UNDECIDED)
        copies.append(_copy(there, f"{origin}/{step.path}"))
        recorded[there.path] = there
    return Beginning(
        recorded=recorded,
        changed=tuple(copies),
        reused=len(kept),
        asked=len(asked),
        looks_again=how.mode == ONLY_FAILED or how.takes_edits,
        takes_edits=how.takes_edits,
    )


def _copy(step: StepRecord, origin: str) -> Event:
    """The event that gives a step of another run, or of another place, the end it has there."""
    path, info, epoch = step.path, step.info, step.epoch
    if step.status is StepStatus.COMPLETED:
        elapsed = 0 if step.started_at is None or step.ended_at is None else max(0, step.ended_at - step.started_at)
        return StepCompleted(
            path=path,
            output=step.output,
            info=info,
            epoch=epoch,
            elapsed_ms=elapsed,
            seen=step.seen,
            cached_from=origin,
        )
    if step.status in (StepStatus.SKIPPED, StepStatus.CANCELLED):
        made = StepSkipped if step.status is StepStatus.SKIPPED else StepCancelled
        return made(path=path, reason=step.skip_reason or "", info=info, epoch=epoch)
    assert step.error is not None
    if step.status is StepStatus.TIMED_OUT:
        return StepTimedOut(path=path, error=step.error, info=info, epoch=epoch, handled=step.handled)
    output = step.output if info.kind in ("parallel", "foreach", "gate") else None
    return StepFailed(
        path=path, error=step.error, info=info, epoch=epoch, handled=step.handled, output=output, seen=step.seen
    )


def _choices(store: RunStore, record: RunRecord, body: Sequence[Planned]) -> Choices | None:
    if not has_choices(body):
        return None
    from runkon.engine.choices import Choices  # late: only where there are conditions

    return Choices(store.events_of(record.id, {"choice_made"}))


def _retried(
    store: RunStore, record: RunRecord, body: Sequence[Planned], aside: Iterable[StepPath]
) -> dict[StepPath, Made]:
    """The retries of called workflows that are used up; `aside` is what this leg was asked to put aside."""
    if not calls_workflows(body):
        return {}
    from runkon.engine.call_retries import TOLD, forget_around, made_before  # late: only where workflows are called

    found = made_before(store.events_of(record.id, TOLD))
    for path in aside:
        forget_around(found, path)
    return found


def _may_have_put_aside(record: RunRecord) -> bool:
    """False for a run that is taken up for the first time: nothing but a later leg, a fork, or a retry of a called
    workflow puts records aside."""
    return record.leg > 2 or record.forked_from is not None


def _looks_again(store: RunStore, record: RunRecord, how: Resumption) -> tuple[bool, bool]:
    """Whether this leg compares, and files too, or an earlier one began to since the run completed last."""
    edits = how.takes_edits
    looks = edits or how.mode == ONLY_FAILED
    asked = record.config.get(FORK)
    before = (False, False)
    if isinstance(asked, Mapping):
        before = (bool(asked.get("edited")) or asked.get("mode") == ONLY_FAILED, bool(asked.get("edited")))
    for envelope in store.events_of(record.id, _TELLING) if _may_have_put_aside(record) and not edits else ():
        event = envelope.event
        if event.kind == "definition_changed":
            before = (True, True)
        elif event.kind == "run_completed":
            before = (False, False)
        elif getattr(event, "mode", "") == ONLY_FAILED:
            before = (True, before[1])
    return looks or before[0], edits or before[1]
