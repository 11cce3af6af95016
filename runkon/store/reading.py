"""Rows back to records and events; steps are in `reading_steps.py`. A row that does not read back is `corrupt-run`,
never skipped."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any, cast

from runkon.errors import UserError
from runkon.model.events import Envelope
from runkon.model.fold import corrupt
from runkon.model.ids import RunID, StepPath
from runkon.model.json_text import dumps, loads
from runkon.model.output import EMPTY, JsonValue
from runkon.model.records import CancelRequest, GateAnswer, GateRecord, RunRecord, StepInfo, StepRecord
from runkon.model.status import RunStatus, StepStatus
from runkon.store import codec
from runkon.store import statements as sql

UNREADABLE = (ValueError, KeyError, TypeError, AttributeError)
ALONE: Any = object()
_Row = tuple[Any, ...]
_NUMBERS = (7, 8, 9, 12, 15, 16, 17, 22, 23)  # of the columns of a run: what must be a number
_TIMES = (11, 13, 14, 20, 25)  # and what must be one or nothing
_CREATED = 12
_LAST_INSTANT = 253_402_300_799_999  # in milliseconds: the end of the year 9999
_NOTHING_READABLE = '{"inputs":{},"config":{}}'


def run_record(connection: sqlite3.Connection, row: _Row) -> RunRecord:
    """Raises UserError `corrupt-run` for a row or a payload that does not read back."""
    with _reading(RunID(row[0]), row[8], "runs"):
        for index in (*_NUMBERS, *_TIMES):
            if not isinstance(row[index], int) and (index in _NUMBERS or row[index] is not None):
                raise ValueError(f"{row[index]!r} where a number belongs")
        for index in (*_TIMES, _CREATED):
            if row[index] is not None and not _is_instant(row[index]):
                raise ValueError(f"{row[index]!r} where an instant belongs")
        return _run_record(connection, row)


def _run_record(connection: sqlite3.Connection, row: _Row) -> RunRecord:
    run = RunID(row[0])
    created = _whole(connection, run, 1, row[18], row[31])
    changed = _whole(connection, run, row[8], row[30], row[33]) if row[30] is not None else {}
    ended = _whole(connection, run, row[8], row[19], row[32]) if row[19] is not None else {}
    return RunRecord(
        id=run,
        workflow=row[1],
        file=row[2],
        status=RunStatus(row[3]),
        inputs=(changed if "inputs" in changed else created)["inputs"],
        outputs=ended.get("outputs"),
        reason=row[4],
        error=row[5],
        config=created["config"],
        dry=row[6] == "dry",
        leg=row[7],
        seq=row[8],
        fence=row[9],
        holder=row[10],
        lease_until=row[11],
        created_at=row[12],
        started_at=row[13],
        ended_at=row[14],
        cost_usd=row[15] / 1_000_000,
        cost_known=bool(row[16]),
        unpriced=0 if row[16] else _unpriced(connection, run),
        calls=row[17],
        deadline_at=row[20],
        waiting_on=_words(row[21]),
        crashes=row[22],
        recoveries=row[23],
        forked_from=RunID(row[24]) if row[24] else None,
        cancel=wish(row[25:30]) if row[25] is not None else None,
    )


def _unpriced(connection: sqlite3.Connection, run: RunID) -> int:
    """How many attempts have ended without a known price."""
    found: int = connection.execute(sql.COUNT_UNPRICED, (run,)).fetchone()[0]
    return found


def _is_instant(number: int) -> bool:
    return 0 <= number <= _LAST_INSTANT


@contextlib.contextmanager
def _reading(run: RunID, seq: object, table: str) -> Iterator[None]:
    try:
        yield
    except UNREADABLE as problem:
        found = f"a row of `{table}` that does not read back ({type(problem).__name__}: {problem})"
        number = seq if isinstance(seq, int) else 1
        raise corrupt(run, number, "I6", found=found, expected="a row as its events say") from problem


def wish(row: _Row) -> CancelRequest:
    """From the columns `cancel_at`, `cancel_by`, `cancel_reason`, `cancel_kill`, `cancel_via`."""
    return CancelRequest(row[0], row[1], row[2], bool(row[3]), row[4])


def gate_record(run: RunID, row: _Row) -> GateRecord:
    name, occurrence, path, kind, prompt, options, opened_at, deadline_at, decision, by, via, reason, form, at = row
    with _reading(run, None, "gates"):
        words, fields = _words(options), _form(form)
    return GateRecord(
        run=run,
        name=name,
        occurrence=occurrence,
        path=StepPath(path),
        type=kind,
        prompt=prompt,
        options=words,
        opened_at=opened_at,
        deadline_at=deadline_at,
        decision=decision,
        by=by,
        via=via,
        reason=reason or "",
        form=fields,
        decided_at=at,
    )


def gate_answer(run: RunID, row: _Row) -> GateAnswer:
    name, occurrence, ordinal, choice, by, via, at, reason, form = row
    with _reading(run, None, "gate_answers"):
        fields = _form(form)
    return GateAnswer(run, name, choice, by, via, at, occurrence, reason or "", fields, ordinal)


def _words(text: str | None) -> tuple[str, ...]:
    return tuple(loads(text)) if text else ()


def _form(text: str | None) -> Mapping[str, JsonValue]:
    return loads(text) if text else EMPTY


def listed_run(connection: sqlite3.Connection, row: _Row) -> RunRecord:
    """As `run_record`; one damaged run does not take the list of the others away and is shown with what is wrong."""
    try:
        return run_record(connection, row)
    except UserError as error:
        told = [*row[:5], error.message, *row[6:18], _NOTHING_READABLE, None, *row[20:30], None, None, None, None]
        for index in (*_NUMBERS, *_TIMES):
            if not isinstance(told[index], int) or (index in (*_TIMES, _CREATED) and not _is_instant(told[index])):
                told[index] = 0 if index in _NUMBERS else None
        told[21] = None  # what it waits for
        return run_record(connection, tuple(told))


def fresh_step(run: RunID, row: _Row) -> StepRecord:
    """A step that was put aside, as it begins anew."""
    return StepRecord(run, StepPath(row[0]), StepInfo(*row[1:9]), StepStatus.PENDING, epoch=row[9])


def loaded(texts: Sequence[str | None]) -> Sequence[object]:
    """The values of JSON texts, all at once, which takes a fifth of the time; `ALONE` in the place of each if they
    can't be told apart: then one of them is no JSON, and is found when it is read alone."""
    try:
        found = loads(f"[{',0,'.join(texts)}]")  # type: ignore[arg-type]  # a missing one is a TypeError
        if len(found) == 2 * len(texts) - 1 and found[1::2] == [0] * (len(texts) - 1):
            return cast("list[object]", found[::2])
    except UNREADABLE:
        pass
    return [ALONE] * len(texts)


def page(connection: sqlite3.Connection, run: RunID, after: int, size: int) -> list[Envelope]:
    """The next events above `after`, at most `size`; none when there are no more. Raises UserError `corrupt-run` for a
    gap, a missing end, an unreadable payload."""
    found = connection.execute(sql.SELECT_LAST, (run,)).fetchone()
    if found is None:
        return []
    number, last = found
    if not isinstance(last, int):
        raise corrupt(run, after + 1, "I6", found=f"a run whose last event is {last!r}", expected="its number")
    read = []
    rows = connection.execute(sql.SELECT_EVENTS, (number, after, size)).fetchall()
    for expected, (row, payload) in enumerate(with_payloads(rows), after + 1):
        if row[0] != expected:
            raise corrupt(run, expected, "E1", found=f"number {row[0]}", expected=f"number {expected}")
        read.append(envelope(connection, run, row, payload))
    end = after + len(read)
    if len(read) < size and end < last:
        raise corrupt(run, end + 1, "E1", found="no event", expected=f"events up to number {last}")
    return read


def events_of(connection: sqlite3.Connection, run: RunID, kinds: Collection[str]) -> list[Envelope]:
    """Events of these kinds. Raises UserError `corrupt-run` for an unreadable payload; a gap is not seen here."""
    found = connection.execute(sql.SELECT_EVENTS_OF, (run, dumps(sorted(kinds)))).fetchall()
    return [envelope(connection, run, row, payload) for row, payload in with_payloads(found)]


def runs_asked(connection: sqlite3.Connection, request: Mapping[str, object], limit: int) -> list[RunID]:
    """The runs that keep `request` as what an attempt was asked, newest first."""
    from runkon.store.artifacts import request_id  # late: few steps ask

    return [RunID(run) for (run,) in connection.execute(sql.RUNS_ASKED, (request_id(request), limit))]


def with_payloads(rows: Sequence[_Row]) -> Iterator[tuple[_Row, object]]:
    """The rows of events, each with what `envelope` takes besides."""
    return zip(rows, loaded([row[8] for row in rows]), strict=True)


def envelope(connection: sqlite3.Connection, run: RunID, row: _Row, known: object = ALONE) -> Envelope:
    """The event of a row; a value kept apart that can't be used says so. Raises UserError `corrupt-run`."""
    seq, at, leg, fence, kind, path, epoch, attempt, text, crc = row
    is_sound = isinstance(known, dict) and crc == codec.proof(text)
    payload = cast("codec.Payload", known) if is_sound else _payload(run, seq, text, crc)
    if codec.MARK in text:
        from runkon.store import artifacts  # late: most runs have none

        artifacts.restore_or_tell(payload, artifacts.loader(connection))
    if kind in ("run_created", "definition_changed"):
        payload["sources"] = _texts(connection, run, payload["sources"])
    try:
        if not (isinstance(at, int) and isinstance(leg, int) and isinstance(fence, int) and _is_instant(at)):
            raise ValueError(f"time {at!r}, leg {leg!r}, fence {fence!r} are not all numbers that can be")
        event = codec.read_event(kind, path, epoch, attempt, payload)
    except UNREADABLE as problem:
        raise unreadable(run, seq, problem, StepPath(path) if path else None) from problem
    return Envelope(run, seq, at, leg, fence, event)


def sources(connection: sqlite3.Connection, run: RunID) -> Mapping[str, str]:
    row = connection.execute(sql.SELECT_DEFINITION, (run,)).fetchone()
    return _texts(connection, run, _payload(run, *row)["sources"]) if row else {}


def _texts(connection: sqlite3.Connection, run: RunID, ids: Mapping[str, str]) -> dict[str, str]:
    found = {}
    for file, text_id in ids.items():
        row = connection.execute(sql.SELECT_SOURCE, (text_id,)).fetchone()
        if row is None or codec.text_id(row[0]) != text_id:
            state = "no text" if row is None else "a changed text"
            raise corrupt(run, 1, "E2", found=f"{state} for `{file}`", expected=f"the one with SHA-256 {text_id[:12]}…")
        found[file] = row[0]
    return found


def _whole(connection: sqlite3.Connection, run: RunID, seq: int, text: str, crc: int | None) -> codec.Payload:
    """The payload with what was kept apart. Raises UserError `corrupt-artifact` if that can't be used."""
    payload = _payload(run, seq, text, crc)
    if codec.MARK in text:
        from runkon.store import artifacts  # late: most runs have none

        try:
            artifacts.restore(payload, artifacts.loader(connection))
        except artifacts.Damage as damage:
            raise artifacts.corrupt_artifact(run, seq, damage) from damage
    return payload


def _payload(run: RunID, seq: int, text: str, crc: int | None, path: StepPath | None = None) -> codec.Payload:
    try:
        return read_payload(text, crc)
    except UNREADABLE as problem:
        raise unreadable(run, seq, problem, path) from problem


def read_payload(text: str, crc: int | None) -> codec.Payload:
    """Raises ValueError or TypeError for what is no JSON object, or not the one that was written."""
    payload = loads(text)
    if not isinstance(payload, dict):
        raise ValueError("it is not a JSON object")
    if crc is not None:
        prove(text, crc)
    return payload


def prove(text: str, crc: int) -> None:
    """Raises ValueError for a text that is not the one which was written."""
    if codec.proof(text) != crc:
        raise ValueError("somebody changed it: it has another checksum")


def unreadable(run: RunID, seq: int, problem: Exception, path: StepPath | None) -> UserError:
    """The error for the payload of an event."""
    found = f"a payload that does not read back ({type(problem).__name__}: {problem})"
    return corrupt(run, seq, "E2", found=found, expected="an event of a known kind", path=path)
