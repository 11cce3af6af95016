"""A store that fails in the middle of a run: what is told, what is kept, and that the resumed run pays for nothing
twice."""

from __future__ import annotations

import os
import sqlite3
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from runkon.errors import InternalError, LeaseLost, StoreUnavailable, UserError
from runkon.failpoints import react
from runkon.store.sqlite import SqliteRunStore
from runkon.testing import Hold, arm

from .conftest import Flow

Make = Callable[[str], Flow]
STORE_POINTS = (
    *("before_batch", "after_begin_immediate", "after_fence", "after_insert", "before_commit", "after_commit"),
    "before_release",
)


@pytest.fixture(autouse=True)
def disarmed() -> Iterator[None]:
    yield
    react(None)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "state" / "runkon.db"


def on_file(flow: Flow, path: Path, patience: float = 0.0) -> Flow:
    flow.store = SqliteRunStore(path, durability="normal", patience=patience)
    return flow


def reopened(flow: Flow, path: Path) -> Flow:
    """As another process finds it. The lease that this one still has counts as a dead one's."""
    flow.store.close()
    flow.store = SqliteRunStore(path, durability="normal", patience=0.0, is_alive=lambda _: False)
    return flow


def notes(flow: Flow) -> list[str]:
    return [str(getattr(event, "code", "")) for event in flow.events if event.kind == "note"]


def failing_in(flow: Flow, step: str, spec: str) -> None:
    """From the middle of `step` on the store fails."""

    def fail(_request: Any) -> None:
        arm(spec)

    flow.answers({step: fail})


def refusal_of(flow: Flow) -> tuple[str, int] | None:
    """Code and exit code of what a start raises, None if it completes."""
    try:
        record = flow.start()
    except UserError as error:
        return error.code, error.exit_code
    assert record.status == "completed"
    return None


# ── at every place of the recorder ────────────────────────────────────────────────────────────────
@pytest.mark.parametrize("fault", ["FULL", "LOCKED", "READONLY", "IOERR"])
@pytest.mark.parametrize("point", STORE_POINTS)
def test_one_failure_at_any_passing_costs_no_step(flow: Make, path: Path, point: str, fault: str) -> None:
    hits, ended = 0, False
    while not ended:
        hits += 1
        folder = path.with_name(f"{hits}") / "runkon.db"
        case = on_file(flow("call a call b call c"), folder)
        scripted = case.answers({})
        with arm(f"{point}:hit={hits}:do=sql({fault})") as armed:
            refused = refusal_of(case)
            ended = armed.passed.get(point, 0) < hits
        assert refused in (None, ("store-unavailable", 5), ("store-read-only", 5))
        if case.run_id:
            reopened(case, folder)
            assert case.resume().status == "completed"
            assert scripted.paths == ["a", "b", "c"]
            assert set(case.statuses.values()) == {"completed"}
            assert not (folder.parent / "rescue").exists() or not list((folder.parent / "rescue").iterdir())
        case.store.close()
    assert hits > 1


def test_a_fault_that_passes_within_the_patience_leaves_no_trace(flow: Make, path: Path) -> None:
    case = on_file(flow("call a call b"), path, patience=60.0)
    scripted = case.answers({})
    with arm("before_commit:hit=3:do=sql(FULL); after_commit:hit=4:do=sql(IOERR)"):
        assert case.start().status == "completed"
    assert scripted.paths == ["a", "b"]
    assert notes(case) == []
    assert not (path.parent / "rescue").exists()


# ── what is kept outside ──────────────────────────────────────────────────────────────────────────
def test_the_result_of_a_step_is_kept_outside_and_taken_over(flow: Make, path: Path) -> None:
    case = on_file(flow("call a call b call c"), path)
    failing_in(case, "b", "before_commit:do=sql(FULL)")
    with pytest.raises(StoreUnavailable) as caught:
        case.start()
    react(None)
    error = caught.value
    file = path.parent / "rescue" / f"{case.run_id}-1.jsonl"
    assert error.message.startswith(f"no space is left for `{path}` (")
    assert error.help == (
        f"make room on that disk, then continue the run; what could not be written is kept in `{file}`"
    )
    assert (error.next, error.exit_code) == (f"runkon resume {case.run_id}", 5)
    assert file.stat().st_mode & 0o777 == 0o600
    reopened(case, path)
    scripted = case.answers({})
    assert case.resume().status == "completed"
    assert scripted.paths == ["c"]
    assert notes(case) == ["rescue-applied"]
    assert not file.exists()
    legs = [(envelope.event.kind, envelope.leg) for envelope in case.store.events(case.run_id)]
    assert ("step_completed", 1) in legs
    assert [step.attempts for step in case.steps.values()] == [1, 1, 1]


def test_branches_that_still_run_are_told_to_stop_and_what_they_give_back_is_kept(flow: Make, path: Path) -> None:
    case = on_file(flow("parallel { call a call b call c }"), path)
    hold, begun = Hold(), Hold()

    def fail(_request: Any) -> None:
        hold.wait_begun()
        begun.wait_begun()
        arm("before_commit:do=sql(IOERR)")

    case.answers({"a": hold, "b": begun, "c": fail})
    with pytest.raises(StoreUnavailable):
        case.start()
    react(None)
    reopened(case, path)
    scripted = case.answers({})
    assert case.resume().status == "completed"
    assert sorted(scripted.paths) == ["parallel/a", "parallel/b"]
    cut = [event for event in case.events if event.kind == "attempt_cut_off"]
    assert {(getattr(e, "certainty", ""), getattr(e, "cause", "")) for e in cut} == {("interrupted", "store")}


def test_nothing_worth_keeping_makes_no_file(flow: Make, path: Path) -> None:
    case = on_file(flow("call a"), path)
    scripted = case.answers({})
    with arm("after_fence:do=sql(FULL)"), pytest.raises(StoreUnavailable):
        case.start()
    assert scripted.paths == []
    assert not (path.parent / "rescue").exists()


def test_a_run_that_was_taken_away_keeps_its_result_where_nobody_applies_it(flow: Make, path: Path) -> None:
    case = on_file(flow("call a call b"), path)

    def steal(_request: Any) -> None:
        thief = SqliteRunStore(path, is_alive=lambda _: False)
        assert thief.acquire(case.run_id, "thief", case.record.created_at + 10**9, 1) is not None
        thief.close()
        rows.extend(all_rows(path))

    rows: list[str] = []
    case.answers({"a": steal})
    with pytest.raises(UserError) as caught:
        case.start()
    file = path.parent / "rescue" / f"{case.run_id}-1.fenced.jsonl"
    assert (caught.value.code, caught.value.exit_code) == ("already-active", 8)
    assert f"what could not be written is kept in `{file}`" in (caught.value.help or "")
    assert rows
    assert list(all_rows(path)) == rows
    reopened(case, path)
    scripted = case.answers({})
    case.resume()
    assert scripted.paths[:1] == ["a"]
    assert "rescue-kept" in notes(case)
    assert file.exists()


def all_rows(path: Path) -> Iterator[str]:
    connection = sqlite3.connect(path)
    yield from connection.iterdump()
    connection.close()


# ── our own bugs ──────────────────────────────────────────────────────────────────────────────────
def test_a_bug_under_the_recorder_interrupts_the_run_and_fails_no_step(flow: Make, path: Path) -> None:
    case = on_file(flow("parallel { call a call b } call c"), path)
    failing_in(case, "a", "after_insert:do=raise(value)")
    with pytest.raises(InternalError, match="after_insert"):
        case.start()
    react(None)
    assert case.record.holder is None
    reopened(case, path)
    scripted = case.answers({})
    assert case.resume().status == "completed"
    assert "step_failed" not in case.kinds
    assert "parallel/a" not in scripted.paths


def test_a_damaged_page_is_told_at_once_and_the_file_is_left(flow: Make, path: Path) -> None:
    case = on_file(flow("call a call b"), path, patience=60.0)
    failing_in(case, "a", "after_fence:do=sql(CORRUPT)")
    with pytest.raises(UserError) as caught:
        case.start()
    assert (caught.value.code, caught.value.exit_code) == ("store-corrupt", 5)
    assert (path.parent / "rescue" / f"{case.run_id}-1.jsonl").exists()


# ── real files ────────────────────────────────────────────────────────────────────────────────────
def test_a_file_that_is_moved_away_and_back_in_time_costs_nothing(flow: Make, path: Path) -> None:
    case = on_file(flow("call a call b"), path, patience=60.0)
    away = path.with_name("away")

    def move(_request: Any) -> None:
        os.rename(path, away)
        threading.Timer(0.2, os.rename, (away, path)).start()

    scripted = case.answers({"a": move})
    assert case.start().status == "completed"
    assert scripted.paths == ["a", "b"]


def test_a_file_that_was_replaced_is_not_written(flow: Make, path: Path) -> None:
    case = on_file(flow("call a call b"), path)
    away = path.with_name("away")

    def replace(_request: Any) -> None:
        os.rename(path, away)
        path.write_bytes(b"")

    case.answers({"a": replace})
    with pytest.raises(StoreUnavailable, match="was removed or replaced while it was in use"):
        case.start()
    assert path.read_bytes() == b""
    path.unlink()
    os.rename(away, path)
    reopened(case, path)
    scripted = case.answers({})
    assert case.resume().status == "completed"
    assert scripted.paths == ["b"]


def test_a_lock_of_somebody_else_is_waited_out(flow: Make, path: Path) -> None:
    case = on_file(flow("call a call b"), path, patience=60.0)
    other = []

    def lock(_request: Any) -> None:
        connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
        connection.execute("BEGIN IMMEDIATE")
        other.append(connection)
        threading.Timer(0.2, connection.close).start()

    scripted = case.answers({"a": lock})
    assert case.start().status == "completed"
    assert scripted.paths == ["a", "b"]


def test_a_lost_lease_is_a_lost_lease(flow: Make, path: Path) -> None:
    case = on_file(flow("call a call b"), path)
    failing_in(case, "a", "after_fence:do=raise(lease)")
    with pytest.raises(UserError) as caught:
        case.start()
    assert caught.value.code == "already-active"
    assert isinstance(caught.value.__cause__, LeaseLost)
