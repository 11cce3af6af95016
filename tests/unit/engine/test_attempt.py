from __future__ import annotations

import math
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from runkon.engine.cancellation import RunControl
from runkon.engine.retry import delay_ms
from runkon.errors import Cancelled, Fatal, Transient
from runkon.language.nodes import StepOptions
from runkon.model.events import AttemptStarted
from runkon.model.failures import StepFailure
from runkon.model.ids import RunID, StepPath
from runkon.model.output import Output
from runkon.testing import FakeClock, Hold

Make = Callable[[str], Any]


def of(case: Any, kind: str) -> list[Any]:
    return [event for event in case.events if event.kind == kind]


# ── what an attempt is asked ──────────────────────────────────────────────────────────────────────
def test_the_request_says_everything_about_the_attempt(flow: Make, tmp_path: Path) -> None:
    case = flow(
        'call a do { output = "outer" with = ["o"] do x { with = ["i"]'
        ' call b { with = ["own"] inputs = { k = a.n } plugin_dirs = ["p"] max_cost_usd = 2 } } }'
    ).configure(model="m", log_dir=tmp_path)
    case.write(".runkon/schemas/outer.yaml", "fields: {}")
    seen: list[object] = []
    scripted = case.answers(
        {"a": {"n": [1], "context": "c"}, "b": lambda request: seen.append(request.inputs["prior_context"])}
    )
    case.start()
    request = scripted.calls[1]
    assert (request.run_id, request.workflow, request.path, request.name) == (case.run_id, "w", "x/b", "b")
    assert (request.schema, request.snippets, request.model) == ("outer", ("i", "o", "own"), "m")
    assert request.inputs["k"] == [1]
    assert seen == ["c"]
    assert (request.plugin_dirs, request.max_cost_usd) == (("p",), 2)
    assert request.log_path == tmp_path / case.run_id / "x~b.log"
    assert not request.log_path.parent.exists()
    assert request.idempotency_key == f"{case.run_id}:x/b:1"
    assert request.working_dir == case.config.working_dir


def test_a_script_gets_its_command_with_values_quoted(flow: Make) -> None:
    case = flow('inputs { who } script s { run = "echo {{who}} {{none}}" env = { W = "{{who}}" } timeout = 30s }')
    case.inputs = {"who": "a b'c"}
    scripted = case.answers({})
    case.start()
    request = scripted.calls[0]
    assert request.options["run"] == "echo 'a b'\\''c' "
    assert request.options["env"] == {"W": "a b'c"}
    assert request.timeout == 30


def test_the_executor_is_chosen_by_settings_then_option_then_agent(flow: Make) -> None:
    case = flow("call a call b { executor = other } call c { id = cc executor = other }")
    case.configure(executors={"cc": "third"})
    asked: list[str] = []
    scripted = case.answers({})

    class Named:
        def find(self, name: str) -> Any:
            asked.append(name)
            return scripted

        def names(self) -> tuple[str, ...]:
            return ()

    case.executor = Named()
    case.start()
    assert asked == ["a", "other", "third"]


def test_an_unknown_executor_fails_the_step_without_an_attempt(flow: Make) -> None:
    case = flow("call a { retries = 3 }")

    class Nobody:
        def find(self, name: str) -> None:
            return None

        def names(self) -> tuple[str, ...]:
            return ()

    case.executor = Nobody()
    record = case.start()
    assert record.status == "failed"
    assert case.steps["a"].error.kind == "fatal"
    assert of(case, "attempt_started") == []


def test_a_value_that_cannot_be_made_fails_the_attempt(flow: Make) -> None:
    case = flow('meta { strict = true } call a { inputs = { x = "{{nobody}}" } }')
    scripted = case.answers({})
    assert case.start().status == "failed"
    assert case.steps["a"].error.kind == "value"
    assert scripted.calls == ()


def test_progress_lines_reach_the_watcher(flow: Make) -> None:
    case = flow("call a")
    seen: list[tuple[str, str]] = []
    case.progress = lambda path, text: seen.append((path, text))
    case.answers({"a": lambda request: request.emit("reading")})
    case.start()
    assert seen == [("a", "reading")]


def test_a_warning_of_an_executor_stays_on_record_without_secrets(flow: Make) -> None:
    case = flow("inputs { key secret } call a")
    case.inputs = {"key": "hunter2"}
    asked: list[Any] = []
    case.answers({"a": lambda request: (asked.append(request), request.warn("no hunter2 here"))[0]})
    assert case.start().status == "completed"
    notes = of(case, "note")
    assert [(note.level, note.path, note.text) for note in notes] == [("warning", "a", "no «secret:key» here")]
    asked[0].warn("nobody writes any more")
    assert of(case, "note") == notes


# ── what it may answer ────────────────────────────────────────────────────────────────────────────
@pytest.mark.parametrize(
    "answer",
    [
        {"n": math.nan}, {"n": math.inf}, {"n": object()}, {"n": {1: 2}}, {1: 2}, {"s": "\ud800"}, 3,
        {"markers": "x"}, {"context": 3}, Output(context=3), Output(markers=frozenset({3})), Output(context="\ud800"),
    ],
)  # fmt: skip
def test_an_answer_that_cannot_be_stored_fails_the_attempt(flow: Make, answer: Any) -> None:
    class Strange:
        name, version, effect, metered = "x", "1", "read", False

        def execute(self, request: Any) -> Any:
            return answer

        def find(self, name: str) -> Any:
            return self

        def names(self) -> tuple[str, ...]:
            return ()

    case = flow("call a")
    case.executor = Strange()
    assert case.start().status == "failed"
    assert case.steps["a"].error.kind == "value"
    assert case.record.reason == "invalid_value"


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (RuntimeError("x"), "exception"), (SystemExit(3), "exception"), (KeyboardInterrupt(), "exception"),
        (Transient("x"), "transient"), (Fatal("x"), "fatal"), (StepFailure("exit", "x"), "exit"),
        (Cancelled("x"), "exception"),
    ],
)  # fmt: skip
def test_whatever_an_executor_raises_becomes_a_failure_with_its_kind(flow: Make, error: Any, kind: str) -> None:
    case = flow("call a")
    case.answers({"a": error})
    assert case.start().status == "failed"
    assert case.steps["a"].error.kind == kind


def test_an_exception_without_usable_text_is_survived(flow: Make) -> None:
    class Mute(Exception):
        def __str__(self) -> str:
            raise RuntimeError("no words")

    case = flow("call a")
    case.answers({"a": Mute()})
    assert case.start().status == "failed"
    assert case.steps["a"].error.message == "executor `scripted` raised Mute"


def test_of_a_stream_the_last_output_counts(flow: Make) -> None:
    class Stream:
        name, version, effect, metered = "x", "1", "read", False

        def execute(self, request: Any) -> Any:
            yield {"n": 1}
            yield {"n": 2}

        def find(self, name: str) -> Any:
            return self

        def names(self) -> tuple[str, ...]:
            return ()

    case = flow("call a")
    case.executor = Stream()
    case.start()
    assert case.steps["a"].output.values == {"n": 2}


# ── again ─────────────────────────────────────────────────────────────────────────────────────────
def test_retries_are_attempts_of_one_step(flow: Make) -> None:
    case = flow("call a { retries = 2 }")
    scripted = case.answers({"a": [RuntimeError("1"), RuntimeError("2"), {"markers": ["ok"]}]})
    assert case.start().status == "completed"
    assert [event.number for event in of(case, "attempt_started")] == [0, 1, 2]
    assert [request.previous_error for request in scripted.calls] == [
        None, "executor `scripted` raised RuntimeError: 1", "executor `scripted` raised RuntimeError: 2",
    ]  # fmt: skip
    assert [event.delay_ms for event in of(case, "retry_scheduled")] == [0, 0]
    assert case.steps["a"].attempts == 3


def test_only_an_answer_that_was_not_accepted_is_a_correction(flow: Make) -> None:
    case = flow("call a { retries = 3 }")
    scripted = case.answers({"a": [StepFailure("schema", "no `n`"), Transient("too many"), RuntimeError("x"), None]})
    assert case.start().status == "completed"
    assert [request.refused for request in scripted.calls] == [None, "no `n`", "no `n`", "no `n`"]
    assert scripted.calls[2].previous_error == "too many"


def test_an_error_of_the_provider_is_no_correction(flow: Make) -> None:
    case = flow("call a { retries = 1 }")
    scripted = case.answers({"a": [Transient("429: too many"), None]})
    assert case.start().status == "completed"
    assert [(request.previous_error, request.refused) for request in scripted.calls] == [
        (None, None), ("429: too many", None),
    ]  # fmt: skip


def test_exhausted_retries_fail_the_step_with_the_last_error(flow: Make) -> None:
    case = flow("call a { retries = 1 }")
    case.answers({"a": [RuntimeError("1"), RuntimeError("2")]})
    record = case.start()
    assert record.error == "`a` failed after 2 attempts: executor `scripted` raised RuntimeError: 2"


def test_fatal_is_never_retried_and_closes_the_executor_for_the_leg(flow: Make) -> None:
    case = flow("call a { retries = 3 on_fail = continue } call b")
    scripted = case.answers({"a": Fatal("no credit")})
    assert case.start().status == "failed"
    assert scripted.paths == ["a"]
    assert case.steps["b"].error.message == "no credit"
    scripted = case.answers({})
    assert case.resume().status == "completed"
    assert scripted.paths == ["b"]


@pytest.mark.parametrize(
    ("kinds", "error", "calls"),
    [
        ("[transient]", Transient("x"), 2), ("[transient]", RuntimeError("x"), 1), ("[exit, schema]",
        StepFailure("schema", "x"), 2), ("[any]", RuntimeError("x"), 2), ("[timeout]", StepFailure("exit", "x"), 1),
    ],
)  # fmt: skip
def test_retry_on_selects_kinds(flow: Make, kinds: str, error: Exception, calls: int) -> None:
    case = flow(f"call a {{ retries = 1 retry_on = {kinds} }}")
    scripted = case.answers({"a": [error, None]})
    case.start()
    assert len(scripted.calls) == calls


def test_waits_grow_to_their_limit(flow: Make) -> None:
    case = flow("call a { retries = 4 delay = 1ms max_delay = 3ms jitter = false }")
    case.answers({"a": RuntimeError("x")})
    assert case.start().status == "failed"
    assert [event.delay_ms for event in of(case, "retry_scheduled")] == [1, 2, 3, 3]
    assert [event.retries_left for event in of(case, "retry_scheduled")] == [3, 2, 1, 0]


def test_jitter_shortens_the_wait_by_at_most_half_and_can_be_foretold() -> None:
    options = StepOptions(retries=3, delay=1000)
    delays = [delay_ms(options, 0, RunID("r"), StepPath("a"), number) for number in range(50)]
    assert all(500 <= delay <= 1000 for delay in delays)
    assert len(set(delays)) > 10
    assert delays == [delay_ms(options, 0, RunID("r"), StepPath("a"), number) for number in range(50)]
    assert delay_ms(StepOptions(retries=3, backoff="fixed"), 5, RunID("r"), StepPath("a"), 1) == 1000


def test_a_server_may_raise_the_wait_but_not_lower_it(flow: Make) -> None:
    case = flow("call a { retries = 2 backoff = fixed delay = 20ms }")
    case.answers({"a": [Transient("x", retry_after=0.03), Transient("x", retry_after=0.001), None]})
    assert case.start().status == "completed"
    assert [event.delay_ms for event in of(case, "retry_scheduled")] == [30, 20]


def test_a_wait_that_was_cut_off_only_waits_its_rest(flow: Make) -> None:
    case = flow("call a { retries = 1 backoff = fixed delay = 40s }")
    clock = case.clock = FakeClock()
    control = RunControl()
    case.answers({"a": RuntimeError("x")})
    end = case.begin(control)
    clock.wait_for_timers(2)
    control.interrupt()
    assert end().status == "interrupted"
    assert case.statuses["a"] == "backoff"
    clock.advance(50)
    scripted = case.answers({})
    assert case.resume().status == "completed"
    assert scripted.calls[0].previous_error == "executor `scripted` raised RuntimeError: x"


# ── time ──────────────────────────────────────────────────────────────────────────────────────────
def test_a_timeout_ends_the_attempt_which_is_retried_and_fails_the_run(flow: Make) -> None:
    case = flow("call a { timeout = 20ms retries = 1 }")
    scripted = case.answers({"a": Hold()})
    record = case.start()
    assert record.status == "failed"
    assert record.error == "`a` timed out after 2 attempts: not done after 20ms"
    assert len(scripted.calls) == 2
    assert case.statuses["a"] == "timed_out"
    assert all(event.deadline_at is not None for event in of(case, "attempt_started"))


def test_a_timed_out_step_can_be_passed_over(flow: Make) -> None:
    case = flow("call a { timeout = 20ms on_fail = continue } call b")
    scripted = case.answers({"a": Hold()})
    assert case.start().status == "completed"
    assert case.steps["a"].handled == "continue"
    assert scripted.paths == ["a", "b"]


def test_an_executor_that_ignores_its_timeout_is_given_up(flow: Make) -> None:
    case = flow("call a { timeout = 1s retries = 1 }").configure(kill_grace=0.01, max_parallel=1)
    release, back = threading.Event(), threading.Event()

    def deaf(request: Any) -> Any:
        release.wait(30)
        back.set()
        return {"markers": ["late"]}

    case.answers({"a": [deaf, {"markers": ["ok"]}]})
    assert case.start().status == "completed"
    assert of(case, "attempt_timed_out")[0].abandoned
    assert [note.code for note in of(case, "note")] == ["attempt-abandoned"]
    assert case.steps["a"].output.markers == {"ok"}
    events = len(case.events)
    release.set()
    back.wait(30)
    assert len(case.events) == events


def test_what_an_executor_gives_back_once_its_time_is_up_is_no_result(flow: Make) -> None:
    case = flow("call a { timeout = 20s }").configure(kill_grace=30.0)
    clock = case.clock = FakeClock()
    begun, told = threading.Event(), threading.Event()

    def late(request: Any) -> Any:
        request.cancel.on_cancel(told.set)
        begun.set()
        told.wait(30)
        return {"markers": ["ok"]}

    case.answers({"a": late})
    end = case.begin()
    begun.wait(30)
    clock.advance(20)
    assert end().status == "failed"
    assert case.statuses["a"] == "timed_out"
    assert case.steps["a"].output.markers == frozenset()


def test_a_call_is_told_how_long_it_may_be_silent(flow: Make) -> None:
    case = flow("call a { idle_timeout = 10s }\ncall b")
    seen: dict[str, Any] = {}
    case.answers({name: lambda request: seen.update({request.name: dict(request.options)}) for name in ("a", "b")})
    assert case.start().status == "completed"
    assert seen == {"a": {"idle_timeout": 10.0}, "b": {}}


@pytest.mark.parametrize("text", ["alive", ""])
def test_signs_of_life_put_the_idle_timeout_off(flow: Make, text: str) -> None:
    case = flow("call a { idle_timeout = 10s }")
    clock = case.clock = FakeClock()
    hold = Hold()
    sign = threading.Event()
    signed = threading.Event()

    def work(request: Any) -> Any:
        sign.wait(30)
        request.emit(text)
        signed.set()
        return hold.answer(request)

    case.answers({"a": work})
    end = case.begin()
    clock.wait_for_timers(2)
    clock.advance(6)
    sign.set()
    signed.wait(30)
    clock.advance(6)
    hold.wait_begun()
    clock.advance(6)
    assert end().status == "failed"
    assert case.steps["a"].error.kind == "idle"
    assert case.statuses["a"] == "timed_out"


def test_a_cancel_during_a_timed_step_is_no_timeout(flow: Make) -> None:
    case = flow("call a { timeout = 1h retries = 3 }")
    control = RunControl()
    hold = Hold()
    scripted = case.answers({"a": hold})
    end = case.begin(control)
    hold.wait_begun()
    control.cancel("kim", "enough")
    assert end().status == "cancelled"
    assert case.statuses["a"] == "cancelled"
    assert len(scripted.calls) == 1


# ── after the last attempt ────────────────────────────────────────────────────────────────────────
def test_a_fallback_is_one_more_attempt_flagged_degraded(flow: Make) -> None:
    case = flow("call a { retries = 1 fallback = b } if a.ok { call c }")
    good = case.answers({"b": {"markers": ["ok"]}})

    class Two:
        name, version, effect, metered = "bad", "1", "read", False

        def execute(self, request: Any) -> Any:
            raise RuntimeError("no")

    class Choice:
        def find(self, name: str) -> Any:
            return Two() if name == "a" else Good()

        def names(self) -> tuple[str, ...]:
            return ()

    class Good:
        name, version, effect, metered = "good", "1", "read", False

        def execute(self, request: Any) -> Any:
            return {"markers": ["ok"]}

    assert good
    case.executor = Choice()
    assert case.start().status == "completed"
    started: list[AttemptStarted] = of(case, "attempt_started")
    assert [(event.number, event.executor) for event in started] == [(0, "bad"), (1, "bad"), (2, "good"), (0, "good")]
    assert case.steps["a"].output.degraded
    assert case.statuses["c"] == "completed"


def test_on_fail_continue_leaves_a_failed_step_without_markers_and_goes_on(flow: Make) -> None:
    case = flow('call a { on_fail = continue } if a.ok { call b } if a.status == "failed" { call c }')
    scripted = case.answers({"a": RuntimeError("no")})
    assert case.start().status == "completed"
    assert scripted.paths == ["a", "c"]
    assert (case.steps["a"].status, case.steps["a"].handled) == ("failed", "continue")


def test_the_agent_of_on_fail_is_told_and_the_step_still_fails(flow: Make) -> None:
    case = flow("call a { retries = 1 on_fail = mourner } call b always { call z }")
    scripted = case.answers({"a": RuntimeError("no")})
    assert case.start().status == "failed"
    assert scripted.paths == ["a", "a", "a/on_fail", "always#1/z"]
    told = scripted.calls[2].inputs
    assert (told["failed_step"], told["retry_count"]) == ("a", "1")
    assert "RuntimeError: no" in str(told["failure_reason"])
    assert "failed_step" not in scripted.calls[3].inputs
    assert case.statuses["a/on_fail"] == "completed"


def test_an_agent_of_on_fail_that_fails_changes_nothing(flow: Make) -> None:
    case = flow("call a { on_fail = mourner }")
    case.answers({"a": RuntimeError("no"), "mourner": RuntimeError("me too")})
    record = case.start()
    assert record.error == "`a` failed: executor `scripted` raised RuntimeError: no"
    assert case.statuses == {"a": "failed", "a/on_fail": "failed"}


def test_the_agent_of_on_fail_is_told_again_when_a_resumed_step_fails_again(flow: Make) -> None:
    case = flow("call a { on_fail = mourner }")
    case.answers({"a": RuntimeError("no")})
    case.start()
    scripted = case.answers({"a": RuntimeError("again")})
    case.resume()
    assert scripted.paths == ["a", "a/on_fail"]
    assert "again" in str(scripted.calls[1].inputs["failure_reason"])
    assert case.steps["a/on_fail"].epoch == 2


def test_a_condition_skips_a_step_and_leaves_a_record(flow: Make) -> None:
    case = flow('call a call b { if = a.ok } call c { if = not a.ok } if b.status == "skipped" { call d }')
    scripted = case.answers({})
    assert case.start().status == "completed"
    assert scripted.paths == ["a", "c", "d"]
    assert case.steps["b"].skip_reason == "condition"
