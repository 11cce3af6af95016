"""The tables, as SQLModel classes: the one source of `schema.sql`, and of every column named in `statements.py`.

Loaded by the schema generator, by queries and by other back ends; never by the SQLite recorder, because importing
SQLModel takes longer than a small run. Times are milliseconds UTC, money is micro-dollars. The tables a run writes at
every step are clustered on a key that begins with an integer run number, and have no other index.
"""

from __future__ import annotations

from collections.abc import Iterable
from enum import StrEnum
from typing import Any, ClassVar

from sqlalchemy import BigInteger, Boolean, CheckConstraint, Column, ForeignKey, Index, Integer, Text, text
from sqlmodel import Field, SQLModel
from ulid import ULID

from runkon.model.status import RunStatus, StepStatus

_CLUSTERED = {"sqlite_with_rowid": False}
_STEP_STATUS = sorted(StepStatus, key=lambda status: status not in (StepStatus.RUNNING, StepStatus.COMPLETED))


def _one_of(column: str, members: Iterable[StrEnum | str]) -> CheckConstraint:
    """Written as a chain of comparisons, the frequent values first: for `IN` with three or more values SQLite builds
    a table at every execution, a tenth of a step's write."""
    return CheckConstraint(" OR ".join(f"{column} = '{member}'" for member in members))


def _column(kind: type | Any, *, key: bool = False, null: bool = False, default: str | None = None) -> Any:
    """A field with an explicit column type, so that the DDL says what the specification of the table says."""
    given = text(default) if default is not None else None
    return Field(sa_column=Column(kind, primary_key=key, nullable=null, server_default=given, autoincrement=False))


class Run(SQLModel, table=True):
    """One row per run. Its inputs and settings stand in its first event, its outputs in the one `seq_end` names: the
    row is rewritten at every step and stays small."""

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


class Step(SQLModel, table=True):
    """One row per (run, path, epoch): what a resume reads. `seq_last` names the event that holds the output or error;
    a row with `superseded_leg` was replaced by a later epoch and is history."""

    __tablename__: ClassVar[str] = "steps"
    __table_args__ = (_one_of("status", _STEP_STATUS), _CLUSTERED)
    run: int = Field(
        sa_column=Column(Integer, ForeignKey("runs.number", ondelete="CASCADE"), primary_key=True, autoincrement=False)
    )
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


class Event(SQLModel, table=True):
    """One row per event, append only. `place` is the run's number times 2^32 plus the event's number: one integer key
    is a tenth of a step's write cheaper than two columns. `payload` is JSON; `v` is its version."""

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


TABLES: tuple[type[SQLModel], ...] = (Run, Step, Event, Source, SchemaInfo)
