"""The one transaction of an append, from the inside: the run's row moves on, or nothing is written."""

from __future__ import annotations

import sqlite3

from runkon.errors import LeaseLost
from runkon.failpoints import failpoint
from runkon.model.damage import corrupt
from runkon.model.records import Lease
from runkon.store import rows
from runkon.store import statements as sql
from runkon.store.batch import Batch


def write(cursor: sqlite3.Cursor, lease: Lease, batch: Batch, *, release: bool) -> None:
    fence = (batch.last, lease.expires_at, batch.calls, batch.number, lease.fence, lease.holder, batch.first - 1)
    if cursor.execute(batch.advance, fence).rowcount != 1:
        raise _fenced_out(cursor, lease, batch)
    failpoint("after_fence")
    cursor.executemany(sql.INSERT_EVENT, batch.events)
    for statement, values, envelope in batch.changes:
        if cursor.execute(statement, values).rowcount != 1:
            raise rows.refused(statement, envelope)
    for source in batch.sources:
        cursor.execute(sql.INSERT_SOURCE, source)
    for payment in batch.payments:
        cursor.execute(sql.PAY, payment)
    failpoint("after_insert")
    if release:
        failpoint("before_release")
        cursor.execute(sql.RELEASE, (batch.number, lease.fence, lease.holder))


def is_written(cursor: sqlite3.Cursor, lease: Lease, batch: Batch, *, release: bool) -> bool:
    row = cursor.execute(sql.RUN_LEASE, (lease.run,)).fetchone()
    owner = None if release else lease.holder
    return row is not None and (row[1], row[3], row[4]) == (lease.fence, batch.last, owner)


def give_back(cursor: sqlite3.Cursor, lease: Lease) -> None:
    row = cursor.execute(sql.RUN_LEASE, (lease.run,)).fetchone()
    if row is None or cursor.execute(sql.RELEASE, (row[0], lease.fence, lease.holder)).rowcount != 1:
        raise LeaseLost(f"run `{lease.run}` is held by another engine now")


def _fenced_out(cursor: sqlite3.Cursor, lease: Lease, batch: Batch) -> Exception:
    """Why the run's row did not move on: somebody else's lease, another number, or a run that has ended."""
    row = cursor.execute(sql.RUN_LEASE, (lease.run,)).fetchone()
    if row is None or (row[1], row[4]) != (lease.fence, lease.holder):
        return LeaseLost(f"run `{lease.run}` is held by another engine now")
    seq, status = row[3], row[6]
    if seq != batch.first - 1:
        return corrupt(lease.run, batch.first, "E1", found=f"number {batch.first}", expected=f"number {seq + 1}")
    rule = "E6" if batch.advance is sql.ADVANCE_OPEN else "E7"
    found = f"an event while the run is {status}"
    return corrupt(lease.run, batch.first, rule, found=found, expected="a leg that has begun")
