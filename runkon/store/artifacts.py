"""Large values apart from the events that name them, by content and once: up to 64 KiB in a row, above in a file.

A value whose JSON text is longer than 4 KiB leaves `{"$artifact": ID, "size": BYTES}` in its event; ID is the SHA-256
of that text. An output also leaves what queries look for: `head`, the first 200 characters of its context, and
`usage`. Whoever reads the value gets it whole and proved, or hears what is wrong with it.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeAlias

from runkon.digest import hex_digest
from runkon.errors import EXIT_ENVIRONMENT, UserError
from runkon.model.ids import RunID
from runkon.model.json_text import dumps, loads
from runkon.named import NamedTuple
from runkon.store import statements as sql
from runkon.store.blobs import folder_of, path_of
from runkon.store.codec import MARK, SPILL

IN_ROW = 64 * 1024  # bytes that still stand in a row
HEAD = 200  # characters of a context that stay in the event, for people who query it
_ROLES = {  # the fields of events that may leave it, and as what
    "output": "output",
    "outputs": "output",
    "inputs": "input",
    "config": "input",
    "operands": "fact",
    "form": "fact",
    "data": "fact",
    "changes": "definition",
    "items": "input",
    "request": "request",
}

Value: TypeAlias = dict[str, Any]  # every field that is kept apart is a JSON object
Load: TypeAlias = Callable[[str], Value]


class Artifact(NamedTuple):
    """A value to be kept apart: its id, as what the run uses it, its bytes."""

    id: str
    role: str
    content: bytes


class Damage(Exception):
    """An artifact that is missing or not what its id says; the text says which, without naming the run."""

    def __init__(self, id: str, what: str) -> None:
        super().__init__(f"artifact `{id[:12]}…` {what}")
        self.id = id
        self.what = what


# ── writing ───────────────────────────────────────────────────────────────────────────────────────
def spill(payload: str) -> tuple[str, list[Artifact]]:
    """The text of an event without its large values, and these. A value that looks like the trace of another is kept
    apart as well, so that reading needs no guess."""
    fields = loads(payload)
    apart = []
    for name, role in _ROLES.items():
        value = fields.get(name)
        if not isinstance(value, dict):
            continue
        content = dumps(value).encode()
        if len(content) > SPILL or MARK in value or role == "request":
            artifact = Artifact(hex_digest(content), role, content)
            apart.append(artifact)
            fields[name] = _trace(artifact, value)
    return (dumps(fields), apart) if apart else (payload, apart)


def _trace(artifact: Artifact, value: Value) -> Value:
    trace: Value = {MARK: artifact.id, "size": len(artifact.content)}
    if artifact.role == "output":
        trace |= {"head": str(value.get("context", ""))[:HEAD]}
        if "usage" in value:
            trace["usage"] = value["usage"]
    return trace


def request_id(request: Mapping[str, object]) -> str:
    """The id under which an attempt keeps what it was asked: equal requests have one."""
    return hex_digest(dumps(dict(request)).encode())


def refer(cursor: sqlite3.Cursor, number: int, artifact: Artifact, at: int) -> None:
    """The rows by which run `number` uses `artifact`; the bytes of a large one are in its file already."""
    size = len(artifact.content)
    place, content = ("row", artifact.content) if size <= IN_ROW else ("file", None)
    cursor.execute(sql.INSERT_ARTIFACT, (artifact.id, size, place, content, at))
    cursor.execute(sql.INSERT_ARTIFACT_REF, (artifact.id, number, artifact.role))


# ── reading ───────────────────────────────────────────────────────────────────────────────────────
def trace_in(value: object) -> str | None:
    """The id of the artifact that stands for `value`, None if it stands there itself."""
    found = value.get(MARK) if isinstance(value, Mapping) else None
    return found if isinstance(found, str) else None


def restore(payload: Value, load: Load) -> None:
    """Put the values back that were kept apart. Raises Damage for one that is not there or not itself."""
    for name in _ROLES:
        id = trace_in(payload.get(name))
        if id is not None:
            payload[name] = load(id)


def restore_or_tell(payload: Value, load: Load) -> None:
    """As `restore`; in place of a value that can't be used stands what is wrong with it, in words."""
    for name, role in _ROLES.items():
        trace = payload.get(name, {})
        id = trace_in(trace)
        if id is None:
            continue
        try:
            payload[name] = load(id)
        except Damage as damage:
            told = f"corrupt-artifact: {damage}"
            payload[name] = without_value(trace) | {"context": told} if role == "output" else {"$damage": told}


def without_value(trace: Value) -> Value:
    """What an event still says of an output that is kept apart: what it cost."""
    return {"usage": trace["usage"]} if "usage" in trace else {}


def traces(payload: Value) -> list[str]:
    """The ids of what was kept apart."""
    found = [trace_in(payload.get(name)) for name in _ROLES]
    return [id for id in found if id is not None]


def loader(connection: sqlite3.Connection) -> Load:
    """What gives the value of an id, its length and hash proved. Raises Damage."""

    def load(id: str) -> Value:
        row = connection.execute(sql.SELECT_ARTIFACT, (id,)).fetchone()
        if row is None:
            raise Damage(id, "is missing: the database has no row of it")
        size, place, content = row
        value: Value = loads(proved(id, size, place, content, folder_of(database_of(connection))))
        return value

    return load


def database_of(connection: sqlite3.Connection) -> Path:
    """The file behind a connection."""
    return Path(connection.execute("PRAGMA database_list").fetchone()[2])


def proved(id: str, size: int, place: str, content: bytes | None, folder: Path) -> bytes:
    """The bytes of an artifact from its row, or its file in `folder`. Raises Damage unless they are what `id` says."""
    if place == "file":
        path = path_of(folder, id)
        try:
            content = path.read_bytes()
        except FileNotFoundError:
            raise Damage(id, f"is missing: there is no file `{path}`") from None
        except OSError as error:
            raise Damage(id, f"can't be read from `{path}`: {error.strerror or error}") from error
    content = content or b""
    if len(content) != size:
        raise Damage(id, f"has changed: it has {len(content)} bytes instead of {size}")
    if hex_digest(content) != id:
        raise Damage(id, "has changed: its bytes have another SHA-256")
    return content


def corrupt_artifact(run: RunID, seq: int, damage: Damage) -> UserError:
    """The error for a value of a run itself that can't be used."""
    return UserError(
        "corrupt-artifact",
        f"run `{run}` can't be used, because of event {seq}: {damage}",
        help="nothing was changed and other runs are not affected; put the file back from a copy, or start the "
        "workflow again",
        next=f"runkon db check {run}",
        exit_code=EXIT_ENVIRONMENT,
    )
