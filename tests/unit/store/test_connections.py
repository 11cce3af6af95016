"""The place of a database file: what is written beside it, and what may be there instead of it."""

from __future__ import annotations

import sqlite3
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from runkon.errors import StoreUnavailable
from runkon.model.state_folder import GITIGNORE
from runkon.store import connections
from runkon.store import statements as sql
from runkon.store.sqlite import SqliteRunStore
from runkon.testing.store_story import Story


@pytest.mark.parametrize("before", [None, "mine\n"])
def test_a_state_folder_that_is_there_already_is_kept_out_of_git_too(tmp_path: Path, before: str | None) -> None:
    folder = tmp_path / ".runkon"
    folder.mkdir()
    if before is not None:
        (folder / ".gitignore").write_text(before)
    store = SqliteRunStore(folder / "runkon.db")
    Story(store)
    store.close()
    assert (folder / ".gitignore").read_text() == (before or GITIGNORE)


def test_git_sees_what_people_write_and_nothing_that_runkon_writes(tmp_path: Path) -> None:
    folder = tmp_path / ".runkon"
    store = SqliteRunStore(folder / "runkon.db")
    Story(store)
    for name in (
        "plugins/words.py",
        "workflows/x.wf",
        "plugins/__pycache__/w.pyc",
        "logs/r/a.log",
        "rescue/r.json",
        "blobs/0",
    ):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text("")
    (folder / "internal-error-1.txt").write_text("")
    subprocess.run(["git", "init", "--quiet"], cwd=tmp_path, check=True)
    listed = ["git", "ls-files", "--others", "--exclude-standard"]
    found = subprocess.run(listed, cwd=tmp_path, capture_output=True, text=True, check=True).stdout.split()
    assert found == [".runkon/.gitignore", ".runkon/plugins/words.py", ".runkon/workflows/x.wf"]
    store.close()


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda folder: (folder / "runkon.db").mkdir(parents=True), "is a folder, not a database file"),
        (lambda folder: folder.write_text("x"), "is a file, but the database needs a folder there"),
    ],
)
def test_a_place_that_something_else_has(tmp_path: Path, make: Callable[[Path], object], said: str) -> None:
    make(tmp_path / ".runkon")
    store = SqliteRunStore(tmp_path / ".runkon" / "runkon.db")
    with pytest.raises(StoreUnavailable, match=said):
        store.runs()
    with pytest.raises(StoreUnavailable, match=said):
        Story(store)


def test_tables_that_somebody_makes_during_a_look_are_no_other_program_s(tmp_path: Path) -> None:
    path = tmp_path / "runs.db"
    store = SqliteRunStore(path)

    class Unlucky(sqlite3.Connection):
        def execute(self, statement: str, *values: object) -> sqlite3.Cursor:
            try:
                return super().execute(statement, *values)  # type: ignore[arg-type]
            except sqlite3.OperationalError:
                Story(store)  # the file is made right after it was found empty
                raise

    path.touch()
    connection = sqlite3.connect(path, isolation_level=None, factory=Unlucky)
    assert connections.begin_again(connection, path)
    assert connection.execute(sql.SELECT_VERSION).fetchone()[0] >= 2
    connection.close()
    store.close()
