"""Run ids are ULIDs, step paths read as they are built."""

from __future__ import annotations

import time

import pytest
from ulid import ULID

from runkon.model import ids
from runkon.model.ids import StepPath


def test_a_run_id_is_a_ulid_of_this_moment() -> None:
    before = time.time_ns() // 1_000_000
    made = ULID.from_str(ids.new_run_id())
    assert before <= made.milliseconds <= time.time_ns() // 1_000_000


def test_run_ids_are_written_as_the_library_writes_them() -> None:
    made = ids.new_run_id()
    assert str(ULID.from_str(made)) == made
    assert len({ids.new_run_id() for _ in range(1000)}) == 1000


@pytest.mark.parametrize(
    ("built", "shown"),
    [
        (ids.child(ids.ROOT, "build"), "build"),
        (ids.child(StepPath("checks"), ids.occurrence("lint", 2)), "checks/lint#2"),
        (ids.child(StepPath(ids.iteration("while", 3)), ids.occurrence("review", 1)), "while[3]/review"),
        (ids.escape_key("a/b[1]#2%"), "a%2Fb%5B1%5D%232%25"),
    ],
)
def test_a_path_says_where_a_step_stands(built: str, shown: str) -> None:
    assert built == shown


def test_only_what_could_have_been_made_is_the_id_of_a_run() -> None:
    assert ids.is_run_id(ids.new_run_id())
    assert [
        one for one in ("", "victim", "../" + "0" * 23, "8" + "0" * 25, "0" * 27, "u" * 26, None) if ids.is_run_id(one)
    ] == []
