"""Rows back to the records of steps. A resume waits for all of them, so what is the same for every row is done for all
at once, column by column; a look at single rows follows where something is unusual."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from operator import itemgetter
from typing import Any
from zlib import crc32

from runkon.frozen import filled
from runkon.model.fold import corrupt
from runkon.model.ids import RunID
from runkon.model.json_text import loads
from runkon.model.output import NO_OUTPUT, Output
from runkon.model.records import StepError, StepInfo, StepRecord
from runkon.model.status import StepStatus
from runkon.store import codec
from runkon.store.reading import ALONE, UNREADABLE, loaded, prove, unreadable

_SEEING = frozenset({StepStatus.COMPLETED, StepStatus.FAILED})
_STATUSES = {status.value: status for status in StepStatus}  # the schema allows no other
_AFTER = {  # the status of a step whose row ends with an event of this kind
    "attempt_started": "running",
    "attempt_failed": "backoff",
    "attempt_timed_out": "backoff",
    "attempt_cancelled": "backoff",
    "attempt_cut_off": "interrupted",
    "step_completed": "completed",
    "step_failed": "failed",
    "step_timed_out": "timed_out",
    "step_skipped": "skipped",
    "step_cancelled": "cancelled",
    "gate_opened": "waiting",
}
_INFO = ("kind", "name", "key", "order", "iteration", "file", "line", "column")
_COUNTS = ("epoch", "attempts", "cut_offs", "leg", "handled")
_TIMES = ("due_at", "started_at", "ended_at")
_END = ("output", "error", "skip_reason", "seen", "cached_from", "damage")
_NOTHING = (NO_OUTPUT, None, None, None, None, None)
_ORDER = itemgetter(4)
_Row = tuple[Any, ...]


def step_records(connection: sqlite3.Connection, run: RunID, rows: Sequence[_Row]) -> list[StepRecord]:
    """Steps in program order, from `rows` in the order of their paths; one whose result was kept apart and can't be
    used says so and has none. Raises UserError `corrupt-run`."""
    if not rows:
        return []
    rows = sorted(rows, key=_ORDER)
    columns = list(zip(*rows, strict=True))
    payloads: Sequence[Any] = loaded(columns[19])
    if ALONE in payloads or not _are_sound(columns):
        payloads = [_sound(run, row, payload) for row, payload in zip(rows, payloads, strict=True)]
    ends = zip(*(_end(connection, run, row, payload) for row, payload in zip(rows, payloads, strict=True)), strict=True)
    statuses = [_STATUSES[status] for status in columns[9]]
    infos = filled(StepInfo, dict(zip(_INFO, columns[1:9], strict=True)))
    fields: dict[str, Sequence[object]] = {"run": [run] * len(rows), "path": columns[0], "info": infos}
    fields |= {"status": statuses, "effect": columns[20], **dict(zip(_END, ends, strict=True))}
    fields |= zip((*_COUNTS, *_TIMES), columns[10:18], strict=True)
    return filled(StepRecord, fields)


def _are_sound(columns: Sequence[Sequence[Any]]) -> bool:
    """True if every row ends with an event of its step, of its status, and with the text that was written."""
    if columns[22] != columns[0] or [_AFTER.get(kind) for kind in columns[21]] != list(columns[9]):
        return False
    return list(map(crc32, map(str.encode, columns[19]))) == list(columns[23])


def _sound(run: RunID, row: _Row, payload: Any) -> Any:
    """The payload of the event that the row ends with. Raises UserError `corrupt-run` if that is not sound."""
    path, seq, text = row[0], row[18], row[19]
    if text is None:
        raise corrupt(run, seq, "E1", found="no such event", expected="the result of the step", path=path)
    if _AFTER.get(row[21]) != row[9] or row[22] != path:
        of = f" of `{row[22]}`" if row[22] != path else ""
        found = f"a row with status {row[9]} that ends with `{row[21]}`{of}"
        raise corrupt(run, seq, "I6", found=found, expected="the status and step of that event", path=path)
    try:
        if payload is ALONE:
            payload = loads(text)
        if row[23] is not None:
            prove(text, row[23])
    except UNREADABLE as problem:
        raise unreadable(run, seq, problem, path) from problem
    return payload


def _end(connection: sqlite3.Connection, run: RunID, row: _Row, payload: Any) -> tuple[object, ...]:
    """What the step's last event says of its end: the fields `_END`."""
    if type(payload) is dict and len(payload) == 2 and payload.get("output") == {} and "elapsed_ms" in payload:
        return _NOTHING
    status, seen, source, damage = _STATUSES[row[9]], None, None, None
    try:
        if codec.MARK in row[19]:
            damage = _completed(connection, payload)
        output, error, reason = _result(status, payload)
        if "seen" in payload and status in _SEEING:
            seen = codec.read_seen(payload)
        if status is StepStatus.COMPLETED:
            source = payload.get("cached_from")
    except UNREADABLE as problem:
        raise unreadable(run, row[18], problem, row[0]) from problem
    return output, error, reason, seen, source, damage


def _completed(connection: sqlite3.Connection, payload: codec.Payload) -> str | None:
    """Put the output into the event of a step, or return what is wrong with it."""
    from runkon.store import artifacts  # late: most runs have none

    try:
        artifacts.restore(payload, artifacts.loader(connection))
    except artifacts.Damage as damage:
        payload["output"] = artifacts.without_value(payload["output"])
        return str(damage)
    return None


def _result(status: StepStatus, payload: codec.Payload) -> tuple[Output, StepError | None, str | None]:
    """Output, error and reason, from the event that the step's row names as its last."""
    if status is StepStatus.COMPLETED:
        found = payload["output"]
        return NO_OUTPUT if found == {} else codec.read_output(found), None, None
    if status in (StepStatus.FAILED, StepStatus.TIMED_OUT):
        output = codec.read_output(payload["output"]) if "output" in payload else NO_OUTPUT
        return output, codec.read_error(payload), None
    if status is StepStatus.BACKOFF:
        return NO_OUTPUT, codec.read_error(payload), None
    if status in (StepStatus.SKIPPED, StepStatus.CANCELLED):
        return NO_OUTPUT, None, payload["reason"]
    if status is StepStatus.INTERRUPTED:
        return NO_OUTPUT, None, payload["cause"] if payload.get("certainty") == "unknown" else None
    return NO_OUTPUT, None, None
