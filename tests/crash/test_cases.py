"""Single crashes, as a person sees them: real processes, killed at a named place, and what the next command does."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest

from .life import KILLED, Life
from .processes import processes_of

CHAIN = "workflow x { call a call b call c outputs { x = c.context } }"
DEPLOY = "workflow x { call a call deploy { on_fail = continue } call b }"


# ── an attempt whose end nobody saw ───────────────────────────────────────────────────────────────
@pytest.mark.parametrize("place", ["after_return", "before_finish", "in_attempt", "before_dispatch"])
def test_a_lost_attempt_of_a_reading_step_is_made_again(place: str, tmp_path: Path) -> None:
    life = Life(tmp_path, CHAIN).killed(f"{place}:path=b").resumed()
    assert life.calls == {"a": 1, "b": 1 if place in ("before_dispatch", "in_attempt") else 2, "c": 1}
    assert life.kinds("b") == ["attempt_started", "attempt_cut_off", "attempt_started", "step_completed"]
    assert life.out == "x = did c\n"
    assert life.step("b").attempts == 2


@pytest.mark.parametrize(("decision", "count", "status"), [("rerun", 2, "completed"), ("failed", 1, "failed")])
def test_a_lost_attempt_of_a_writing_step_is_asked_about(
    decision: str, count: int, status: str, tmp_path: Path
) -> None:
    life = Life(tmp_path, DEPLOY).killed("after_return:path=deploy").resumed(exits=4)
    assert "deploy" in life.err
    assert life.run.status == "waiting"
    life.assert_sound()
    assert life.calls == {"a": 1, "deploy": 1}
    life.do("answer", "@last:unknown:deploy", "--set", f"decision={decision}").resumed()
    assert life.calls == {"a": 1, "deploy": count, "b": 1}
    assert life.step("deploy").status == status
    assert life.run.status == "completed"
    life.assert_sound()


def test_what_a_lost_attempt_had_done_can_be_given(tmp_path: Path) -> None:
    life = Life(tmp_path, DEPLOY).killed("after_return:path=deploy").resumed(exits=4)
    (tmp_path / "out.json").write_text(json.dumps({"context": "it is deployed", "n": 3}))
    life.do("answer", "@last:unknown:deploy", "--set", "decision=done", "--set", "output=@out.json").resumed()
    assert life.calls == {"a": 1, "deploy": 1, "b": 1}
    assert life.step("deploy").output.context == "it is deployed"
    assert life.run.status == "completed"


def test_two_crashes_at_one_step_are_two_attempts_more(tmp_path: Path) -> None:
    life = Life(tmp_path, CHAIN).killed("after_return:path=b").killed("after_return:path=b", "resume", "@last")
    life.resumed()
    assert life.calls == {"a": 1, "b": 3, "c": 1}
    numbers = [event.number for event in life.events if event.kind == "attempt_started" and event.path == "b"]
    assert numbers == [0, 1, 2]


@pytest.mark.parametrize("retries", [0, 2])
def test_a_step_that_kills_its_process_fails_after_the_third_time(retries: int, tmp_path: Path) -> None:
    life = Life(tmp_path, f"workflow x {{ call a call b {{ retries = {retries} }} }}", {"b": "die"})
    life.do("run", "x.wf", exits=KILLED)
    life.do("resume", "@last", exits=KILLED).do("resume", "@last", exits=KILLED)
    life.resumed(exits=1)
    assert life.calls == {"a": 1, "b": 3}
    error = life.step("b").error
    assert error is not None
    assert error.kind == "crash_limit"
    life.assert_sound()


# ── settled steps stay settled ────────────────────────────────────────────────────────────────────
def test_killed_once_a_step_is_on_record_it_is_not_made_again(tmp_path: Path) -> None:
    life = Life(tmp_path, CHAIN).killed("after_finish:path=a").resumed()
    assert life.calls == {"a": 1, "b": 1, "c": 1}
    assert life.kinds("a") == ["attempt_started", "step_completed"]


def test_killed_after_the_last_step_only_the_end_is_missing(tmp_path: Path) -> None:
    life = Life(tmp_path, CHAIN).killed("before_end:do=hang;after_finish:path=c")
    before = life.kinds()
    life.resumed()
    assert life.calls == {"a": 1, "b": 1, "c": 1}
    assert life.kinds() == [*before, "run_resumed", "run_completed"]


def test_a_completed_run_is_printed_and_not_touched(tmp_path: Path) -> None:
    life = Life(tmp_path, CHAIN).do("run", "x.wf")
    rows = life.rows()
    for _ in range(2):
        life.resumed()
        assert life.out == "x = did c\n"
    assert life.rows() == rows


def test_an_agent_called_twice_in_a_row_is_told_apart(tmp_path: Path) -> None:
    life = Life(tmp_path, "workflow x { call a call a }").killed("after_start:path=a#2").resumed()
    assert life.calls == {"a": 1, "a#2": 1}


def test_a_step_inside_if_inside_a_loop_is_kept(tmp_path: Path) -> None:
    text = """workflow x {
  call a
  while a.more { max_iterations = 5 call a if a.deep { call b } }
  call c
}"""
    answers = {
        "a": {"markers": ["more"]},
        "while[0]/a": {"markers": ["more", "deep"]},
        "while[1]/a": {"markers": ["more"]},
        "while[2]/a": {"markers": ["deep"]},
    }
    life = Life(tmp_path, text, answers).killed("before_dispatch:path=while[[]2]/a").resumed()
    steps = ["a", "while[0]/a", "while[0]/b", "while[1]/a", "while[2]/a", "while[2]/b", "c"]
    assert life.calls == dict.fromkeys(steps, 1)


# ── owners ────────────────────────────────────────────────────────────────────────────────────────
HOLDS = """workflow x {
  script hold { effect = read run = "echo hold >>calls; while [ ! -e go ]; do sleep 0.02; done" }
  call a
}"""


def _until(life: Life, call: str) -> None:
    """Wait until the script `call` goes on and all that is written of its beginning is on record."""
    deadline = time.monotonic() + 30
    while life.calls[call] == 0 or life.kinds(call)[-1:] != ["process_started"]:
        assert time.monotonic() < deadline, "the step never began"
        time.sleep(0.01)


def test_two_resumes_of_one_run_one_works_and_one_is_refused(tmp_path: Path) -> None:
    life = Life(tmp_path, HOLDS).killed("before_dispatch:path=hold")
    with life.start("resume", "@last") as first:
        try:
            _until(life, "hold")
            (before,) = life.rows()
            life.do("resume", "@last", exits=8)
            assert "already-active" in life.err
            (after,) = life.rows()
            assert after[1:] == before[1:]
            assert (after[0].holder, after[0].fence) == (before[0].holder, before[0].fence)
        finally:
            life.note("go", "now")
            first.communicate(timeout=60)
    assert first.returncode == 0
    assert life.calls == {"hold": 1, "a": 1}


def test_a_killed_owner_is_replaced_at_once_and_its_children_are_gone(tmp_path: Path) -> None:
    life = Life(tmp_path, HOLDS)
    with life.start("run", "x.wf") as owner:
        _until(life, "hold")
        owner.kill()
        owner.communicate(timeout=60)
    life.assert_sound()
    run = life.run.id
    assert processes_of(run), "the script was to be alive"
    life.note("go", "now")
    life.resumed()
    assert life.calls == {"hold": 2, "a": 1}
    assert processes_of(run) == []
    assert life.run.holder is None


def test_twenty_short_runs_leave_nothing(tmp_path: Path) -> None:
    life = Life(tmp_path, "workflow x { call a }")
    for _ in range(20):
        life.do("run", "x.wf")
    assert all(record.status == "completed" and record.holder is None for record, _, _ in life.rows())
    left = {path.name for path in (tmp_path / ".runkon").iterdir()}
    assert left <= {".gitignore", "plugins", "runkon.db", "runkon.db-wal", "runkon.db-shm"}, left


# ── blobs ─────────────────────────────────────────────────────────────────────────────────────────
@pytest.mark.parametrize("place", ["before_blob", "blob_half", "blob_written", "before_rename", "after_rename"])
def test_a_torn_blob_is_never_used(place: str, tmp_path: Path) -> None:
    large = "x" * 200_000
    life = Life(tmp_path, CHAIN, {"b": {"context": large}}).killed(f"{place}:hit=1").resumed()
    assert life.step("b").output.context == large
    assert life.calls == {"a": 1, "b": 2, "c": 1}
    life.assert_sound()


# ── a workflow inside the run ─────────────────────────────────────────────────────────────────────
CALLER = """workflow x { call a call workflow kid { retries = 1 } call e outputs { x = kid.said } }
workflow kid {
  outputs { said = b.context }
  call b
  script once { effect = pure run = "test -e once || { touch once; exit 1; }" }
  always { call d }
}"""


@pytest.mark.parametrize(
    ("place", "begun"),
    [
        ("before_retry:path=kid", 1),
        ("after_retry:path=kid", 2),
        ("child_left:path=kid", 1),
    ],
)
def test_a_retry_of_a_called_workflow_begins_all_of_it_anew_or_nothing(place: str, begun: int, tmp_path: Path) -> None:
    life = Life(tmp_path, CALLER).killed(place).resumed()
    assert life.run.status == "completed"
    assert life.out == "x = did kid/b\n"
    assert life.calls == {"a": 1, "kid/b": begun, "kid/always/d": 2, "e": 1}
    assert life.step("kid/once").status == life.step("kid/always/d").status == "completed"
    life.assert_sound()
