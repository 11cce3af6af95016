"""Steps whose last attempt ended unseen: asked about, decided, never run twice by surprise."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from runkon.engine.cancellation import RunControl
from runkon.engine.resume import Resumption
from runkon.errors import StoreUnavailable
from runkon.language.parser import parse
from runkon.language.program import CheckedWorkflow
from runkon.language.source import SourceFile
from runkon.model.gates import is_undecided
from runkon.model.records import GateAnswer
from runkon.testing import Hold

Make = Callable[[str], Any]

CHAIN = """
  call plan { effect = write }
  call after { inputs = { seen = plan.n } }
  always { call tidy }
"""


def killed(flow: Make, body: str, path: str, answers: dict[str, Any] | None = None) -> Any:
    """A run whose process died in the step at `path`."""
    case = flow(body)
    case.answers(answers or {})
    case.start()
    return case.kill_in(path)


def of(case: Any, kind: str) -> list[Any]:
    return [event for event in case.events if event.kind == kind]


def test_a_step_that_writes_is_asked_about_and_the_run_waits_without_its_always_block(flow: Make) -> None:
    case = killed(flow, CHAIN, "plan")
    scripted = case.answers({})
    record = case.resume()
    assert scripted.calls == ()
    assert (record.status, record.waiting_on, record.holder) == ("waiting", ("unknown:plan",), None)
    assert case.statuses == {"plan": "waiting"}
    opened = of(case, "gate_opened")[0]
    assert (opened.type, opened.options, opened.occurrence) == ("unknown", ("rerun", "done", "failed"), 1)
    assert opened.prompt == (
        "nobody saw how attempt 1 of call `plan` ended: the process that ran it was lost; "
        "it may have done all of its work, a part of it, or none"
    )
    assert case.kinds[-1] == "run_waiting"


def test_a_second_leg_without_an_answer_opens_nothing_new(flow: Make) -> None:
    case = killed(flow, CHAIN, "plan")
    case.resume()
    assert case.resume().status == "waiting"
    assert len(of(case, "gate_opened")) == 1


def test_rerun_makes_the_next_attempt(flow: Make) -> None:
    case = killed(flow, CHAIN, "plan")
    case.resume()
    case.answer("plan", "rerun")
    scripted = case.answers({})
    assert case.resume().status == "completed"
    assert [(call.path, call.attempt) for call in scripted.calls[:1]] == [("plan", 1)]
    decided = of(case, "gate_decided")[0]
    assert (decided.decision, decided.by, decided.via, decided.reason) == ("rerun", "ann", "cli", "because")
    assert of(case, "attempt_started")[1].why == "answered"


def test_done_settles_the_step_with_the_output_that_was_given(flow: Make) -> None:
    case = killed(flow, CHAIN, "plan")
    case.resume()
    case.answer("plan", "done", output={"n": 7, "markers": ["ok"], "context": "by hand"})
    seen: list[object] = []
    scripted = case.answers({"after": lambda request: seen.append(request.inputs["seen"])})
    assert case.resume().status == "completed"
    assert "plan" not in scripted.paths
    assert seen == [7]
    step = case.steps["plan"]
    assert (step.status, step.output.markers, step.output.context, step.attempts) == (
        "completed", {"ok"}, "by hand", 1,
    )  # fmt: skip
    assert next(event for event in of(case, "step_completed") if event.path == "plan").decided_by == "ann"


def test_failed_fails_the_step_and_on_fail_decides(flow: Make) -> None:
    body = "call plan { effect = write on_fail = continue } call after"
    case = killed(flow, body, "plan")
    case.resume()
    case.answer("plan", "failed")
    scripted = case.answers({})
    assert case.resume().status == "completed"
    assert scripted.paths == ["after"]
    error = case.steps["plan"].error
    assert (error.kind, error.message) == ("unknown_outcome", "ann decided that it failed: because")


def test_an_output_that_can_not_be_stored_fails_the_step_instead_of_asking_for_ever(flow: Make) -> None:
    case = killed(flow, CHAIN, "plan")
    case.resume()
    case.answer("plan", "done", output={"markers": "not a list"})
    assert case.resume().status == "failed"
    assert case.steps["plan"].error.kind == "value"
    assert "the output that ann gave is unusable" in case.steps["plan"].error.message


def test_an_answer_given_before_anybody_asked_counts(flow: Make) -> None:
    case = killed(flow, CHAIN, "plan")
    case.answer("plan", "done", output={"n": 1}, epoch=1, attempt=0)
    assert case.resume().status == "completed"
    assert [event.kind for event in case.events if getattr(event, "path", None) == "plan"] == [
        "attempt_started", "attempt_cut_off", "gate_opened", "gate_decided", "step_completed",
    ]  # fmt: skip


def test_an_answer_about_another_attempt_does_not_count(flow: Make) -> None:
    case = killed(flow, CHAIN, "plan")
    case.answer("plan", "done", output={"n": 1}, epoch=1, attempt=3)
    assert case.resume().status == "waiting"
    assert of(case, "gate_opened")[0].occurrence == 2
    case.answer("plan", "rerun", occurrence=2)
    assert case.resume().status == "completed"


def test_every_loss_is_asked_about_anew_and_no_crash_limit_ends_what_people_decide(flow: Make) -> None:
    case = killed(flow, CHAIN, "plan")
    for number in range(1, 5):
        assert case.resume().status == "waiting"
        assert of(case, "gate_opened")[-1].occurrence == number
        case.answer("plan", "rerun", occurrence=number)
        case.answers({})
        case.resume()
        case.kill_in("plan")
    assert case.steps["plan"].attempts == 5


@pytest.mark.parametrize("ruling", ["rerun", "done", "failed"])
def test_a_crash_between_any_two_records_of_a_decision_resumes_to_the_same_end(flow: Make, ruling: str) -> None:
    case = killed(flow, CHAIN.replace("effect = write", "effect = write on_fail = continue"), "plan")
    lost = len(case.events)
    case.resume()
    waiting = len(case.events)
    case.answer("plan", ruling, output={"n": 2})
    case.answers({})
    end = case.resume().status
    total, expected = len(case.events), case.statuses["plan"]
    story = case.store
    for count in range(lost, total):
        case.store = story
        case.kill_at(count)
        begun = sum(1 for event in of(case, "attempt_started") if event.path == "plan")
        case.answers({})
        record = case.resume()
        while record.status == "waiting":  # the second attempt was lost as well
            assert begun == 2, count
            case.answer("plan", ruling, occurrence=2, output={"n": 2})
            record = case.resume()
        assert (record.status, case.statuses["plan"]) == (end, expected), count
        assert len(of(case, "gate_decided")) == len(of(case, "gate_opened"))
    assert waiting < total


# ── effect and on_unknown ─────────────────────────────────────────────────────────────────────────
@pytest.mark.parametrize(
    ("options", "status"),
    [
        ("", "completed"),
        ("effect = pure", "completed"),
        ("effect = read", "completed"),
        ("effect = write", "waiting"),
        ("on_unknown = ask", "waiting"),
        ("effect = write on_unknown = rerun", "completed"),
        ("effect = read on_unknown = fail", "failed"),
        ("effect = write on_unknown = fail", "failed"),
    ],
)
def test_what_follows_an_unseen_end(flow: Make, options: str, status: str) -> None:
    case = killed(flow, f"call a {{ {options} }}", "a")
    scripted = case.answers({})
    assert case.resume().status == status
    assert len(scripted.calls) == (status == "completed")
    if status == "failed":
        assert case.steps["a"].error.kind == "unknown_outcome"


def test_the_effect_and_version_of_the_executor_are_on_record(flow: Make) -> None:
    case = flow("call a call b { effect = read } call c { effect = pure }")
    scripted = case.answers({})
    scripted.effect, scripted.version = "write", "2"
    case.start()
    started = of(case, "attempt_started")
    assert [event.effect for event in started] == ["write", None, "pure"]
    assert {event.executor_version for event in started} == {"2"}


def test_in_a_dry_run_nothing_can_be_done_by_what_is_not_called(flow: Make) -> None:
    case = flow('script s { run = "rm x" effect = write } call a { effect = write }').configure(dry_run=True)
    case.answers({})
    case.start()
    assert [event.effect for event in of(case, "attempt_started")] == [None, "write"]


def test_a_pause_that_was_seen_to_end_asks_nothing(flow: Make) -> None:
    case = flow("call a { effect = write }")
    hold, control = Hold(), RunControl()
    case.answers({"a": hold})
    end = case.begin(control)
    hold.wait_begun()
    control.interrupt()
    assert end().status == "interrupted"
    case.answers({})
    assert case.resume().status == "completed"
    assert [event.why for event in of(case, "attempt_started")] == [None, "cut_off"]


def test_an_earlier_loss_is_no_question_once_the_newest_attempt_was_seen_to_end(flow: Make) -> None:
    case = killed(flow, "call a { on_unknown = rerun }", "a")
    hold, control = Hold(), RunControl()
    case.answers({"a": hold})
    case.runner()
    import threading

    leg = threading.Thread(target=lambda: case.resume(control), daemon=True)
    leg.start()
    hold.wait_begun()
    control.interrupt()
    leg.join(30)
    step = case.steps["a"]
    assert (step.status, step.cut_offs, is_undecided(step)) == ("interrupted", 1, False)


# ── blocks ────────────────────────────────────────────────────────────────────────────────────────
def test_other_branches_go_on_and_the_block_waits(flow: Make) -> None:
    body = "parallel p { max_parallel = 1 call w { effect = write } call x do { call y call z } } call after"
    case = killed(flow, body, "p/w")
    scripted = case.answers({})
    assert case.resume().status == "waiting"
    assert sorted(scripted.paths) == ["p/x", "p/y", "p/z"]
    assert case.statuses["p/w"] == "waiting"
    assert "p" not in case.statuses
    case.answer("p/w", "done", output={})
    scripted = case.answers({})
    assert case.resume().status == "completed"
    assert scripted.paths == ["after"]


def test_what_waits_is_undecided_for_min_success_and_no_failure_for_fail_fast(flow: Make) -> None:
    body = "parallel p { max_parallel = 1 min_success = 1 call w { effect = write } call bad call x }"
    case = killed(flow, body, "p/w")
    scripted = case.answers({"bad": RuntimeError("bad")})
    assert case.resume().status == "waiting"
    assert sorted(scripted.paths) == ["p/bad", "p/x"]
    case.answer("p/w", "failed")
    assert case.resume().status == "completed"
    assert case.steps["p/w"].handled == "min_success"


def test_until_skips_what_waits(flow: Make) -> None:
    body = "parallel p { max_parallel = 1 until = q.found call w { effect = write } call q } call after"
    case = killed(flow, body, "p/w")
    case.answers({"q": {"markers": ["found"]}})
    assert case.resume().status == "completed"
    assert case.statuses == {"p/w": "skipped", "p/q": "completed", "p": "completed", "after": "completed"}
    assert [event.decision for event in of(case, "gate_decided")] == ["withdrawn"]


@pytest.mark.parametrize("branch", ["call w { effect = write }", "if ready { call w { effect = write } }"])
def test_a_lost_block_withdraws_the_question_and_a_resume_asks_again(flow: Make, branch: str) -> None:
    body = f"inputs {{ ready boolean default = true }} parallel p {{ max_parallel = 1 {branch} call bad }}"
    case = killed(flow, body, "p/w")
    case.answers({"bad": RuntimeError("bad")})
    record = case.resume()
    assert record.status == "failed"
    step = case.steps["p/w"]
    assert (step.status, step.skip_reason) == ("cancelled", "undecided")
    assert [event.decision for event in of(case, "gate_decided")] == ["withdrawn"]
    scripted = case.answers({})
    assert case.resume().status == "waiting"
    assert scripted.paths == ["p/bad"]
    assert of(case, "gate_opened")[-1].occurrence == 2
    case.answer("p/w", "rerun", occurrence=2)
    assert case.resume().status == "completed"


def test_a_block_that_was_lost_before_the_question_came_up_keeps_it_for_later(flow: Make) -> None:
    body = "parallel p { max_parallel = 1 call bad call w { effect = write } }"
    case = flow(body)
    case.answers({})
    case.start()
    case.kill_in("p/w")
    head = [event for event in case.events if getattr(event, "path", None) == "p/bad"]
    assert head  # both branches had begun: `bad` runs again, and fails first
    record_before = case.steps["p/w"]
    assert record_before.status == "running"
    case.answers({"bad": RuntimeError("bad")})
    case.resume()
    assert is_undecided(case.steps["p/w"]) or case.statuses["p/w"] == "waiting"


def test_a_loop_waits_in_its_round_and_goes_on_from_there(flow: Make) -> None:
    body = "do { max_iterations = 3 call w { effect = write } } while w.more call after"
    answers = {"w": [{"markers": ["more"]}, {"markers": ["more"]}, {}]}
    case = killed(flow, body, "do[1]/w", answers)
    case.answers({"w": RuntimeError("not called")})
    record = case.resume()
    assert (record.status, record.waiting_on) == ("waiting", ("unknown:do[1]/w",))
    case.answer("do[1]/w", "done", output={"markers": ["more"]})
    scripted = case.answers({"w": {}})
    assert case.resume().status == "completed"
    assert scripted.paths == ["do[2]/w", "after"]


def test_the_run_waits_although_an_earlier_failure_did_not_stop_it(flow: Make) -> None:
    case = flow("call bad call w { effect = write }").configure(fail_fast=False)
    case.answers({"bad": RuntimeError("bad")})
    case.start()
    case.kill_in("w")
    case.answers({"bad": RuntimeError("bad")})
    assert case.resume().status == "waiting"


# ── ends ──────────────────────────────────────────────────────────────────────────────────────────
def test_a_cancelled_run_withdraws_its_questions_and_runs_its_always_block(flow: Make) -> None:
    case = killed(flow, CHAIN, "plan")
    case.resume()
    control = RunControl()
    control.cancel("ann", "enough")
    scripted = case.answers({})
    assert case.resume(control).status == "cancelled"
    assert scripted.paths == ["always#3/tidy"]
    assert case.statuses["plan"] == "cancelled"
    assert case.kinds[-3:] == ["gate_decided", "step_cancelled", "run_cancelled"]
    assert of(case, "gate_decided")[0].reason == "the run ended"


def test_an_interrupt_keeps_the_question_open(flow: Make) -> None:
    case = killed(flow, CHAIN, "plan")
    case.resume()
    control = RunControl()
    control.interrupt()
    assert case.resume(control).status == "interrupted"
    assert [gate.decision for gate in case.store.gates(case.run_id)] == [None]
    case.answer("plan", "rerun")
    assert case.resume().status == "completed"


def test_an_answer_that_comes_while_the_leg_ends_is_taken_at_once(flow: Make) -> None:
    case = killed(flow, CHAIN, "plan")

    class Answering:
        def emit(self, envelope: Any) -> None:
            if envelope.event.kind == "run_waiting":
                case.answer("plan", "done", output={})

    case.sinks = (Answering(),)
    assert case.resume().status == "completed"
    assert case.kinds.count("run_resumed") == 2


def test_an_answer_to_a_question_the_run_does_not_come_to_begins_no_leg_after_leg(flow: Make) -> None:
    case = killed(flow, "call first call plan { effect = write }", "plan")
    case.resume()
    source = SourceFile(
        "flow.wf", 'workflow w { call first { effect = write model = "m" } call plan { effect = write } }'
    )
    before, case.program = case.program, CheckedWorkflow(parse(source).workflows[0], source)
    case.runner().execute(case.run_id, case.program, case.config, None, Resumption(before=before))
    case.kill_in("first")
    case.answer("plan", "rerun")
    assert case.resume().waiting_on == ("unknown:first", "unknown:plan")
    assert case.kinds.count("run_resumed") == 3
    case.answer("first", "rerun")
    assert case.resume().status == "completed"


def test_gates_that_can_not_be_read_keep_nobody_from_the_run(flow: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    case = killed(flow, CHAIN, "plan")

    def fails(_: object) -> None:
        raise StoreUnavailable("no")

    with monkeypatch.context() as patched:
        patched.setattr(case.store, "gates", fails)
        with pytest.raises(StoreUnavailable):
            case.resume()
    assert case.record.holder is None
    assert case.resume().status == "waiting"


# ── forks ─────────────────────────────────────────────────────────────────────────────────────────
def test_a_fork_asks_about_what_its_origin_left_open(flow: Make) -> None:
    case = killed(flow, CHAIN, "plan")
    scripted = case.answers({})
    runner = case.runner()
    run = runner.fork(case.record, case.program, case.config)
    record = runner.execute(run, case.program, case.config)
    assert (record.status, record.waiting_on, record.calls) == ("waiting", ("unknown:plan",), 0)
    assert scripted.calls == ()
    gate = case.store.gates(run)[0]
    assert gate.prompt.startswith(
        "nobody saw how the last attempt of call `plan` ended in the run this one is a fork of; it may have"
    )
    answer = GateAnswer(run, "unknown:plan", "rerun", "me", "cli", 0, 1)
    case.store.answer_gate(answer)
    assert runner.execute(run, case.program, case.config).status == "completed"
    assert scripted.paths == ["plan", "after", "always#2/tidy"]
