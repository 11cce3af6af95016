"""The one sentence that says why a step is as it is."""

from __future__ import annotations

from collections.abc import Sequence

from runkon.model import events as ev
from runkon.model.events import Envelope
from runkon.model.gates import UNDECIDED
from runkon.model.ids import is_in_always
from runkon.model.records import RunRecord, StepRecord
from runkon.model.status import RunStatus, StepStatus
from runkon.views.explain_events import handler
from runkon.views.lines import error_line, skip_text
from runkon.views.status import BLOCKS, is_reused
from runkon.views.times import counted, iso


def verdict(run: RunRecord, step: StepRecord, own: Sequence[Envelope], events: Sequence[Envelope]) -> str:
    """Why the step is as it is; `own` are its events, `events` those of the whole run."""
    if step.damage is not None:
        return f"its recorded result can't be used: {step.damage}"
    text = _plain(step, own)
    if step.skip_reason == UNDECIDED and run.status is not RunStatus.CANCELLED:
        text += "; a resume asks"
    if step.status is StepStatus.CANCELLED and step.skip_reason == "fail_fast":
        text += _culprit(own, events)
    if is_reused(step, run.leg):
        text += f"; leg {run.leg} answered it from the record of leg {step.leg}"
    return text


def _plain(step: StepRecord, own: Sequence[Envelope]) -> str:
    match step.status:
        case StepStatus.COMPLETED:
            return _completed(step, own)
        case StepStatus.FAILED | StepStatus.TIMED_OUT:
            return _failed(step, own)
        case StepStatus.SKIPPED:
            return f"skipped, because {skip_text(step.skip_reason or '')}"
        case StepStatus.CANCELLED if step.skip_reason == UNDECIDED:
            return "cancelled, because the run ended before anybody said what became of its last attempt"
        case StepStatus.CANCELLED:
            return f"cancelled, because {skip_text(step.skip_reason or '')}"
        case StepStatus.WAITING:
            return f"it waits for a decision, because nobody saw how attempt {step.attempts} ended"
        case StepStatus.INTERRUPTED if step.skip_reason is not None:
            then = "a resume asks what to do" if step.effect == "write" else "a resume makes another attempt"
            then = "a later leg has an always block of its own" if is_in_always(step.path) else then
            return f"nobody saw how attempt {step.attempts} ended: {skip_text(step.skip_reason)}; {then}"
        case StepStatus.INTERRUPTED:
            return f"attempt {step.attempts} was stopped with the run; a resume makes another one"
        case StepStatus.BACKOFF:
            due = f", due at {iso(step.due_at)}" if step.due_at is not None else ""
            return f"attempt {step.attempts} failed and another one follows{due}"
        case StepStatus.RUNNING:
            return f"attempt {step.attempts} began at {iso(step.started_at)} and no end of it is recorded"
        case _:
            return "it was put aside and has not run again yet"


def _culprit(own: Sequence[Envelope], events: Sequence[Envelope]) -> str:
    """The step whose failure stopped this one: the last that failed before."""
    end = own[-1]
    failed = [
        one.event.path
        for one in events
        if one.seq < end.seq and one.leg == end.leg and isinstance(one.event, ev.StepFailed | ev.StepTimedOut)
    ]
    return f": `{failed[-1]}`" if failed else ""


def _completed(step: StepRecord, own: Sequence[Envelope]) -> str:
    last = next((one.event for one in reversed(own) if isinstance(one.event, ev.StepCompleted)), None)
    if step.cached_from is not None:
        return f"completed with the result of {step.cached_from}, without an attempt of its own"
    if last is not None and last.decided_by is not None:
        return f"completed, because {last.decided_by} decided that attempt {step.attempts} had done its work"
    if step.output.degraded:
        own_tries = "its workflow" if step.info.kind == "call_workflow" else "its own attempts"
        place = "" if step.info.kind == "call_workflow" else f" in attempt {step.attempts}"
        return f"completed by its fallback{place}, after {own_tries} failed"
    if step.info.kind == "call_workflow":
        return f"completed: the workflow `{step.info.name}` came to its end"
    if step.info.kind in BLOCKS:
        return f"completed: {_counts(step)}"
    if step.info.kind == "gate":
        values = step.output.values
        return f"completed: {', '.join(sorted(step.output.markers))}, by {values.get('by')}"
    return f"completed in attempt {step.attempts}"


def _failed(step: StepRecord, own: Sequence[Envelope]) -> str:
    assert step.error is not None
    word = "timed out" if step.status is StepStatus.TIMED_OUT else "failed"
    message = f"{word} ({step.error.kind}): {error_line(step.error)}"
    if step.info.kind not in BLOCKS:
        message += f"; {_no_more(step, own)}"
    return message + (f"; its failure was taken by {handler(step.handled)}" if step.handled else "")


def _no_more(step: StepRecord, own: Sequence[Envelope]) -> str:
    """Why no further attempt followed."""
    assert step.error is not None
    kind = step.error.kind
    tried = [one for one in own if one.event.kind in ("attempt_failed", "attempt_timed_out") and one.leg == step.leg]
    if kind == "crash_limit":
        return "a resume tries it again"
    if kind == "unknown_outcome":
        return "it was not tried again"
    if not tried:
        return "it was not called in this leg"
    if kind == "fatal":
        return "a failure of this kind is not retried"
    planned = [one for one in own if one.event.kind == "retry_scheduled" and one.leg == step.leg]
    return f"after {counted(len(tried), 'attempt')} in leg {step.leg}" + (
        ", all its retries" if planned else ", it has no retries for this"
    )


def _counts(step: StepRecord) -> str:
    values = step.output.values
    told = [f"{values[name]} {name}" for name in ("succeeded", "failed", "skipped") if values.get(name)]
    parts = "items" if step.info.kind == "foreach" else "branches"
    return (", ".join(told) or "none") + f" of {values.get('total', '?')} {parts}"
