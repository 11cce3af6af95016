"""The tables, as SQLModel classes: the one source of `schema.sql`, and of every column named in `statements.py`.

Loaded by the schema generator, by queries and by other back ends; never by the SQLite recorder, because importing
SQLModel takes longer than a small run. Times are milliseconds UTC, money is micro-dollars. The tables a run writes at
every step are clustered on a key that begins with an integer run number, and have no other index.
"""

from __future__ import annotations

from collections.abc import Iterable
from enum import StrEnum
from typing import Any, ClassVar

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    Text,
    text,
)
from sqlmodel import Field, SQLModel
from ulid import ULID

from runkon.model.status import RunStatus, StepStatus

Content = bytes  # a column has that name
_CLUSTERED = {"sqlite_with_rowid": False}
_STEP_STATUS = sorted(StepStatus, key=lambda status: status not in (StepStatus.RUNNING, StepStatus.COMPLETED))


def _one_of(column: str, members: Iterable[StrEnum | str]) -> CheckConstraint:
    """Written as a chain of comparisons, the frequent values first: for `IN` with three or more values SQLite builds
    a table at every execution, a tenth of a step's write."""
    return CheckConstraint(" OR ".join(f"{column} = '{member}'" for member in members))


def _run_key() -> Any:
    """The number of the run a row belongs to, first in its key; the row goes when the run goes."""
    number = ForeignKey("runs.number", ondelete="CASCADE")
    return Field(sa_column=Column(Integer, number, primary_key=True, autoincrement=False))


def _column(kind: type | Any, *, key: bool = False, null: bool = False, default: str | None = None) -> Any:
    """A field with an explicit column type, so that the DDL says what the specification of the table says."""
    given = text(default) if default is not None else None
    return Field(sa_column=Column(kind, primary_key=key, nullable=null, server_default=given, autoincrement=False))


class Run(SQLModel, table=True):
    """One row per run. Its inputs and settings stand in its first event, its outputs in the one `seq_end` names, its
    texts in the one `seq_definition` names (none: the first): the row is rewritten at every step and stays small. The
    columns `cancel_*` may be written by anybody, all others only under the lease."""

    __tablename__: ClassVar[str] = "runs"
    __table_args__ = (
        _one_of("status", RunStatus),
        _one_of("mode", ("live", "dry", "replay")),
        Index("runs_by_status", "status", "created_at"),
        Index("runs_by_workflow", "workflow", "created_at"),
    )
    number: int | None = Field(default=None, sa_column=Column(Integer, primary_key=True))
    id: str = Field(default_factory=lambda: str(ULID()), sa_column=Column(Text, nullable=False, unique=True))
    workflow: str = _column(Text)
    file: str = _column(Text)
    status: str = _column(Text)
    reason: str | None = _column(Text, null=True)
    error: str | None = _column(Text, null=True)
    mode: str = _column(Text)
    leg: int = _column(Integer, default="0")
    seq: int = _column(BigInteger)
    seq_end: int | None = _column(BigInteger, null=True)
    lease_owner: str | None = _column(Text, null=True)
    lease_until: int | None = _column(BigInteger, null=True)
    fence: int = _column(BigInteger, default="0")
    created_at: int = _column(BigInteger)
    started_at: int | None = _column(BigInteger, null=True)
    ended_at: int | None = _column(BigInteger, null=True)
    cost_uusd: int = _column(BigInteger, default="0")
    cost_known: bool = _column(Boolean, default="1")
    tokens_in: int = _column(BigInteger, default="0")
    tokens_out: int = _column(BigInteger, default="0")
    calls: int = _column(BigInteger, default="0")
    deadline_at: int | None = _column(BigInteger, null=True)
    cancel_at: int | None = _column(BigInteger, null=True)
    cancel_by: str | None = _column(Text, null=True)
    cancel_reason: str | None = _column(Text, null=True)
    cancel_kill: bool | None = _column(Boolean, null=True)
    cancel_via: str | None = _column(Text, null=True)
    crash_count: int = _column(Integer, default="0")
    resume_count: int = _column(Integer, default="0")
    forked_from: str | None = _column(Text, null=True)
    waiting_on: str | None = _column(Text, null=True)
    seq_definition: int | None = _column(BigInteger, null=True)


class Step(SQLModel, table=True):
    """One row per (run, path, epoch): what a resume reads. `seq_last` names the event that holds the output or error;
    a row with `superseded_leg` was replaced by a later epoch and is history."""

    __tablename__: ClassVar[str] = "steps"
    __table_args__ = (_one_of("status", _STEP_STATUS), _CLUSTERED)
    run: int = _run_key()
    path: str = _column(Text, key=True)
    epoch: int = _column(Integer, key=True)
    kind: str = _column(Text)
    name: str = _column(Text)
    key: str = _column(Text)
    order_key: str = _column(Text)
    iteration: int = _column(Integer)
    file: str = _column(Text)
    line: int = _column(Integer)
    col: int = _column(Integer)
    status: str = _column(Text)
    handled: str | None = _column(Text, null=True)
    attempts: int = _column(Integer)
    cut_offs: int = _column(Integer, default="0")
    leg: int = _column(Integer)
    seq_first: int = _column(BigInteger)
    seq_last: int = _column(BigInteger)
    due_at: int | None = _column(BigInteger, null=True)
    started_at: int | None = _column(BigInteger, null=True)
    ended_at: int | None = _column(BigInteger, null=True)
    superseded_leg: int | None = _column(Integer, null=True)
    effect: str | None = _column(Text, null=True)


class Event(SQLModel, table=True):
    """One row per event, append only. `place` is the run's number times 2^32 plus the event's number: one integer key
    is a tenth of a step's write cheaper than two columns. `payload` is JSON, `v` its version, `crc` the CRC-32 of its
    bytes, by which a changed one is known; null in events of schema 1."""

    __tablename__: ClassVar[str] = "events"
    place: int | None = Field(default=None, sa_column=Column(Integer, primary_key=True))
    at: int = _column(BigInteger)
    leg: int = _column(Integer)
    fence: int = _column(BigInteger)
    kind: str = _column(Text)
    path: str | None = _column(Text, null=True)
    epoch: int | None = _column(Integer, null=True)
    attempt: int | None = _column(Integer, null=True)
    payload: str = _column(Text)
    v: int = _column(Integer, default="1")
    crc: int | None = _column(BigInteger, null=True)


class Gate(SQLModel, table=True):
    """One row per gate that was opened, written under the lease only; without `decision` it is open. `seq_first` is
    the event that opened it. `options` and `form` are JSON."""

    __tablename__: ClassVar[str] = "gates"
    __table_args__ = (_CLUSTERED,)
    run: int = _run_key()
    name: str = _column(Text, key=True)
    occurrence: int = _column(Integer, key=True)
    path: str = _column(Text)
    epoch: int = _column(Integer)
    type: str = _column(Text)
    prompt: str = _column(Text)
    options: str | None = _column(Text, null=True)
    seq_first: int = _column(BigInteger)
    opened_at: int = _column(BigInteger)
    deadline_at: int | None = _column(BigInteger, null=True)
    decision: str | None = _column(Text, null=True)
    by: str | None = _column(Text, null=True)
    via: str | None = _column(Text, null=True)
    reason: str | None = _column(Text, null=True)
    form: str | None = _column(Text, null=True)
    decided_at: int | None = _column(BigInteger, null=True)


class Answer(SQLModel, table=True):
    """One row per answer to a gate, written by anybody, also before the gate opens; `occurrence` 0 stands for every
    one. The owner of the run turns the one that counts into an event and the gate's decision."""

    __tablename__: ClassVar[str] = "gate_answers"
    __table_args__ = (_CLUSTERED,)
    run: int = _run_key()
    name: str = _column(Text, key=True)
    occurrence: int = _column(Integer, key=True)
    ordinal: int = _column(Integer, key=True)
    choice: str = _column(Text)
    by: str = _column(Text)
    via: str = _column(Text)
    at: int = _column(BigInteger)
    reason: str | None = _column(Text, null=True)
    form: str | None = _column(Text, null=True)


class Artifact(SQLModel, table=True):
    """One row per large text, once per content: `id` is the SHA-256 of its bytes, which stand here (`row`) or in a
    file beside the database (`file`)."""

    __tablename__: ClassVar[str] = "artifacts"
    __table_args__ = (_one_of("place", ("row", "file")),)
    id: str = _column(Text, key=True)
    size: int = _column(BigInteger)
    place: str = _column(Text)
    bytes: Content | None = _column(LargeBinary, null=True)
    created_at: int = _column(BigInteger)
    pinned: bool = _column(Boolean, default="0")


class ArtifactRef(SQLModel, table=True):
    """One row per run and role in which an artifact is used; without any it may be removed."""

    __tablename__: ClassVar[str] = "artifact_refs"
    __table_args__ = (_CLUSTERED,)
    artifact: str = Field(sa_column=Column(Text, ForeignKey("artifacts.id"), primary_key=True))
    run: int = _run_key()
    role: str = _column(Text, key=True)


class StartKey(SQLModel, table=True):
    """One row per run that was started with a key: a workflow has one run of each."""

    __tablename__: ClassVar[str] = "start_keys"
    __table_args__ = (_CLUSTERED,)
    workflow: str = _column(Text, key=True)
    key: str = _column(Text, key=True)
    run: int = Field(sa_column=Column(Integer, ForeignKey("runs.number", ondelete="CASCADE"), nullable=False))


class Source(SQLModel, table=True):
    """A workflow text, once per content: `id` is the SHA-256 of its UTF-8 bytes."""

    __tablename__: ClassVar[str] = "sources"
    id: str = _column(Text, key=True)
    text: str = _column(Text)


class SchemaInfo(SQLModel, table=True):
    """One row per schema change this file has seen; the highest `number` is its version."""

    __tablename__: ClassVar[str] = "schema_info"
    number: int = _column(Integer, key=True)
    name: str = _column(Text)
    applied_at: int = _column(BigInteger)
    runkon_version: str = _column(Text)


TABLES: tuple[type[SQLModel], ...] = (
    Run,
    Step,
    Event,
    Gate,
    Answer,
    Artifact,
    ArtifactRef,
    StartKey,
    Source,
    SchemaInfo,
)
