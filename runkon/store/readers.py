"""Reads of one store: each in a transaction of its own, those that follow each other over one connection.

A new connection reads the whole schema, which takes longer than most of what it is asked for. One is kept while the
store writes, or where somebody has said that more reads follow; a process that only looks now and then leaves the file
alone in between, so that whoever writes last can put its log away.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

from runkon.named import NamedTuple
from runkon.store import connections, faults


class _Kept(NamedTuple):
    connection: sqlite3.Connection
    file: tuple[int, int]
    pid: int


class Readers:
    """Reading connections to the file `path`. `is_writing` says whether the store has it open anyway. Usable from any
    thread."""

    def __init__(self, path: Path, is_writing: Callable[[], bool]) -> None:
        self._path = path
        self._is_writing = is_writing
        self._lock = threading.Lock()
        self._following = 0  # how many have said that more reads follow
        self._kept: _Kept | None = None

    @contextlib.contextmanager
    def reading(self) -> Iterator[sqlite3.Connection | None]:
        """As `connections.reading`."""
        kept = self._take()
        if kept is None and not connections.is_there(self._path):
            yield None
            return
        try:
            kept, is_ready = self._begin(kept)
            try:
                yield kept.connection if is_ready else None
                kept.connection.execute("ROLLBACK")
            except BaseException:
                kept.connection.close()
                raise
            self._keep(kept)
        except sqlite3.Error as error:
            raise faults.refusal(error, self._path) from error

    @contextlib.contextmanager
    def together(self) -> Iterator[None]:
        """Inside of this, reads follow each other soon."""
        with self._lock:
            self._following += 1
        try:
            yield
        finally:
            with self._lock:
                self._following -= 1
            if not self._is_to_be_kept():
                self.close()

    def close(self) -> None:
        """Give the file back until the next read."""
        kept = self._take()
        if kept is not None:
            kept.connection.close()

    def _is_to_be_kept(self) -> bool:
        return self._following > 0 or self._is_writing()

    def _begin(self, kept: _Kept | None) -> tuple[_Kept, bool]:
        """A connection inside a transaction, and whether there is anything in the file."""
        if kept is None:
            connection, is_ready = connections.begin_reading(self._path)
            try:
                found = os.stat(self._path)
            except OSError as error:
                connection.close()
                raise faults.removed(self._path) from error
            return _Kept(connection, (found.st_dev, found.st_ino), os.getpid()), is_ready
        try:
            return kept, connections.begin_again(kept.connection, self._path)
        except BaseException:
            kept.connection.close()
            raise

    def _take(self) -> _Kept | None:
        """The connection that was kept, unless its file is another one by now. That of a parent stays untouched."""
        with self._lock:
            kept = self._kept
            if kept is None or kept.pid != os.getpid():
                return None
            self._kept = None
        with contextlib.suppress(OSError):
            found = os.stat(self._path)
            if (found.st_dev, found.st_ino) == kept.file:
                return kept
        kept.connection.close()
        return None

    def _keep(self, kept: _Kept) -> None:
        with self._lock:
            if self._kept is None and self._is_to_be_kept():
                self._kept = kept
                return
        kept.connection.close()
