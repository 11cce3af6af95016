"""A whole copy of a database beside those who write it, with the files of its large values."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import sqlite3
from pathlib import Path

from runkon.errors import EXIT_ENVIRONMENT, EXIT_USAGE, StoreUnavailable, UserError
from runkon.model.processes import began
from runkon.named import NamedTuple
from runkon.store import connections, faults
from runkon.store.blobs import folder_of, path_of


class Copied(NamedTuple):
    """A copy: its file, the folder with its large values (None if there are none), runs and large values in it."""

    file: Path
    folder: Path | None
    runs: int
    artifacts: int


def backup(path: Path, target: Path) -> Copied:
    """Copy the database `path` to `target` in one consistent state, while others go on writing; files beside it go to
    a folder beside `target`. `target` appears whole, as the last thing. Raises UserError `file-exists` for a target
    that is there already, `file-not-found` for a folder that is not, and `store-empty` for no database."""
    folder = folder_of(target)
    for place in (target, folder):
        if place.exists():
            raise taken(place)
    remove_left_parts(target)
    part = target.with_name(f"{target.name}.{os.getpid()}.part")
    try:
        with connections.reading(path) as connection:
            if connection is None:
                raise nothing_there(path)
            if not target.parent.is_dir():
                raise no_folder(target.parent)
            runs, files = _copy_rows(connection, part)
        count = _copy_files(folder_of(path), folder, files)
        os.link(part, target)  # unlike a rename, never takes the place of another file
    except FileExistsError as error:
        raise taken(target) from error
    except OSError as error:
        raise StoreUnavailable(
            f"the copy `{target}` can't be written: {error.strerror or error}",
            help="name a file in a folder that you may write to, on a disk with enough space",
        ) from error
    except sqlite3.Error as error:
        raise faults.refusal(error, target) from error
    finally:
        part.unlink(missing_ok=True)
    return Copied(target, folder if files else None, runs, count)


def _copy_rows(source: sqlite3.Connection, part: Path) -> tuple[int, list[str]]:
    with contextlib.closing(sqlite3.connect(part)) as copy:
        source.backup(copy)
        copy.execute("PRAGMA journal_mode = DELETE")  # one file, whoever looks into it
        runs = int(copy.execute("SELECT count(*) FROM runs").fetchone()[0])
        found = copy.execute("SELECT id FROM artifacts WHERE place = 'file'").fetchall()
    return runs, [row[0] for row in found]


def _copy_files(source: Path, target: Path, ids: list[str]) -> int:
    """Those of the copied rows; one that is missing here is missing there, which the check tells of both."""
    copied = 0
    for id in ids:
        place = path_of(target, id)
        place.parent.mkdir(parents=True, exist_ok=True)
        with contextlib.suppress(FileNotFoundError):
            shutil.copyfile(path_of(source, id), place)
            copied += 1
    return copied


def remove_left_parts(target: Path) -> None:
    """Parts of `target` that processes which are gone have left."""
    name = re.compile(re.escape(target.name) + r"\.([1-9][0-9]*)\.part(-wal|-shm|-journal)?")
    with contextlib.suppress(OSError):
        for place in list(target.parent.iterdir()):
            made_by = name.fullmatch(place.name)
            if made_by is not None and began(int(made_by[1])) is None:
                place.unlink(missing_ok=True)


def nothing_there(path: Path) -> UserError:
    return UserError(
        "store-empty",
        f"there is no database at `{path}` yet",
        help="the first run makes it",
        next="runkon run FILE",
        exit_code=EXIT_ENVIRONMENT,
    )


def no_folder(folder: Path) -> UserError:
    return UserError(
        "file-not-found",
        f"there is no folder `{folder}`",
        help="make it first, or name a file in a folder that is there",
        exit_code=EXIT_USAGE,
    )


def taken(place: Path) -> UserError:
    return UserError(
        "file-exists",
        f"`{place}` is there already and is not overwritten",
        help="name a file that is not there yet",
        exit_code=EXIT_USAGE,
    )
