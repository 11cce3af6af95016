"""What nothing refers to any more: large values, their files, unfinished files, workflow texts. Safe beside runs.

Everything is looked for first, without holding anybody up, and judged again inside the transaction that removes it.
What is younger than a day may belong to somebody who is about to name it, and stays.
"""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Iterator
from pathlib import Path

from runkon.named import NamedTuple
from runkon.store import connections
from runkon.store.blobs import PART, folder_of, path_of
from runkon.store.writer import Writer

DAY_MS = 24 * 60 * 60 * 1000
_UNUSED = (
    "SELECT id, size, place FROM artifacts WHERE created_at < ? AND NOT pinned "
    "AND NOT EXISTS (SELECT 1 FROM artifact_refs WHERE artifact = artifacts.id)"
)
_TEXTS = (
    "SELECT id, length(text) FROM sources WHERE id NOT IN (SELECT value FROM events, "
    "json_each(events.payload, '$.sources') WHERE kind = 'run_created' OR kind = 'definition_changed')"
)


class Removed(NamedTuple):
    """How much was removed, and the bytes it had."""

    artifacts: int
    files: int
    texts: int
    bytes: int


def collect(writer: Writer, path: Path, now: int) -> Removed:
    """Remove what nothing refers to; `now` is milliseconds UTC."""
    with connections.reading(path) as connection:
        if connection is None:
            return Removed(0, 0, 0, 0)
        old = now - DAY_MS
        is_needed = bool(
            connection.execute(f"{_UNUSED} LIMIT 1", (old,)).fetchone()
            or connection.execute(f"{_TEXTS} LIMIT 1").fetchone()
        )
    folder = folder_of(path)
    if not is_needed and next(_old_files(folder, old), None) is None:
        return Removed(0, 0, 0, 0)
    return writer.transaction(lambda cursor: _remove(cursor, folder, old))


def _remove(cursor: sqlite3.Cursor, folder: Path, old: int) -> Removed:
    """Inside a write transaction: nobody can name any of it meanwhile."""
    unused = cursor.execute(_UNUSED, (old,)).fetchall()
    texts = cursor.execute(_TEXTS).fetchall()
    size = sum(row[1] for row in unused) + sum(row[1] for row in texts)
    for id, _, place in unused:
        cursor.execute("DELETE FROM artifacts WHERE id = ?", (id,))
        if place == "file":
            path_of(folder, id).unlink(missing_ok=True)
    for id, _ in texts:
        cursor.execute("DELETE FROM sources WHERE id = ?", (id,))
    files = 0
    for file in list(_old_files(folder, old)):
        if file.suffix != PART and cursor.execute("SELECT 1 FROM artifacts WHERE id = ?", (file.name,)).fetchone():
            continue
        with contextlib.suppress(FileNotFoundError):
            size += file.stat().st_size
            file.unlink()
            files += 1
    return Removed(len(unused), files, len(texts), size)


def _old_files(folder: Path, old: int) -> Iterator[Path]:
    """Files of large values, and unfinished ones, that nobody has touched since `old`."""
    for file in sorted(folder.glob("??/*")):
        with contextlib.suppress(FileNotFoundError):
            if file.stat().st_mtime * 1000 < old:
                yield file
