"""The one connection of a process that writes a database file: short transactions, faults waited out or explained."""

from __future__ import annotations

import os
import sqlite3
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Literal, TypeVar

from runkon.failpoints import failpoint, is_armed
from runkon.store import connections, faults
from runkon.store import statements as sql

_T = TypeVar("_T")
_FIRST_PAUSE, _LONGEST_PAUSE = 0.05, 2.0
_BUSY = connections.BUSY_MS / 1000
_SHORT = 1.0  # one wait inside SQLite, where all of it is to be over soon
_NOTE_AFTER = 5.0  # seconds until stderr is told why nothing moves


class Writer:
    """Opened by the first transaction. Usable from any thread, one at a time; refuses to work after a fork."""

    def __init__(self, path: Path, durability: Literal["full", "normal"], patience: float) -> None:
        self._path = path
        self._name = str(path)
        self._durability: Literal["full", "normal"] = durability
        self._patience = patience
        self._busy = patience / 2 if 0 < patience < 2 * _BUSY else _BUSY  # one wait inside SQLite must not outlast it
        self._lock = threading.Lock()
        self._pid = os.getpid()
        self._connection: sqlite3.Connection | None = None
        self._cursor: sqlite3.Cursor | None = None
        self._inode = 0
        self._hurried = threading.Event()
        self._has_written = False  # what goes wrong after that may be put right
        self._is_exhausted = False  # nothing could be written for as long as patience lasts

    def transaction(self, work: Callable[[sqlite3.Cursor], _T], *, patience: float | None = None) -> _T:
        """What `work` returns, run inside one write transaction and again as long as waiting can help, for `patience`
        seconds. All of it is durable on return; on an error nothing was written."""
        if os.getpid() != self._pid:
            raise faults.after_fork(self._path)
        with self._lock:
            try:
                result = self._once(work)
            except (sqlite3.Error, faults.Gone) as error:
                result = self._retry(work, error, patience)
            self._has_written = True
            if self._is_exhausted:
                self._is_exhausted = False
                self._hurried.clear()
            return result

    def within(self, seconds: float, work: Callable[[sqlite3.Cursor], _T]) -> _T:
        """As `transaction`, but over after `seconds` whoever holds the lock: somebody said how long they wait."""
        if os.getpid() != self._pid:
            raise faults.after_fork(self._path)
        begun, told = time.monotonic(), False
        with self._lock:
            while True:
                try:
                    self._wait_at_most(min(begun + seconds - time.monotonic(), _SHORT))
                    result = self._once(work)
                    self._wait_at_most(self._busy)
                    return result
                except (sqlite3.Error, faults.Gone) as error:
                    waited = time.monotonic() - begun
                    if waited >= seconds or not faults.may_pass(error, is_in_use=self._has_written):
                        raise faults.refusal(error, self._path, is_in_use=self._has_written) from error
                    if waited >= _NOTE_AFTER and not told:
                        told = True
                        print(faults.still_waiting(error, self._path, seconds - waited), file=sys.stderr)
                    time.sleep(min(_FIRST_PAUSE, seconds - waited))
                    self._end_transaction()

    def hurry(self) -> None:
        """Have no patience until a write succeeds after one that failed, also where a fault is being waited out."""
        self._hurried.set()

    @property
    def hurried(self) -> threading.Event:
        """Set once nobody has patience any more."""
        return self._hurried

    @property
    def is_open(self) -> bool:
        """True while it holds the file."""
        return self._connection is not None

    @property
    def patience(self) -> float:
        """Seconds a fault outside the database, of a file beside it, is to be waited out now."""
        return 0.0 if self._is_exhausted or self._hurried.is_set() else self._patience

    def exhaust(self) -> None:
        """Such a fault lasted longer: who waited has waited for all."""
        self._is_exhausted = True

    def close(self) -> None:
        """Give the connection back. A later transaction opens a new one."""
        if os.getpid() != self._pid:
            return  # it is the parent's
        with self._lock:
            connection, self._connection, self._cursor = self._connection, None, None
            if connection is not None:
                connection.close()

    def _once(self, work: Callable[[sqlite3.Cursor], _T]) -> _T:
        cursor = self._cursor or self._open()
        self._check_file()
        armed = is_armed()
        if armed:
            failpoint("before_batch")
        cursor.execute(sql.BEGIN)
        try:
            if armed:
                failpoint("after_begin_immediate")
            result = work(cursor)
            if armed:
                failpoint("before_commit")
            cursor.execute(sql.COMMIT)
        except BaseException:
            if cursor.connection.in_transaction:  # SQLite itself rolls back after some faults
                cursor.execute(sql.ROLLBACK)
            raise
        if armed:
            failpoint("after_commit")
        return result

    def _retry(self, work: Callable[[sqlite3.Cursor], _T], error: sqlite3.Error | faults.Gone, own: float | None) -> _T:
        """As `transaction`, after a first fault. Who brings a patience of its `own` waits for nobody else."""
        patience = self._patience if own is None else own
        if self._is_exhausted or self._hurried.is_set():  # who waited before has waited for all
            patience = 0.0
        begun, told, pause = time.monotonic(), False, _FIRST_PAUSE
        while True:
            waited = time.monotonic() - begun
            if not faults.may_pass(error, is_in_use=self._has_written) or waited >= patience:
                self._is_exhausted = self._is_exhausted or own is None
                raise faults.refusal(error, self._path, is_in_use=self._has_written) from error
            if waited >= _NOTE_AFTER and not told:
                told = True
                print(faults.still_waiting(error, self._path, patience - waited), file=sys.stderr)
            if self._hurried.wait(min(pause, patience - waited)):
                patience = 0.0
            pause = min(pause * 2, _LONGEST_PAUSE)
            try:
                self._end_transaction()
                return self._once(work)
            except (sqlite3.Error, faults.Gone) as again:
                error = again

    def _end_transaction(self) -> None:
        """A fault may have kept the last one from being rolled back."""
        if self._connection is not None and self._connection.in_transaction:
            self._connection.execute(sql.ROLLBACK)

    def _open(self) -> sqlite3.Cursor:
        self._connection = connections.open_writer(self._path, self._durability)
        self._inode = os.stat(self._path).st_ino
        self._cursor = self._connection.cursor()
        if self._busy < _BUSY:
            self._wait_at_most(self._busy)
        return self._cursor

    def _wait_at_most(self, seconds: float) -> None:
        """For each lock from now on, inside SQLite."""
        cursor = self._cursor or self._open()
        cursor.execute(f"PRAGMA busy_timeout = {max(0, int(seconds * 1000))}")

    def _check_file(self) -> None:
        """SQLite goes on writing to a file that has lost its name, and all of it is gone when the process ends."""
        try:
            if os.stat(self._name).st_ino == self._inode:
                return
        except OSError:  # its folder may be gone, or closed to us
            pass
        raise faults.Gone
