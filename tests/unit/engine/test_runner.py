from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Callable
from typing import Any

import pytest

from runkon.engine.cancellation import RunControl
from runkon.errors import EXIT_HELD, EXIT_NOT_FOUND, EXIT_USAGE, StoreUnavailable, UserError
from runkon.model import holder as holders
from runkon.model.ids import RunID
from runkon.model.records import RunRecord
from runkon.store.memory import MemoryRunStore
from runkon.testing import FakeClock, Hold

Make = Callable[[str], Any]


def test_a_run_of_one_step_writes_five_events_and_gives_the_lease_back(flow: Make) -> None:
    case = flow("call a")
    record = case.start()
    assert case.kinds == ["run_created", "run_started", "attempt_started", "step_completed", "run_completed"]
    assert record.status == "completed"
    assert record.holder is None
    assert case.statuses == {"a": "completed"}


def test_an_empty_body_completes_without_steps(flow: Make) -> None:
    case = flow("")
    assert case.start().status == "completed"
    assert case.steps == {}


def test_the_first_failure_ends_the_body_and_names_the_step(flow: Make) -> None:
    case = flow("call a call b")
    scripted = case.answers({"a": RuntimeError("broken")})
    record = case.start()
    assert record.status == "failed"
    assert record.reason == "step_failed"
    assert record.error == "`a` failed: executor `scripted` raised RuntimeError: broken"
    assert scripted.paths == ["a"]


def test_without_fail_fast_the_body_goes_on_and_the_run_still_fails(flow: Make) -> None:
    case = flow("call a call b").configure(fail_fast=False)
    scripted = case.answers({"a": RuntimeError("broken")})
    assert case.start().status == "failed"
    assert scripted.paths == ["a", "b"]


def test_outputs_are_the_result(flow: Make) -> None:
    case = flow('call a outputs { verdict = a.verdict text = "{{prior_context}}" }')
    case.answers({"a": {"verdict": {"ok": [1, 2]}, "context": "fine"}})
    assert case.start().outputs == {"verdict": {"ok": [1, 2]}, "text": "fine"}


def test_inputs_are_bound_and_wrong_ones_stop_the_run_before_it_exists(flow: Make) -> None:
    case = flow("inputs { scope } call a")
    with pytest.raises(UserError) as raised:
        case.start()
    assert (raised.value.code, raised.value.exit_code) == ("missing-input", EXIT_USAGE)
    assert list(case.store.runs()) == []
    case.inputs = {"scope": "all"}
    scripted = case.answers({})
    case.start()
    assert scripted.calls[0].inputs["scope"] == "all"


def test_secrets_reach_executors_and_no_record(flow: Make) -> None:
    case = flow("inputs { key secret } call a")
    case.inputs = {"key": "hunter2"}
    scripted = case.answers({})
    record = case.start()
    assert scripted.calls[0].secrets == {"key": "hunter2"}
    assert "hunter2" not in repr(case.events)
    assert "hunter2" not in repr(record)


def test_inputs_and_outputs_name_a_secret(flow: Make) -> None:
    case = flow('inputs { key secret } call a { inputs = { n = "{{key}}" } } outputs { k = "{{key}}" t = "<{{key}}>" }')
    case.inputs = {"key": "hunter2"}
    seen: list[object] = []
    case.answers({"a": lambda request: seen.append(request.inputs["n"])})
    assert case.start().outputs == {"k": "«secret:key»", "t": "<«secret:key»>"}
    assert seen == [{"$secret": "key"}]


def test_a_secret_has_to_be_given_again_on_resume(flow: Make) -> None:
    case = flow("inputs { key secret } call a")
    case.inputs = {"key": "hunter2"}
    case.answers({"a": RuntimeError("no")})
    case.start()
    scripted = case.answers({})
    with pytest.raises(UserError) as raised:
        case.resume()
    assert raised.value.code == "missing-secret"
    assert case.record.leg == 1
    runner = case.runner()
    runner.give_secrets(case.run_id, {"key": "hunter2"})
    assert runner.execute(case.run_id, case.program, case.config).status == "completed"
    assert scripted.calls[0].secrets == {"key": "hunter2"}


def test_a_completed_run_is_returned_as_it_is(flow: Make) -> None:
    case = flow("call a")
    scripted = case.answers({})
    first = case.start()
    events = len(case.events)
    assert case.resume() == first
    assert len(case.events) == events
    assert len(scripted.calls) == 1


def test_a_cancelled_run_and_an_unknown_one_cannot_be_resumed(flow: Make) -> None:
    case = flow("call a")
    control = RunControl()
    control.cancel("kim", "enough")
    assert case.start(control).status == "cancelled"
    with pytest.raises(UserError) as raised:
        case.resume()
    assert (raised.value.code, raised.value.exit_code) == ("not-resumable", EXIT_NOT_FOUND)
    case.run_id = RunID("01J00000000000000000000000")
    with pytest.raises(UserError) as raised:
        case.resume()
    assert (raised.value.code, raised.value.exit_code) == ("run-not-found", EXIT_NOT_FOUND)


def test_a_run_somebody_holds_is_refused_and_left_alone(flow: Make) -> None:
    case = flow("call a")
    case.answers({"a": RuntimeError("no")})
    case.start()
    clock_now = 10**13
    assert case.store.acquire(case.run_id, holders.this_holder(), clock_now, 30_000) is not None
    events = len(case.events)
    with pytest.raises(UserError) as raised:
        case.resume()
    assert (raised.value.code, raised.value.exit_code) == ("already-active", EXIT_HELD)
    assert len(case.events) == events


class Thief(MemoryRunStore):
    """A store whose run is taken over when told to."""

    def steal(self, run: RunID) -> None:
        kept = self._runs[run]
        kept.holder, kept.fence = "elsewhere", kept.fence + 1


def test_a_lost_lease_stops_the_leg_which_writes_nothing_more(flow: Make) -> None:
    case = flow("call a call b always { call z }")
    store = case.store = Thief()

    def steal(request: Any) -> None:
        store.steal(request.run_id)

    scripted = case.answers({"a": steal})
    with pytest.raises(UserError) as raised:
        case.start()
    assert (raised.value.code, raised.value.exit_code) == ("already-active", EXIT_HELD)
    assert scripted.paths == ["a"]
    run = case.store.runs()[0].id
    assert [e.event.kind for e in store.events(run)] == ["run_created", "run_started", "attempt_started"]


class Full(MemoryRunStore):
    """A store that can't write any more after some transactions."""

    left = 10**9

    def append(self, *arguments: Any, **options: Any) -> None:
        self.left -= 1
        if self.left < 0:
            raise StoreUnavailable("the disk is full")
        super().append(*arguments, **options)


def test_a_store_that_fails_stops_everything_and_says_how_to_continue(flow: Make) -> None:
    case = flow("parallel { call a call b }")
    store = case.store = Full()
    hold = Hold()

    def fill(request: Any) -> None:
        hold.wait_begun()
        store.left = 0

    case.answers({"a": hold, "b": fill})
    with pytest.raises(StoreUnavailable) as raised:
        case.start()
    run = store.runs()[0].id
    assert raised.value.next == f"runkon resume {run}"
    store.left = 10**9
    case.run_id = run
    scripted = case.answers({})
    kept = store.run(run)
    assert kept is not None
    store._runs[run].holder = None  # the process is gone
    assert case.resume().status == "completed"
    assert scripted.paths == ["parallel/a"]  # what `b` gave back was kept outside and taken over


def test_until_stops_after_the_step_and_leaves_the_run_resumable(flow: Make) -> None:
    case = flow("call a call b call c always { call z }")
    scripted = case.answers({})
    record = case.configure(until="b").start()
    assert (record.status, record.reason) == ("interrupted", "until")
    assert scripted.paths == ["a", "b"]
    case.configure(until=None)
    assert case.resume().status == "completed"
    assert scripted.paths == ["a", "b", "c", "always#2/z"]


def test_until_of_a_step_that_is_not_there_is_refused_before_the_run(flow: Make) -> None:
    case = flow("call a").configure(until="zz")
    with pytest.raises(UserError) as raised:
        case.start()
    assert raised.value.code == "unknown-step"
    assert list(case.store.runs()) == []


@pytest.mark.parametrize(
    ("until", "help"),
    [
        ("checkz", "did you mean `checks`?"),
        ("if", "this workflow has `a`, `b`, `c`, `checks`, `d`"),
        ("while", "this workflow has"),
        ("while/d", "`while[0]/d`"),
        ("checks/d", "did you mean `checks/b`?"),
        ("a#2", "this workflow has `a`, `b`"),
    ],
)
def test_until_of_what_is_no_step_and_no_named_block_is_refused_with_the_closest_name(
    flow: Make, until: str, help: str
) -> None:
    case = flow("call a parallel checks { call b call c } if a.x { while a.x { max_iterations = 2 call d } }")
    with pytest.raises(UserError) as raised:
        case.configure(until=until).start()
    assert (raised.value.code, raised.value.exit_code) == ("unknown-step", 2)
    assert help in str(raised.value.help)
    assert list(case.store.runs()) == []


@pytest.mark.parametrize("until", ["checks", "part/checks", "part"])
def test_until_stops_after_a_named_block(flow: Make, until: str) -> None:
    case = flow("call a do part { parallel checks { call b call c } } call d")
    scripted = case.answers({})
    record = case.configure(until=until).start()
    assert (record.status, record.reason) == ("interrupted", "until")
    assert sorted(scripted.paths) == ["a", "part/checks/b", "part/checks/c"]
    assert case.configure(until=None).resume().status == "completed"
    assert scripted.paths[-1] == "d"
    assert len(scripted.paths) == 4


def test_until_knows_the_rounds_of_loops_by_their_path(flow: Make) -> None:
    case = flow("do { max_iterations = 3 call a } while a.again")
    scripted = case.answers({"a": {"markers": ["again"]}})
    assert case.configure(until="do[1]/a").start().reason == "until"
    assert scripted.paths == ["do[0]/a", "do[1]/a"]


@pytest.mark.parametrize("until", ["boom", "parallel/boom", "parallel/group/boom", "group"])
def test_until_stops_after_a_step_whose_failure_its_block_takes(flow: Make, until: str) -> None:
    inner = "call boom" if until in ("boom", "parallel/boom") else "do group { call boom }"
    case = flow(f"parallel {{ fail_fast = false min_success = 1 {inner} call good }} call done")
    scripted = case.answers({"boom": RuntimeError("no"), "good": {}, "done": {}})
    record = case.configure(until=until).start()
    assert (record.status, record.reason) == ("interrupted", "until")
    assert "done" not in scripted.paths
    assert case.configure(until=None).resume().status == "completed"
    assert scripted.paths[-1] == "done"


@pytest.mark.parametrize(("until", "reached"), [("a", ["a"]), ("part", ["part/b", "part/c"]), ("p", ["p/d"])])
def test_a_run_that_goes_on_after_failures_ends_as_failed_where_it_was_to_stop(
    flow: Make, until: str, reached: list[str]
) -> None:
    body = {"a": "call a", "part": "do part { call b call c }", "p": "parallel p { call d }"}[until]
    case = flow(f"{body} call z").configure(fail_fast=False, until=until)
    scripted = case.answers({"a": RuntimeError("no"), "b": RuntimeError("no"), "d": RuntimeError("no")})
    assert case.start().status == "failed"
    assert scripted.paths == reached


def test_an_executor_for_a_step_that_is_not_there_is_refused_before_the_run(flow: Make) -> None:
    case = flow("call a { on_fail = c } always { call b }").configure(executors={"zz": "a"})
    with pytest.raises(UserError) as raised:
        case.start()
    assert (raised.value.code, raised.value.exit_code) == ("unknown-step", 2)
    assert "`a`, `b`, `c`" in str(raised.value.help)
    assert list(case.store.runs()) == []


@pytest.mark.parametrize("timeout", [float("nan"), float("inf")])
def test_a_timeout_that_is_no_number_of_seconds_is_refused_before_the_run(flow: Make, timeout: float) -> None:
    case = flow("call a").configure(timeout=timeout)
    with pytest.raises(UserError) as raised:
        case.start()
    assert raised.value.code == "invalid-timeout"


def test_a_timeout_given_to_a_resume_counts_from_there_also_if_it_is_the_one_of_the_start(flow: Make) -> None:
    case = flow("call a call b").configure(timeout=10.0)
    case.clock = clock = FakeClock()
    case.answers({"a": RuntimeError("no")})
    assert case.start().status == "failed"
    clock.advance(11)
    case.answers({})
    assert case.resume().reason == "run_timeout"
    assert case.configure(timeout_anew=True).resume().status == "completed"


def test_a_store_that_was_emptied_under_a_run_is_named(flow: Make) -> None:
    class Emptied(MemoryRunStore):
        def run(self, run: RunID) -> RunRecord | None:
            found = super().run(run)
            return None if found is not None and found.status == "completed" else found

    case = flow("call a")
    case.store = Emptied()
    with pytest.raises(StoreUnavailable, match="is gone"):
        case.start()


def test_a_dry_run_calls_nothing_that_costs_and_runs_no_script(flow: Make) -> None:
    case = flow('call a script s { run = "rm -rf x" }').configure(dry_run=True)
    scripted = case.answers({}, metered=True)
    assert case.start().status == "completed"
    assert scripted.calls == ()
    assert case.record.dry
    assert "was not called" in case.steps["a"].output.text
    assert "not executed" in case.steps["s"].output.text


def test_a_dry_run_tells_free_executors(flow: Make) -> None:
    case = flow("call a").configure(dry_run=True)
    scripted = case.answers({})
    case.start()
    assert scripted.calls[0].dry_run is True


def test_a_run_that_takes_too_long_fails_after_its_always_block(flow: Make) -> None:
    case = flow("meta { timeout = 10s } call a call b always { call z }")
    clock = case.clock = FakeClock()
    hold = Hold()
    scripted = case.answers({"a": hold})
    end = case.begin()
    hold.wait_begun()
    clock.advance(10)
    record = end()
    assert (record.status, record.reason) == ("failed", "run_timeout")
    assert scripted.paths == ["a", "always#1/z"]
    assert case.statuses["a"] == "cancelled"


def test_a_deadline_that_passed_between_legs_ends_the_run_at_once(flow: Make) -> None:
    case = flow("meta { timeout = 10s } call a call b always { call z }")
    clock = case.clock = FakeClock()
    case.answers({"a": RuntimeError("no")})
    case.start()
    clock.advance(20)
    scripted = case.answers({})
    record = case.resume()
    assert (record.status, record.reason) == ("failed", "run_timeout")
    assert scripted.paths == ["always#2/z"]


PROGRAM = """
import os, signal, sys
from pathlib import Path
from runkon.engine.config import RunConfig
from runkon.engine.runner import Runner
from runkon.language.parser import parse
from runkon.language.program import CheckedWorkflow
from runkon.language.source import SourceFile
from runkon.store.memory import MemoryRunStore
from runkon.testing import ScriptedExecutor

def press(request):
    os.kill(os.getpid(), signal.SIGINT)
    request.cancel.wait(30)
    request.cancel.raise_if_cancelled()

source = SourceFile("flow.wf", "workflow w { call a call b always { call z } }")
program = CheckedWorkflow(parse(source).workflows[0], source)
store, config = MemoryRunStore(), RunConfig(working_dir=Path("."))
runner = Runner(store, ScriptedExecutor({"a": press}, default=None))
run = runner.create(program, {}, config)
try:
    runner.execute(run, program, config)
except KeyboardInterrupt:
    print(store.run(run).status, [f"{step.path} {step.status}" for step in store.steps(run)])
"""


def test_a_keyboard_interrupt_nobody_handles_pauses_the_run_before_it_is_raised() -> None:
    done = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, timeout=60, check=False)
    assert done.stdout == "interrupted ['a interrupted', 'always#1/z completed']\n", done.stderr


def test_no_thread_stays_behind(flow: Make) -> None:
    flow("call a").start()
    before = threading.active_count()
    for _ in range(5):
        case = flow("parallel { call a call b do { call c } } call d { timeout = 1m }")
        assert case.start().status == "completed"
    assert threading.active_count() <= before + 1  # the process's timer thread
