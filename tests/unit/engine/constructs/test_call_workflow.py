from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from runkon.engine.cancellation import RunControl
from runkon.engine.resume import Resumption, sources_of
from runkon.model.records import RunRecord
from runkon.testing import FakeClock, Hold, check_text
from runkon.testing.clock import START_MS
from tests.unit.engine.conftest import Flow

Make = Callable[[str], Flow]

LEVELS = """workflow w {
  inputs { env default = "prod" }
  call a
  call workflow kid { inputs { target = "{{env}}" } }
  if c.found { call b { inputs = { url = "{{kid.url}}" } } }
  outputs { url = kid.url context = d.context }
}
workflow kid {
  inputs { target required }
  outputs { url = "http://{{target}}/{{deep.context}}" }
  call c
  call workflow inner { retries = 1 }
  call d
  always { call tidy }
}
workflow inner { call deep parallel { call e call f } always { call wipe } }
"""

GIVEN = {"c": {"markers": ["found"]}, "deep": {"context": "D"}, "d": {"context": "done"}}


@pytest.fixture
def calls(tmp_path: Path) -> Make:
    """`calls(text)` runs the first workflow of a text of several."""

    def make(text: str) -> Flow:
        flow = Flow("workflow w { call a }", tmp_path)
        flow.program = check_text(text)
        return flow

    return make


def rerun(flow: Flow, how: Resumption) -> RunRecord:
    return flow.runner().execute(flow.run_id, flow.program, flow.config, None, how)


def answers(flow: Flow) -> None:
    flow.answers({**GIVEN, "f": [RuntimeError("no"), {}]})


def test_whenever_the_process_died_the_run_ends_the_same(calls: Make) -> None:
    whole = calls(LEVELS)
    answers(whole)
    assert whole.start().status == "completed"
    assert whole.record.outputs == {"url": "http://prod/D", "context": "done"}
    count = len(whole.events)
    for died in range(2, count):
        flow = calls(LEVELS)
        flow.run_id, flow.store = whole.run_id, whole.store
        flow.kill_at(died)
        has_failed = any(event.kind == "step_failed" and event.path == "kid/inner/parallel/f" for event in flow.events)  # type: ignore[union-attr]
        flow.answers(GIVEN if has_failed else {**GIVEN, "f": [RuntimeError("no"), {}]})
        assert flow.resume().status == "completed", died
        assert flow.statuses == whole.statuses, died
        assert flow.record.outputs == whole.record.outputs, died


def test_records_say_where_a_step_stands(calls: Make) -> None:
    flow = calls(LEVELS)
    answers(flow)
    flow.start()
    assert list(flow.steps) == [
        "a",
        "kid",
        "kid/c",
        "kid/inner",
        "kid/inner/deep",
        "kid/inner/parallel/e",
        "kid/inner/parallel/f",
        "kid/inner/always/wipe",
        "kid/d",
        "kid/always/tidy",
        "b",
    ]
    assert flow.steps["kid"].info.kind == "call_workflow"
    assert flow.steps["kid/inner/deep"].info.line == 16
    assert flow.steps["kid/inner/deep"].epoch == 2


def test_all_texts_belong_to_the_run() -> None:
    program = check_text("workflow w { call workflow kid }", workflows={"kid": "workflow kid { call a }"})
    assert list(sources_of(program)) == [program.source.path, program.children["kid"].source.path]


def test_executors_are_told_of_the_workflow_they_work_in(calls: Make) -> None:
    flow = calls("workflow w { call a call workflow kid { as = bot } } workflow kid { call b call c { as = other } }")
    executor = flow.answers({})
    flow.start()
    told = {str(request.path): (request.workflow, request.identity) for request in executor.calls}
    assert told == {"a": ("w", None), "kid/b": ("kid", "bot"), "kid/c": ("kid", "other")}


def test_branches_of_a_child_are_bounded_by_its_own_limit(calls: Make) -> None:
    flow = calls(
        "workflow w { call workflow kid } workflow kid { meta { max_parallel = 1 } parallel { call a call b } }"
    )
    flow.answers({})
    flow.start()
    places = [(event.kind, str(event.path)) for event in flow.events if hasattr(event, "path")]
    assert places[:3] == [
        ("attempt_started", "kid/parallel/a"),
        ("step_completed", "kid/parallel/a"),
        ("attempt_started", "kid/parallel/b"),
    ]


def test_a_secret_goes_on_and_is_never_written(calls: Make) -> None:
    flow = calls(
        """workflow w {
          inputs { token secret }
          call workflow kid { inputs { key = "{{token}}" other = "text-of-a-secret" } }
        }
        workflow kid { inputs { key secret other secret } call a { inputs = { said = "{{key}} {{other}}" } } }"""
    )
    flow.inputs = {"token": "hunter2-and-more"}
    executor = flow.answers({"a": {"context": "text-of-a-secret and hunter2-and-more"}})
    assert flow.start().status == "completed"
    assert sorted(executor.calls[0].secrets.values()) == ["hunter2-and-more", "text-of-a-secret"]
    assert flow.steps["kid/a"].output.context == "«secret:kid.other» and «secret:token»"
    written = repr(flow.events[1:])
    assert "hunter2" not in written
    assert "text-of-a-secret" not in written


def test_from_a_step_inside(calls: Make) -> None:
    flow = calls(LEVELS)
    answers(flow)
    flow.start()
    executor = flow.answers({"d": {"context": "again"}})
    assert rerun(flow, Resumption(step="kid/d")).status == "completed"
    assert [str(request.path) for request in executor.calls] == ["kid/d", "kid/always/tidy", "b"]
    assert flow.record.outputs == {"url": "http://prod/D", "context": "again"}


def test_only_what_failed_inside_and_what_reads_it(calls: Make) -> None:
    flow = calls(
        """workflow w { call workflow kid { on_fail = continue } call z }
        workflow kid { call a call b always { call t } }"""
    )
    flow.answers({"b": [RuntimeError("no")]})
    assert flow.start().status == "completed"
    executor = flow.answers({})
    assert rerun(flow, Resumption(mode="only-failed")).status == "completed"
    assert [str(request.path) for request in executor.calls] == ["kid/b", "kid/always/t"]
    assert flow.statuses["kid"] == "completed"


def test_an_edit_of_the_child_runs_what_it_changed(calls: Make) -> None:
    before = 'workflow w { call workflow kid } workflow kid { call a script s { run = "echo 1" } }'
    flow = calls(before)
    flow.answers({})
    flow.start()
    old, flow.program = flow.program, check_text(before.replace("echo 1", "echo 2"))
    executor = flow.answers({})
    assert rerun(flow, Resumption(before=old)).status == "completed"
    assert [str(request.path) for request in executor.calls] == ["kid/s"]


def test_a_key_that_the_engine_uses_is_no_path_of_a_step(calls: Make) -> None:
    flow = calls("workflow w { call workflow kid { fallback = b } } workflow kid { call fallback }")
    flow.answers({"kid/fallback#2": RuntimeError("no"), "b": {}})
    assert flow.start().status == "completed"
    assert {"kid/fallback", "kid/fallback#2"} <= set(flow.steps)
    assert flow.steps["kid"].output.degraded
    assert list(flow.steps) == ["kid", "kid/fallback#2", "kid/fallback"]


def test_unknown_placeholders_are_kept_unless_strict(calls: Make) -> None:
    text = (
        'workflow w { STRICT call workflow kid { inputs { x = "{{nobody}}" } } } workflow kid { inputs { x } call a }'
    )
    flow = calls(text.replace("STRICT", ""))
    executor = flow.answers({})
    flow.start()
    assert executor.calls[0].inputs["x"] == "{{nobody}}"
    strict = calls(text.replace("STRICT", "meta { strict = true }"))
    strict.answers({})
    assert strict.start().status == "failed"
    assert strict.steps["kid"].error is not None
    assert strict.steps["kid"].error.kind == "value"


def test_a_run_that_is_to_stop_inside_knows_paths_only(calls: Make) -> None:
    flow = calls("workflow w { call workflow kid call z } workflow kid { call a call b }")
    flow.answers({})
    flow.config = replace(flow.config, until="kid/a")
    assert flow.start().status == "interrupted"
    assert list(flow.steps) == ["kid/a"]


# ── retries over legs ─────────────────────────────────────────────────────────────────────────────
WAITING = "workflow w { call workflow kid { retries = 1 backoff = fixed delay = 60s } } workflow kid { call a call b }"


def test_the_wait_of_a_retry_goes_on_after_a_crash(calls: Make) -> None:
    flow = calls(WAITING)
    clock = flow.clock = FakeClock()
    flow.answers({"b": [RuntimeError("no"), {}]})
    end = flow.begin()
    clock.wait_for_timer(60.0)
    begun = list(flow.events)
    clock.advance(60.0)
    assert end().status == "completed"
    assert (flow.events[len(begun)].kind, str(getattr(flow.events[len(begun)], "path", ""))) == (
        "attempt_started",
        "kid/a",
    )
    flow.kill_at(len(begun))
    clock = flow.clock = FakeClock(START_MS + 20_000)
    scripted = flow.answers({})
    ended: list[RunRecord] = []
    thread = threading.Thread(target=lambda: ended.append(flow.resume()), daemon=True)
    thread.start()
    clock.wait_for_timer(40.0)
    assert scripted.calls == ()
    clock.advance(40.0)
    thread.join(30)
    assert [one.status for one in ended] == ["completed"]
    assert scripted.paths == ["kid/a", "kid/b"]


def test_a_resume_grants_no_retry_again_that_is_used_up(calls: Make) -> None:
    flow = calls("workflow w { call workflow kid { retries = 1 } } workflow kid { call a call b }")
    executor = flow.answers({"b": RuntimeError("no")})
    assert flow.start().status == "failed"
    assert executor.paths == ["kid/a", "kid/b"] * 2
    executor = flow.answers({"b": RuntimeError("no")})
    assert flow.resume().status == "failed"
    assert executor.paths == ["kid/b"]
    executor = flow.answers({"b": RuntimeError("no")})
    assert rerun(flow, Resumption(step="kid")).status == "failed"
    assert executor.paths == ["kid/a", "kid/b"] * 2


def test_retries_of_a_call_inside_begin_anew_with_those_of_the_call_around_it(calls: Make) -> None:
    flow = calls(
        "workflow w { call workflow kid { retries = 1 } } workflow kid { call workflow inner { retries = 1 } } "
        "workflow inner { call a }"
    )
    executor = flow.answers({"a": RuntimeError("no")})
    assert flow.start().status == "failed"
    assert len(executor.calls) == 4
    executor = flow.answers({"a": RuntimeError("no")})
    assert flow.resume().status == "failed"
    assert len(executor.calls) == 1


@pytest.mark.parametrize(
    "text",
    [
        "workflow w { call workflow kid } workflow kid { meta { timeout = 60s } call a call b }",
        "workflow w { call workflow kid { timeout = 60s } } workflow kid { call a call b }",
    ],
)
def test_the_time_of_a_called_workflow_goes_on_over_a_crash_and_begins_anew_once_it_is_over(
    calls: Make, text: str
) -> None:
    flow = calls(text)
    hold = Hold()
    clock = flow.clock = FakeClock()
    flow.answers({"b": hold})
    end = flow.begin()
    hold.wait_begun()
    count = len(flow.events)
    clock.advance(60.0)
    assert end().status == "failed"
    flow.kill_at(count)

    def resumed(at_ms: int, timer: float) -> str:
        clock = flow.clock = FakeClock(START_MS + at_ms)
        hold = Hold()
        flow.answers({"b": hold})
        ended: list[RunRecord] = []
        thread = threading.Thread(target=lambda: ended.append(flow.resume()), daemon=True)
        thread.start()
        hold.wait_begun()
        clock.wait_for_timer(timer)
        clock.advance(timer)
        thread.join(30)
        return ended[0].status

    assert resumed(20_000, 40.0) == "failed"
    assert flow.statuses["kid"] == "timed_out"
    assert resumed(500_000, 60.0) == "failed"


def test_a_called_workflow_that_has_ended_is_not_out_of_time_later(calls: Make) -> None:
    flow = calls("workflow w { call workflow kid call after } workflow kid { meta { timeout = 60s } call a }")
    flow.clock = FakeClock()
    flow.answers({})
    flow.start()
    flow.kill_in("after")
    flow.clock = FakeClock(START_MS + 500_000)
    assert flow.resume().status == "completed"


WIPED = (
    "workflow w { call a call workflow kid call b always { call z } } workflow kid { call c always { call y call x } }"
)


@pytest.mark.parametrize(("wish", "status"), [("interrupt", "interrupted"), ("cancel", "cancelled")])
def test_a_kill_cuts_its_always_block_off_and_the_run_ends_as_it_was_told_before(
    calls: Make, wish: str, status: str
) -> None:
    case = calls(WIPED).configure(kill_grace=30.0)
    control = RunControl()
    hold = Hold()
    scripted = case.answers({"y": hold})
    end = case.begin(control)
    hold.wait_begun()
    if wish == "cancel":
        control.cancel("ann", "enough")
    else:
        control.interrupt()
    control.kill()
    record = end()
    assert (record.status, record.reason) == (status, "user" if wish == "cancel" else "interrupt")
    assert scripted.paths == ["a", "kid/c", "kid/always/y"]


def test_its_always_block_gets_less_time_once_the_system_ends_the_process(calls: Make) -> None:
    case = calls(WIPED)
    clock = case.clock = FakeClock()
    control = RunControl()
    hold = Hold()
    case.answers({"y": hold})
    end = case.begin(control)
    hold.wait_begun()
    clock.advance(100)
    control.interrupt("sigterm")
    clock.wait_for_timer(120)
    clock.advance(20)
    assert end().reason == "sigterm"
    assert (case.statuses["kid/always/y"], case.statuses["kid/always/x"]) == ("cancelled", "skipped")
    assert case.statuses["always#1/z"] == "completed"
