"""The check before a leg relies on a record: whatever was tampered with is named, and nothing is changed."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import get_args

import pytest

from runkon.errors import UserError
from runkon.model import events as ev
from runkon.model.ids import StepPath
from runkon.store.log_check import _ACTIONS, LogCheck
from runkon.store.record_check import check_log
from runkon.store.sqlite import SqliteRunStore
from runkon.testing.store_story import Story, attempt_failed, completed, failed, gate, place, started


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "runs.db"


@pytest.fixture
def store(path: Path) -> Iterator[SqliteRunStore]:
    made = SqliteRunStore(path, durability="normal")
    yield made
    made.close()


@pytest.fixture
def story(store: SqliteRunStore) -> Story:
    """1 created, 2 started, 3-4 `a` completed, 5-8 `b` failed once, 9-10 `c` handled, 11-12 `d` again, 13 `e` open."""
    made = Story(store)
    made.begin()
    made.write(started("a"), completed("a"))
    made.write(started("b", order=1), attempt_failed("b"), started("b", 1, order=1), completed("b"))
    made.write(started("c", order=2), failed("c", handled="continue"))
    made.write(ev.StepSkipped(path=StepPath("d"), reason="condition", info=place("d", 3)))
    made.write(ev.StepSuperseded(path=StepPath("d"), why="asked for"), started("d", 0, order=3, epoch=2))
    return made


def change(path: Path, *statements: str) -> None:
    """What nobody should do to a database."""
    connection = sqlite3.connect(path, isolation_level=None)
    for statement in statements:
        assert connection.execute(statement).rowcount != 0, statement
    connection.close()


def at(seq: int) -> str:
    """The key of an event of the only run."""
    return f"(1 << 32 | {seq})"


def copied(seq: int, to: int) -> str:
    return (
        "INSERT INTO events (place, at, leg, fence, kind, path, epoch, attempt, payload) "
        f"SELECT {at(to)}, at, leg, fence, kind, path, epoch, attempt, payload FROM events WHERE place = {at(seq)}"
    )


def moved(seq: int, to: str) -> str:
    return f"UPDATE events SET place = {to} WHERE place = {at(seq)}"


DECIDED = ev.GateDecided(path=StepPath("a"), name="unknown:a", decision="done", by="ann", via="cli")
TAMPERED = {
    "an event is gone": (
        (f"DELETE FROM events WHERE place = {at(4)}",),
        "rule E1 at event 4: found number 5, expected number 4",
    ),
    "the last event is gone": (
        (f"DELETE FROM events WHERE place = {at(13)}",),
        "rule E1 at event 13: found no event, expected events up to number 13",
    ),
    "an event stands twice": (
        (copied(13, 14),),
        "rule E3 at event 14, step `d`: found a second open attempt, expected one at a time",
    ),
    "a harmless event was added": (
        (copied(2, 14), f"UPDATE events SET kind = 'note' WHERE place = {at(14)}"),
        "rule I6 at event 14: found an event that the run does not count, expected events up to number 13",
    ),
    "two events changed places": (
        (moved(3, "-1"), moved(4, at(3)), f"UPDATE events SET place = {at(4)} WHERE place = -1"),
        "rule E9 at event 4, step `a`: found `attempt_started` after the step was completed, expected "
        "nothing more for it",
    ),
    "the first event is another": (
        (f"UPDATE events SET kind = 'note' WHERE place = {at(1)}",),
        "rule E2 at event 1: found `note`, expected `run_created` first, and once",
    ),
    "a run was created twice": (
        (f"UPDATE events SET kind = 'run_created' WHERE place = {at(2)}",),
        "rule E2 at event 2: found `run_created`, expected `run_created` first, and once",
    ),
    "a kind nobody knows": (
        (f"UPDATE events SET kind = 'step_vanished' WHERE place = {at(4)}",),
        "rule E2 at event 4, step `a`: found an event `step_vanished`, expected an event of a known kind",
    ),
    "a fence was lowered": (
        (f"UPDATE events SET fence = 0 WHERE place = {at(5)}",),
        "rule E1 at event 5: found leg 1, fence 0, expected leg 1, fence 1 or later",
    ),
    "a leg was raised too early": (
        (f"UPDATE events SET leg = 2 WHERE place = {at(3)}",),
        "rule E1 at event 4: found leg 1, fence 1, expected leg 2, fence 1 or later",
    ),
    "a second beginning in one leg": (
        (f"UPDATE events SET kind = 'run_resumed' WHERE place = {at(3)}",),
        "rule E7 at event 3: found `run_resumed` twice in leg 1, expected one beginning per leg",
    ),
    "the number of an attempt": (
        (f"UPDATE events SET attempt = 2 WHERE place = {at(7)}",),
        "rule E5 at event 7, step `b`: found attempt 2, expected attempt 1",
    ),
    "the number of a closed attempt": (
        (f"UPDATE events SET attempt = 1 WHERE place = {at(6)}",),
        "rule E4 at event 6, step `b`: found `attempt_failed` of attempt 1, epoch 1, expected attempt 0, epoch 1",
    ),
    "the path of a closing event": (
        (f"UPDATE events SET path = 'z' WHERE place = {at(6)}",),
        "rule E4 at event 6, step `z`: found `attempt_failed` of attempt 0, epoch 1, expected an open attempt",
    ),
    "an epoch out of nowhere": (
        (f"UPDATE events SET epoch = 3 WHERE place = {at(13)}",),
        "rule E4 at event 13, step `d`: found epoch 3, expected epoch 1, or the one after a superseded one",
    ),
    "an epoch that is over": (
        (f"UPDATE events SET epoch = 1 WHERE place = {at(13)}",),
        "rule E4 at event 13, step `d`: found epoch 1 again, expected epoch 2",
    ),
    "an end with an open attempt": (
        (f"UPDATE events SET kind = 'run_completed', path = NULL WHERE place = {at(4)}",),
        "rule E6 at event 4: found `run_completed` while an attempt is open, expected every attempt closed first",
    ),
    "an event after an end": (
        (f"UPDATE events SET kind = 'run_failed' WHERE place = {at(2)}",),
        "rule E7 at event 3: found `attempt_started` in leg 1 after the run was failed, expected "
        "`run_resumed` in a new leg",
    ),
    "an attempt before the leg": (
        (f"UPDATE events SET kind = 'note' WHERE place = {at(2)}",),
        "rule E6 at event 3, step `a`: found an attempt while the run is pending, expected a begun leg first",
    ),
    "something handled that had not failed": (
        (f"UPDATE events SET kind = 'step_handled' WHERE place = {at(5)}",),
        "rule E8 at event 5, step `b`: found `step_handled` of a step without a record, expected one that is failed or "
        "timed_out",
    ),
    "something put aside that is open": (
        (f"UPDATE events SET kind = 'step_superseded' WHERE place = {at(4)}",),
        "rule E8 at event 4, step `a`: found a step superseded that is still open, expected a step that ended",
    ),
    "a decision without a gate": (
        (f"UPDATE events SET kind = 'gate_decided' WHERE place = {at(6)}",),
        "rule E10 at event 6, step `b`: found a decision without an open gate, expected one decision per gate",
    ),
    "the status of a step": (
        ("UPDATE steps SET status = 'failed' WHERE path = 'a'",),
        "rule I6 at event 4, step `a`: found a row with status failed, attempts 1, events 3 to 4, expected one with "
        "status completed, attempts 1, events 3 to 4",
    ),
    "the attempts of a step": (
        ("UPDATE steps SET attempts = 1 WHERE path = 'b'",),
        "rule I6 at event 8, step `b`: found a row with status completed, attempts 1, events 5 to 8, expected one with "
        "status completed, attempts 2, events 5 to 8",
    ),
    "the event a step points to": (
        ("UPDATE steps SET seq_last = 3 WHERE path = 'a'",),
        "rule I6 at event 4, step `a`: found a row with status completed, attempts 1, events 3 to 3, expected one with "
        "status completed, attempts 1, events 3 to 4",
    ),
    "a current step put aside": (
        ("UPDATE steps SET superseded_leg = 1 WHERE path = 'a'",),
        "rule I6 at event 4, step `a`: found a row with status completed, attempts 1, events 3 to 4, "
        "superseded, expected "
        "one with status completed, attempts 1, events 3 to 4",
    ),
    "a success called handled": (
        ("UPDATE steps SET handled = 'continue' WHERE path = 'a'",),
        "rule I6 at event 4, step `a`: found a row handled by continue, expected what its events say",
    ),
    "a failure that nothing took": (
        ("UPDATE steps SET handled = NULL WHERE path = 'c'",),
        "rule I6 at event 10, step `c`: found a failure handled by nothing, expected a failure handled by continue",
    ),
    "a step row is gone": (
        ("DELETE FROM steps WHERE path = 'b'",),
        "rule I6 at event 8, step `b`: found no row for epoch 1 of the step, expected one, as the step is completed",
    ),
    "a step row was added": (
        (
            "INSERT INTO steps SELECT run, 'z', epoch, kind, name, key, order_key, iteration, file, line, col, status, "
            "handled, attempts, cut_offs, leg, seq_first, seq_last, due_at, started_at, ended_at, "
            "superseded_leg, effect "
            "FROM steps WHERE path = 'a'",
        ),
        "rule I6 at event 4, step `z`: found a row for epoch 1 of the step, completed, expected none: no "
        "event is about it",
    ),
    "the last number of the run": (
        ("UPDATE runs SET seq = 12 WHERE number = 1",),
        "rule I6 at event 13: found an event that the run does not count, expected events up to number 12",
    ),
    "the status of the run": (
        ("UPDATE runs SET status = 'completed' WHERE number = 1",),
        "rule I6 at event 13: found a run that is completed without an end, expected one that is running "
        "without an end",
    ),
    "the end of the run": (
        ("UPDATE runs SET seq_end = 13 WHERE number = 1",),
        "rule I6 at event 13: found a run that is running, ended by event 13, expected one that is running "
        "without an end",
    ),
    "the fence of the run": (
        ("UPDATE runs SET fence = 0 WHERE number = 1",),
        "rule I6 at event 13: found a run in leg 1, fence 0, expected leg 1, fence 1 or later",
    ),
    "a gate nobody opened": (
        (
            "INSERT INTO gates (run, name, occurrence, path, epoch, type, prompt, seq_first, opened_at) "
            "VALUES (1, 'g', 1, 'a', 1, 'approval', '', 3, 0)",
        ),
        "rule I6 at event 13: found a run that is running without an end, gates 1, decided 0, "
        "expected one "
        "that is running without an end",
    ),
}


@pytest.mark.parametrize(("statements", "told"), TAMPERED.values(), ids=TAMPERED)
def test_what_was_tampered_with_is_named_and_left_alone(
    store: SqliteRunStore, path: Path, story: Story, statements: tuple[str, ...], told: str
) -> None:
    other = Story(store)
    store.check_log(story.run)
    change(path, *statements)
    before = _dump(path)
    with pytest.raises(UserError) as caught:
        store.check_log(story.run)
    error = caught.value
    assert error.code == "corrupt-run"
    assert error.message == f"the record of run `{story.run}` breaks {told}"
    assert error.next == f"runkon db check {story.run}"
    assert error.help
    assert _dump(path) == before
    store.check_log(other.run)


def _dump(path: Path) -> list[str]:
    connection = sqlite3.connect(path)
    found = list(connection.iterdump())
    connection.close()
    return found


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE events SET leg = 'x' WHERE kind = 'step_completed'",
        "UPDATE events SET epoch = 'x' WHERE kind = 'attempt_started'",
        "UPDATE runs SET seq = 'x'",
        "UPDATE runs SET fence = x'00'",
    ],
)
def test_a_column_of_another_type_is_no_crash(store: SqliteRunStore, path: Path, story: Story, statement: str) -> None:
    change(path, statement)
    with pytest.raises(UserError) as caught:
        store.check_log(story.run)
    assert caught.value.code == "corrupt-run"


@pytest.mark.parametrize(
    "assignment", ["cost_uusd = 'x'", "seq = 'x'", "waiting_on = '{'", "waiting_on = 7", "started_at = 'x'"]
)
def test_a_run_whose_row_does_not_read_back_is_named_and_listed(
    store: SqliteRunStore, path: Path, story: Story, assignment: str
) -> None:
    other = Story(store)
    change(path, f"UPDATE runs SET {assignment} WHERE number = 1")
    with pytest.raises(UserError) as caught:
        store.run(story.run)
    assert caught.value.code == "corrupt-run"
    assert "a row of `runs` that does not read back" in caught.value.message
    healthy, damaged = store.runs()
    assert (healthy.id, healthy.error, damaged.id) == (other.run, None, story.run)
    assert "does not read back" in str(damaged.error)


def test_a_broken_payload_is_named_where_it_is_read(store: SqliteRunStore, path: Path, story: Story) -> None:
    change(path, f"UPDATE events SET payload = '{{\"half' WHERE place = {at(4)}")
    store.check_log(story.run)  # reads no payload
    with pytest.raises(UserError) as caught:
        store.steps(story.run)
    assert caught.value.code == "corrupt-run"
    assert "event 4, step `a`: found a payload that does not read back" in caught.value.message


@pytest.mark.parametrize(
    ("statement", "told"),
    [
        (
            "UPDATE steps SET status = 'skipped' WHERE path = 'a'",
            "rule I6 at event 4, step `a`: found a row with status skipped that ends with `step_completed`, expected "
            "the status and step of that event",
        ),
        (
            "UPDATE steps SET seq_last = 8 WHERE path = 'a'",
            "rule I6 at event 8, step `a`: found a row with status completed that ends with `step_completed` of `b`, "
            "expected the status and step of that event",
        ),
    ],
)
def test_who_only_looks_is_not_shown_what_the_events_do_not_say(
    store: SqliteRunStore, path: Path, story: Story, statement: str, told: str
) -> None:
    change(path, statement)
    with pytest.raises(UserError) as caught:
        store.steps(story.run)
    assert caught.value.message == f"the record of run `{story.run}` breaks {told}"


@pytest.mark.parametrize(
    ("statement", "told"),
    [
        (f"UPDATE events SET kind = 'note' WHERE place = {at(5)}", "a decision without an open gate"),
        (
            "UPDATE gates SET decision = 'failed'",
            "found gate `unknown:a` decided `failed` by ann, expected it decided `done`",
        ),
        ("UPDATE gates SET name = 'other'", "found gate `other` decided `done` by ann, expected no such gate"),
        ("DELETE FROM gates", "without an end, expected one that is running without an end, gates 1"),
        ("UPDATE gates SET decision = NULL", "gates 1, decided 0, expected"),
        (
            f"UPDATE events SET kind = 'run_failed', path = NULL WHERE place = {at(6)}",
            "found `run_failed` while a gate is open",
        ),
    ],
)
def test_gates_are_checked_as_well(store: SqliteRunStore, path: Path, statement: str, told: str) -> None:
    story = Story(store)
    story.begin()
    story.write(started("a"), ev.AttemptCutOff(path=StepPath("a"), number=0, certainty="unknown", cause="process_lost"))
    story.write(gate("unknown:a", path="a"), DECIDED)
    story.write(completed("a"))
    store.check_log(story.run)
    change(path, statement)
    with pytest.raises(UserError) as caught:
        store.check_log(story.run)
    assert told in caught.value.message


def test_every_kind_of_event_is_known_to_the_check() -> None:
    kinds = {made.kind for made in get_args(ev.Event)}
    assert set(_ACTIONS) == kinds
    assert len(kinds) > 25


def test_a_check_is_a_few_queries_whatever_the_number_of_steps(store: SqliteRunStore, story: Story) -> None:
    def queries(run: str) -> list[str]:
        connection = sqlite3.connect(store._path)
        seen: list[str] = []
        connection.set_trace_callback(seen.append)
        assert check_log(connection, story.run)
        connection.close()
        return seen

    few = queries(story.run)
    for number in range(100):
        story.write(started(f"s#{number}", order=number), completed(f"s#{number}"))
    many = queries(story.run)
    assert (len(few), len(many)) == (6, 5)  # most of the few steps are not plain, of the many most are
    assert [[query for query in asked if "payload" in query] for asked in (few, many)] == [few[-1:], many[-1:]]


def test_the_check_reads_row_by_row(story: Story) -> None:
    read: list[int] = []

    def rows() -> Iterator[tuple[object, ...]]:
        for seq in (1, 2, 4, 5):
            read.append(seq)
            yield (seq, 0, 0, "run_created" if seq == 1 else "note", None, None, None)

    with pytest.raises(UserError):
        LogCheck(story.run).events(rows())
    assert read == [1, 2, 4]
