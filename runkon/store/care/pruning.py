"""Old runs taken out of a database: only ones that have ended, and never one that somebody advances."""

from __future__ import annotations

import shutil
import sqlite3
from pathlib import Path

from runkon.model.ids import RunID
from runkon.named import NamedTuple
from runkon.store import connections
from runkon.store import statements as sql
from runkon.store.writer import Writer

_OLD = (
    "SELECT number, id FROM runs WHERE (status = 'completed' OR status = 'failed' OR status = 'cancelled') "
    "AND lease_owner IS NULL ORDER BY number DESC LIMIT -1 OFFSET ?"
)
_LOGS = f"SELECT json_extract(payload, '$.config.log_dir') FROM events WHERE place = ? * {sql.PLACES} + 1"


class Pruned(NamedTuple):
    """The runs that were taken out, newest first."""

    runs: tuple[RunID, ...]


def prune(writer: Writer, path: Path, keep: int) -> Pruned:
    """Take out all ended runs but the newest `keep`, with their steps and logs; all of them or none. Large values and
    texts that nobody needs any more go with `waste.collect`."""
    with connections.reading(path) as connection:
        if connection is None or connection.execute(_OLD, (keep,)).fetchone() is None:
            return Pruned(())
    removed, logs = writer.transaction(lambda cursor: _remove(cursor, keep))
    for folder in logs:
        shutil.rmtree(folder, ignore_errors=True)
    return Pruned(removed)


def _remove(cursor: sqlite3.Cursor, keep: int) -> tuple[tuple[RunID, ...], list[Path]]:
    """Judged inside the transaction: a run that somebody has taken meanwhile stays."""
    removed, logs = [], []
    for number, run in cursor.execute(_OLD, (keep,)).fetchall():
        folder = cursor.execute(_LOGS, (number,)).fetchone()
        if folder is not None and isinstance(folder[0], str):
            logs.append(Path(folder[0]) / run)
        cursor.execute("DELETE FROM events WHERE place > ?1 * ?2 AND place < (?1 + 1) * ?2", (number, sql.PLACES))
        cursor.execute("DELETE FROM runs WHERE number = ?", (number,))  # what belongs to it goes with it
        removed.append(RunID(run))
    return tuple(removed), logs
