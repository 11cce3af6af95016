"""What must be the same for a key to stand for one run."""

from __future__ import annotations

from typing import Any

import pytest

from runkon.errors import UserError
from runkon.frozen import replace
from runkon.model.events import RunCreated
from runkon.model.ids import new_run_id
from runkon.model.start_key import LONGEST, START_KEY, check_key, check_same, key_of

THERE = RunCreated(
    workflow="w",
    sources={"w.wf": "text", "sub.wf": "below"},
    inputs={"n": 1, "s": "x"},
    config={START_KEY: "k", "jobs": 2},
)


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"config": {START_KEY: "k", "jobs": 8}},
        {"sources": {"./w.wf": "text", "sub.wf": "below"}},
        {"inputs": {"s": "x", "n": 1}},
    ],
)
def test_settings_and_the_way_to_the_file_make_no_difference(changes: dict[str, Any]) -> None:
    check_same(new_run_id(), THERE, replace(THERE, **changes))


@pytest.mark.parametrize(
    ("changes", "found"),
    [
        ({"sources": {"w.wf": "other", "sub.wf": "below"}}, "with another text of `w.wf`"),
        ({"sources": {"w.wf": "text", "sub.wf": "beside"}}, "with another text of `sub.wf`"),
        ({"sources": {"w.wf": "text", "sub.wf": "below", "new.wf": ""}}, "with another text of `new.wf`"),
        ({"sources": {"w.wf": "text"}}, "with more files"),
        ({"inputs": {"n": 2, "s": "x"}}, "with another value of `n`"),
        ({"inputs": {"n": 1}}, "with another value of `s`"),
        ({"inputs": {"n": 2, "s": "y", "t": 0}}, "with other values of `n`, `s`, `t`"),
        ({"dry": True}, "without `--dry-run`"),
    ],
)
def test_what_differs_is_named(changes: dict[str, Any], found: str) -> None:
    run = new_run_id()
    with pytest.raises(UserError) as caught:
        check_same(run, THERE, replace(THERE, **changes))
    assert caught.value.message == f"key `k` belongs to run `{run}`, which was started {found}"
    assert (caught.value.code, caught.value.exit_code) == ("start-key-conflict", 2)
    assert caught.value.next == f"runkon show {run}"


def test_a_key_is_a_text_people_can_type() -> None:
    assert check_key("käse 1/2") == "käse 1/2"
    assert check_key("x" * LONGEST)
    for key in ("", "x" * (LONGEST + 1), "a\tb", "a\x00"):
        with pytest.raises(UserError):
            check_key(key)


def test_most_runs_have_none() -> None:
    assert key_of(THERE) == "k"
    assert key_of(replace(THERE, config={})) is None
