"""What a fault of the file is called, how long it is waited for, and who is named."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from runkon.errors import StoreUnavailable
from runkon.store import faults, writer
from runkon.store.sqlite import SqliteRunStore
from runkon.testing import arm
from runkon.testing.store_story import Story, completed, started

LOCKS = """
import sqlite3, sys
connection = sqlite3.connect(sys.argv[1], isolation_level=None)
connection.execute("BEGIN IMMEDIATE")
print("locked", flush=True)
sys.stdin.read()
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "runs.db"


@pytest.fixture
def store(path: Path) -> Iterator[SqliteRunStore]:
    made = SqliteRunStore(path, durability="normal", patience=0.2)
    yield made
    made.close()


@pytest.fixture
def story(store: SqliteRunStore) -> Story:
    told = Story(store)
    told.begin()
    return told


@pytest.fixture
def locker(path: Path, story: Story) -> Iterator[subprocess.Popen[str]]:
    """Another process that keeps the right to write."""
    command = [sys.executable, "-c", LOCKS, str(path)]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "locked\n"
    yield process
    process.communicate(timeout=60)


def error_of(name: str) -> sqlite3.Error:
    error = sqlite3.OperationalError(name)
    error.sqlite_errorcode = getattr(sqlite3, f"SQLITE_{name}")
    return error


@pytest.mark.parametrize(
    ("name", "before", "later"),
    [
        ("BUSY", True, True),
        ("FULL", True, True),
        ("IOERR", True, True),
        ("READONLY", False, True),
        ("CANTOPEN", False, True),
        ("CORRUPT", False, False),
        ("NOTADB", False, False),
        ("CONSTRAINT", False, False),
    ],
)
def test_what_is_waited_for_before_and_after_the_first_write(name: str, before: bool, later: bool) -> None:
    error = error_of(name)
    assert (faults.may_pass(error), faults.may_pass(error, is_in_use=True)) == (before, later)
    assert faults.may_pass(faults.Gone())


def test_a_lock_is_told_with_who_has_it(
    story: Story, locker: subprocess.Popen[str], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writer, "_NOTE_AFTER", 0.0)
    with pytest.raises(StoreUnavailable) as caught:
        story.write(started("a"))
    name = Path(f"/proc/{locker.pid}/comm").read_text().strip()
    assert caught.value.message == (
        f"process {locker.pid} (`{name}`) has kept `{story.store._path}` locked for too long"  # type: ignore[attr-defined]
    )
    note = capsys.readouterr().err
    assert note.startswith(f"note: still waiting for `{story.store._path}`, for 0 more seconds: ")  # type: ignore[attr-defined]
    assert note.endswith(f"database is locked, by process {locker.pid} (`{name}`)\n")
    assert note.count("\n") == 1


def test_who_has_waited_once_in_vain_waits_no_second_time(story: Story, monkeypatch: pytest.MonkeyPatch) -> None:
    pauses: list[float] = []
    monkeypatch.setattr(story.store._writer._hurried, "wait", pauses.append)  # type: ignore[attr-defined]
    with arm("before_commit:do=sql(FULL)"):
        with pytest.raises(StoreUnavailable):
            story.write(started("a"))
        assert pauses
        pauses.clear()
        for _ in range(3):
            with pytest.raises(StoreUnavailable):
                story.write(started("a"))
        assert pauses == []
    story.write(started("a"))
    story.write(completed("a"))


def test_a_renewal_is_tried_once(story: Story, store: SqliteRunStore, monkeypatch: pytest.MonkeyPatch) -> None:
    pauses: list[float] = []
    monkeypatch.setattr(store._writer._hurried, "wait", pauses.append)
    assert story.lease is not None
    with arm("before_commit:do=sql(IOERR)"), pytest.raises(StoreUnavailable):
        store.extend(story.lease, story.now, 1000)
    assert pauses == []
    assert store.extend(story.lease, story.now, 1000) is not None


def test_a_renewal_that_fails_takes_no_patience_from_the_next_commit(
    story: Story, store: SqliteRunStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    pauses: list[float] = []
    monkeypatch.setattr(store._writer._hurried, "wait", pauses.append)
    assert story.lease is not None
    with arm("before_commit:hit=1:do=sql(FULL);before_commit:hit=2:do=sql(FULL)"):
        with pytest.raises(StoreUnavailable):
            store.extend(story.lease, story.now, 1000)
        story.write(started("a"))
    assert len(pauses) == 1


def test_a_folder_that_gives_way_to_a_file_is_waited_for(tmp_path: Path) -> None:
    folder = tmp_path / "state"
    store = SqliteRunStore(folder / "runs.db", durability="normal", patience=0.2)
    story = Story(store)
    story.begin()
    away = folder.rename(tmp_path / "away")
    folder.write_text("")
    with pytest.raises(StoreUnavailable, match="was removed or replaced"):
        story.write(started("a"))
    folder.unlink()
    away.rename(folder)
    story.write(started("a"))
    store.close()


def test_a_commit_that_only_seemed_to_fail_is_not_made_twice(story: Story, store: SqliteRunStore) -> None:
    with arm("after_commit:hit=1:do=sql(IOERR)") as armed:
        story.write(started("a"))
        assert armed.passed["after_insert"] == 1
    story.write(completed("a"))
    assert list(store.events(story.run)) == story.envelopes


def test_a_transaction_that_could_not_be_rolled_back_does_not_block_the_next(
    story: Story, store: SqliteRunStore
) -> None:
    connection = store._writer._connection
    assert connection is not None
    connection.execute("BEGIN IMMEDIATE")
    with arm("before_batch:hit=1:do=sql(IOERR)"):
        story.write(started("a"))
    assert not connection.in_transaction


def test_who_is_in_a_hurry_ends_the_wait_of_others(
    path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writer, "_NOTE_AFTER", 0.0)
    store = SqliteRunStore(path, durability="normal", patience=3600.0)
    story = Story(store)
    story.begin()
    waiting = threading.Event()
    monkeypatch.setattr(faults, "still_waiting", lambda *_: waiting.set() or "waiting")
    raised: list[BaseException] = []

    def write() -> None:
        try:
            story.write(started("a"))
        except StoreUnavailable as error:
            raised.append(error)

    with arm("before_commit:do=sql(FULL)"):
        thread = threading.Thread(target=write, daemon=True)
        thread.start()
        assert waiting.wait(20)
        store.hurry()
        thread.join(20)
        assert len(raised) == 1
        with pytest.raises(StoreUnavailable):
            story.write(started("a"))
    story.write(started("a"))
    assert "waiting" in capsys.readouterr().err
    store.close()
