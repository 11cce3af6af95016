"""The rows that the events of a run lead to: found by playing the events into an empty database of its own."""

from __future__ import annotations

import sqlite3
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby
from operator import itemgetter
from pathlib import Path
from typing import Any, TypeAlias

from runkon.frozen import replace
from runkon.model import events as ev
from runkon.model.damage import corrupt
from runkon.model.events import Envelope
from runkon.model.ids import RunID
from runkon.model.output import Output
from runkon.model.records import Lease
from runkon.named import NamedTuple
from runkon.store import connections
from runkon.store.batch import Batch
from runkon.store.sqlite import SqliteRunStore

Row: TypeAlias = Mapping[str, Any]
Rows: TypeAlias = Mapping[str, Mapping[tuple[Any, ...], Row]]  # by table, then by key

KEYS = {"runs": (), "steps": ("path", "epoch"), "gates": ("name", "occurrence")}
_NOT_FROM_EVENTS = frozenset({"number", "run", "id", "lease_owner", "lease_until", "leg", "fence"})
_ANYBODYS = "cancel_"  # what is wished of a run may be written before any event says so
_AT_ONCE = 500
_TTL_MS = 1


class Difference(NamedTuple):
    """A row that is not what its events lead to."""

    found: str
    expected: str
    event: int | None
    path: str | None


class _RowsAlone(SqliteRunStore):
    """Keeps what follows from events, and none of them but the first."""

    def _batch(self, number: int, author: Lease, envelopes: Sequence[Envelope]) -> Batch:
        batch = super()._batch(number, author, envelopes)
        batch.events.clear()
        batch.artifacts.clear()
        return batch


def played(envelopes: Sequence[Envelope]) -> Rows:
    """The rows after `envelopes`, which may be `lean`. Raises UserError `corrupt-run` where one can't follow."""
    first = envelopes[0]
    if not isinstance(first.event, ev.RunCreated):
        raise corrupt(first.run, 1, "E2", found=f"`{first.event.kind}`", expected="`run_created`")
    with tempfile.TemporaryDirectory(prefix="runkon-") as folder:
        path = Path(folder) / "played.db"
        store = _RowsAlone(path, durability="normal", is_alive=lambda _holder: False)
        try:
            store.create(first.run, first.event, first.at)
            for leg, group in groupby(envelopes[1:], key=lambda one: one.leg):
                play(store, list(group), leg)
        finally:
            store.close()
        with connections.reading(path) as connection:
            return rows_of(connection, first.run) if connection else {}


def play(store: SqliteRunStore, envelopes: Sequence[Envelope], leg: int) -> None:
    """Write the events of one leg into a store that nobody else uses."""
    lease = Lease(envelopes[0].run, "", 0, 0, 0)
    while lease.leg < leg:
        taken = store.acquire(lease.run, f"player {lease.leg}", envelopes[0].at, _TTL_MS)
        if taken is None or (taken.leg, taken.fence) == (lease.leg, lease.fence):
            break
        lease = taken
    for start in range(0, len(envelopes), _AT_ONCE):
        store.append(lease, envelopes[start : start + _AT_ONCE])


def lean(envelope: Envelope) -> Envelope:
    """Without values that no row holds: they need not be kept twice."""
    event = envelope.event
    match event:
        case ev.StepCompleted(output=output):
            if not (output.values or output.context or output.text or output.markers):
                return envelope
            return envelope._replace(event=replace(event, output=Output(usage=event.output.usage)))
        case ev.StepFailed():
            return envelope._replace(event=replace(event, output=None))
        case ev.RunCompleted():
            return envelope._replace(event=replace(event, outputs={}))
        case ev.ItemsCollected():
            return envelope._replace(event=replace(event, items=()))
        case ev.ChoiceMade():
            return envelope._replace(event=replace(event, operands={}))
        case ev.StateSet():
            return envelope._replace(event=replace(event, updates={}))
        case ev.Note():
            return envelope._replace(event=replace(event, data={}))
        case _:
            return envelope


def rows_of(connection: sqlite3.Connection, run: RunID) -> Rows:
    """The rows of `run` that follow from its events."""
    found = {}
    for table, key in KEYS.items():
        where = "id = ?" if table == "runs" else "run = (SELECT number FROM runs WHERE id = ?)"
        cursor = connection.execute(f"SELECT * FROM {table} WHERE {where}", (run,))
        names = [column[0] for column in cursor.description]
        rows = [dict(zip(names, row, strict=True)) for row in cursor]
        found[table] = {tuple(row[name] for name in key): row for row in rows}
    return found


def differences(found: Rows, expected: Rows) -> Iterator[Difference]:
    """What differs, row by row; of a row everything in one."""
    for table, wanted in expected.items():
        there = found[table]
        counted = [column for column in next(iter(wanted.values()), ()) if _counts(table, column)]
        values = itemgetter(*counted) if counted else None
        for key in [*wanted, *(key for key in there if key not in wanted)]:
            one, other = there.get(key), wanted.get(key)
            if values is not None and one is not None and other is not None and values(one) == values(other):
                continue
            known = other or one or {}
            path, event = known.get("path"), known.get("seq_last") or known.get("seq_first") or known.get("seq")
            name = f"`{table}`" if not key else f"`{table}` for `{key[0]}`, {_KINDS[table]} {key[1]}"
            if one is None or other is None:
                row, none = f"a row in {name}", f"no row in {name}"
                yield Difference(none if one is None else row, row if one is None else none, event, path)
                continue
            names = [column for column in counted if one[column] != other[column]]
            if names:
                yield Difference(f"in {name}: {_told(one, names)}", _told(other, names), event, path)


def _counts(table: str, column: str) -> bool:
    if table == "steps" and column == "leg":  # of the step's last event; that of a run may be taken without any
        return True
    return column not in _NOT_FROM_EVENTS and not column.startswith(_ANYBODYS)


def _told(row: Row, names: Sequence[str]) -> str:
    return ", ".join(f"{name} {_value(row[name])}" for name in names)


def _value(value: Any) -> str:
    text = "nothing" if value is None else f"`{value}`"
    return text if len(text) <= 80 else f"{text[:78]}…`"


_KINDS = {"steps": "epoch", "gates": "occurrence"}
