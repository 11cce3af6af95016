"""The rows of a run made anew from its events, under a lease, where somebody or something has changed them."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from runkon.errors import LeaseLost
from runkon.model.ids import RunID
from runkon.model.json_text import loads
from runkon.model.records import Lease
from runkon.named import NamedTuple
from runkon.store import artifacts, codec, connections, reading
from runkon.store import statements as sql
from runkon.store.care.checking import Problem, check, refuse_damaged
from runkon.store.care.replaying import Rows, lean, played
from runkon.store.writer import Writer

_KEPT = frozenset({"number", "id", "lease_owner", "lease_until", "leg", "fence"})
_WISHES = ("cancel_at", "cancel_by", "cancel_reason", "cancel_kill", "cancel_via")


class Rebuilt(NamedTuple):
    """What was wrong with a run's rows before, and is not any more."""

    run: RunID
    problems: tuple[Problem, ...]


def rebuild(writer: Writer, path: Path, lease: Lease) -> Rebuilt:
    """Write every row of the run anew that follows from its events, if any is wrong; values kept apart stay as they
    are. Raises UserError `corrupt-run` if the events themselves are damaged, LeaseLost if the run was taken."""
    run = lease.run
    refuse_damaged(path, run)
    wrong = tuple(one for one in check(path, run).problems if "rebuild" in one.next)
    if wrong:
        with connections.reading(path) as connection:
            assert connection is not None
            number = connection.execute(sql.SELECT_LAST, (run,)).fetchone()[0]
            rows = connection.execute(sql.SELECT_EVENTS, (number, 0, -1)).fetchall()
            expected = played([lean(reading.envelope(connection, run, row)) for row in rows])
        writer.transaction(lambda cursor: _write(cursor, lease, number, expected, rows))
    return Rebuilt(run, wrong)


def _write(cursor: sqlite3.Cursor, lease: Lease, number: int, expected: Rows, events: list[Any]) -> None:
    held = cursor.execute(sql.EXTEND, (lease.expires_at, lease.run, lease.fence, lease.holder)).rowcount
    if held != 1:
        raise LeaseLost(f"run `{lease.run}` is held by another engine now")
    for table in ("steps", "gates"):
        cursor.execute(f"DELETE FROM {table} WHERE run = ?", (number,))
        for row in expected[table].values():
            _insert(cursor, table, {**row, "run": number})
    (run,) = expected["runs"].values()
    was = cursor.execute("SELECT cancel_at FROM runs WHERE number = ?", (number,)).fetchone()
    kept = _KEPT | (frozenset(_WISHES) if was[0] is not None else frozenset())
    changed = {name: value for name, value in run.items() if name not in kept}
    columns = ", ".join(f'"{name}" = ?' for name in changed)
    cursor.execute(f"UPDATE runs SET {columns} WHERE number = ?", (*changed.values(), number))
    for row in events:
        for artifact in artifacts.traces(loads(row[8])) if codec.MARK in row[8] else ():
            if cursor.execute(sql.SELECT_ARTIFACT, (artifact,)).fetchone():
                cursor.execute(sql.INSERT_ARTIFACT_REF, (artifact, number, "output"))


def _insert(cursor: sqlite3.Cursor, table: str, row: Mapping[str, Any]) -> None:
    names = ", ".join(f'"{name}"' for name in row)
    cursor.execute(f"INSERT INTO {table} ({names}) VALUES ({', '.join('?' * len(row))})", tuple(row.values()))
