"""Files beside the database that hold what is too large for a row, each under the SHA-256 of its bytes.

A file is complete from the moment it has its name: it is written under another one, synced, and renamed. One that is
there already is not written again, unless somebody has changed it.
"""

from __future__ import annotations

import errno
import itertools
import os
import time
from pathlib import Path

from runkon.errors import StoreUnavailable
from runkon.failpoints import failpoint

PART = ".part"  # how the names of unfinished files end
_PASSING = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EAGAIN, errno.EINTR, errno.EBUSY, errno.EMFILE})
_FIRST_PAUSE, _LONGEST_PAUSE = 0.05, 2.0
_COUNTER = itertools.count()


def folder_of(database: Path) -> Path:
    """Where the files of a database lie: `blobs` beside `runkon.db`, `NAME-blobs` beside any other."""
    return database.with_name("blobs" if database.name == "runkon.db" else f"{database.name}-blobs")


def path_of(folder: Path, id: str) -> Path:
    return folder / id[:2] / id


class Blobs:
    """The files of one database. With `synced` a file that was kept survives a power failure. A full disk is waited
    out for `patience` seconds."""

    def __init__(self, database: Path, *, synced: bool, patience: float) -> None:
        self._folder = folder_of(database)
        self._synced = synced
        self._patience = patience

    def keep(self, id: str, content: bytes) -> None:
        """Make sure that the file `id` is there, whole. Raises StoreUnavailable when it can't be written; there is no
        file of that name then."""
        deadline, pause = time.monotonic() + self._patience, _FIRST_PAUSE
        while True:
            try:
                self._keep(id, content)
                return
            except OSError as error:
                if error.errno not in _PASSING or time.monotonic() >= deadline:
                    raise _refused(path_of(self._folder, id), len(content), error) from error
            time.sleep(pause)
            pause = min(pause * 2, _LONGEST_PAUSE)

    def is_there(self, id: str, size: int) -> bool:
        """True if the file is there in its full length."""
        try:
            return path_of(self._folder, id).stat().st_size == size
        except OSError:
            return False

    def _keep(self, id: str, content: bytes) -> None:
        path = path_of(self._folder, id)
        if self.is_there(id, len(content)) and path.read_bytes() == content:
            os.utime(path)  # young again, so that nobody takes it for waste before a row names it
            return
        self._make_folder(path.parent)
        part = path.with_name(f"{id}.{os.getpid()}-{next(_COUNTER)}{PART}")
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
