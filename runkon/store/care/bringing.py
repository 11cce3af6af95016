"""A run that was written to a file elsewhere becomes one of this database: whole, marked, in one transaction.

It can be looked at, explained and forked. It is not resumed: what it did, it did in another place.
"""

from __future__ import annotations

import contextlib
import shutil
import sqlite3
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from runkon.digest import hex_digest
from runkon.errors import EXIT_USAGE, UserError
from runkon.frozen import replace
from runkon.model.events import Envelope, RunCreated
from runkon.model.ids import RunID, is_run_id, new_run_id
from runkon.model.output import JsonValue
from runkon.model.start_key import IMPORTED
from runkon.named import NamedTuple
from runkon.store import codec, connections, faults
from runkon.store import statements as sql
from runkon.store.care import checking
from runkon.store.care.capsule import readable, without_places
from runkon.store.schema import VERSION
from runkon.store.writer import Writer

_OF_THE_RUN = ("steps", "gates", "gate_answers")


class Brought(NamedTuple):
    """The run as it is called here, as it was called there, and whether it is new here."""

    run: RunID
    was: RunID
    is_new: bool


def bring(writer: Writer, path: Path, file: Path, root: Path) -> Brought:
    """Take the one run of `file` into the database `path` of the project `root`. A run that is here already is left as
    it is; if another one has its id, it gets a new one. Raises UserError `file-not-found`, `import-damaged` for a file
    that is not sound or not what its SHA-256 says, and `import-unfit` for one with other than one run."""
    if not file.is_file():
        raise UserError("file-not-found", f"there is no file `{file}`", help="name one that `runkon export` wrote")
    _prove(file)
    with _as_now(file) as readable_file:
        return _brought(writer, path, file, root, readable_file)


@contextlib.contextmanager
def _as_now(file: Path) -> Iterator[Path]:
    """The file, or where its schema is an older one a copy that is brought up to date: what was exported stays as it
    was."""
    if not _is_older(file):
        yield file
        return
    from runkon.store import migrations  # late: only for an older file

    with tempfile.TemporaryDirectory(prefix="runkon-") as folder:
        copy = Path(folder, file.name)
        shutil.copyfile(file, copy)
        with connections.as_it_is(copy) as connection:
            migrations.migrate(connection, copy)
            connection.execute("PRAGMA journal_mode = DELETE")
        yield copy


def _is_older(file: Path) -> bool:
    with (
        contextlib.suppress(sqlite3.Error),  # who reads it next says what is wrong
        contextlib.closing(sqlite3.connect(f"{file.absolute().as_uri()}?mode=ro", uri=True)) as connection,
    ):
        return int(connection.execute(sql.SELECT_VERSION).fetchone()[0] or VERSION) < VERSION
    return False


def _brought(writer: Writer, path: Path, file: Path, root: Path, source: Path) -> Brought:
    _check(source, file)
    tables = _tables(source)
    if len(tables["runs"]) != 1:
        raise UserError(
            "import-unfit",
            f"`{file}` holds {len(tables['runs'])} runs, not one",
            help="take a file that `runkon export` wrote; `--db FILE` looks into any other",
            exit_code=EXIT_USAGE,
        )
    was = RunID(tables["runs"][0]["id"])
    if not is_run_id(was):
        raise _damaged(file, f"`{was}` is not the id of a run")
    events, _ = readable(source, was)
    begun = _begun(events, root)
    while True:  # once more if somebody else has brought a run of that id in between
        is_taken = _is_taken(path, was)  # before the events are read: who comes in between is seen by the transaction
        if is_taken and (here := _events(path, was)) and _same(here, events):
            return Brought(was, was, is_new=False)
        run = new_run_id() if is_taken else was
        if writer.transaction(partial(_write, file=file, tables=tables, run=run, begun=begun)):
            return Brought(run, was, is_new=True)


def _begun(events: Sequence[Envelope], root: Path) -> str:
    """The first event as it is written here."""
    first = events[0].event
    assert isinstance(first, RunCreated)
    config = {**first.config, **_of_here(root)}
    ids = {name: codec.text_id(text) for name, text in first.sources.items()}
    return codec.run_created(replace(first, config=config), ids)


def _of_here(root: Path) -> dict[str, JsonValue]:
    """What the settings of the run say of this machine. Its logs and its cassette stayed where it happened: what has
    their names here belongs to somebody else."""
    now = time.time_ns() // 1_000_000
    return {"working_dir": str(root), "roots": [str(root)], "log_dir": None, "cassette": None, IMPORTED: now}


def _prove(file: Path) -> None:
    beside = file.with_name(f"{file.name}.sha256")
    if beside.exists():
        wanted, found = beside.read_text(encoding="utf-8").split(" ")[0].strip(), hex_digest(file.read_bytes())
        if wanted != found:
            raise _damaged(file, f"its SHA-256 is {found}, `{beside.name}` says {wanted}")
    faults.check_header(file)


def _check(source: Path, file: Path) -> None:
    problems = checking.check(source).problems
    if problems:
        raise _damaged(file, f"rule {problems[0].rule}: found {problems[0].found}, expected {problems[0].expected}")


def _damaged(file: Path, why: str) -> UserError:
    return UserError(
        "import-damaged",
        f"`{file}` is not as it was written: {why}",
        help="nothing was taken from it; get it once more from where it was exported",
    )


def _tables(file: Path) -> Mapping[str, Sequence[dict[str, Any]]]:
    found: dict[str, list[dict[str, Any]]] = {}
    with connections.reading(file) as source:
        for table in ("runs", "events", *_OF_THE_RUN, "sources", "artifacts", "artifact_refs"):
            found[table] = []
            if source is None:
                continue
            cursor = source.execute(f"SELECT * FROM {table}")
            names = [column[0] for column in cursor.description]
            found[table] = [dict(zip(names, row, strict=True)) for row in cursor]
    return found


def _events(path: Path, run: RunID) -> list[Envelope]:
    """Of the run that has this id here; nothing if there is none."""
    with contextlib.suppress(UserError):
        return readable(path, run)[0]
    return []


def _is_taken(path: Path, run: RunID) -> bool:
    """True if a run has this id here, also one that can't be read."""
    with connections.reading(path) as connection:
        return connection is not None and connection.execute(sql.SELECT_LAST, (run,)).fetchone() is not None


def _same(here: Sequence[Envelope], there: Sequence[Envelope]) -> bool:
    """True if both are the same run, wherever it was."""
    return list(without_places(here))[1:] == list(without_places(there))[1:] and here[0].at == there[0].at


def _write(
    cursor: sqlite3.Cursor, *, file: Path, tables: Mapping[str, Sequence[dict[str, Any]]], run: RunID, begun: str
) -> bool:
    """False, and nothing is written, if a run has this id by now."""
    if cursor.execute(sql.SELECT_LAST, (run,)).fetchone() is not None:
        return False
    for table, found in tables.items():
        cursor.execute(f"SELECT * FROM {table} LIMIT 0")
        if found and set(found[0]) != {column[0] for column in cursor.description}:
            raise _damaged(file, f"its table `{table}` has other columns")
    (row,) = tables["runs"]
    _insert(cursor, "runs", {**row, "number": None, "id": run, "lease_owner": None, "lease_until": None})
    number = int(cursor.lastrowid or 0)
    for event in tables["events"]:
        seq = event["place"] & (sql.PLACES - 1)
        moved = {**event, "place": number * sql.PLACES + seq}
        if seq == 1:
            moved |= {"payload": begun, "crc": codec.proof(begun)}
        _insert(cursor, "events", moved)
    for table in _OF_THE_RUN:
        for one in tables[table]:
            _insert(cursor, table, {**one, "run": number})
    for source in tables["sources"]:
        cursor.execute(sql.INSERT_SOURCE, (source["id"], source["text"]))
    for one in tables["artifacts"]:
        cursor.execute(sql.INSERT_ARTIFACT, tuple(one[name] for name in sql.ARTIFACT_COLUMNS))
    for one in tables["artifact_refs"]:
        cursor.execute(sql.INSERT_ARTIFACT_REF, (one["artifact"], number, one["role"]))
    return True


def _insert(cursor: sqlite3.Cursor, table: str, row: Mapping[str, Any]) -> None:
    names = ", ".join(f'"{name}"' for name in row)
    cursor.execute(f"INSERT INTO {table} ({names}) VALUES ({', '.join('?' * len(row))})", tuple(row.values()))
