"""Why a step is as it is, from the records alone: what led to it, what was tried, what decided.

`explanation` gathers it as the object that `explain --json` prints; `explain_text.py` writes it for people.
"""

from __future__ import annotations

from collections.abc import Sequence

from runkon.model import events as ev
from runkon.model.events import Envelope
from runkon.model.gates import answer_for, ask_name
from runkon.model.ids import StepPath, escape_key
from runkon.model.items import ItemsCollected
from runkon.model.output import JsonValue
from runkon.model.records import GateAnswer, GateRecord, RunRecord, StepRecord
from runkon.model.status import StepStatus
from runkon.views.explain_events import told
from runkon.views.explain_verdict import verdict
from runkon.views.guards import Guard
from runkon.views.outline import static_path
from runkon.views.times import iso

_CLOSED = {
    "attempt_failed": "failed",
    "attempt_timed_out": "timed_out",
    "attempt_cancelled": "cancelled",
    "step_completed": "completed",
    "step_failed": "failed",
    "step_timed_out": "timed_out",
    "step_cancelled": "cancelled",
    "step_skipped": "skipped",
}


def explanation(
    run: RunRecord,
    step: StepRecord,
    events: Sequence[Envelope],
    gates: Sequence[GateRecord],
    guards: Sequence[Guard],
    answers: Sequence[GateAnswer] = (),
) -> dict[str, JsonValue]:
    """Everything the records say about `step`. `events` are those of the whole run, `guards` the conditions around the
    step in the workflow's text, `answers` what was said about the run's gates, whether a leg has taken it or not."""
    own = [one for one in events if getattr(one.event, "path", None) == step.path]
    seen, info = step.seen, step.info
    return {
        "path": step.path,
        "key": info.key,
        "kind": info.kind,
        "name": info.name,
        "status": str(step.status),
        "handled": step.handled,
        "source": {"file": info.file, "line": info.line, "column": info.column},
        "why": verdict(run, step, own, events),
        "led_here": [_choice(one, events) for one in _led_here(step, own, events, guards)],
        "read": list[JsonValue](seen.names) if seen is not None else [],
        "attempts": _attempts(own, events, is_lost=step.status is StepStatus.INTERRUPTED),
        "gates": [_gate(one, answers) for one in gates if one.name == ask_name(step.path) or one.path == step.path],
        "reused_from": step.cached_from,
        "history": [_happened(one, text) for one in own if (text := told(one.event)) is not None],
    }


def not_reached(place: str, key: str, events: Sequence[Envelope], guards: Sequence[Guard]) -> dict[str, JsonValue]:
    """The same about a step of the workflow that has no record, because the run did not come to it."""
    found: list[Envelope] = []
    for guard in guards:
        found += [
            one for one in events if isinstance(one.event, ev.ChoiceMade) and static_path(one.event.path) == guard.place
        ]
    legs = [one.leg for one in found]
    latest = [one for one in found if one.leg == max(legs)]
    why = "the run did not come to it"
    if latest and isinstance(last := latest[-1].event, ev.ChoiceMade):
        why += f": `{last.construct} {last.text}` was {_word(last.result)}"
    return {
        "path": place, "key": key, "kind": None, "name": key, "status": None, "handled": None, "source": None,
        "why": why, "led_here": [_choice(one, events) for one in latest], "read": [], "attempts": [], "gates": [],
        "reused_from": None, "history": [],
    }  # fmt: skip


# ── choices ───────────────────────────────────────────────────────────────────────────────────────
def _led_here(
    step: StepRecord, own: Sequence[Envelope], events: Sequence[Envelope], guards: Sequence[Guard]
) -> list[Envelope]:
    """The decisions that led to what the step is now, in order: those around it, its own, and what ended its block."""
    at = _anchor(step, own)
    if at is None:
        return []
    around = {path for guard in guards if (path := guard.record_path(step.path)) is not None}
    found = []
    for one in events:
        if one.leg != at.leg or not isinstance(one.event, ev.ChoiceMade):
            continue
        path, construct = one.event.path, one.event.construct
        is_before = one.seq < at.seq and (path in around or (path == step.path and construct == "if"))
        is_until = construct == "until" and step.skip_reason == "until_reached" and step.path.startswith(f"{path}/")
        if is_before or is_until:
            found.append(one)
    return found


def _anchor(step: StepRecord, own: Sequence[Envelope]) -> Envelope | None:
    """The event with which the step came to be what it is: its newest attempt, else its end."""
    for kinds in (("attempt_started",), ("step_skipped", "step_completed", "step_failed", "gate_opened")):
        found = [one for one in own if one.event.kind in kinds and getattr(one.event, "epoch", 1) == step.epoch]
        if found:
            return found[-1]
    return own[-1] if own else None


def _choice(one: Envelope, events: Sequence[Envelope]) -> dict[str, JsonValue]:
    event = one.event
    assert isinstance(event, ev.ChoiceMade)
    operands: list[JsonValue] = [
        {"name": name, "value": value, "from": _origin(name, one.seq, event.path, events)}
        for name, value in event.operands.items()
    ]
    return {
        "seq": one.seq, "leg": one.leg, "path": event.path, "construct": event.construct, "text": event.text,
        "result": event.result, "operands": operands,
    }  # fmt: skip


def _origin(operand: str, before: int, reader: StepPath, events: Sequence[Envelope]) -> str:
    """Where a value came from that a condition at `reader` saw."""
    key = operand.partition(".")[0]
    if key == "inputs":
        return "an input of the run"
    if key in ("workflow", "state", "env"):
        return f"of `{key}`"
    keys: dict[StepPath, str] = {}
    number: dict[StepPath, int] = {}
    hidden = _hidden_from(reader, events)
    found = ""
    for one in events:
        if one.seq >= before:
            break
        event = one.event
        info = getattr(event, "info", None)
        path: StepPath = getattr(event, "path", None) or StepPath("")
        if path.startswith(hidden):
            continue
        if info is not None:
            keys[path] = info.key
        if isinstance(event, ev.AttemptStarted):
            number[event.path] = event.number + 1
        elif event.kind in _CLOSED and event.kind.startswith("step_") and keys.get(path) == key:
            found = _ended(event, path, number.get(path), one.leg)
    return found or ("an input of the run" if "." not in operand else f"`{key}` had not run")


def _hidden_from(reader: StepPath, events: Sequence[Envelope]) -> tuple[str, ...]:
    """How the paths of results begin that nothing at `reader` can see: inside other items, and other workflows."""
    inside: set[str] = set()
    for one in events:
        event = one.event
        if isinstance(event, ItemsCollected):
            inside.update(f"{event.path}[{escape_key(item.key)}]/" for item in event.items)
        elif getattr(getattr(event, "info", None), "kind", None) in ("item", "call_workflow"):
            inside.add(f"{getattr(event, 'path', '')}/")
    return tuple(sorted(prefix for prefix in inside if not reader.startswith(prefix)))


def _ended(event: ev.Event, path: StepPath, number: int | None, leg: int) -> str:
    if isinstance(event, ev.StepCompleted) and event.decided_by is not None:
        return f"of `{path}`, as {event.decided_by} decided in leg {leg}"
    attempt = f", attempt {number}" if number else ""
    return f"of `{path}`{attempt}, {_CLOSED[event.kind].replace('_', ' ')} in leg {leg}"


def _word(value: bool) -> str:  # noqa: FBT001  a truth value to be named
    return "true" if value else "false"


# ── attempts ──────────────────────────────────────────────────────────────────────────────────────
def _attempts(own: Sequence[Envelope], events: Sequence[Envelope], *, is_lost: bool) -> list[JsonValue]:
    """One entry per attempt of every epoch; what is still open is running, or was lost if its process is, or a later
    leg has begun."""
    found: list[dict[str, JsonValue]] = []
    for one in own:
        event = one.event
        if isinstance(event, ev.AttemptStarted):
            found.append(_begun(one, event))
        elif found and found[-1]["ended_at"] is None:
            _close(found[-1], one)
    begun = [one.leg for one in events if isinstance(one.event, ev.RunStarted | ev.RunResumed)]
    for attempt in found:
        leg = attempt["leg"]
        if attempt["status"] == "running" and (is_lost or (isinstance(leg, int) and begun and leg < begun[-1])):
            attempt["status"] = "unknown"
    return list[JsonValue](found)


def _begun(one: Envelope, event: ev.AttemptStarted) -> dict[str, JsonValue]:
    return {
        "number": event.number,
        "epoch": event.epoch,
        "leg": one.leg,
        "status": "running",
        "cause": None,
        "evidence": None,
        "why": event.why,
        "executor": event.executor,
        "executor_version": event.executor_version or "1",
        "effect": event.effect or "read",
        "started_at": iso(one.at),
        "ended_at": None,
        "duration_ms": None,
        "cost_usd": None,
        "error": None,
        "at": one.at,
    }


def _close(attempt: dict[str, JsonValue], one: Envelope) -> None:
    event = one.event
    if isinstance(event, ev.AttemptCutOff):
        attempt |= {"status": event.certainty, "cause": event.cause, "evidence": event.evidence}
    elif event.kind in _CLOSED:
        attempt["status"] = _CLOSED[event.kind]
        error = getattr(event, "error", None)
        if error is not None:
            attempt |= {"cause": error.kind, "error": error.message}
    else:
        return
    began = attempt["at"]
    output = getattr(event, "output", None)
    usage = getattr(event, "usage", None) or (output.usage if output is not None else None)
    elapsed = getattr(event, "elapsed_ms", 0) or (one.at - began if isinstance(began, int) else 0)
    is_seen = attempt["status"] != "unknown"
    attempt |= {
        "ended_at": iso(one.at),
        "duration_ms": elapsed if is_seen else None,
        "cost_usd": usage.cost_usd if usage is not None else None,
    }


def _gate(gate: GateRecord, answers: Sequence[GateAnswer]) -> dict[str, JsonValue]:
    answer = None if gate.decision is not None else answer_for(gate.name, gate.occurrence, answers)
    said: dict[str, JsonValue] | None = None
    if answer is not None:
        said = {
            "decision": answer.choice, "by": answer.by, "via": answer.via, "reason": answer.reason,
            "at": iso(answer.at),
        }  # fmt: skip
    return {
        "gate": gate.name,
        "occurrence": gate.occurrence,
        "prompt": gate.prompt,
        "options": list[JsonValue](gate.options),
        "opened_at": iso(gate.opened_at),
        "decision": gate.decision,
        "by": gate.by,
        "via": gate.via,
        "reason": gate.reason,
        "decided_at": iso(gate.decided_at),
        "answer": said,
    }


def _happened(one: Envelope, text: str) -> JsonValue:
    return {"seq": one.seq, "leg": one.leg, "at": iso(one.at), "kind": one.event.kind, "text": text}
