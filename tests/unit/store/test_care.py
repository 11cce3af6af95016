"""Looking after a database: what a check finds, rows made anew, copies, waste."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from runkon.errors import UserError
from runkon.model.events import DefinitionChanged, RunCompleted, RunFailed
from runkon.model.output import Output
from runkon.store.blobs import folder_of, path_of
from runkon.store.care import waste
from runkon.store.care.checking import Problem, Report
from runkon.store.care.upkeep import Upkeep
from runkon.store.sqlite import PATIENCE, SqliteRunStore
from runkon.store.writer import Writer
from runkon.testing.store_story import START_MS, Story, attempt_failed, completed, failed, made_up, started

LARGE = "x" * 100_000
LATER = START_MS + 10 * waste.DAY_MS


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "state" / "runkon.db"


@pytest.fixture
def store(path: Path) -> Iterator[SqliteRunStore]:
    made = SqliteRunStore(path, durability="normal", patience=0.0)
    yield made
    made.close()


@pytest.fixture
def upkeep(path: Path) -> Upkeep:
    return Upkeep(path, "normal")


def told(store: SqliteRunStore) -> Story:
    """A failed run: a completed step with a large output, a retried one, a failed one."""
    story = Story(store)
    story.begin()
    story.write(started("a"), completed("a", Output(context=LARGE)))
    story.write(started("b", order=1), attempt_failed("b"), started("b", 1, order=1), completed("b"))
    story.write(started("c", order=2), failed("c"), RunFailed(reason="step_failed", error="c failed"), release=True)
    return story


def change(path: Path, statement: str, *values: object) -> None:
    connection = sqlite3.connect(path, isolation_level=None)
    assert connection.execute(statement, values).rowcount != 0
    connection.close()


def rows(path: Path) -> dict[str, list[tuple]]:
    connection = sqlite3.connect(path)
    found = {
        table: connection.execute(f"SELECT * FROM {table} ORDER BY 1, 2").fetchall()
        for table in ("runs", "steps", "gates", "artifact_refs", "events")
    }
    connection.close()
    return found


# ── checking ──────────────────────────────────────────────────────────────────────────────────────
def test_a_sound_database_has_no_problems(store: SqliteRunStore, upkeep: Upkeep) -> None:
    assert upkeep.check() == Report(0, 0, 0, ())
    story = told(store)
    assert upkeep.check() == Report(1, 11, 1, ())
    Story(store).begin()
    assert upkeep.check() == Report(2, 13, 1, ())
    assert upkeep.check(story.run) == Report(1, 11, 1, ())


@pytest.mark.parametrize("seed", range(12))
def test_whatever_an_engine_can_write_is_sound(store: SqliteRunStore, upkeep: Upkeep, seed: int) -> None:
    story = Story(store)
    for number, events in enumerate(made_up(seed, story)):
        if story.lease is None:
            story.begin(f"leg {number}", resumed=number > 0)
        story.write(*events)
    assert upkeep.check() == Report(1, len(story.envelopes), 0, ())


@pytest.mark.parametrize(
    ("statement", "found", "expected"),
    [
        ("UPDATE steps SET status = 'failed' WHERE path = 'a'", "status `failed`", "status `completed`"),
        ("UPDATE steps SET handled = 'continue' WHERE path = 'c'", "handled `continue`", "handled nothing"),
        ("UPDATE steps SET name = 'z' WHERE path = 'b'", "name `z`", "name `b`"),
        ("UPDATE steps SET attempts = 1 WHERE path = 'b'", "attempts `1`", "attempts `2`"),
        ("UPDATE runs SET cost_uusd = 5", "in `runs`: cost_uusd `5`", "cost_uusd `0`"),
        ("UPDATE runs SET status = 'completed'", "in `runs`: status `completed`", "status `failed`"),
        ("UPDATE runs SET seq_end = NULL", "in `runs`: seq_end nothing", "seq_end `11`"),
        ("DELETE FROM steps WHERE path = 'a'", "no row in `steps` for `a`, epoch 1", "a row in `steps` for `a`"),
        ("UPDATE steps SET epoch = 4 WHERE path = 'c'", "no row in `steps` for `c`, epoch 1", "a row in"),
        ("INSERT INTO gates (run, name, occurrence, path, epoch, type, prompt, seq_first, opened_at) "
         "VALUES (1, 'g', 1, 'a', 1, 'ask', '?', 4, 1)", "a row in `gates` for `g`, occurrence 1", "no row in"),
    ],
)  # fmt: skip
def test_a_row_that_its_events_do_not_say_is_found_and_made_anew(
    store: SqliteRunStore, path: Path, upkeep: Upkeep, statement: str, found: str, expected: str
) -> None:
    story, other = told(store), told(store)
    before = rows(path)
    only = " AND run = 1" if "WHERE path" in statement else " WHERE number = 1"
    change(path, statement if statement.startswith("INSERT") else statement + only)
    problem = upkeep.check().problems[0]
    assert (problem.rule, problem.run) == ("I6", story.run)
    assert found in problem.found
    assert expected in problem.expected
    assert problem.next == f"runkon db rebuild {story.run}"
    assert upkeep.check(other.run).problems == ()
    done = upkeep.rebuild(story.run)
    assert done.problems[0] == problem
    assert upkeep.check().problems == ()
    after = rows(path)
    assert {name: after[name] for name in ("steps", "gates", "events")} == {
        name: before[name] for name in ("steps", "gates", "events")
    }
    assert list(store.steps(story.run)) == story.state.in_order()
    assert upkeep.rebuild(story.run).problems == ()


@pytest.mark.parametrize(
    ("statement", "rule", "event"),
    [
        ("DELETE FROM events WHERE place = 4294967296 + 5", "E1", 5),
        ("UPDATE events SET payload = '{' WHERE place = 4294967296 + 4", "E2", 4),
        ("UPDATE events SET payload = '{}' WHERE place = 4294967296 + 4", "E2", 4),
        ("UPDATE events SET kind = 'dreamt' WHERE place = 4294967296 + 4", "E2", 4),
        ("UPDATE events SET attempt = 3 WHERE place = 4294967296 + 3", "E5", 3),
        ("UPDATE events SET fence = 0 WHERE place = 4294967296 + 9", "E1", 9),
        ("UPDATE sources SET text = 'changed'", "E2", 1),
    ],
)
def test_damaged_events_are_found_and_no_rows_are_made_of_them(
    store: SqliteRunStore, path: Path, upkeep: Upkeep, statement: str, rule: str, event: int
) -> None:
    story = told(store)
    change(path, statement)
    before = rows(path)
    found = upkeep.check()
    assert (found.problems[0].rule, found.problems[0].event, found.problems[0].run) == (rule, event, story.run)
    assert found.problems[0].next == "runkon run review.wf"
    with pytest.raises(UserError) as caught:
        upkeep.rebuild(story.run)
    assert (caught.value.code, caught.value.exit_code) == ("corrupt-run", 5)
    assert caught.value.message.startswith(
        f"the rows of run `{story.run}` can't be made from its events: rule {rule} at event {event}: found "
    )
    assert rows(path) == before


def test_values_kept_apart_are_proved(store: SqliteRunStore, path: Path, upkeep: Upkeep) -> None:
    story = told(store)
    (file,) = [one for one in folder_of(path).glob("??/*") if one.is_file()]
    content = bytearray(file.read_bytes())
    content[50_000] ^= 1
    file.write_bytes(content)
    assert upkeep.check().problems == (
        Problem(
            "I7",
            f"artifact `{file.name[:12]}…` has changed: its bytes have another SHA-256",
            "the bytes that its id names",
            f"runkon resume {story.run}",
            story.run,
            4,
            "a",
        ),
    )
    assert upkeep.rebuild(story.run).problems == ()
    assert file.read_bytes() == content


def test_a_use_that_is_not_known_is_found_and_made_known(store: SqliteRunStore, path: Path, upkeep: Upkeep) -> None:
    story = told(store)
    change(path, "DELETE FROM artifact_refs")
    (problem,) = upkeep.check().problems
    assert (problem.rule, problem.event, problem.expected) == ("I7", 4, "a row for each use")
    upkeep.rebuild(story.run)
    assert upkeep.check().problems == ()
    assert rows(path)["artifact_refs"][0][1:] == (1, "output")


def test_a_held_run_is_not_rebuilt(store: SqliteRunStore, path: Path, upkeep: Upkeep) -> None:
    from runkon.model.holder import this_holder

    story = Story(store)
    story.begin(this_holder())
    change(path, "UPDATE runs SET cost_uusd = 5")
    with pytest.raises(UserError) as caught:
        upkeep.rebuild(story.run)
    assert (caught.value.code, caught.value.exit_code) == ("already-active", 8)
    assert caught.value.message == f"run `{story.run}` is advanced by another process right now"
    assert caught.value.help == "nothing was changed; wait until it has ended or stop it, then try again"
    assert len(upkeep.check().problems) == 1


def test_an_unknown_run_is_no_sound_run(store: SqliteRunStore, upkeep: Upkeep) -> None:
    told(store)
    with pytest.raises(UserError, match="no run `01ABC` is recorded here"):
        upkeep.check("01ABC")  # type: ignore[arg-type]


def test_a_flipped_byte_in_a_page_is_told_and_the_file_left_alone(
    store: SqliteRunStore, path: Path, upkeep: Upkeep
) -> None:
    for _ in range(20):
        told(store)
    store.close()
    change(path, "PRAGMA journal_mode = DELETE")
    size = os.stat(path).st_size
    with path.open("r+b") as file:  # nobody holds the file now
        for page in range(4096, size, 4096):
            file.seek(page)
            file.write(b"\xff\xff\xff\xff")
    before = path.read_bytes()
    with pytest.raises(UserError) as caught:
        upkeep.check()
    assert (caught.value.code, caught.value.exit_code) == ("store-corrupt", 5)
    assert caught.value.message.startswith(f"`{path}` is damaged: ")
    assert caught.value.next == f"sqlite3 {path} .recover | sqlite3 recovered.db"
    assert path.read_bytes() == before


# ── copies ────────────────────────────────────────────────────────────────────────────────────────
def test_a_copy_beside_a_writer_is_whole_and_usable(store: SqliteRunStore, path: Path, upkeep: Upkeep) -> None:
    story = told(store)
    open_story = Story(store)
    open_story.begin()
    target = path.with_name("copy.db")
    done = upkeep.backup(target)
    assert done == (target, path.with_name("copy.db-blobs"), 2, 1)
    open_story.write(RunCompleted(outputs={}))
    assert Upkeep(target, "normal").check() == Report(2, 13, 1, ())
    copy = SqliteRunStore(target)
    assert list(copy.events(story.run)) == story.envelopes
    assert [step.damage for step in copy.steps(story.run)] == [None] * 3
    copy.close()
    assert sorted(file.name for file in target.parent.iterdir() if "part" in file.name) == []


@pytest.mark.parametrize("taken", ["copy.db", "copy.db-blobs"])
def test_a_copy_never_takes_the_place_of_something(
    store: SqliteRunStore, path: Path, upkeep: Upkeep, taken: str
) -> None:
    told(store)
    path.with_name(taken).write_text("mine")
    with pytest.raises(UserError) as caught:
        upkeep.backup(path.with_name("copy.db"))
    assert (caught.value.code, caught.value.exit_code) == ("file-exists", 2)
    assert caught.value.message == f"`{path.with_name(taken)}` is there already and is not overwritten"
    assert path.with_name(taken).read_text() == "mine"


def test_a_copy_of_nothing_and_into_nothing_are_refused(store: SqliteRunStore, path: Path, upkeep: Upkeep) -> None:
    with pytest.raises(UserError) as caught:
        upkeep.backup(path.with_name("copy.db"))
    assert caught.value.message == f"there is no database at `{path}` yet"
    told(store)
    with pytest.raises(UserError) as caught:
        upkeep.backup(path.parent / "no-such-folder" / "copy.db")
    assert caught.value.code == "file-not-found"
    assert not (path.parent / "no-such-folder").exists()


# ── waste ─────────────────────────────────────────────────────────────────────────────────────────
def collect(path: Path, now: int) -> waste.Removed:
    writer = Writer(path, "normal", PATIENCE)
    try:
        return waste.collect(writer, path, now)
    finally:
        writer.close()


def forget(path: Path, number: int) -> None:
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute("PRAGMA foreign_keys = ON")
    connection.execute("DELETE FROM events WHERE place >> 32 = ?", (number,))
    connection.execute("DELETE FROM runs WHERE number = ?", (number,))
    connection.close()


def aged(file: Path) -> None:
    os.utime(file, (START_MS / 1000, START_MS / 1000))


def test_what_is_used_stays_and_what_is_not_goes_after_a_day(store: SqliteRunStore, path: Path, upkeep: Upkeep) -> None:
    told(store)
    kept = Story(store)
    kept.begin()
    kept.write(started("a"), completed("a", Output(context=LARGE)))
    assert collect(path, LATER) == (0, 0, 0, 0)
    forget(path, 1)
    assert collect(path, LATER) == (0, 0, 0, 0)
    forget(path, 2)
    assert collect(path, START_MS + waste.DAY_MS // 2)[:2] == (0, 0)
    (file,) = [one for one in folder_of(path).glob("??/*") if one.is_file()]
    done = collect(path, LATER)
    assert done.artifacts == 1
    assert done.bytes >= 100_000
    assert not file.exists()
    assert rows(path)["artifact_refs"] == []


def test_texts_that_no_run_follows_go(store: SqliteRunStore, path: Path, upkeep: Upkeep) -> None:
    story = Story(store)
    story.begin()
    story.write(DefinitionChanged(sources={"review.wf": "workflow other {\n}\n"}, changes={}))
    assert collect(path, LATER) == (0, 0, 0, 0)
    change(path, "INSERT INTO sources VALUES ('ab', 'nobody follows this')")
    assert collect(path, LATER) == (0, 0, 1, len("nobody follows this"))
    assert upkeep.check().problems == ()


def test_unfinished_and_forgotten_files_go_after_a_day(store: SqliteRunStore, path: Path) -> None:
    story = told(store)
    used = next(one for one in folder_of(path).glob("??/*") if one.is_file())
    part, young, orphan = (used.with_name(name) for name in ("x.1-0.part", "y.1-0.part", "00" * 32))
    for file in (part, young, orphan):
        file.write_text("half")
    for file in (part, orphan, used):
        aged(file)
    assert collect(path, START_MS + 2 * waste.DAY_MS) == (0, 2, 0, 8)
    assert sorted(used.parent.iterdir()) == sorted([used, young])
    assert [step.damage for step in store.steps(story.run)] == [None] * 3


TORN = """
import sys
from pathlib import Path
from runkon.model.output import Output
from runkon.store.sqlite import SqliteRunStore
from runkon.testing.failpoints import arm
from runkon.testing.store_story import Story, completed, started
store = SqliteRunStore(Path(sys.argv[1]))
story = Story(store)
story.begin()
story.write(started("a"))
arm(sys.argv[2])
story.write(completed("a", Output(context="x" * 100_000)))
"""


@pytest.mark.parametrize(
    ("point", "left"),
    [("blob_half:do=torn", 50_000), ("blob_written", 100_014), ("after_rename", 100_014), ("before_commit", 100_014)],
)
def test_a_kill_while_a_large_value_is_written_leaves_no_name_for_half_of_it(
    path: Path, upkeep: Upkeep, point: str, left: int
) -> None:
    path.parent.mkdir()
    killed = subprocess.run([sys.executable, "-c", TORN, str(path), point], check=False, timeout=60)
    assert killed.returncode == -signal.SIGKILL
    (file,) = [one for one in folder_of(path).glob("??/*") if one.is_file()]
    assert file.stat().st_size - left in range(20)
    assert (file.suffix == ".part") == point.startswith("blob")
    assert rows(path)["artifact_refs"] == []
    found = upkeep.check()
    assert (found.events, found.artifacts, found.problems) == (3, 0, ())
    aged(file)
    assert collect(path, LATER).files == 1
    assert not file.exists()


def test_a_value_that_is_written_again_is_safe_from_its_removal(store: SqliteRunStore, path: Path) -> None:
    """Removed between the writing of the file and the row that names it, the file is written once more."""
    told(store)
    forget(path, 1)
    story = Story(store)
    story.begin()
    story.write(started("a"))
    (file,) = [one for one in folder_of(path).glob("??/*") if one.is_file()]
    keep = store._keep

    def removed_meanwhile(*given: object) -> None:
        keep(*given)  # type: ignore[arg-type]
        store._keep = keep  # type: ignore[method-assign]
        assert collect(path, LATER).artifacts == 1
        assert not file.exists()

    store._keep = removed_meanwhile  # type: ignore[method-assign]
    story.write(completed("a", Output(context=LARGE)))
    assert path_of(folder_of(path), file.name).exists()
    assert list(store.events(story.run)) == story.envelopes


def test_a_run_that_somebody_holds_is_not_taken_out(store: SqliteRunStore, path: Path, upkeep: Upkeep) -> None:
    first, second, third = told(store), told(store), told(store)
    assert store.acquire(first.run, "somebody", START_MS, 1_000) is not None
    Story(store).begin()
    assert upkeep.prune(0).runs == (third.run, second.run)
    assert upkeep.prune(0).runs == ()
    found = rows(path)
    assert len(found["runs"]) == 2
    assert {row[0] for row in found["steps"]} == {1}
    assert len(found["artifact_refs"]) == 1
    assert upkeep.check().problems == ()
    assert [step.damage for step in store.steps(first.run)] == [None] * 3
