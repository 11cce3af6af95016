"""Large values apart from their events: where they lie, that they come back whole, and what damage does."""

from __future__ import annotations

import errno
import json
import os
import sqlite3
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from runkon.digest import hex_digest
from runkon.errors import StoreUnavailable, UserError
from runkon.failpoints import react
from runkon.model.events import ChoiceMade, Note, RunCompleted, RunCreated, StepCompleted, StepFailed
from runkon.model.ids import StepPath, new_run_id
from runkon.model.json_text import canonical
from runkon.model.output import Output, Usage
from runkon.model.records import StepError
from runkon.store.blobs import PART, Blobs, folder_of
from runkon.store.sqlite import SqliteRunStore
from runkon.testing.failpoints import arm
from runkon.testing.store_story import START_MS, Story, completed, started

SMALL, MEDIUM, LARGE = "s" * 3_900, "m" * 60_000, "ü" * 100_000


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "runkon.db"


@pytest.fixture
def store(path: Path) -> Iterator[SqliteRunStore]:
    made = SqliteRunStore(path, durability="normal", patience=0.0)
    yield made
    made.close()
    react(None)


def written(store: SqliteRunStore, *contexts: str) -> Story:
    """A run of completed steps `s0`, `s1`, … with these contexts."""
    story = Story(store)
    story.begin()
    for number, context in enumerate(contexts):
        output = Output(context=context, values={"b": 1.0, "a": [1]}, usage=Usage(0.5, 1, 2, 3))
        story.write(started(f"s{number}", order=number), completed(f"s{number}", output))
    return story


def query(path: Path, statement: str, *values: object) -> list[tuple]:
    connection = sqlite3.connect(path)
    try:
        found = connection.execute(statement, values).fetchall()
        connection.commit()
        return found
    finally:
        connection.close()


def files(path: Path) -> list[Path]:
    return sorted(file for file in folder_of(path).rglob("*") if file.is_file() and file.name != ".gitignore")


def test_outputs_of_every_size_come_back_as_they_were(store: SqliteRunStore) -> None:
    story = written(store, SMALL, MEDIUM, LARGE)
    assert list(store.events(story.run)) == story.envelopes
    assert list(store.steps(story.run)) == story.state.in_order()
    assert [str(step.output.values) for step in store.steps(story.run)] == ["{'b': 1.0, 'a': [1]}"] * 3


def test_a_value_lies_in_its_event_a_row_or_a_file_by_its_size(store: SqliteRunStore, path: Path) -> None:
    story = written(store, SMALL, MEDIUM, LARGE)
    found = query(path, "SELECT id, size, place, length(bytes) FROM artifacts ORDER BY size")
    assert [row[2] for row in found] == ["row", "file"]
    assert found[0][1] == found[0][3] > 60_000
    assert found[1][1] > 200_000
    assert found[1][3] is None
    (file,) = files(path)
    assert file == folder_of(path) / found[1][0][:2] / found[1][0]
    assert hex_digest(file.read_bytes()) == file.name
    sizes = query(path, "SELECT max(length(payload)) FROM events")
    assert sizes[0][0] < 4_500
    uses = "SELECT count(*), min(role), max(role) FROM artifact_refs JOIN runs ON number = run WHERE id = ?"
    roles = query(path, uses, story.run)
    assert roles == [(2, "output", "output")]


def test_queries_still_see_the_beginning_and_the_price(store: SqliteRunStore, path: Path) -> None:
    written(store, LARGE)
    assert query(path, "SELECT context FROM v_steps") == [("ü" * 200,)]
    payload = json.loads(query(path, "SELECT payload FROM v_events WHERE kind = 'step_completed'")[0][0])
    assert set(payload["output"]) == {"$artifact", "size", "head", "usage"}
    assert payload["output"]["usage"]["cost_usd"] == 0.5


def test_the_same_value_is_kept_once(store: SqliteRunStore, path: Path) -> None:
    written(store, LARGE, LARGE)
    (file,) = files(path)
    before = file.stat().st_ino
    written(store, LARGE)
    assert [found.stat().st_ino for found in files(path)] == [before]
    assert query(path, "SELECT count(*) FROM artifacts") == [(1,)]
    assert query(path, "SELECT count(*) FROM artifact_refs") == [(2,)]


def test_every_field_that_can_be_large_is_kept_apart(store: SqliteRunStore, path: Path) -> None:
    run = new_run_id()
    created = RunCreated(workflow="w", sources={"w.wf": ""}, inputs={"text": LARGE}, config={"c": MEDIUM})
    store.create(run, created, START_MS)
    record = store.run(run)
    assert record is not None
    assert (record.inputs, record.config) == (created.inputs, created.config)
    story = Story(store)
    story.begin()
    step, error = StepPath("a"), StepError("exit", "it broke")
    story.write(
        started("a"),
        ChoiceMade(path=step, construct="if", text="x", operands={"x": LARGE}, result=True),
        Note(level="info", code="c", text="t", data={"d": MEDIUM}),
        StepFailed(path=step, error=error, output=Output(context=LARGE)),
        RunCompleted(outputs={"o": LARGE}),
    )
    assert list(store.events(story.run)) == story.envelopes
    assert store.runs()[0].outputs == {"o": LARGE}
    assert len(query(path, "SELECT id FROM artifacts")) == 6


def test_a_value_that_looks_like_a_trace_is_no_trace(store: SqliteRunStore) -> None:
    story = Story(store)
    story.begin()
    fake = {"$artifact": "0" * 64, "size": 1}
    story.write(Note(level="info", code="c", text="t", data=fake), RunCompleted(outputs=fake))
    assert list(store.events(story.run)) == story.envelopes
    record = store.run(story.run)
    assert record is not None
    assert record.outputs == fake


def test_a_step_with_a_large_output_is_still_one_transaction(store: SqliteRunStore) -> None:
    story = written(store, SMALL)
    story.write(started("a"))
    connection = store._writer._connection
    assert connection is not None
    seen: list[str] = []
    connection.set_trace_callback(seen.append)
    story.write(completed("a", Output(context=LARGE)), started("b"))
    connection.set_trace_callback(None)
    verbs = [statement.split()[0] for statement in seen]
    assert verbs.count("COMMIT") == 1
    assert len(verbs) == 7 + 2
    assert "SELECT" not in verbs


def test_equal_objects_have_one_canonical_hash() -> None:
    first, second = {"a": 1.0, "b": {"d": 2, "c": -0.0}}, {"b": {"c": 0, "d": 2.0}, "a": 1}
    assert hex_digest(canonical(first).encode()) == hex_digest(canonical(second).encode())
    assert hex_digest(b"hello") == "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824"


# ── damage ────────────────────────────────────────────────────────────────────────────────────────
def _flip(file: Path) -> None:
    content = bytearray(file.read_bytes())
    content[7] ^= 1
    file.write_bytes(content)


@pytest.mark.parametrize(
    ("harm", "said"),
    [
        (_flip, "has changed: its bytes have another SHA-256"),
        (lambda file: file.write_bytes(b"{}"), "has changed: it has 2 bytes instead of 200"),
        (lambda file: file.unlink(), "is missing: there is no file `"),
    ],
)
def test_a_damaged_output_is_not_used_and_not_settled(store: SqliteRunStore, path: Path, harm, said: str) -> None:
    story = written(store, SMALL, LARGE)
    (file,) = files(path)
    harm(file)
    whole, damaged = store.steps(story.run)
    assert whole.is_settled
    assert whole.damage is None
    assert not damaged.is_settled
    assert damaged.damage is not None
    assert damaged.damage.startswith(f"artifact `{file.name[:12]}…` {said}")
    assert damaged.output == Output(usage=Usage(0.5, 1, 2, 3))
    told = [one.event for one in store.events(story.run) if isinstance(one.event, StepCompleted)]
    assert told[0].output.context == SMALL
    assert told[1].output.context == f"corrupt-artifact: {damaged.damage}"


@pytest.mark.parametrize("context", [MEDIUM, LARGE])
def test_a_value_that_is_written_again_heals_what_was_damaged(store: SqliteRunStore, path: Path, context: str) -> None:
    story = written(store, context)
    for file in files(path):
        _flip(file)
    query(path, "UPDATE artifacts SET bytes = x'7b7d' WHERE place = 'row'")
    assert store.steps(story.run)[0].damage is not None
    again = written(store, context)
    assert [step.damage for run in (story, again) for step in store.steps(run.run)] == [None, None]
    assert list(store.events(story.run)) == story.envelopes


def test_a_damaged_row_is_told_as_well(store: SqliteRunStore, path: Path) -> None:
    story = written(store, MEDIUM)
    query(path, "UPDATE artifacts SET bytes = x'7b7d', size = 2")
    damage = store.steps(story.run)[0].damage
    assert damage is not None
    assert damage.endswith("has changed: its bytes have another SHA-256")
    query(path, "PRAGMA foreign_keys = OFF")
    query(path, "DELETE FROM artifacts")
    damage = store.steps(story.run)[0].damage
    assert damage is not None
    assert damage.endswith("is missing: the database has no row of it")


def test_damaged_outputs_of_a_run_refuse_that_run_and_spare_the_list(store: SqliteRunStore, path: Path) -> None:
    story = Story(store)
    story.begin()
    story.write(RunCompleted(outputs={"o": LARGE}))
    other = written(store, SMALL)
    (file,) = files(path)
    file.unlink()
    with pytest.raises(UserError) as caught:
        store.run(story.run)
    assert (caught.value.code, caught.value.exit_code) == ("corrupt-artifact", 5)
    assert caught.value.message == (
        f"run `{story.run}` can't be used, because of event 3: artifact `{file.name[:12]}…` is missing: "
        f"there is no file `{file}`"
    )
    assert caught.value.help == (
        "nothing was changed and other runs are not affected; "
        "put the file back from a copy, or start the workflow again"
    )
    assert caught.value.next == f"runkon db check {story.run}"
    assert [run.id for run in store.runs()] == [other.run, story.run]
    assert store.runs()[1].error == caught.value.message


# ── writing files ─────────────────────────────────────────────────────────────────────────────────
@pytest.mark.parametrize("point", ["before_blob", "blob_half", "blob_written", "before_rename"])
def test_a_file_that_could_not_be_written_leaves_nothing(store: SqliteRunStore, path: Path, point: str) -> None:
    story = written(store, SMALL)
    story.write(started("a"))
    with arm(f"{point}:do=raise(os)"), pytest.raises(StoreUnavailable) as caught:
        story.write(completed("a", Output(context=LARGE)))
    assert caught.value.message.startswith(f"no space is left for `{folder_of(path)}/")
    assert caught.value.message.endswith("(195 KiB)")
    assert caught.value.help == "make room on that disk, then continue the run"
    assert files(path) == []
    assert list(store.events(story.run)) == story.envelopes
    story.write(completed("a", Output(context=LARGE)))
    assert list(store.events(story.run)) == story.envelopes


def test_a_full_disk_is_waited_out(tmp_path: Path) -> None:
    blobs = Blobs(tmp_path / "runkon.db", synced=True, patience=60.0)
    with arm("blob_half:hit=1:do=raise(os)") as armed:
        blobs.keep("ab" * 32, b"x" * 100_000)
    assert armed.passed["blob_half"] == 2
    assert blobs.is_there("ab" * 32, 100_000)


def test_who_waited_has_waited_for_all_and_a_hurry_ends_the_wait(tmp_path: Path) -> None:
    hurried = threading.Event()
    blobs = Blobs(tmp_path / "runkon.db", synced=False, patience=3600.0, hurried=hurried)
    react(lambda point, *_: hurried.set() if point == "before_blob" else full(point))
    with pytest.raises(StoreUnavailable, match="no space is left"):
        blobs.keep("ab" * 32, b"x" * 100_000)
    react(None)
    store = SqliteRunStore(tmp_path / "other.db", durability="normal", patience=0.1)
    story = Story(store)
    story.begin()
    story.write(started("a"))
    with arm("before_blob:do=raise(os)") as armed:
        with pytest.raises(StoreUnavailable):
            story.write(completed("a", Output(context=LARGE)))
        tries = armed.passed["before_blob"]
        assert tries >= 2
        with pytest.raises(StoreUnavailable):
            story.write(completed("a", Output(context=LARGE)))
        assert armed.passed["before_blob"] == tries + 1
    story.write(completed("a", Output(context=LARGE)))
    assert list(store.events(story.run)) == story.envelopes
    store.close()


def full(point: str) -> None:
    if point == "blob_half":
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def test_a_folder_that_is_not_ours_is_named(tmp_path: Path) -> None:
    (tmp_path / "blobs").write_text("a file")
    with pytest.raises(StoreUnavailable) as caught:
        Blobs(tmp_path / "runkon.db", synced=False, patience=60.0).keep("ab" * 32, b"x")
    assert (
        caught.value.message == f"`{tmp_path}/blobs/ab/{'ab' * 32}` can't be written: {os.strerror(errno.EEXIST)}"
        or (caught.value.message == f"`{tmp_path}/blobs/ab/{'ab' * 32}` can't be written: {os.strerror(errno.ENOTDIR)}")
    )
    assert caught.value.help == (
        f"the folder `{tmp_path}/blobs` keeps large outputs and must be writable; then continue the run"
    )


def test_a_file_of_another_length_is_replaced(tmp_path: Path) -> None:
    blobs = Blobs(tmp_path / "runkon.db", synced=False, patience=0.0)
    content = b"x" * 70_000
    blobs.keep("ab" * 32, content)
    file = tmp_path / "blobs" / "ab" / ("ab" * 32)
    file.write_bytes(b"short")
    blobs.keep("ab" * 32, content)
    assert file.read_bytes() == content
    assert [found.name for found in file.parent.iterdir()] == [file.name]


def test_databases_side_by_side_keep_their_files_apart(tmp_path: Path) -> None:
    assert folder_of(tmp_path / "runkon.db") == tmp_path / "blobs"
    assert folder_of(tmp_path / "copy.db") == tmp_path / "copy.db-blobs"
    assert PART == ".part"
