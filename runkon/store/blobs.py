"""Files beside the database that hold what is too large for a row, each under the SHA-256 of its bytes.

A file is complete from the moment it has its name: it is written under another one, synced, and renamed. One that is
there already is not written again, unless somebody has changed it.
"""

from __future__ import annotations

import errno
import itertools
import os
import sys
import threading
import time
from pathlib import Path

from runkon.errors import StoreUnavailable
from runkon.failpoints import failpoint

PART = ".part"  # how the names of unfinished files end
_PASSING = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EAGAIN, errno.EINTR, errno.EBUSY, errno.EMFILE})
_FIRST_PAUSE, _LONGEST_PAUSE = 0.05, 2.0
_NOTE_AFTER = 5.0  # seconds until stderr is told why nothing moves
_COUNTER = itertools.count()


def folder_of(database: Path) -> Path:
    """Where the files of a database lie: `blobs` beside `runkon.db`, `NAME-blobs` beside any other."""
    return database.with_name("blobs" if database.name == "runkon.db" else f"{database.name}-blobs")


def path_of(folder: Path, id: str) -> Path:
    return folder / id[:2] / id


class Blobs:
    """The files of one database. With `synced` a file that was kept survives a power failure. A full disk is waited
    out for `patience` seconds, or until `hurried` is set."""

    def __init__(
        self, database: Path, *, synced: bool, patience: float, hurried: threading.Event | None = None
    ) -> None:
        self._folder = folder_of(database)
        self._synced = synced
        self._patience = patience
        self._hurried = hurried or threading.Event()

    def keep(self, id: str, content: bytes) -> None:
        """Make sure that the file `id` is there, whole. Raises StoreUnavailable when it can't be written; there is no
        file of that name then."""
        begun, told, pause, path = time.monotonic(), False, _FIRST_PAUSE, path_of(self._folder, id)
        while True:
            try:
                self._keep(path, content)
                return
            except OSError as error:
                left = begun + self._patience - time.monotonic()
                if error.errno not in _PASSING or left <= 0 or self._hurried.is_set():
                    raise _refused(path, len(content), error) from error
                if not told and self._patience - left >= _NOTE_AFTER:
                    told = True
                    cause = error.strerror or error
                    print(f"note: still waiting for `{path}`, for {left:.0f} more seconds: {cause}", file=sys.stderr)
            self._hurried.wait(min(pause, left))
            pause = min(pause * 2, _LONGEST_PAUSE)

    def is_there(self, id: str, size: int) -> bool:
        """True if the file is there in its full length."""
        try:
            return path_of(self._folder, id).stat().st_size == size
        except OSError:
            return False

    def _keep(self, path: Path, content: bytes) -> None:
        if self.is_there(path.name, len(content)) and path.read_bytes() == content:
            os.utime(path)  # young again, so that nobody takes it for waste before a row names it
            return
        self._make_folder(path.parent)
        part = path.with_name(f"{path.name}.{os.getpid()}-{next(_COUNTER)}{PART}")
        failpoint("before_blob")
        try:
            self._write(part, content)
            failpoint("before_rename")
            os.replace(part, path)
            failpoint("after_rename")
        except OSError:
            part.unlink(missing_ok=True)
            raise
        if self._synced:
            _sync_folder(path.parent)

    def _write(self, part: Path, content: bytes) -> None:
        half = len(content) // 2
        with part.open("xb", buffering=0) as file:
            _write_all(file.fileno(), content[:half])
            failpoint("blob_half")
            _write_all(file.fileno(), content[half:])
            if self._synced:
                os.fsync(file.fileno())
        failpoint("blob_written")

    def _make_folder(self, folder: Path) -> None:
        if folder.is_dir():
            return
        is_new = not self._folder.is_dir()
        folder.mkdir(parents=True, exist_ok=True)
        if is_new:
            (self._folder / ".gitignore").write_text("*\n", encoding="utf-8")
        if self._synced:
            _sync_folder(self._folder)
            _sync_folder(self._folder.parent)


def _write_all(descriptor: int, content: bytes) -> None:
    rest = memoryview(content)
    while rest:
        rest = rest[os.write(descriptor, rest) :]


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _refused(path: Path, size: int, error: OSError) -> StoreUnavailable:
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return StoreUnavailable(
            f"no space is left for `{path}` ({size // 1024} KiB)",
            help="make room on that disk, then continue the run",
        )
    return StoreUnavailable(
        f"`{path}` can't be written: {error.strerror or error}",
        help=f"the folder `{path.parent.parent}` keeps large outputs and must be writable; then continue the run",
    )
