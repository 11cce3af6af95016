"""Arming: what a specification means, what it refuses, and what an armed process says and does."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from runkon.errors import Fatal, InternalError, LeaseLost, UserError
from runkon.failpoints import POINTS, failpoint, is_armed, react
from runkon.testing import arm
from runkon.testing.failpoints import arm_from_environment

ROOT = Path(__file__).parents[3]


@pytest.fixture(autouse=True)
def disarmed() -> Iterator[None]:
    yield
    react(None)


def test_an_unarmed_place_does_nothing() -> None:
    assert not is_armed()
    assert failpoint("before_commit") is None


def test_every_place_stands_in_the_program() -> None:
    text = "".join(file.read_text("utf-8") for file in (ROOT / "runkon").rglob("*.py") if file.name != "failpoints.py")
    assert sorted(name for name in POINTS if f'failpoint("{name}"' not in text) == []


def test_the_second_passing_of_one_path_in_the_second_leg_fires_once() -> None:
    with arm("before_start:path=checks/*:hit=2:leg=2:do=raise(fatal)"):
        failpoint("after_lease", None, 1)
        for _ in range(3):
            failpoint("before_start", "checks/lint", 0)
        failpoint("after_lease", None, 2)
        failpoint("before_start", "checks/lint", 0)
        failpoint("before_start", "review", 0)
        with pytest.raises(Fatal, match="raised at failpoint before_start"):
            failpoint("before_start", "checks/test", 0)
        failpoint("before_start", "checks/test", 1)
    assert not is_armed()


def test_without_a_hit_each_passing_fires() -> None:
    with arm("before_start:do=raise(internal); after_start:do=raise(lease)") as armed:
        for _ in range(2):
            with pytest.raises(InternalError):
                failpoint("before_start", "a", 0)
        with pytest.raises(LeaseLost):
            failpoint("after_start")
        assert armed.passed == {"before_start": 2, "after_start": 1}


def test_passings_of_many_threads_are_counted_one_by_one() -> None:
    fired: list[int] = []
    with arm("before_commit:hit=400:do=steal", steal=lambda: fired.append(1)) as armed:
        threads = [threading.Thread(target=lambda: [failpoint("before_commit") for _ in range(100)]) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert armed.passed["before_commit"] == 800
    assert fired == [1]


@pytest.mark.parametrize(
    ("name", "code"),
    [
        ("FULL", sqlite3.SQLITE_FULL),
        ("LOCKED", sqlite3.SQLITE_BUSY),
        ("READONLY", sqlite3.SQLITE_READONLY),
        ("IOERR", sqlite3.SQLITE_IOERR),
        ("CORRUPT", sqlite3.SQLITE_CORRUPT),
    ],
)
def test_sql_raises_what_sqlite_would(name: str, code: int) -> None:
    with arm(f"before_commit:do=sql({name})"), pytest.raises(sqlite3.OperationalError) as caught:
        failpoint("before_commit")
    assert caught.value.sqlite_errorcode == code


def test_a_clock_is_moved_by_what_was_given() -> None:
    jumps: list[float] = []
    with arm("before_start:do=clock(-3600)", clock=jumps.append):
        failpoint("before_start")
    assert jumps == [-3600.0]


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("before_lunch", "no failpoint is called `before_lunch`"),
        ("before_start:do=explode", "failpoint `before_start` can't do `explode`"),
        ("before_start:do=sql(EMPTY)", "failpoint `before_start` can't do `sql(EMPTY)`"),
        ("before_start:do=exit", "failpoint `before_start` can't do `exit`"),
        ("before_start:do=steal", "failpoint `before_start` can't do `steal`"),
        ("before_start:do=torn", "failpoint `before_start` can't do `torn`"),
        ("before_start:hit=0", "`hit` of failpoint `before_start:hit=0` is no number from 1"),
        ("before_start:when=late", "failpoint `before_start:when=late` has an unknown part `when`"),
    ],
)
def test_what_can_not_be_read_is_refused(spec: str, message: str) -> None:
    with pytest.raises(UserError) as caught:
        arm(spec)
    assert (caught.value.code, caught.value.message) == ("invalid-failpoint", message)
    assert caught.value.help
    assert not is_armed()


def test_the_environment_needs_its_permission(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RUNKON_FAILPOINTS", "before_start:do=raise(value)")
    monkeypatch.delenv("RUNKON_TESTING", raising=False)
    assert arm_from_environment() is None
    monkeypatch.setenv("RUNKON_TESTING", "1")
    assert arm_from_environment() is not None
    with pytest.raises(ValueError, match="before_start"):
        failpoint("before_start")


def _command(tmp_path: Path, spec: str) -> subprocess.CompletedProcess[str]:
    (tmp_path / "w.wf").write_text('workflow w {\n  script a { run = "true" }\n}\n')
    env = {**os.environ, "RUNKON_FAILPOINTS": spec, "RUNKON_TESTING": "1"}
    command = [sys.executable, "-m", "runkon", "run", "w.wf"]
    return subprocess.run(command, cwd=tmp_path, env=env, capture_output=True, text=True, timeout=60, check=False)


def test_an_armed_command_says_so_and_dies_where_told(tmp_path: Path) -> None:
    done = _command(tmp_path, "after_lease:do=exit(9)")
    assert done.returncode == 9
    assert "warning: failpoints are armed, this process fails on purpose: after_lease:do=exit(9)" in done.stderr
    assert _command(tmp_path, "after_lease").returncode == -9


def test_a_command_refuses_a_place_that_does_not_exist(tmp_path: Path) -> None:
    done = _command(tmp_path, "nowhere")
    assert done.returncode == 2
    assert "no failpoint is called `nowhere`" in done.stderr
