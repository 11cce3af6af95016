"""Databases of older schemas: brought up to date whole or not at all, and readable by every command then."""

from __future__ import annotations

import multiprocessing
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

import pytest

from runkon.errors import UserError
from runkon.model.holder import this_holder
from runkon.store import connections, migrations
from runkon.store.migrations import Migrated, migrate
from runkon.store.schema import VERSION, ddl
from runkon.store.sqlite import SqliteRunStore
from runkon.testing.store_story import Story

FIXTURES = Path(__file__).parents[2] / "fixtures" / "store"


@pytest.fixture
def old(tmp_path: Path) -> Path:
    return old_database(tmp_path / "state" / "runkon.db")


def old_database(path: Path, schema: int = 1) -> Path:
    """The fixture of an older schema as a file."""
    path.parent.mkdir(parents=True)
    connection = sqlite3.connect(path)
    text = (FIXTURES / f"schema-{schema}.sql").read_text(encoding="utf-8")
    connection.executescript(text.replace("@FOLDER@", str(path.parent)))
    connection.execute("PRAGMA journal_mode = WAL")
    connection.close()
    return path


def query(path: Path, statement: str) -> list[tuple]:
    connection = sqlite3.connect(path)
    try:
        return connection.execute(statement).fetchall()
    finally:
        connection.close()


def shape(path: Path) -> dict[str, str]:
    return dict(query(path, "SELECT name, sql FROM sqlite_master WHERE sql IS NOT NULL"))


def migrated(path: Path) -> Migrated | None:
    connection = connections._connect(path, "rw")
    try:
        return migrate(connection, path)
    finally:
        connection.close()


def test_an_older_database_becomes_what_a_new_one_is(old: Path, tmp_path: Path) -> None:
    new = tmp_path / "new.db"
    store = SqliteRunStore(new)
    Story(store)
    store.close()
    assert migrated(old) == Migrated(1, VERSION, old.with_name("runkon.db.bak-1"))
    assert shape(old) == shape(new)
    assert set(shape(old)) >= {migrations._name(statement) for statement in ddl()}
    assert query(old, "SELECT number, name FROM schema_info") == [
        (1, "initial"),
        (2, "asks, cancel wishes, forks, large values"),
        (3, "keys of starts, busy time"),
    ]
    assert query(old, "PRAGMA integrity_check") == [("ok",)]
    assert migrated(old) is None


def test_the_schema_before_becomes_what_a_new_one_is(tmp_path: Path) -> None:
    old, new = old_database(tmp_path / "state" / "runkon.db", VERSION - 1), tmp_path / "new.db"
    kept = {table: query(old, f"SELECT * FROM {table}") for table in ("runs", "steps", "events", "gates", "sources")}
    store = SqliteRunStore(new)
    Story(store)
    store.close()
    assert migrated(old) == Migrated(VERSION - 1, VERSION, old.with_name(f"runkon.db.bak-{VERSION - 1}"))
    assert shape(old) == shape(new)
    assert {table: query(old, f"SELECT * FROM {table}") for table in kept} == kept
    assert query(old, "SELECT workflow, busy_seconds, start_key FROM v_runs ORDER BY workflow") == [
        ("cut", query(old, "SELECT sum(seconds) FROM v_attempts WHERE path = 'before'")[0][0], None),
        ("story", query(old, "SELECT sum(seconds) FROM v_attempts WHERE path <> 'before'")[0][0], None),
    ]
    store = SqliteRunStore(old)
    for run in store.runs():
        store.check_log(run.id)
    store.close()


def test_nothing_that_was_recorded_is_lost(old: Path) -> None:
    before = {table: query(old, f"SELECT * FROM {table}") for table in ("events", "sources")}
    before["events"] = [(*row, None) for row in before["events"]]  # their checksum: nobody knows what was written then
    columns = "number, id, status, seq, seq_end, leg, fence, lease_owner, created_at, started_at, ended_at, cost_uusd"
    runs = query(old, f"SELECT {columns} FROM runs")
    steps = query(old, "SELECT run, path, epoch, status, handled, attempts, seq_first, seq_last FROM steps")
    assert len(runs) == 2
    assert len(steps) == 7
    migrated(old)
    assert {table: query(old, f"SELECT * FROM {table}") for table in ("events", "sources")} == before
    assert query(old, f"SELECT {columns} FROM runs") == runs
    assert query(old, "SELECT run, path, epoch, status, handled, attempts, seq_first, seq_last FROM steps") == steps


def test_the_copy_before_is_whole_and_never_overwritten(old: Path) -> None:
    whole = query(old, "SELECT * FROM events")
    old.with_name("runkon.db.bak-1").write_text("mine")
    done = migrated(old)
    assert done is not None
    assert done.copy == old.with_name("runkon.db.bak-1.2")
    assert old.with_name("runkon.db.bak-1").read_text() == "mine"
    assert query(done.copy, "SELECT max(number) FROM schema_info") == [(1,)]
    assert query(done.copy, "SELECT * FROM events") == whole
    assert [file.name for file in old.parent.iterdir() if "part" in file.name] == []


def test_a_database_without_runs_needs_no_copy(tmp_path: Path) -> None:
    path = old_database(tmp_path / "state" / "runkon.db")
    connection = sqlite3.connect(path)
    connection.executescript("DELETE FROM events; DELETE FROM steps; DELETE FROM runs;")
    connection.close()
    assert migrated(path) == Migrated(1, VERSION, None)


def test_readers_and_writers_bring_it_up_to_date_and_say_so(old: Path, capfd: pytest.CaptureFixture[str]) -> None:
    store = SqliteRunStore(old)
    assert [run.workflow for run in store.runs()] == ["cut", "story"]
    assert capfd.readouterr().err == (
        f"note: `{old}` was brought from schema 1 to {VERSION}; the copy before is `{old}.bak-1`\n"
    )
    for run in store.runs():
        store.check_log(run.id)
        assert len(list(store.events(run.id))) == run.seq
    Story(store).begin()
    store.close()
    other = old_database(old.parent.parent / "other" / "runkon.db")
    store = SqliteRunStore(other)
    Story(store).begin()
    assert len(store.runs()) == 3
    store.close()


def held(path: Path, owner: str, until: int) -> None:
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute("UPDATE runs SET lease_owner = ?, lease_until = ? WHERE workflow = 'cut'", (owner, until))
    connection.close()


@pytest.mark.parametrize("owner", ["mine", "elsewhere/1 00000000-0000-4000-8000-000000000000 77 1 ab"])
def test_a_living_owner_is_not_disturbed(old: Path, owner: str) -> None:
    now = time.time_ns() // 1_000_000
    holder = this_holder() if owner == "mine" else owner
    held(old, holder, 0 if owner == "mine" else now + 3_600_000)
    before = query(old, "SELECT * FROM sqlite_master")
    (run,) = query(old, "SELECT id FROM runs WHERE workflow = 'cut'")
    for use in (lambda store: store.runs(), lambda store: Story(store)):
        store = SqliteRunStore(old)
        with pytest.raises(UserError) as caught:
            use(store)
        store.close()
        assert (caught.value.code, caught.value.exit_code) == ("store-busy-migrating", 8)
        pid = holder.split(" ")[2]
        host = holder.partition("/")[0]
        assert caught.value.message == (
            f"`{old}` can't be brought to schema {VERSION} while run `{run[0]}` is advanced by process {pid} on {host}"
        )
        assert caught.value.help == "nothing was changed; wait until it has ended or stop it, then try again"
    assert query(old, "SELECT * FROM sqlite_master") == before
    assert not old.with_name("runkon.db.bak-1").exists()


def test_a_failure_on_the_way_leaves_the_old_schema(old: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = query(old, "SELECT * FROM sqlite_master")
    broken = migrations.Migration(VERSION, "broken", ("UPDATE runs SET no_such_column = 1",))
    monkeypatch.setattr(migrations, "MIGRATIONS", (broken,))
    with pytest.raises(sqlite3.OperationalError, match="no_such_column"):
        migrated(old)
    assert query(old, "SELECT * FROM sqlite_master") == before
    assert query(old, "SELECT max(number) FROM schema_info") == [(1,)]


def test_a_full_disk_on_the_way_leaves_the_old_schema(old: Path) -> None:
    connection = connections._connect(old, "rw")
    pages = connection.execute("PRAGMA page_count").fetchone()[0]
    connection.execute(f"PRAGMA max_page_count = {pages}")
    with pytest.raises(sqlite3.OperationalError, match="full"):
        migrate(connection, old)
    connection.close()
    assert query(old, "SELECT max(number) FROM schema_info") == [(1,)]
    assert migrated(old) == Migrated(1, VERSION, old.with_name("runkon.db.bak-1.2"))


KILLED = """
import os, signal, sys
from pathlib import Path
from runkon.store import connections, migrations
path, point = Path(sys.argv[1]), sys.argv[2]
def die(*_):
    os.kill(os.getpid(), signal.SIGKILL)
real = getattr(migrations, point)
def then_die(*given):
    real(*given)
    die()
setattr(migrations, point, then_die)
migrations.migrate(connections._connect(path, "rw"), path)
"""


@pytest.mark.parametrize("point", ["_copied", "_replace", "_reshape", "_migrate"])
def test_a_kill_on_the_way_leaves_the_old_schema(old: Path, point: str) -> None:
    before = query(old, "SELECT * FROM sqlite_master")
    killed = subprocess.run([sys.executable, "-c", KILLED, str(old), point], check=False, timeout=60)
    assert killed.returncode == -signal.SIGKILL
    assert query(old, "SELECT * FROM sqlite_master") == before
    assert query(old, "SELECT max(number) FROM schema_info") == [(1,)]
    done = migrated(old)
    assert done is not None
    assert done.before == 1
    assert query(old, "PRAGMA integrity_check") == [("ok",)]


def _open_at_once(path: Path, gate: object, seen: object) -> None:
    gate.wait(60)
    store = SqliteRunStore(path)
    seen.put(sorted(run.workflow for run in store.runs()))
    store.close()


def test_processes_that_come_at_once_migrate_once(old: Path) -> None:
    context = multiprocessing.get_context("spawn")
    gate, seen = context.Barrier(3), context.Queue()
    processes = [context.Process(target=_open_at_once, args=(old, gate, seen)) for _ in range(3)]
    for process in processes:
        process.start()
    assert [seen.get(timeout=60) for _ in processes] == [["cut", "story"]] * 3
    for process in processes:
        process.join(60)
    assert query(old, "SELECT number FROM schema_info") == [(number,) for number in range(1, VERSION + 1)]
    assert sorted(file.name for file in old.parent.glob("*.bak*")) == ["runkon.db.bak-1"]


def test_a_file_that_can_not_be_written_is_too_old(old: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(*_: object) -> None:
        raise sqlite3_error(sqlite3.SQLITE_READONLY)

    monkeypatch.setattr(migrations, "_migrate", refused)
    with pytest.raises(UserError) as caught:
        SqliteRunStore(old).runs()
    assert (caught.value.code, caught.value.exit_code) == ("store-too-old", 5)
    assert caught.value.message == (
        f"`{old}` was written by an older runkon (schema 1, this one has {VERSION}) and can't be brought up to date: "
        f"`{old}` can't be written, so no run can begin"
    )
    assert caught.value.help == (
        "nothing was changed; give yourself the right to write the file and its folder, or copy it to a place where "
        "you have it and name that with `--db`"
    )


def sqlite3_error(code: int) -> sqlite3.OperationalError:
    error = sqlite3.OperationalError("attempt to write a readonly database")
    error.sqlite_errorcode = code
    return error


def test_a_newer_file_is_left_byte_for_byte(old: Path) -> None:
    migrated(old)
    connection = sqlite3.connect(old, isolation_level=None)
    connection.execute("INSERT INTO schema_info VALUES (99, 'later', 1, '9.9')")
    connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    connection.close()
    copy = shutil.copy(old, old.with_name("copy"))
    for use in (lambda store: store.runs(), lambda store: Story(store)):
        store = SqliteRunStore(old)
        with pytest.raises(UserError) as caught:
            use(store)
        store.close()
        assert (caught.value.code, caught.value.exit_code) == ("store-too-new", 5)
        assert caught.value.message == f"`{old}` was written by a newer runkon (schema 99, this one knows {VERSION})"
        assert caught.value.help == "nothing was changed; update runkon, or choose another file with `--db`"
    assert old.read_bytes() == Path(copy).read_bytes()
