"""Events whose text or numbers somebody changed so that they still read back: known where they are read."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest

from runkon.errors import UserError
from runkon.store import statements as sql
from runkon.store.care import checking
from runkon.store.sqlite import SqliteRunStore
from runkon.testing.store_story import Story, attempt_failed, completed, failed, started


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
    """A step that was completed, one that failed once, and one whose failure something took."""
    made = Story(store)
    made.begin()
    made.write(started("a"), completed("a"))
    made.write(started("b", order=1), attempt_failed("b"), started("b", 1, order=1), completed("b"))
    made.write(started("c", order=2), failed("c", handled="continue"))
    return made


def change(path: Path, statement: str) -> None:
    connection = sqlite3.connect(path, isolation_level=None)
    assert connection.execute(statement).rowcount
    connection.close()


@pytest.mark.parametrize("kind", ["run_created", "step_completed", "step_failed", "attempt_failed"])
def test_a_payload_that_was_changed_and_is_still_json_is_known(
    story: Story, store: SqliteRunStore, path: Path, kind: str
) -> None:
    change(path, f"UPDATE events SET payload = json_set(payload, '$.more', 1) WHERE kind = '{kind}'")
    with pytest.raises(UserError) as caught:
        list(store.events(story.run))
    assert caught.value.code == "corrupt-run"
    assert "somebody changed it: it has another checksum" in str(caught.value)
    problems = checking.check(path).problems
    assert {problem.rule for problem in problems} == {"E2"}
    if kind == "attempt_failed":  # no row relies on it
        return
    with pytest.raises(UserError, match="another checksum"):
        store.run(story.run) if kind == "run_created" else store.steps(story.run)


@pytest.mark.parametrize(("column", "value"), [("at", "'[1]'"), ("at", "1 << 61"), ("at", "-1")])
def test_an_instant_that_can_not_be_is_known(
    story: Story, store: SqliteRunStore, path: Path, column: str, value: str
) -> None:
    change(path, f"UPDATE events SET {column} = {value} WHERE place = {sql.PLACES + 5}")
    with pytest.raises(UserError, match="are not all numbers that can be"):
        list(store.events(story.run))
    assert [problem.event for problem in checking.check(path).problems] == [5]


def test_the_leg_of_a_step_is_the_one_of_its_events(story: Story, path: Path) -> None:
    assert checking.check(path).problems == ()
    change(path, "UPDATE steps SET leg = 7 WHERE path = 'a'")
    assert [(problem.rule, problem.path) for problem in checking.check(path).problems] == [("I6", "a")]
