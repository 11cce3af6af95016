"""One sentence per event of a step, complete enough to stand alone: what `explain` tells as its history."""

from __future__ import annotations

import json

from runkon.model import events as ev
from runkon.model.output import JsonValue
from runkon.views.lines import decision_text, error_line, first_line, skip_text, worktree_text
from runkon.views.times import elapsed, iso, money

_FOLLOWS = {
    "retry": "because the one before failed and may be retried",
    "fallback": "by the fallback, because the step's own attempts failed",
    "cut_off": "because the one before was cut off",
    "cancelled": "because an earlier leg stopped the step before it was done",
    "answered": "because somebody decided to make another one",
    "failed": "because the step had failed and a resume tries again",
}


def told(event: ev.Event) -> str | None:
    """What happened to the step, None for an event that needs no telling."""
    match event:
        case ev.AttemptStarted():
            return _started(event)
        case ev.ProcessStarted():
            return f"process {event.pid} was started"
        case ev.AttemptFailed() | ev.AttemptTimedOut() | ev.AttemptCancelled():
            return _ended(event)
        case ev.AttemptCutOff():
            seen = "seen to end" if event.certainty == "interrupted" else "its end was not seen"
            proof = f"; {event.evidence}" if event.evidence else ""
            return f"attempt {event.number + 1} was cut off, {seen}: {_cause(event)}{proof}"
        case ev.RetryScheduled():
            wait = f"after {elapsed(event.delay_ms)}, at {iso(event.due_at)}" if event.delay_ms else "at once"
            return f"another attempt was to follow {wait}; {event.retries_left} more after it"
        case ev.ChoiceMade(construct="retry", operands=retry):
            when = (
                f", due at {iso(due)}" if retry.get("delay_ms") and isinstance(due := retry.get("due_at"), int) else ""
            )
            return f"retry {retry.get('made')} began{when}, {retry.get('left')} more after it: {first_line(event.text)}"
        case ev.ChoiceMade():
            saw = ", ".join(f"{name} = {as_json(value)}" for name, value in event.operands.items())
            return f"`{event.construct} {event.text}` was {str(event.result).lower()}" + (f" ({saw})" if saw else "")
        case ev.StateSet():
            return ", ".join(f"state.{name} = {as_json(value)}" for name, value in event.updates.items())
        case ev.WorktreeChanged():
            return f"its worktree {worktree_text(event)}"
        case ev.ItemsCollected():
            source = f" from `{event.provider}`" if event.provider else ""
            order = f", {len(event.blockers)} links between them" if event.blockers else ""
            return f"its list was fixed: {len(event.items)} items{source}{order}"
        case ev.Note():
            return f"{event.level}: {first_line(event.text)}"
        case _:
            return _settled(event)


def _settled(event: ev.Event) -> str | None:
    match event:
        case ev.StepCompleted():
            if event.cached_from is not None:
                return f"completed with the result of {event.cached_from}"
            by = f", as {event.decided_by} decided" if event.decided_by else ""
            return f"completed{by}" + (", by its fallback" if event.output.degraded else "")
        case ev.StepFailed() | ev.StepTimedOut():
            word = "timed out" if isinstance(event, ev.StepTimedOut) else "failed"
            handled = f"; taken by {handler(event.handled)}" if event.handled else ""
            return f"{word} for good ({event.error.kind}): {error_line(event.error)}{handled}"
        case ev.StepSkipped():
            return f"skipped: {skip_text(event.reason)}"
        case ev.StepCancelled():
            return f"cancelled: {skip_text(event.reason)}"
        case ev.StepHandled():
            return f"its failure was taken by {handler(event.handled)}"
        case ev.StepSuperseded():
            return f"put aside, to run again: {first_line(event.why)}"
        case ev.GateOpened():
            return f"asked: {first_line(event.prompt, len(event.prompt))}"
        case ev.GateDecided():
            return f"decided: {decision_text(event.decision, event.by, event.reason)}, via {event.via}"
        case _:
            return None


def as_json(value: JsonValue) -> str:
    """A value that a condition saw, as JSON on one line."""
    return json.dumps(value, ensure_ascii=False)


def handler(handled: str) -> str:
    """What took a failure, in words."""
    words = {
        "continue": "`on_fail = continue`",
        "edge": "an edge of the graph",
        "min_success": "`min_success` of its block",
        "until": "`until` of its block",
    }
    return words.get(handled, handled)


def _started(event: ev.AttemptStarted) -> str:
    version = f" version {event.executor_version}" if event.executor_version else ""
    effect = f", which may {event.effect}" if event.effect == "write" else ""
    why = f" {_FOLLOWS[event.why]}" if event.why in _FOLLOWS else f" ({event.why})" if event.why else ""
    if effect and why:
        effect += ","
    asked = "" if event.asked is None else f"; what it was asked is {event.asked.digest[:12]}"
    return f"attempt {event.number + 1} began with `{event.executor}`{version}{effect}{why}{asked}"


def _ended(event: ev.AttemptFailed | ev.AttemptTimedOut | ev.AttemptCancelled) -> str:
    word = {"attempt_failed": "failed", "attempt_timed_out": "timed out"}.get(event.kind, "was stopped")
    paid = event.usage.cost_usd if event.usage is not None else None
    cost = f", {money(paid)}" if paid else ""
    left = "; it did not stop and was left behind" if event.abandoned else ""
    after = f" after {elapsed(event.elapsed_ms)}" if event.elapsed_ms else ""
    kind, message = event.error.kind, error_line(event.error)
    return f"attempt {event.number + 1} {word}{after}{cost} ({kind}): {message}{left}"


def _cause(event: ev.AttemptCutOff) -> str:
    if event.certainty == "interrupted":
        return {"interrupt": "the run was interrupted", "sigterm": "the system ended the process"}.get(
            event.cause, event.cause.replace("_", " ")
        )
    return skip_text(event.cause)
