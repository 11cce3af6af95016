"""Events to rows: for each kind one function that says what is written to `events` and which statement changes what.

No generic conversion and no reading: this runs at every step, inside no transaction, so that a value that can't be
stored is found before anything is written.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

from runkon.errors import UserError
from runkon.model import events as ev
from runkon.model.events import Envelope
from runkon.model.fold import corrupt
from runkon.model.ids import StepPath
from runkon.model.json_text import dumps
from runkon.model.records import Lease, StepInfo
from runkon.model.status import RunStatus, StepStatus
from runkon.store import codec
from runkon.store import statements as sql
from runkon.store.batch import Batch, EventRow


def build(number: int, lease: Lease, envelopes: Sequence[Envelope]) -> Batch:
    """The rows of `envelopes`, for run `number`. Raises ValueError or TypeError for a value JSON can't hold,
    UserError `corrupt-run` for a gap in the numbers or another leg's or fence's event."""
    first = envelopes[0].seq
    batch = Batch(number, first, first + len(envelopes) - 1)
    for seq, envelope in enumerate(envelopes, first):
        if envelope.seq != seq or envelope.fence != lease.fence or envelope.leg != lease.leg:
            found = f"number {envelope.seq}, leg {envelope.leg}, fence {envelope.fence}"
            expected = f"number {seq}, leg {lease.leg}, fence {lease.fence}"
            raise corrupt(envelope.run, envelope.seq, "E1", found=found, expected=expected)
        _ROWS[type(envelope.event)](batch, envelope, envelope.event)
    is_large, proof, proved = codec.is_large, codec.proof, []
    for row in batch.events:
        text: Any = row[-1]
        if is_large(text):
            _keep_apart(batch)
            batch.events = [(*row, proof(str(row[-1]))) for row in batch.events]
            return batch
        proved.append((*row, proof(text)))
    batch.events = proved
    return batch


def plain(envelopes: Sequence[Envelope]) -> list[EventRow]:
    """The rows of `envelopes` with everything in them, however large; an event's key is its number alone."""
    batch = Batch(0, envelopes[0].seq, envelopes[-1].seq)
    for envelope in envelopes:
        _ROWS[type(envelope.event)](batch, envelope, envelope.event)
    return batch.events


def _keep_apart(batch: Batch) -> None:
    """Large values leave their events, which keep a trace of them."""
    from runkon.store.artifacts import spill  # late: most runs have none

    for index, row in enumerate(batch.events):
        if codec.is_large(str(row[-1])):
            payload, apart = spill(str(row[-1]))
            batch.events[index] = (*row[:-1], payload)
            batch.artifacts += apart


def refused(statement: str, envelope: Envelope) -> UserError:
    """The error for a statement that changed no row: what is recorded does not allow its event."""
    rule, expected = _RULES[statement]
    path = getattr(envelope.event, "path", None)
    found = f"`{envelope.event.kind}`, which what is recorded does not allow"
    return corrupt(envelope.run, envelope.seq, rule, found=found, expected=expected, path=path)


# ── attempts ──────────────────────────────────────────────────────────────────────────────────────
def _attempt_started(batch: Batch, envelope: Envelope, event: ev.AttemptStarted) -> None:
    _, seq, at, leg, fence, _ = envelope
    info, path, epoch, number = event.info, event.path, event.epoch, event.number
    row = (batch.base + seq, at, leg, fence, "attempt_started", path, epoch, number, codec.attempt_started(event))
    batch.events.append(row)
    if batch.advance is sql.ADVANCE:
        batch.advance = sql.ADVANCE_OPEN
    if info.kind == "call":
        batch.calls += 1
    place = (info.kind, info.name, info.key, info.order, info.iteration, info.file, info.line, info.column)
    if number:
        batch.changes.append(
            (sql.NEXT_ATTEMPT, (*place, leg, at, leg, seq, event.effect, batch.number, path, epoch, number), envelope)
        )
        return
    _check_epoch(batch, envelope, path, epoch)
    batch.changes.append(
        (sql.FIRST_ATTEMPT, (batch.number, path, epoch, *place, leg, seq, seq, at, event.effect), envelope)
    )


def _check_epoch(batch: Batch, envelope: Envelope, path: StepPath, epoch: int) -> None:
    if epoch > 1:
        batch.change(sql.EPOCH_BEFORE, envelope, batch.number, path, epoch - 1)


def _attempt_ended(
    batch: Batch, envelope: Envelope, event: ev.AttemptFailed | ev.AttemptTimedOut | ev.AttemptCancelled
) -> None:
    path, epoch, number = event.path, event.epoch, event.number
    batch.record(envelope, codec.attempt_ended(event), path=path, epoch=epoch, attempt=number)
    batch.change(sql.ATTEMPT_ENDED, envelope, envelope.leg, envelope.seq, batch.number, path, epoch, number + 1)
    batch.pay(event.usage)


def _attempt_cut_off(batch: Batch, envelope: Envelope, event: ev.AttemptCutOff) -> None:
    path, epoch, number = event.path, event.epoch, event.number
    batch.record(envelope, codec.attempt_cut_off(event), path=path, epoch=epoch, attempt=number)
    counted = 1 if event.cause in ("process_lost", "worker_lost") else 0
    where = (batch.number, path, epoch, number + 1)
    batch.change(sql.ATTEMPT_CUT_OFF, envelope, counted, envelope.leg, envelope.seq, *where)
    batch.pay(event.usage)


def _process_started(batch: Batch, envelope: Envelope, event: ev.ProcessStarted) -> None:
    path, epoch, number = event.path, event.epoch, event.number
    batch.record(envelope, _PROCESS(event), path=path, epoch=epoch, attempt=number)
    batch.change(sql.ATTEMPT_OPEN, envelope, batch.number, path, epoch, number + 1)


def _retry_scheduled(batch: Batch, envelope: Envelope, event: ev.RetryScheduled) -> None:
    batch.record(envelope, _RETRY(event), path=event.path, epoch=event.epoch)
    batch.change(sql.RETRY_SCHEDULED, envelope, event.due_at, envelope.leg, batch.number, event.path, event.epoch)


# ── steps ─────────────────────────────────────────────────────────────────────────────────────────
def _step_completed(batch: Batch, envelope: Envelope, event: ev.StepCompleted) -> None:
    _, seq, at, leg, fence, _ = envelope
    path, epoch = event.path, event.epoch
    row = (batch.base + seq, at, leg, fence, "step_completed", path, epoch, None, codec.step_completed(event))
    batch.events.append(row)
    if event.info is None:
        batch.changes.append((sql.STEP_CLOSES, ("completed", None, leg, seq, at, batch.number, path, epoch), envelope))
        batch.pay(event.output.usage)
        return
    _close_with_place(batch, envelope, event, event.info, StepStatus.COMPLETED, started=at - event.elapsed_ms)


def _step_failed(batch: Batch, envelope: Envelope, event: ev.StepFailed) -> None:
    batch.record(envelope, codec.step_failed(event), path=event.path, epoch=event.epoch)
    _close(batch, envelope, event, event.info, StepStatus.FAILED, handled=event.handled)


def _step_timed_out(batch: Batch, envelope: Envelope, event: ev.StepTimedOut) -> None:
    batch.record(envelope, codec.step_failed(event), path=event.path, epoch=event.epoch)
    _close(batch, envelope, event, event.info, StepStatus.TIMED_OUT, handled=event.handled)


def _step_skipped(batch: Batch, envelope: Envelope, event: ev.StepSkipped) -> None:
    batch.record(envelope, codec.step_ended(event), path=event.path, epoch=event.epoch)
    _close(batch, envelope, event, event.info, StepStatus.SKIPPED)


def _step_cancelled(batch: Batch, envelope: Envelope, event: ev.StepCancelled) -> None:
    batch.record(envelope, codec.step_ended(event), path=event.path, epoch=event.epoch)
    _close(batch, envelope, event, event.info, StepStatus.CANCELLED)


_Closing: TypeAlias = ev.StepCompleted | ev.StepFailed | ev.StepTimedOut | ev.StepSkipped | ev.StepCancelled


def _close(
    batch: Batch,
    envelope: Envelope,
    event: _Closing,
    info: StepInfo | None,
    status: StepStatus,
    *,
    handled: str | None = None,
) -> None:
    if info is not None:
        _close_with_place(batch, envelope, event, info, status, handled=handled)
        return
    where = (batch.number, event.path, event.epoch)
    batch.change(sql.STEP_CLOSES, envelope, status.value, handled, envelope.leg, envelope.seq, envelope.at, *where)


def _close_with_place(
    batch: Batch,
    envelope: Envelope,
    event: _Closing,
    info: StepInfo,
    status: StepStatus,
    *,
    started: int | None = None,
    handled: str | None = None,
) -> None:
    _check_epoch(batch, envelope, event.path, event.epoch)
    key = (batch.number, event.path, event.epoch)
    place = (info.kind, info.name, info.key, info.order, info.iteration, info.file, info.line, info.column)
    seq, at = envelope.seq, envelope.at
    rest = (envelope.leg, seq, seq, started, status.value, handled, at)
    batch.change(sql.STEP_CLOSES_WITH_PLACE, envelope, *key, *place, *rest)


def _step_handled(batch: Batch, envelope: Envelope, event: ev.StepHandled) -> None:
    batch.record(envelope, _HANDLED(event), path=event.path, epoch=event.epoch)
    batch.change(sql.STEP_HANDLED, envelope, event.handled, envelope.leg, batch.number, event.path, event.epoch)


def _step_superseded(batch: Batch, envelope: Envelope, event: ev.StepSuperseded) -> None:
    batch.record(envelope, _SUPERSEDED(event), path=event.path, epoch=event.epoch)
    batch.change(sql.STEP_SUPERSEDED, envelope, envelope.leg, batch.number, event.path, event.epoch)


# ── gates ─────────────────────────────────────────────────────────────────────────────────────────
def _gate_opened(batch: Batch, envelope: Envelope, event: ev.GateOpened) -> None:
    _, seq, at, leg, _, _ = envelope
    info, path, epoch = event.info, event.path, event.epoch
    batch.record(envelope, codec.gate_opened(event), path=path, epoch=epoch)
    _check_epoch(batch, envelope, path, epoch)
    options = dumps(list(event.options)) if event.options else None
    gate = (event.name, event.occurrence, path, epoch, event.type, event.prompt, options, seq, at, event.deadline_at)
    batch.change(sql.GATE_OPENS, envelope, batch.number, *gate)
    place = (info.kind, info.name, info.key, info.order, info.iteration, info.file, info.line, info.column)
    batch.change(sql.STEP_WAITS, envelope, batch.number, path, epoch, *place, leg, seq, seq)


def _gate_decided(batch: Batch, envelope: Envelope, event: ev.GateDecided) -> None:
    batch.record(envelope, _DECIDED(event), path=event.path, epoch=event.epoch)
    form = dumps(dict(event.form)) if event.form else None
    decision = (event.decision, event.by, event.via, event.reason or None, form, envelope.at)
    batch.change(sql.GATE_DECIDED, envelope, *decision, batch.number, event.name, event.occurrence)


# ── the run ───────────────────────────────────────────────────────────────────────────────────────
def _run_begun(batch: Batch, envelope: Envelope, event: ev.RunStarted | ev.RunResumed) -> None:
    batch.advance = sql.ADVANCE_BEGIN
    batch.record(envelope, (_STARTED if isinstance(event, ev.RunStarted) else _RESUMED)(event))
    crashed = isinstance(event, ev.RunResumed) and event.crashed
    automatic = isinstance(event, ev.RunResumed) and event.automatic
    batch.change(sql.RUN_BEGUN, envelope, envelope.at, event.deadline_at, crashed, automatic, batch.number)


def _definition_changed(batch: Batch, envelope: Envelope, event: ev.DefinitionChanged) -> None:
    ids = {file: codec.text_id(text) for file, text in event.sources.items()}
    batch.sources += [(ids[file], text) for file, text in event.sources.items()]
    batch.record(envelope, codec.definition_changed(event, ids))
    batch.change(sql.RUN_FOLLOWS, envelope, next(iter(event.sources), ""), envelope.seq, batch.number)


def _run_waiting(batch: Batch, envelope: Envelope, event: ev.RunWaiting) -> None:
    batch.record(envelope, _WAITING(event))
    batch.change(sql.RUN_WAITING, envelope, dumps(list(event.gates)), batch.number)


def _cancel_requested(batch: Batch, envelope: Envelope, event: ev.RunCancelRequested) -> None:
    batch.record(envelope, _CANCEL(event))
    wish = (envelope.at, event.by, event.reason, event.via, event.kill)
    batch.change(sql.RUN_CANCEL_SEEN, envelope, *wish, batch.number)


def _run_completed(batch: Batch, envelope: Envelope, event: ev.RunCompleted) -> None:
    batch.record(envelope, _COMPLETED(event))
    _end(batch, envelope, RunStatus.COMPLETED, None, None)


def _run_failed(batch: Batch, envelope: Envelope, event: ev.RunFailed) -> None:
    batch.record(envelope, _FAILED(event))
    _end(batch, envelope, RunStatus.FAILED, event.reason, event.error)


def _run_cancelled(batch: Batch, envelope: Envelope, event: ev.RunCancelled) -> None:
    batch.record(envelope, _CANCELLED(event))
    _end(batch, envelope, RunStatus.CANCELLED, event.reason, None)


def _end(batch: Batch, envelope: Envelope, status: RunStatus, reason: str | None, error: str | None) -> None:
    batch.change(sql.RUN_ENDED, envelope, status.value, reason, error, envelope.seq, envelope.at, batch.number)


def _run_interrupted(batch: Batch, envelope: Envelope, event: ev.RunInterrupted) -> None:
    batch.record(envelope, _INTERRUPTED(event))
    batch.change(sql.RUN_INTERRUPTED, envelope, event.cause, event.error, batch.number)


def _run_created(_batch: Batch, envelope: Envelope, _event: ev.RunCreated) -> None:
    raise corrupt(envelope.run, envelope.seq, "E2", found="a second `run_created`", expected="it first, and once")


def _choice_made(batch: Batch, envelope: Envelope, event: ev.ChoiceMade) -> None:
    batch.record(envelope, _CHOICE(event), path=event.path)


def _items_collected(batch: Batch, envelope: Envelope, event: ev.ItemsCollected) -> None:
    batch.record(envelope, codec.items_collected(event), path=event.path, epoch=event.epoch)


def _state_set(batch: Batch, envelope: Envelope, event: ev.StateSet) -> None:
    batch.record(envelope, _STATE_SET(event), path=event.path)


def _worktree_changed(batch: Batch, envelope: Envelope, event: ev.WorktreeChanged) -> None:
    batch.record(envelope, _WORKTREE(event), path=event.path)


def _note(batch: Batch, envelope: Envelope, event: ev.Note) -> None:
    batch.record(envelope, _NOTE(event), path=event.path)


_RULES: dict[str, tuple[str, str]] = {
    sql.FIRST_ATTEMPT: ("E5", "the next number of a step that is neither open nor settled"),
    sql.NEXT_ATTEMPT: ("E5", "the next number of a step that is neither open nor settled"),
    sql.ATTEMPT_ENDED: ("E4", "the open attempt's number"),
    sql.ATTEMPT_CUT_OFF: ("E4", "the open attempt's number"),
    sql.ATTEMPT_OPEN: ("E4", "the open attempt's number"),
    sql.RETRY_SCHEDULED: ("E8", "a failed attempt"),
    sql.STEP_CLOSES: ("E9", "a step that has begun and is not settled"),
    sql.STEP_CLOSES_WITH_PLACE: ("E9", "a step that is not settled"),
    sql.STEP_HANDLED: ("E8", "a failure nobody took yet"),
    sql.STEP_SUPERSEDED: ("E8", "a step that has ended"),
    sql.EPOCH_BEFORE: ("E4", "the epoch after the superseded one"),
    sql.STEP_WAITS: ("E9", "a step that is neither open nor settled"),
    sql.GATE_OPENS: ("E10", "each occurrence of a gate once"),
    sql.GATE_DECIDED: ("E10", "an open gate, decided once"),
    sql.RUN_BEGUN: ("E7", "a run"),
    sql.RUN_WAITING: ("E6", "a run"),
    sql.RUN_CANCEL_SEEN: ("E6", "a run"),
    sql.RUN_FOLLOWS: ("E6", "a run"),
    sql.RUN_ENDED: ("E6", "every attempt and gate closed first"),
    sql.RUN_INTERRUPTED: ("E6", "a run"),
}

_STARTED = codec.fields("owner", "deadline_at")
_RESUMED = codec.fields("owner", "reused", "rerun", "asked", "mode", "crashed", "automatic", "deadline_at", "limits")
_WAITING = codec.fields("gates")
_CANCEL = codec.fields("by", "via", "reason", "kill")
_COMPLETED = codec.fields("outputs")
_FAILED = codec.fields("reason", "error", "at_path")
_CANCELLED = codec.fields("reason", "by")
_INTERRUPTED = codec.fields("cause", "error")
_PROCESS = codec.fields("pid", "began")
_DECIDED = codec.fields("name", "decision", "by", "via", "occurrence", "reason", "form")
_RETRY = codec.fields("due_at", "delay_ms", "retries_left")
_HANDLED = codec.fields("handled")
_SUPERSEDED = codec.fields("why")
_CHOICE = codec.fields("construct", "text", "operands", "result")
_NOTE = codec.fields("level", "code", "text", "data")
_WORKTREE = codec.fields("what", "folder", "branch", "base", "commit", "files")
_STATE_SET = codec.fields("updates")

_ROWS: dict[type, Callable[[Batch, Envelope, Any], None]] = {  # each takes its own class of event
    ev.RunCreated: _run_created,
    ev.RunStarted: _run_begun,
    ev.RunResumed: _run_begun,
    ev.DefinitionChanged: _definition_changed,
    ev.RunWaiting: _run_waiting,
    ev.RunCancelRequested: _cancel_requested,
    ev.RunCompleted: _run_completed,
    ev.RunFailed: _run_failed,
    ev.RunCancelled: _run_cancelled,
    ev.RunInterrupted: _run_interrupted,
    ev.AttemptStarted: _attempt_started,
    ev.ProcessStarted: _process_started,
    ev.AttemptFailed: _attempt_ended,
    ev.AttemptTimedOut: _attempt_ended,
    ev.AttemptCancelled: _attempt_ended,
    ev.AttemptCutOff: _attempt_cut_off,
    ev.RetryScheduled: _retry_scheduled,
    ev.StepCompleted: _step_completed,
    ev.StepFailed: _step_failed,
    ev.StepTimedOut: _step_timed_out,
    ev.StepSkipped: _step_skipped,
    ev.StepCancelled: _step_cancelled,
    ev.StepHandled: _step_handled,
    ev.StepSuperseded: _step_superseded,
    ev.GateOpened: _gate_opened,
    ev.GateDecided: _gate_decided,
    ev.ChoiceMade: _choice_made,
    ev.ItemsCollected: _items_collected,
    ev.StateSet: _state_set,
    ev.WorktreeChanged: _worktree_changed,
    ev.Note: _note,
}
