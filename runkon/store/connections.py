"""Opening the database file: for the one writer, and for short reads.

Opening to write creates folder, file and tables when they are not there; opening to read creates nothing. A file of
an older schema is brought up to date first, whoever opens it.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Literal, TypeAlias

from runkon.errors import UserError
from runkon.model.state_folder import GITIGNORE, STATE_FOLDER
from runkon.store import faults
from runkon.store import statements as sql
from runkon.store.schema import VERSION, ddl

Journal: TypeAlias = Literal["wal", "truncate"]

BUSY_MS = 5_000  # one wait inside SQLite; the store repeats it up to its patience


class _Older(Exception):
    """The tables are there, of a schema before this version's."""


def open_writer(path: Path, durability: Literal["full", "normal"]) -> sqlite3.Connection:
    """A connection that writes to `path`, its tables in place. Raises UserError when that can't be, and SQLite's own
    error when waiting can help."""
    _make_folder(path)
    faults.check_header(path)
    try:
        connection = _connect(path, "rwc")
    except sqlite3.Error as error:
        raise faults.refusal(error, path) from error
    try:
        _prepare(connection, path, durability)
    except BaseException as error:
        connection.close()
        if isinstance(error, sqlite3.Error) and not faults.may_pass(error):
            raise _opening(error, path) from error
        raise
    return connection


@contextlib.contextmanager
def reading(path: Path) -> Iterator[sqlite3.Connection | None]:
    """A connection that reads `path` in one consistent state, or None when there is nothing to read yet."""
    if not is_there(path):
        yield None
        return
    try:
        connection, is_ready = begin_reading(path)
        with contextlib.closing(connection):
            yield connection if is_ready else None
    except sqlite3.Error as error:
        raise faults.refusal(error, path) from error


def is_there(path: Path) -> bool:
    """True if there is a file that may be a database. Raises UserError for what can't be one."""
    faults.check_header(path)
    return path.exists()


def begin_again(connection: sqlite3.Connection, path: Path) -> bool:
    """Begin a transaction in which `connection` reads; true if there is anything in the file."""
    connection.execute("BEGIN")
    return _is_ready(connection, path)


def begin_reading(path: Path) -> tuple[sqlite3.Connection, bool]:
    """A new reading connection inside its transaction, and whether there is anything in the file; an older one is
    brought up to date before."""
    connection = _open_reader(path)
    try:
        return connection, begin_again(connection, path)
    except _Older as older:
        connection.close()
        try:
            open_writer(path, "full").close()
        except UserError as error:
            if error.code in ("store-read-only", "store-unavailable"):
                raise faults.too_old(path, int(str(older)), VERSION, error.message) from error
            raise
        connection = _open_reader(path)
        connection.execute("BEGIN")
        return connection, True
    except BaseException:
        connection.close()
        raise


@contextlib.contextmanager
def as_it_is(path: Path) -> Iterator[sqlite3.Connection]:
    """A connection that may write `path`, of whatever schema known here it is. Raises UserError for any other file."""
    try:
        with contextlib.closing(_connect(path, "rw")) as connection:
            with contextlib.suppress(_Older):
                _is_ready(connection, path)
            yield connection
    except sqlite3.Error as error:
        raise _opening(error, path) from error


def _open_reader(path: Path) -> sqlite3.Connection:
    connection = _connect(path, "ro")
    try:
        connection.execute("SELECT 1 FROM sqlite_master").fetchone()
    except sqlite3.OperationalError as error:
        connection.close()
        alone = not path.with_name(path.name + "-wal").exists()
        if faults.code_of(error) not in (sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_READONLY) or not alone:
            raise
        return _connect(path, "ro&immutable=1")  # a folder nobody may write to: nobody writes the file either
    return connection


def _connect(path: Path, mode: str) -> sqlite3.Connection:
    place = str(path.absolute()).replace("%", "%25").replace("?", "%3f").replace("#", "%23")
    return sqlite3.connect(
        f"file:{place}?mode={mode}",
        uri=True,
        isolation_level=None,
        check_same_thread=False,
        timeout=BUSY_MS / 1000,
    )


def _make_folder(path: Path) -> None:
    folder, is_new = path.parent, False
    try:
        if not folder.is_dir():
            folder.mkdir(parents=True, exist_ok=True)
            is_new = True
        if (is_new or folder.name == STATE_FOLDER) and not path.exists():
            with contextlib.suppress(FileExistsError), (folder / ".gitignore").open("x", encoding="utf-8") as file:
                file.write(GITIGNORE)
    except OSError as error:
        raise faults.no_folder(path, error) from error


def check_place(path: Path, *, allow_network: bool) -> None:
    """Raises UserError `store-on-network` for a database on a network file system, unless that is allowed."""
    if not _is_on_a_disk(path):
        from runkon.store import networks  # late: a folder on a disk of its own is the rule

        networks.check_network(path, allowed=allow_network)


def _is_on_a_disk(path: Path) -> bool:
    """True if the folder is on a device with a number of its own, as disks have and mounts of networks have not."""
    folder = path.absolute().parent
    while not folder.exists() and folder != folder.parent:
        folder = folder.parent
    try:
        return os.major(folder.stat().st_dev) != 0
    except OSError:
        return True


def _journal_at(path: Path) -> Journal:
    """Across a network nobody shares memory: there the journal is a file that is truncated, one at a time."""
    if _is_on_a_disk(path):
        return "wal"
    from runkon.store import networks

    return "wal" if networks.network_of(path) is None else "truncate"


def _prepare(connection: sqlite3.Connection, path: Path, durability: Literal["full", "normal"]) -> None:
    journal = _journal_at(path)
    if connection.execute("PRAGMA journal_mode").fetchone()[0] != journal:
        _switch_journal(connection, journal)
    synchronous = "FULL" if durability == "full" else "NORMAL"
    for pragma in (
        f"synchronous = {synchronous}",
        "foreign_keys = ON",
        "wal_autocheckpoint = 1000",
        f"journal_size_limit = {64 * 1024 * 1024}",
        "temp_store = MEMORY",
        "fullfsync = ON",
        "checkpoint_fullfsync = ON",
    ):
        connection.execute(f"PRAGMA {pragma}")
    try:
        if not _is_ready(connection, path):
            _create(connection, path)
    except _Older:
        _migrate(connection, path)


def _migrate(connection: sqlite3.Connection, path: Path) -> None:
    from runkon.store import migrations  # late: only for an older file

    done = migrations.migrate(connection, path)
    if done is not None:
        kept = f"; the copy before is `{done.copy}`" if done.copy else ""
        print(f"note: `{path}` was brought from schema {done.before} to {done.now}{kept}", file=sys.stderr)


def _switch_journal(connection: sqlite3.Connection, journal: Journal) -> None:
    """Once per file. SQLite does not wait for others here, as it does elsewhere."""
    deadline = time.monotonic() + BUSY_MS / 1000
    while True:
        try:
            connection.execute(f"PRAGMA journal_mode = {journal}")
            return
        except sqlite3.OperationalError as error:
            if not faults.may_pass(error) or time.monotonic() > deadline:
                raise
            time.sleep(0.01)


def _is_ready(connection: sqlite3.Connection, path: Path) -> bool:
    """True if the tables are there and known, false for a database without any."""
    try:
        found = connection.execute(sql.SELECT_VERSION).fetchone()[0]
    except sqlite3.OperationalError as error:
        if faults.code_of(error) != sqlite3.SQLITE_ERROR:
            raise
        if not connection.execute("SELECT 1 FROM sqlite_master").fetchone():
            return False
        try:  # once more: somebody may have made them between the two looks
            found = connection.execute(sql.SELECT_VERSION).fetchone()[0]
        except sqlite3.OperationalError:
            raise faults.foreign(path) from error
    if found is None:
        raise faults.damaged(path, "it does not say which schema it has")
    if found > VERSION:
        raise faults.too_new(path, found, VERSION)
    if found < VERSION:
        raise _Older(found)
    return True


def _create(connection: sqlite3.Connection, path: Path) -> None:
    """All tables or none, also when two processes come at once."""
    import runkon  # late: only for a new file

    connection.execute(sql.BEGIN)
    try:
        if not _is_ready(connection, path):
            for statement in ddl():
                connection.execute(statement)
            version = getattr(runkon, "__version__", "0")
            connection.execute(sql.INSERT_SCHEMA, (VERSION, "initial", time.time_ns() // 1_000_000, version))
        connection.execute(sql.COMMIT)
    except BaseException:
        if connection.in_transaction:
            connection.execute(sql.ROLLBACK)
        raise


def _opening(error: sqlite3.Error, path: Path) -> Exception:
    if faults.code_of(error) == sqlite3.SQLITE_READONLY:
        return faults.read_only(path)
    return faults.refusal(error, path)
