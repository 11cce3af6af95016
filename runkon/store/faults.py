"""What can go wrong with a database file, told apart and put into words with the next step.

Nothing here repairs: a damaged file is never recreated, truncated or replaced.
"""

from __future__ import annotations

import os
import sqlite3
import stat
from collections.abc import Sequence
from pathlib import Path

from runkon.errors import EXIT_ENVIRONMENT, EXIT_HELD, StoreUnavailable, UserError

_PASSING = frozenset({sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR})
_PASSING_IN_USE = frozenset({sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_PROTOCOL})
_LOCKED = frozenset({sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED})
_WRITE_LOCK = 120  # the byte of the shared memory file that stands for the right to write
_SMALLEST = 512  # bytes of a database with anything in it
_HEADER = b"SQLite format 3\x00"


def code_of(error: sqlite3.Error) -> int:
    """The primary result code, 0 when the driver gives none."""
    return (getattr(error, "sqlite_errorcode", 0) or 0) & 0xFF


class Gone(Exception):
    """The file has lost its name, or another one has it now."""


def may_pass(error: sqlite3.Error | Gone, *, is_in_use: bool = False) -> bool:
    """True if waiting can help: locked, full, an input or output error; of a file that is in use also when somebody
    moved it or took the right to write it."""
    if isinstance(error, Gone):
        return True
    return code_of(error) in _PASSING or (is_in_use and code_of(error) in _PASSING_IN_USE)


def still_waiting(error: sqlite3.Error | Gone, path: Path, seconds: float) -> str:
    """What to say while a fault is waited out, for `seconds` more."""
    cause = "it was removed or replaced" if isinstance(error, Gone) else str(error)
    if not isinstance(error, Gone) and code_of(error) in _LOCKED and (holder := _lock_holder(path)):
        cause += f", by {holder}"
    return f"note: still waiting for `{path}`, for {seconds:.0f} more seconds: {cause}"


def refusal(error: sqlite3.Error | Gone, path: Path, *, is_in_use: bool = False) -> UserError:
    """`error` for people: cause and next step."""
    if isinstance(error, Gone):
        return removed(path)
    code = code_of(error)
    if code == sqlite3.SQLITE_NOTADB:
        return no_database(path)
    if code == sqlite3.SQLITE_CORRUPT:
        return damaged(path, str(error))
    if code in _LOCKED:
        holder = _lock_holder(path) or "another process"
        return StoreUnavailable(
            f"{holder} has kept `{path}` locked for too long",
            help="end the program that holds it open (a database browser, a copy that hangs), then continue the run",
        )
    if code == sqlite3.SQLITE_FULL:
        return StoreUnavailable(
            f"no space is left for `{path}`{_free(path)}", help="make room on that disk, then continue the run"
        )
    if code == sqlite3.SQLITE_READONLY:
        if not is_in_use:
            return read_only(path)
        help = "give yourself the right to write the file and its folder, then continue the run"
        return StoreUnavailable(f"`{path}` can't be written any more", help=help)
    if code == sqlite3.SQLITE_CANTOPEN:
        return StoreUnavailable(
            f"`{path}` can't be opened",
            help=f"the folder `{path.parent}` must exist and be writable: the database keeps two files beside its own",
        )
    help = "check the disk and the folder it lies in, then continue the run"
    return StoreUnavailable(f"`{path}` can't be used: {error}{_free(path)}", help=help)


def damaged(path: Path, cause: str) -> UserError:
    return UserError(
        "store-corrupt",
        f"`{path}` is damaged: {cause}",
        help="the file was left as it is; copy what is readable into a new one and put that in its place",
        next=f"sqlite3 {path} .recover | sqlite3 recovered.db",
        exit_code=EXIT_ENVIRONMENT,
    )


def no_database(path: Path) -> UserError:
    return UserError(
        "store-corrupt",
        f"`{path}` is no database: it does not begin as one of SQLite does",
        help="it was left as it is; name another file with `--db PATH`, or move it away to begin with a new one",
        exit_code=EXIT_ENVIRONMENT,
    )


def foreign(path: Path) -> UserError:
    return UserError(
        "store-foreign",
        f"`{path}` is a database of another program",
        help="choose another file",
        next="runkon runs --db PATH",
    )


def too_new(path: Path, found: int, known: int) -> UserError:
    return UserError(
        "store-too-new",
        f"`{path}` was written by a newer runkon (schema {found}, this one knows {known})",
        help="nothing was changed; update runkon, or choose another file with `--db`",
    )


def too_old(path: Path, found: int, known: int, cause: str) -> UserError:
    return UserError(
        "store-too-old",
        f"`{path}` was written by an older runkon (schema {found}, this one has {known}) and can't be brought up to "
        f"date: {cause}",
        help="nothing was changed; give yourself the right to write the file and its folder, or copy it to a place "
        "where you have it and name that with `--db`",
    )


def busy_migrating(path: Path, owners: Sequence[tuple[str, str]], known: int) -> UserError:
    run, owner = owners[0]
    more = f", and {len(owners) - 1} more" if len(owners) > 1 else ""
    return UserError(
        "store-busy-migrating",
        f"`{path}` can't be brought to schema {known} while run `{run}` is advanced by {owner}{more}",
        help="nothing was changed; wait until it has ended or stop it, then try again",
        exit_code=EXIT_HELD,
    )


def read_only(path: Path) -> UserError:
    return UserError(
        "store-read-only",
        f"`{path}` can't be written, so no run can begin",
        help="give yourself the right to write the file and its folder, or choose another file with `--db`",
    )


def no_folder(path: Path, error: OSError) -> StoreUnavailable:
    if path.parent.exists() and not path.parent.is_dir():
        return StoreUnavailable(
            f"`{path.parent}` is a file, but the database needs a folder there",
            help="move that file away, or choose another place with `--db PATH`",
        )
    reason = error.strerror or error
    return StoreUnavailable(
        f"the folder `{path.parent}` for the database can't be made or written: {reason}",
        help="choose another place with `--db PATH`",
    )


def removed(path: Path) -> StoreUnavailable:
    return StoreUnavailable(
        f"`{path}` was removed or replaced while it was in use",
        help="put the file back if it was moved; what was committed before is in it",
    )


def after_fork(path: Path) -> StoreUnavailable:
    return StoreUnavailable(
        f"`{path}` was opened before this process was forked from another",
        help="open the store after the fork; a database connection can't be shared by two processes",
    )


def check_header(path: Path) -> None:
    """Raises `store-corrupt` for a small file that is no SQLite database, which SQLite would take for an empty one. Of
    a larger one SQLite says so itself; opening it here would be wrong: closing it again gives up this process's locks,
    and another process then removes the log under a writer."""
    try:
        found = path.stat()
        if stat.S_ISDIR(found.st_mode):
            help = "move that folder away, or name a file with `--db PATH`"
            raise StoreUnavailable(f"`{path}` is a folder, not a database file", help=help)
        if not stat.S_ISREG(found.st_mode):  # opening a pipe would wait for ever
            help = "name a file, or one to be made, with `--db PATH`"
            raise StoreUnavailable(f"`{path}` is a device, pipe or socket, not a database file", help=help)
        if not 0 < found.st_size < _SMALLEST:
            return
        with path.open("rb") as file:
            head = file.read(len(_HEADER))
    except FileNotFoundError:
        return
    except NotADirectoryError as error:
        raise no_folder(path, error) from error
    except OSError as error:
        reason = error.strerror or error
        help = "name a database file, or one to be made, with `--db PATH`"
        raise StoreUnavailable(f"`{path}` can't be read: {reason}", help=help) from error
    if head and head != _HEADER:
        raise no_database(path)


def _free(path: Path) -> str:
    import shutil  # late: only in an error message

    try:
        return f" ({shutil.disk_usage(path.parent).free // 1024} KiB free)"
    except OSError:
        return ""


def _lock_holder(path: Path) -> str | None:
    """Which other process writes to `path` now, where the system tells."""
    try:
        inode = path.with_name(f"{path.name}-shm").stat().st_ino
        for line in Path("/proc/locks").read_text("ascii").splitlines():
            _, kind, _, access, pid, place, first, last = line.split()[:8]
            is_it = (kind, access, place.rpartition(":")[2]) == ("POSIX", "WRITE", str(inode))
            is_whole = int(first) <= _WRITE_LOCK and (last == "EOF" or int(last) >= _WRITE_LOCK)
            if is_it and is_whole and int(pid) != os.getpid():
                name = Path(f"/proc/{int(pid)}/comm").read_text("utf-8").strip()
                return f"process {pid} (`{name}`)"
    except (OSError, ValueError):
        return None
    return None
