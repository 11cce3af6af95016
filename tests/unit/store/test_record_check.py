"""SQLite tells plain steps apart: whatever is changed in a record, the verdict is that of a look at all events."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest

from runkon.errors import UserError
from runkon.model import events as ev
from runkon.model.ids import StepPath
from runkon.store import record_check
from runkon.store import statements as sql
from runkon.store.log_check import _ACTIONS, Head
from runkon.store.sqlite import SqliteRunStore
from runkon.testing.store_story import Story, attempt_failed, completed, failed, place, started


@pytest.fixture
def story(tmp_path: Path) -> Iterator[Story]:
    """Two legs: 1-2 begin, 3-6 plain, 7-10 `b` failed once, 11-12 plain, 13-14 `c` handled, 15 paused, 16 resumed,
    17-20 plain, 21 `d` skipped, 22-23 plain, 24 `d` put aside, 25-30 plain, 31 `e` open."""
    store = SqliteRunStore(tmp_path / "runs.db", durability="normal")
    made = Story(store)
    made.begin()
    plain = iter(range(100))

    def go_on(count: int) -> None:
        for number in [next(plain) for _ in range(count)]:
            made.write(started(f"p{number}", order=number), completed(f"p{number}"))

    go_on(2)
    made.write(started("b", order=1), attempt_failed("b"), started("b", 1, order=1), completed("b"))
    go_on(1)
    made.write(started("c", order=2), failed("c", handled="continue"))
    made.write(ev.RunInterrupted(cause="until"), release=True)
    made.begin("second", resumed=True)
    go_on(2)
    made.write(ev.StepSkipped(path=StepPath("d"), reason="condition", info=place("d", 3)))
    go_on(1)
    made.write(ev.StepSuperseded(path=StepPath("d"), why="asked for"))
    go_on(3)
    made.write(started("e", order=4))
    yield made
    store.close()


EVENTS = 31
PATHS = ("p0", "p3", "p8", "b", "c", "d", "e", "z")
ROWS = (
    *(f"status = '{status}'" for status in ("running", "failed", "skipped", "pending")),
    *("attempts = 0", "attempts = 2", "epoch = 2", "handled = 'continue'", "superseded_leg = 1"),
    *("seq_first = seq_first + 1", "seq_first = seq_first - 1", "seq_last = seq_last + 1", "seq_last = seq_first"),
    *("seq_first = 3, seq_last = 4", "seq_first = seq_first + 2, seq_last = seq_last + 2", "path = 'y'"),
)


def changes() -> Iterator[tuple[str, ...]]:
    """What somebody could do to the record, one thing each."""
    fields = [f"kind = '{kind}'" for kind in (*sorted(_ACTIONS), "unknown")]
    fields += [f"path = '{path}'" for path in PATHS] + ["path = NULL", "path = x'7030'"]
    fields += [f"{name} = {value}" for name in ("epoch", "attempt") for value in ("0", "1", "2", "NULL", "'x'")]
    fields += [f"{name} = {value}" for name in ("leg", "fence") for value in ("0", "1", "2", "3", "'x'")]
    for seq in range(1, EVENTS + 1):
        here = f"WHERE place = {sql.PLACES + seq}"
        yield (f"DELETE FROM events {here}",)
        for assigned in fields:
            yield (f"UPDATE events SET {assigned} {here}",)
        yield (f"DELETE FROM events {here}", f"UPDATE runs SET seq = {EVENTS - 1}")
        yield (f"UPDATE events SET place = {sql.PLACES + EVENTS + 1} {here}",)
        yield (f"UPDATE events SET place = {sql.PLACES + EVENTS + 1} {here}", f"UPDATE runs SET seq = {EVENTS + 1}")
    for path in PATHS:
        yield (f"DELETE FROM steps WHERE path = '{path}'",)
        for assigned in ROWS:
            yield (f"UPDATE OR IGNORE steps SET {assigned} WHERE path = '{path}'",)
    for assigned in ("seq = 30", "seq = 32", "leg = 1", "fence = 1", "status = 'completed'", "seq_end = 31"):
        yield (f"UPDATE runs SET {assigned}",)
    both = f"place IN ({sql.PLACES + 25}, {sql.PLACES + 26})"  # a whole plain step, moved behind the end
    yield (f"UPDATE events SET place = place + 7 WHERE {both}", "UPDATE steps SET seq_first = 32, seq_last = 33 "
           "WHERE seq_first = 25")  # fmt: skip
    yield (f"DELETE FROM events WHERE {both}", "DELETE FROM steps WHERE seq_first = 25")


def verdict(connection: sqlite3.Connection, story: Story, *, with_all: bool) -> str:
    """What a look says: the message of what is wrong, `whole`, or that all events have to be looked at."""
    number, *head = connection.execute(sql.SELECT_HEAD, (story.run,)).fetchone()
    look = record_check._with_all_steps if with_all else record_check._without_plain_steps
    try:
        return "whole" if look(connection, story.run, number, Head(*head)) is not None else "look at all"
    except UserError as error:
        return error.message


def test_whatever_is_changed_no_look_takes_a_damaged_record_for_a_whole_one(story: Story, tmp_path: Path) -> None:
    connection = sqlite3.connect(tmp_path / "runs.db", isolation_level=None)
    assert len(story.envelopes) == EVENTS
    assert verdict(connection, story, with_all=False) == "whole"
    found = damaged = 0
    for statements in changes():
        connection.execute("BEGIN")
        for statement in statements:
            connection.execute(statement)
        full, quick = (verdict(connection, story, with_all=way) for way in (True, False))
        connection.execute("ROLLBACK")
        assert quick == full or quick == "look at all", statements
        found += 1
        damaged += full != "whole"
    connection.close()
    assert (found > 2000, damaged > 1500) == (True, True)


def test_steps_that_went_on_beside_each_other_are_looked_at_one_by_one(tmp_path: Path) -> None:
    store = SqliteRunStore(tmp_path / "runs.db", durability="normal")
    story = Story(store)
    story.begin()
    for number in range(4):
        one, other = f"a{number}", f"b{number}"
        story.write(started(one), started(other), completed(one), completed(other))
    connection = sqlite3.connect(tmp_path / "runs.db")
    assert verdict(connection, story, with_all=False) == "look at all"
    connection.close()
    store.check_log(story.run)
    store.close()
