"""The SQLite store beyond the contract: what a step costs, faults of the file, damage, what is created when."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest

from runkon.errors import StoreUnavailable, UserError
from runkon.model.events import Envelope, RunCompleted
from runkon.model.ids import new_run_id
from runkon.model.output import Output
from runkon.model.state_folder import GITIGNORE
from runkon.store.sqlite import PAGE, SqliteRunStore
from runkon.testing.store_story import Story, completed, started


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "state" / "runs.db"


@pytest.fixture
def store(path: Path) -> Iterator[SqliteRunStore]:
    made = SqliteRunStore(path, durability="normal", patience=0.0)
    yield made
    made.close()


def connection_of(store: SqliteRunStore) -> sqlite3.Connection:
    connection = store._writer._connection
    assert connection is not None
    return connection


def change(path: Path, statement: str, *values: object) -> None:
    """What nobody should do to a database in use."""
    connection = sqlite3.connect(path, isolation_level=None)
    assert connection.execute(statement, values).rowcount != 0
    connection.close()


# ── what a step costs ─────────────────────────────────────────────────────────────────────────────
def test_a_chain_step_is_one_transaction_of_few_statements_without_reading(store: SqliteRunStore) -> None:
    story = Story(store)
    story.begin()
    story.write(started("s#0"))
    seen: list[str] = []
    connection_of(store).set_trace_callback(seen.append)
    for number in range(1, 11):
        story.write(completed(f"s#{number - 1}"), started(f"s#{number}", order=number))
    connection_of(store).set_trace_callback(None)
    verbs = [statement.split()[0] for statement in seen]
    assert len(verbs) <= 8 * 10
    assert verbs.count("COMMIT") == verbs.count("BEGIN") == 10
    assert "SELECT" not in verbs
    assert sum(statement.startswith("UPDATE runs") for statement in seen) == 10


def test_a_plain_step_keeps_less_than_two_kib(store: SqliteRunStore, path: Path) -> None:
    story = Story(store)
    story.begin()
    story.write(started("s#0"))
    connection_of(store).execute("PRAGMA wal_checkpoint(TRUNCATE)")
    before = path.stat().st_size
    for number in range(1, 201):
        story.write(completed(f"s#{number - 1}", Output(context="x" * 100)), started(f"s#{number}", order=number))
    connection_of(store).execute("PRAGMA wal_checkpoint(TRUNCATE)")
    assert (path.stat().st_size - before) / 200 < 2048


def test_an_output_is_kept_once(store: SqliteRunStore, path: Path) -> None:
    story = Story(store)
    story.begin()
    story.write(started("a"), completed("a", Output(context="a text that is looked for")))
    story.write(RunCompleted(outputs={}), release=True)
    store.close()
    assert path.read_bytes().count(b"a text that is looked for") == 1


def test_equal_sources_are_kept_once(store: SqliteRunStore, path: Path) -> None:
    for _ in range(5):
        Story(store)
    connection = sqlite3.connect(path)
    assert connection.execute("SELECT count(*) FROM sources").fetchone() == (2,)
    connection.close()


@pytest.mark.parametrize(("durability", "synchronous"), [("full", 2), ("normal", 1)])
def test_durability_decides_when_the_disk_is_waited_for(path: Path, durability: str, synchronous: int) -> None:
    store = SqliteRunStore(path, durability=durability)  # type: ignore[arg-type]
    Story(store)
    connection = connection_of(store)
    assert connection.execute("PRAGMA synchronous").fetchone() == (synchronous,)
    assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    assert connection.execute("PRAGMA foreign_keys").fetchone() == (1,)
    store.close()


# ── what is created when ──────────────────────────────────────────────────────────────────────────
def test_reading_creates_nothing(store: SqliteRunStore, path: Path) -> None:
    assert list(store.runs()) == []
    assert store.run(new_run_id()) is None
    assert not path.parent.exists()


def test_what_is_written_is_kept_out_of_git_and_a_folder_of_others_left_alone(path: Path, tmp_path: Path) -> None:
    first, second = SqliteRunStore(path), SqliteRunStore(tmp_path / "runs.db")
    Story(first)
    Story(second)
    assert (path.parent / ".gitignore").read_text() == GITIGNORE
    assert not (tmp_path / ".gitignore").exists()
    first.close()
    second.close()


def test_an_empty_file_becomes_a_database(path: Path, store: SqliteRunStore) -> None:
    path.parent.mkdir()
    path.touch()
    assert list(store.runs()) == []
    Story(store)
    assert len(store.runs()) == 1


def test_a_place_with_unusual_characters_works(tmp_path: Path) -> None:
    store = SqliteRunStore(tmp_path / "sp ace#?%41&ü" / "runs.db")
    story = Story(store)
    assert [run.id for run in store.runs()] == [story.run]
    assert (tmp_path / "sp ace#?%41&ü" / "runs.db").is_file()
    store.close()


# ── files that can't be used ──────────────────────────────────────────────────────────────────────
def refused(store: SqliteRunStore) -> UserError:
    """What writing says; reading must not be silently empty where it says the same."""
    with pytest.raises(UserError) as caught:
        Story(store)
    error = caught.value
    assert error.exit_code == 5
    assert error.help
    return error


def test_a_file_that_is_no_database_is_left_alone(store: SqliteRunStore, path: Path) -> None:
    path.parent.mkdir()
    path.write_text("my notes, more than sixteen bytes of them")
    assert refused(store).code == "store-corrupt"
    with pytest.raises(UserError, match="is no database"):
        store.runs()
    assert path.read_text() == "my notes, more than sixteen bytes of them"


def test_a_database_of_another_program_is_left_alone(store: SqliteRunStore, path: Path) -> None:
    path.parent.mkdir()
    other = sqlite3.connect(path)
    other.execute("CREATE TABLE recipes (name TEXT)")
    other.close()
    assert refused(store).code == "store-foreign"
    with pytest.raises(UserError):
        store.runs()
    other = sqlite3.connect(path)
    assert other.execute("SELECT name FROM sqlite_master").fetchall() == [("recipes",)]
    other.close()


def test_a_newer_schema_is_refused_unchanged_also_for_reading(path: Path) -> None:
    store = SqliteRunStore(path)
    Story(store)
    store.close()
    change(path, "INSERT INTO schema_info VALUES (99, 'future', 0, '9.9')")
    before = path.read_bytes()
    newer = SqliteRunStore(path)
    assert refused(newer).code == "store-too-new"
    with pytest.raises(UserError, match="newer runkon"):
        newer.runs()
    newer.close()
    assert path.read_bytes() == before


def test_a_damaged_page_is_named_and_not_repaired(path: Path) -> None:
    store = SqliteRunStore(path)
    story = Story(store)
    story.begin()
    for number in range(200):
        story.write(started(f"s#{number}", order=number), completed(f"s#{number}", Output(context="y" * 200)))
    store.close()
    content = bytearray(path.read_bytes())
    content[8192:] = b"\xff" * (len(content) - 8192)
    path.write_bytes(content)
    again = SqliteRunStore(path, patience=0.0)
    with pytest.raises(UserError) as caught:
        list(again.events(story.run))
    assert caught.value.code == "store-corrupt"
    assert "recover" in str(caught.value.next)
    again.close()
    assert path.read_bytes() == bytes(content)


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    store = SqliteRunStore(tmp_path / "file" / "runs.db")
    error = refused(store)
    assert error.code == "store-unavailable"
    assert str(tmp_path / "file") in error.message


def test_a_database_that_is_a_folder_is_named(path: Path, store: SqliteRunStore) -> None:
    path.mkdir(parents=True)
    assert refused(store).code == "store-unavailable"


def test_a_database_that_is_a_pipe_is_named_and_not_waited_for(path: Path, store: SqliteRunStore) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    os.mkfifo(path)
    assert "is a device, pipe or socket" in refused(store).message
    with pytest.raises(UserError, match="is a device, pipe or socket"):
        store.runs()


# ── faults while a run goes on ────────────────────────────────────────────────────────────────────
def failing(story: Story) -> StoreUnavailable:
    before = len(list(story.store.events(story.run)))
    with pytest.raises(StoreUnavailable) as caught:
        story.write(started("a"))
    assert len(list(story.store.events(story.run))) == before
    assert caught.value.help
    return caught.value


def test_a_full_disk_writes_nothing_half_and_passes(store: SqliteRunStore) -> None:
    story = Story(store)
    story.begin()
    connection = connection_of(store)
    pages = connection.execute("PRAGMA page_count").fetchone()[0]
    connection.execute(f"PRAGMA max_page_count = {pages}")
    with pytest.raises(StoreUnavailable, match="no space"):
        story.write(started("a"), completed("a", Output(context="x" * 60_000)))
    assert list(store.events(story.run)) == story.envelopes
    assert list(store.steps(story.run)) == []
    connection.execute("PRAGMA max_page_count = 1000000")
    story.write(started("a"), completed("a", Output(context="x" * 60_000)))
    assert list(store.events(story.run)) == story.envelopes


def test_a_file_that_became_read_only_is_named(store: SqliteRunStore) -> None:
    story = Story(store)
    story.begin()
    connection_of(store).execute("PRAGMA query_only = ON")
    assert "can't be written" in failing(story).message


def test_a_lock_beyond_patience_is_named_and_passes(store: SqliteRunStore, path: Path) -> None:
    story = Story(store)
    story.begin()
    connection_of(store).execute("PRAGMA busy_timeout = 0")
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    assert "locked" in failing(story).message
    other.execute("ROLLBACK")
    other.close()
    story.write(started("a"))
    assert len(store.steps(story.run)) == 1


def test_a_lock_within_patience_is_waited_for(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = SqliteRunStore(path, durability="normal")
    story = Story(store)
    story.begin()
    connection_of(store).execute("PRAGMA busy_timeout = 0")
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    pauses: list[float] = []

    def pause(seconds: float) -> None:
        pauses.append(seconds)
        if len(pauses) == 3:
            other.execute("ROLLBACK")

    monkeypatch.setattr(store._writer._hurried, "wait", pause)
    story.write(started("a"))
    assert pauses == [0.05, 0.1, 0.2]
    assert list(store.events(story.run)) == story.envelopes
    other.close()
    store.close()


def test_a_removed_file_is_noticed_before_anything_is_lost(store: SqliteRunStore, path: Path) -> None:
    story = Story(store)
    story.begin()
    hidden = path.with_name("moved.db")
    path.rename(hidden)
    with pytest.raises(StoreUnavailable, match="removed or replaced"):
        story.write(started("a"))
    assert not path.exists()
    hidden.rename(path)
    story.write(started("a"))
    assert list(store.events(story.run)) == story.envelopes


def test_a_replaced_file_is_noticed(store: SqliteRunStore, path: Path) -> None:
    story = Story(store)
    story.begin()
    path.rename(path.with_name("moved.db"))
    path.write_bytes(b"")
    with pytest.raises(StoreUnavailable, match="removed or replaced"):
        story.write(started("a"))
    assert path.read_bytes() == b""


# ── damaged runs ──────────────────────────────────────────────────────────────────────────────────
@pytest.mark.parametrize(
    ("statement", "expected"),
    [
        ("DELETE FROM events WHERE kind = 'step_completed'", "number 4"),
        ("DELETE FROM events WHERE kind = 'run_completed'", "no event"),
        ("UPDATE events SET payload = '{\"half' WHERE kind = 'step_completed'", "does not read back"),
        ("UPDATE events SET payload = '[]' WHERE kind = 'step_completed'", "does not read back"),
        ("UPDATE events SET payload = '{}' WHERE kind = 'attempt_started'", "does not read back"),
        ("UPDATE events SET kind = 'step_vanished' WHERE kind = 'step_completed'", "does not read back"),
        ("UPDATE sources SET text = text || ' '", "a changed text"),
        ("DELETE FROM sources", "no text"),
    ],
)
def test_a_damaged_run_is_refused_by_name_and_others_stay_readable(
    store: SqliteRunStore, path: Path, statement: str, expected: str
) -> None:
    story = Story(store)
    story.begin()
    story.write(started("a"), completed("a"), RunCompleted(outputs={}), release=True)
    change(path, statement)
    with pytest.raises(UserError) as caught:
        list(store.events(story.run))
    assert caught.value.code == "corrupt-run"
    assert expected in caught.value.message
    assert story.run in caught.value.message
    other = Story(store)
    assert other.run in [run.id for run in store.runs()]


def test_one_unreadable_run_is_listed_with_what_is_wrong(store: SqliteRunStore, path: Path) -> None:
    story, other = Story(store), Story(store)
    change(
        path,
        "UPDATE events SET payload = 'x' WHERE place = (SELECT number FROM runs WHERE id = ?) << 32 | 1",
        story.run,
    )
    with pytest.raises(UserError, match="breaks rule"):
        store.run(story.run)
    healthy, damaged = store.runs()
    assert (healthy.id, healthy.error) == (other.run, None)
    assert damaged.id == story.run
    assert "does not read back" in str(damaged.error)


def test_reading_while_another_object_writes_sees_whole_transactions(store: SqliteRunStore, path: Path) -> None:
    story = Story(store)
    story.begin()
    reader = SqliteRunStore(path)
    following = reader.events(story.run)
    first = next(following)
    story.write(started("a"), completed("a"))
    rest: list[Envelope] = list(following)
    assert [first, *rest] == story.envelopes[:2]
    assert list(reader.events(story.run, after=2)) == story.envelopes[2:]
    reader.close()


def test_no_read_stays_open_while_events_are_looked_at(store: SqliteRunStore, path: Path) -> None:
    story = Story(store)
    story.begin()
    for number in range(3 * PAGE // 2):
        story.write(started(f"s#{number}", order=number), completed(f"s#{number}"))
    following = store.events(story.run)
    seen = [next(following)]
    story.write(started("late"), completed("late"))
    busy, _, _ = connection_of(store).execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
    assert busy == 0
    seen += following
    assert seen == story.envelopes
