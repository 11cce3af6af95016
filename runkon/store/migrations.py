"""Bringing a database of an older schema up to date: all of it or nothing, after a copy, and not under a living owner.

A step of the list says what changes in rows. The shape of tables, indices and views is never written down twice: each
that differs from `schema.sql` is made anew from it, and the rows of a table are carried over column by column; nothing
that an event says is changed. Tables that stay as they are, are not touched.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
import time
from collections.abc import Callable
from pathlib import Path

from runkon.model import holder as holders
from runkon.named import NamedTuple
from runkon.store import faults
from runkon.store import statements as sql
from runkon.store.schema import VERSION, ddl


class Migration(NamedTuple):
    """The step to schema `number`; `statements` change rows, once every table has its new shape."""

    number: int
    name: str
    statements: tuple[str, ...] = ()


class Migrated(NamedTuple):
    """What was done: the schemas before and now, and the copy that was made before, None if there was nothing in it."""

    before: int
    now: int
    copy: Path | None


MIGRATIONS = (Migration(2, "asks, cancel wishes, forks, large values"), Migration(3, "keys of starts, busy time"))


def migrate(
    connection: sqlite3.Connection,
    path: Path,
    *,
    is_alive: Callable[[str], bool | None] = holders.is_alive,
) -> Migrated | None:
    """Bring the database `path`, which `connection` writes, to this version's schema; None if it is there already.
    Raises UserError `store-busy-migrating` while somebody advances a run in it."""
    connection.execute("PRAGMA foreign_keys = OFF")  # tables are replaced; has no effect inside a transaction
    connection.execute("PRAGMA legacy_alter_table = ON")
    try:
        connection.execute(sql.BEGIN)  # no other writer from here on; the copy is made by a reader
        try:
            done = _migrate(connection, path, is_alive)
            connection.execute(sql.COMMIT)
        except BaseException:
            if connection.in_transaction:
                connection.execute(sql.ROLLBACK)
            raise
    finally:
        connection.execute("PRAGMA legacy_alter_table = OFF")
        connection.execute("PRAGMA foreign_keys = ON")
    return done


def _migrate(connection: sqlite3.Connection, path: Path, is_alive: Callable[[str], bool | None]) -> Migrated | None:
    before = int(connection.execute(sql.SELECT_VERSION).fetchone()[0])
    if before >= VERSION:
        return None
    _check_owners(connection, path, is_alive)
    has_rows = connection.execute("SELECT 1 FROM runs LIMIT 1").fetchone() is not None
    copy = _copied(path, before) if has_rows else None
    _reshape(connection)
    import runkon  # late: only for an older file

    version = getattr(runkon, "__version__", "0")
    for step in MIGRATIONS:
        if step.number > before:
            for statement in step.statements:
                connection.execute(statement)
            connection.execute(sql.INSERT_SCHEMA, (step.number, step.name, time.time_ns() // 1_000_000, version))
    broken = connection.execute("PRAGMA foreign_key_check").fetchone()
    if broken is not None:
        raise faults.damaged(path, f"a row of `{broken[0]}` belongs to a row of `{broken[2]}` that is not there")
    return Migrated(before, VERSION, copy)


def _check_owners(connection: sqlite3.Connection, path: Path, is_alive: Callable[[str], bool | None]) -> None:
    now = time.time_ns() // 1_000_000
    owners = []
    for run, owner, until in connection.execute(
        "SELECT id, lease_owner, lease_until FROM runs WHERE lease_owner IS NOT NULL ORDER BY number"
    ):
        alive = is_alive(owner)
        if alive or (alive is None and (until or 0) >= now):
            owners.append((run, holders.describe(owner)))
    if owners:
        raise faults.busy_migrating(path, owners, VERSION)


def _copied(path: Path, number: int) -> Path:
    """A whole copy of the database beside it, under a name nothing has yet. Others may only read meanwhile."""
    target = path.with_name(f"{path.name}.bak-{number}")
    again = 1
    while target.exists():
        again += 1
        target = path.with_name(f"{path.name}.bak-{number}.{again}")
    part = target.with_name(f"{target.name}.{os.getpid()}.part")
    place = str(path.absolute()).replace("%", "%25").replace("?", "%3f").replace("#", "%23")
    try:
        with (
            contextlib.closing(sqlite3.connect(f"file:{place}?mode=ro", uri=True)) as source,
            contextlib.closing(sqlite3.connect(part)) as copy,
        ):
            source.backup(copy)
        os.replace(part, target)
    finally:
        part.unlink(missing_ok=True)
    return target


# ── tables ────────────────────────────────────────────────────────────────────────────────────────
def _reshape(connection: sqlite3.Connection) -> None:
    """Every table, index and view as `schema.sql` has it."""
    wanted = {_name(statement): statement for statement in ddl()}
    there = {row[1]: row for row in connection.execute("SELECT type, name, tbl_name, sql FROM sqlite_master")}
    for kind, name, table, text in there.values():
        is_moved = table in wanted and there[table][3] != wanted[table]
        if kind == "view" or (kind == "index" and text is not None and is_moved):
            connection.execute(f'DROP {kind} "{name}"')
    for name, statement in wanted.items():
        old = there.get(name)
        if old is None or old[0] == "view" or (old[0] == "index" and there[old[2]][3] != wanted[old[2]]):
            connection.execute(statement)
        elif old[0] == "table" and old[3] != statement:
            _replace(connection, name, statement)


def _replace(connection: sqlite3.Connection, table: str, statement: str) -> None:
    connection.execute(f'ALTER TABLE "{table}" RENAME TO "{table}_before"')
    connection.execute(statement)
    kept = [name for name in _columns(connection, table) if name in _columns(connection, f"{table}_before")]
    named = ", ".join(f'"{name}"' for name in kept)
    connection.execute(f'INSERT INTO "{table}" ({named}) SELECT {named} FROM "{table}_before"')
    connection.execute(f'DROP TABLE "{table}_before"')


def _columns(connection: sqlite3.Connection, table: str) -> list[str]:
    return [row[1] for row in connection.execute(f'PRAGMA table_info("{table}")')]


def _name(statement: str) -> str:
    """Of what a `CREATE` statement makes."""
    return statement.split(None, 3)[2].partition("(")[0].strip('"')
