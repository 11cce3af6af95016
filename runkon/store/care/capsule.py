"""One run as one file: a database that holds this run alone, its large values in rows, and nothing of this machine.

The events are written again into a new file by the store itself, so that every row in it follows from them. Of a
damaged run the events up to the first one that can't be used go into the file, and why it ends there is said.
"""

from __future__ import annotations

import contextlib
import os
import re
import sqlite3
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import groupby
from pathlib import Path
from typing import Any

from runkon.digest import hex_digest
from runkon.errors import StoreUnavailable, UserError
from runkon.frozen import replace
from runkon.model import events as ev
from runkon.model.events import Envelope
from runkon.model.fold import RunState
from runkon.model.ids import RunID
from runkon.model.output import JsonValue
from runkon.named import NamedTuple
from runkon.store import artifacts, connections, faults, reading
from runkon.store import statements as sql
from runkon.store.care.copies import no_folder, remove_left_parts, taken
from runkon.store.care.replaying import play
from runkon.store.refusals import unknown_run
from runkon.store.sqlite import SqliteRunStore

_AT_ONCE = 256  # events
NOBODY = "exported"  # in place of who advanced a leg: host, process and all
HERE = "."  # in place of the folder of the project


class Capsule(NamedTuple):
    """What was written: the file, its SHA-256, how many events are in it, and why they end early, if they do."""

    file: Path
    sha256: str
    events: int
    lost: str | None


class _OneFile(SqliteRunStore):
    """Keeps large values in rows, whatever their size."""

    def _keep(self, apart: Sequence[artifacts.Artifact], patience: float) -> None:
        """Nothing lies beside the file."""

    def _refer(self, cursor: sqlite3.Cursor, number: int, apart: Sequence[artifacts.Artifact], at: int) -> None:
        for artifact in apart:
            artifacts.refer(cursor, number, artifact, at)
            cursor.execute(
                "UPDATE artifacts SET place = 'row', bytes = ? WHERE id = ?", (artifact.content, artifact.id)
            )


def export(path: Path, run: RunID, target: Path, *, keeps_paths: bool = False) -> Capsule:
    """Write what is readable of `run` to the new file `target`, which appears whole, and its SHA-256 beside it. With
    `keeps_paths` the folders of this machine stay in its settings. Raises UserError `file-exists`, `file-not-found`,
    `run-not-found`, and `corrupt-run` if not even the first event can be used."""
    beside = target.with_name(f"{target.name}.sha256")
    for place in (target, beside):
        if place.exists():
            raise taken(place)
    if not target.parent.is_dir():
        raise no_folder(target.parent)
    found, lost = readable(path, run)
    if not keeps_paths:
        found = list(without_places(found))
    remove_left_parts(target)
    part = target.with_name(f"{target.name}.{os.getpid()}.part")
    try:
        _write(part, found)
        _copy_answers(path, part, run)
        digest = hex_digest(part.read_bytes())
        os.link(part, target)  # unlike a rename, never takes the place of another file
        beside.write_text(f"{digest}  {target.name}\n", encoding="utf-8")
    except FileExistsError as error:
        raise taken(target) from error
    except OSError as error:
        raise StoreUnavailable(
            f"the file `{target}` can't be written: {error.strerror or error}",
            help="name a file in a folder that you may write to, on a disk with enough space",
        ) from error
    except sqlite3.Error as error:
        raise faults.refusal(error, target) from error
    finally:
        for name in (part.name, f"{part.name}-wal", f"{part.name}-shm"):
            part.with_name(name).unlink(missing_ok=True)
    return Capsule(target, digest, len(found), lost)


def readable(path: Path, run: RunID) -> tuple[list[Envelope], str | None]:
    """The events up to the first one that can't be used, and why that can't be."""
    state, size = RunState(), _AT_ONCE
    found: list[Envelope] = []
    with connections.reading(path) as connection:
        if connection is None:
            raise unknown_run(run)
        while True:
            try:
                page = reading.page(connection, run, len(found), size)
                for envelope in page:
                    state.apply(envelope)
                    found.append(envelope)
            except UserError as error:
                if size == 1:
                    return found, _why(found, error)
                size = 1  # of those read together one is damaged: which?
                continue
            if not found:
                raise unknown_run(run)
            if not page:
                return found, None


def _why(found: Sequence[Envelope], error: UserError) -> str:
    if not found:
        raise error
    return error.message


def _write(part: Path, found: Sequence[Envelope]) -> None:
    first = found[0]
    assert isinstance(first.event, ev.RunCreated)
    store = _OneFile(part, durability="normal", is_alive=lambda _holder: False)
    try:
        store.create(first.run, first.event, first.at)
        for leg, group in groupby(found[1:], key=lambda one: one.leg):
            play(store, list(group), leg)
    finally:
        store.close()
    with contextlib.closing(sqlite3.connect(part)) as connection:
        connection.execute("UPDATE runs SET lease_owner = NULL, lease_until = NULL")
        connection.commit()
        connection.execute("PRAGMA journal_mode = DELETE")  # one file, whoever looks into it


def _copy_answers(path: Path, part: Path, run: RunID) -> None:
    """What people said at gates, which is no event."""
    columns = ", ".join(f'"{name}"' for name in sql.ANSWER_COLUMNS[1:])
    with connections.reading(path) as source:
        found = source.execute(
            f"SELECT {columns} FROM gate_answers WHERE run = (SELECT number FROM runs WHERE id = ?)", (run,)
        ).fetchall() if source else []  # fmt: skip
    with contextlib.closing(sqlite3.connect(part)) as target:
        places = ", ".join("?" * len(sql.ANSWER_COLUMNS[1:]))
        target.executemany(f"INSERT INTO gate_answers (run, {columns}) VALUES (1, {places})", found)
        target.commit()


# ── what is of this machine only ──────────────────────────────────────────────────────────────────
def without_places(found: Iterable[Envelope]) -> Iterator[Envelope]:
    """The events without host, processes and folders. What steps gave back stays as it is."""
    folder = ""
    for envelope in found:
        event = envelope.event
        if isinstance(event, ev.RunCreated):
            folder = str(event.config.get("working_dir") or "")
            event = replace(event, config={**_moved(event.config, folder), "log_dir": None, "environment": {}})
        elif isinstance(event, ev.RunStarted | ev.RunResumed):
            event = replace(event, owner=NOBODY)
        elif isinstance(event, ev.ProcessStarted):
            event = replace(event, pid=0, began="")
        elif isinstance(event, ev.Note):
            event = replace(event, text=_moved(event.text, folder), data=_moved(event.data, folder))
        yield envelope._replace(event=event)


def _moved(value: Any, folder: str) -> Any:
    """The value with `HERE` where texts name the folder, and not one whose name begins like its own."""
    if isinstance(value, str):
        return re.sub(re.escape(folder) + r"(?![\w.-])", HERE, value) if len(folder) > 1 else value
    if isinstance(value, Mapping):
        return {name: _moved(one, folder) for name, one in value.items()}
    if isinstance(value, list | tuple):
        moved: list[JsonValue] = [_moved(one, folder) for one in value]
        return moved
    return value
