"""Attempts, retries and time: R26-R44. Time is virtual unless a test says otherwise."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from dataclasses import replace
from pathlib import Path

import pytest

from runkon.engine.cancellation import RunControl
from runkon.engine.config import RunConfig
from runkon.errors import Fatal, Transient
from runkon.store.sqlite import SqliteRunStore
from runkon.testing import FakeClock, Hold, ScriptedExecutor, TextRun, resume_run, run_text

from .world import until


class Beside:
    """A leg on a thread of its own, so that the test can move time and cancel meanwhile."""

    def __init__(self, play) -> None:
        self._ended: list[TextRun | BaseException] = []
        self._thread = threading.Thread(target=self._run, args=(play,), daemon=True)
        self._thread.start()

    def _run(self, play) -> None:
        try:
            self._ended.append(play())
        except BaseException as error:
            self._ended.append(error)

    def end(self) -> TextRun:
        self._thread.join(60)
        assert self._ended, "the leg did not end"
        if isinstance(self._ended[0], BaseException):
            raise self._ended[0]
        return self._ended[0]


def kinds(done: TextRun, path: str) -> list[str]:
    return [event.kind for event in done.events if str(getattr(event, "path", "")) == path]


def of_kind(done: TextRun, kind: str) -> list:
    return [event for event in done.events if event.kind == kind]


def test_r26_retryable_once_is_two_attempts_and_one_retry():
    scripted = ScriptedExecutor({"a": [Transient("busy"), None]})
    done = run_text("workflow w { call a { retries = 2 } }", scripted)
    assert kinds(done, "a") == ["attempt_started", "attempt_failed", "retry_scheduled", "attempt_started", "step_completed"]
    assert [event.number for event in of_kind(done, "attempt_started")] == [0, 1]
    assert done.record.status == "completed"


def test_r27_fatal_is_never_tried_again_and_stops_its_siblings_on_that_executor():
    """The siblings that have not begun fail with the same reason, without a call."""
    text = "workflow w { parallel { fail_fast = false max_parallel = 1 call a { retries = 2 } call b call c } }"
    scripted = ScriptedExecutor({"a": Fatal("the key is wrong")}, default={})
    done = run_text(text, scripted)
    assert [str(path) for path in scripted.paths] == ["parallel/a"]
    for name in "abc":
        error = done.step(f"parallel/{name}").error
        assert error is not None
        assert (error.kind, "the key is wrong" in error.message) == ("fatal", True), name
    assert not of_kind(done, "retry_scheduled")


@pytest.mark.parametrize("text", ["call a { retries = 2 }", "parallel { call a { retries = 2 } call b }"])
def test_r28_used_up_it_is_three_attempts_and_failed(text):
    done = run_text(f"workflow w {{ {text} }}", ScriptedExecutor({"a": ValueError("no")}, default={}))
    (step,) = [step for step in done.steps if step.info.key == "a"]
    assert (step.status, step.attempts) == ("failed", 3)
    assert [event.number for event in of_kind(done, "attempt_started") if event.path == step.path] == [0, 1, 2]
    assert done.record.status == "failed"


# ── waiting for the next attempt ──────────────────────────────────────────────────────────────────
def failing(options: str, times: int) -> TextRun:
    """A step that fails so often and then succeeds; time moves to whatever is due."""
    clock = FakeClock()
    scripted = ScriptedExecutor({"a": [*[ValueError("no")] * times, None]})
    leg = Beside(lambda: run_text(f"workflow w {{ call a {{ {options} }} }}", scripted, clock=clock))
    for count in range(1, times + 1):
        scripted.wait_for_calls(count)
        clock.wait_for_timers(1)
        clock.advance_to_next()
    return leg.end()


def test_r30_a_fixed_wait_is_due_at_the_failure_and_the_delay():
    done = failing("retries = 1 backoff = fixed delay = 50ms", 1)
    (wait,) = of_kind(done, "retry_scheduled")
    failed_at = next(e.at for e in done.store.events(done.record.id) if e.event.kind == "attempt_failed")
    assert (wait.due_at, wait.delay_ms) == (failed_at + 50, 50)
    began = [e.at for e in done.store.events(done.record.id) if e.event.kind == "attempt_started"]
    assert began[1] == wait.due_at


def test_r31_an_exponential_wait_doubles_up_to_its_most():
    done = failing("retries = 4 backoff = exponential delay = 10ms max_delay = 35ms jitter = false", 4)
    assert [wait.delay_ms for wait in of_kind(done, "retry_scheduled")] == [10, 20, 35, 35]


def test_r32_jitter_takes_at_most_half_and_what_it_took_is_stored():
    done = failing("retries = 4 delay = 1000ms max_delay = 4000ms jitter = true", 4)
    waits = [wait.delay_ms for wait in of_kind(done, "retry_scheduled")]
    for found, whole in zip(waits, (1000, 2000, 4000, 4000), strict=True):
        assert whole / 2 <= found <= whole
    assert len({found / whole for found, whole in zip(waits, (1000, 2000, 4000, 4000), strict=True)}) > 1


DIES_WAITING = """
import sys
from pathlib import Path
from runkon.store.sqlite import SqliteRunStore
from runkon.testing import FakeClock, ScriptedExecutor, arm, run_text
arm("in_backoff")
run_text(sys.argv[2], ScriptedExecutor({"a": ValueError("no")}), clock=FakeClock(), store=SqliteRunStore(Path(sys.argv[1])))
"""


def test_r33_a_restart_waits_for_the_rest_only(tmp_path: Path):
    """Real death, virtual time: killed with 40 s to go, started again 10 s later."""
    text = "workflow w { call a { retries = 1 backoff = fixed delay = 40s } }"
    file = tmp_path / "runkon.db"
    died = subprocess.run([sys.executable, "-c", DIES_WAITING, str(file), text], capture_output=True, text=True, check=False)
    assert died.returncode == -9, died.stderr
    store = SqliteRunStore(file)
    clock = FakeClock()
    clock.advance(10)
    scripted = ScriptedExecutor({"a": None})
    before = replaced(text, store)
    leg = Beside(lambda: resume_run(before, scripted, clock=clock))
    clock.wait_for_timer(10 + 30)
    clock.advance(29.9)
    assert scripted.calls == ()
    clock.advance(0.1)
    done = leg.end()
    assert [request.attempt for request in scripted.calls] == [1]
    assert done.record.status == "completed"


def replaced(text: str, store: SqliteRunStore) -> TextRun:
    """The newest run of a store, as if it had been run here."""
    from runkon.testing import check_text

    record = store.runs(limit=1)[0]
    return TextRun(record, (), (), store, check_text(text))


def test_r34_retries_alone_wait_for_nothing():
    clock = FakeClock()
    done = run_text("workflow w { call a { retries = 2 } }", ScriptedExecutor({"a": [ValueError(), ValueError(), None]}), clock=clock)
    assert done.record.status == "completed"
    assert clock.monotonic() == 0
    assert [(wait.delay_ms) for wait in of_kind(done, "retry_scheduled")] == [0, 0]


def test_r35_a_secret_is_taken_out_of_an_error_and_the_rest_stays(world):
    text = "workflow x { inputs { token secret } call a }"
    life = world(text, {"a": {"do": "fail", "message": "401 for hunter2-hunter2 at example.org"}})
    life.do("run", "x.wf", "-i", "token=hunter2-hunter2", exits=1)
    (failed,) = life.payloads("attempt_failed")
    assert failed["error"]["message"].endswith("401 for «secret:token» at example.org")
    assert "hunter2" not in life.out + life.err
    for file in life.folder.rglob("*"):
        if file.is_file() and file.name not in ("answers.json", "seen"):
            assert b"hunter2" not in file.read_bytes(), file


# ── timeouts ──────────────────────────────────────────────────────────────────────────────────────
def test_r36_an_executor_that_ignores_its_timeout_is_given_up(tmp_path: Path):
    """Real time: the attempt ends with its timeout and grace, though its thread never does while the run lasts."""
    never = threading.Event()
    calls: list[int] = []
    threads: list[threading.Thread] = []

    def ignore(request):
        calls.append(request.attempt)
        threads.append(threading.current_thread())
        never.wait(60)
        return {"context": "too late"}

    text = "workflow w { call a { timeout = 1s retries = 1 on_fail = continue } call b call c { timeout = 1s } }"
    scripted = ScriptedExecutor({"a": ignore, "b": {}, "c": ignore})
    done = run_text(text, scripted, config=RunConfig(working_dir=tmp_path, kill_grace=0.2, max_parallel=1, fail_fast=False))
    never.set()
    step = done.step("a")
    assert (step.status, step.handled, step.attempts) == ("timed_out", "continue", 2)
    assert [event.abandoned for event in of_kind(done, "attempt_timed_out")] == [True] * 3
    assert done.step("b").status == "completed", "the slot was to be free again"
    assert (done.step("c").status, done.step("c").handled) == ("timed_out", None)
    assert (done.record.status, done.record.reason) == ("failed", "step_failed")
    assert calls == [0, 1, 0]
    until(lambda: not any(thread.is_alive() for thread in threads), "the threads given up end")
    assert [e.event.kind for e in done.store.events(done.record.id)] == [event.kind for event in done.events]


def test_r37_a_cancel_during_a_timed_step_is_a_cancel():
    hold, control = Hold(), RunControl()
    leg = Beside(lambda: run_text("workflow w { call a { timeout = 100s retries = 3 } call b }", ScriptedExecutor({"a": hold}), control=control))
    hold.wait_begun()
    control.cancel("somebody", "enough")
    done = leg.end()
    assert kinds(done, "a") == ["attempt_started", "attempt_cancelled", "step_cancelled"]
    assert done.record.status == "cancelled"
    (end,) = of_kind(done, "run_cancelled")
    assert end.by == "somebody"
    assert not kinds(done, "b")


def test_r39_a_run_timeout_that_passed_meanwhile_ends_the_resume_at_once(world):
    """Real time."""
    import time

    life = world("workflow x { call a call b always { call c } }").do(
        "run", "x.wf", "--timeout", "2s", fail="after_start:path=b", exits=-9
    )
    (deadline,) = life.sql("SELECT deadline_at FROM runs")
    until(lambda: time.time() * 1000 > deadline, "the deadline passes")
    life.do("resume", exits=124)
    assert life.run == ("failed", "run_timeout")
    assert life.calls == {"a": 1, "always#2/c": 1}
    assert life.sql("SELECT max(deadline_at) FROM runs") == [deadline]


# ── whatever an executor raises ───────────────────────────────────────────────────────────────────
@pytest.mark.parametrize("how", ["fail", "exit", "generator", "base", "memory", "recursion", "stop", "cancelled"])
def test_r40_r41_whatever_is_raised_fails_the_attempt(world, how):
    life = world("workflow x { call a { retries = 1 } }", {"a": {"do": how}}).do("run", "x.wf", exits=1)
    assert life.kinds("a") == [
        "attempt_started", "attempt_failed", "retry_scheduled", "attempt_started", "attempt_failed", "step_failed"
    ]  # fmt: skip
    assert life.run == ("failed", "step_failed")
    assert life.free()
    assert "Traceback" not in life.err
    life.do("db", "check")


def test_r42_no_attempt_begins_once_the_run_is_stopped():
    """The step fails while it is being stopped: that is no reason to try again."""
    control = RunControl()
    calls: list[int] = []

    def fails(request):
        calls.append(request.attempt)
        control.interrupt()
        raise ValueError("on the way out")

    done = run_text("workflow w { call a { retries = 5 } call b }", ScriptedExecutor({"a": fails}), control=control)
    assert calls == [0]
    assert done.record.status == "interrupted"
    assert "retry_scheduled" not in kinds(done, "a") or kinds(done, "a")[-1] != "attempt_started"
    assert done.record.holder is None
    again = resume_run(done, ScriptedExecutor({"a": {}, "b": {}}))
    assert again.record.status == "completed"


# ── what the file can't mean ──────────────────────────────────────────────────────────────────────
@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("call a { timeout = 5x }", "5x"),
        ("call a { retries = 1 delay = 5x }", "5x"),
        ("while a.more { max_iterations = 3 stuck_after = 1 call a }", "stuck_after"),
    ],
)
def test_r43_r44_what_can_not_be_meant_is_told_before_the_run(world, text, word):
    life = world(f"workflow x {{ call a {text} }}").do("run", "x.wf", exits=3)
    assert word in life.err
    assert not life.database.exists()


def test_r44_a_condition_that_ends_with_the_last_round_is_not_stuck():
    text = "workflow w { call a while a.n < 3 { max_iterations = 5 stuck_after = 3 call a } call b }"
    rounds = [{"markers": ["same"], "n": n} for n in range(4)]
    done = run_text(text, ScriptedExecutor({"a": rounds, "b": {}}))
    assert done.record.status == "completed"


def test_r130_a_failed_attempt_is_paid_for_too(world):
    life = world("workflow x { call a { retries = 1 } call b }",
                 {"a": [{"do": "fail", "cost": 0.25}, {"cost": 0.5}], "b": {"cost": 1.0}})  # fmt: skip
    life.killed("after_start:path=b")
    life.do("resume")
    assert life.sql("SELECT cost_usd FROM v_runs") == [1.75]
    assert life.show()["cost_usd"] == 1.75
    assert life.sql("SELECT sum(cost_usd) FROM v_attempts") == [1.75]


def test_r141_independent_findings_come_together(world):
    """Wrong durations, agents, schemas, blocks and conditions: nobody has to run the check twice."""
    life = world("""workflow x {
  call a { on_fail = "nobody" timeout = 5x }
  parallel { min_success = 9 call c }
  call d { if = absent.x and not (b.y or missing.z) output = "no-such-schema" }
}""")
    life.do("validate", "x.wf", "--json", exits=3)
    found = [(each["code"], each["line"]) for file in json.loads(life.out)["files"] for each in file["diagnostics"]]
    assert sorted(found) == [
        ("invalid-value", 2),
        ("min-success-unreachable", 3),
        ("unknown-agent", 2),
        ("unknown-schema", 4),
        ("unknown-step", 4),
        ("unknown-step", 4),
        ("unknown-step", 4),
    ]
