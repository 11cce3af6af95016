"""What each way to ask for a resume keeps and runs again, on whole runs in memory."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from runkon.engine.resume import NORMAL_RESUME, Resumption
from runkon.errors import UserError
from runkon.executors.script import ScriptExecutor
from runkon.language.parser import parse
from runkon.language.program import CheckedWorkflow
from runkon.language.source import SourceFile
from tests.unit.engine.test_resume import restored

Make = Callable[[str], Any]


def again(case: Any, how: Resumption, answers: dict[str, Any] | None = None) -> tuple[Any, list[str]]:
    """One more leg, asked for as `how`: its record and the paths it called."""
    scripted = case.answers(answers or {})
    record = case.runner().execute(case.run_id, case.program, case.config, None, how)
    return record, sorted(scripted.paths)


def fork(case: Any, how: Resumption = NORMAL_RESUME, answers: dict[str, Any] | None = None) -> tuple[Any, list[str]]:
    scripted = case.answers(answers or {})
    runner = case.runner()
    run = runner.fork(case.record, case.program, case.config, how)
    return runner.execute(run, case.program, case.config, None, how), sorted(scripted.paths)


def edited(case: Any, body: str) -> Resumption:
    """Go on with another text, whose program takes the place of the case's own."""
    before, source = case.program, SourceFile("flow.wf", f"workflow w {{\n{body}\n}}\n")
    parsed = parse(source)
    assert parsed.ok, parsed.diagnostics
    case.program = CheckedWorkflow(parsed.workflows[0], source)
    return Resumption(before=before)


def with_scripts(others: Any) -> Any:
    """The executors of a test, and the real one for scripts."""

    class Both:
        def find(self, name: str) -> Any:
            return ScriptExecutor() if name == "script" else others.find(name)

        def names(self) -> tuple[str, ...]:
            return ("script",)

    return Both()


def told(case: Any, kind: str) -> list[Any]:
    return [event for event in case.events if event.kind == kind]


def reads(*names: str) -> Callable[[Any], dict[str, str]]:
    return lambda request: {"context": " ".join(str(request.inputs.get(name)) for name in names)}


# ── from ──────────────────────────────────────────────────────────────────────────────────────────
def test_from_a_step_of_a_chain_keeps_what_came_before(flow: Make) -> None:
    case = flow("call a call b call c")
    case.answers({})
    case.start()
    record, called = again(case, Resumption(step="b"))
    assert (record.status, called) == ("completed", ["b", "c"])
    resumed = told(case, "run_resumed")[0]
    assert (resumed.mode, resumed.reused, resumed.rerun, resumed.crashed) == ("from", 1, 2, False)
    assert {path: step.epoch for path, step in case.steps.items()} == {"a": 1, "b": 2, "c": 2}
    kinds = case.kinds[case.kinds.index("run_resumed") :]
    assert kinds[:3] == ["run_resumed", "step_superseded", "step_superseded"]


def test_from_a_branch_keeps_its_siblings_and_runs_what_follows_the_join(flow: Make) -> None:
    case = flow("call a parallel checks { call lint  do { call b call c } call deep } call end")
    case.answers({})
    case.start()
    _, called = again(case, Resumption(step="checks/b"))
    assert called == ["checks/b", "checks/c", "end"]
    assert case.steps["checks"].epoch == 2
    assert case.steps["checks/lint"].epoch == 1


def test_from_inside_a_round_keeps_the_rounds_before(flow: Make) -> None:
    body = "do { max_iterations = 5 call review call fix } while review.more call end"

    def review(request: Any) -> Any:
        return {"markers": ["more"] if "[2]" not in request.path else []}

    case = flow(body)
    case.answers({"review": review})
    case.start()
    _, called = again(case, Resumption(step="do[1]/fix"), {"review": review})
    assert called == ["do[1]/fix", "do[2]/fix", "do[2]/review", "end"]
    _, called = again(case, Resumption(step="do[1]"), {"review": review})
    assert called == ["do[1]/fix", "do[1]/review", "do[2]/fix", "do[2]/review", "end"]
    _, called = again(case, Resumption(step="do[1]/f"), {"review": review})
    assert called == ["do[1]/fix", "do[2]/fix", "do[2]/review", "end"]


@pytest.mark.parametrize(
    ("word", "message", "help"),
    [
        ("lnt", "this run has no step `lnt`", "did you mean `lint`?"),
        ("again", "`again` stands for several steps: `again`, `again#2`", None),
        ("x", "this run has no step `x`", "this run has `lint`, `one/again`, `two/again`, `one`, `two`"),
    ],
)
def test_a_step_nobody_knows_is_refused_and_changes_nothing(
    flow: Make, word: str, message: str, help: str | None
) -> None:
    case = flow("call lint do one { call again } do two { call again }")
    case.answers({})
    case.start()
    before = case.events
    with pytest.raises(UserError) as caught:
        again(case, Resumption(step=word))
    assert (caught.value.code, caught.value.exit_code) == ("unknown-step", 2)
    if word == "again":
        message, help = "`again` stands for several steps: `one/again`, `two/again`", "give the path of one of them"
    assert (caught.value.message, caught.value.help) == (message, help)
    assert case.events == before
    assert case.record.leg == 1


def test_from_and_restart_together_are_refused(flow: Make) -> None:
    case = flow("call a")
    case.answers({})
    case.start()
    with pytest.raises(UserError, match="`--from` says nothing beside it"):
        again(case, Resumption(mode="restart", step="a"))
    assert case.record.leg == 1


def test_a_crash_after_records_were_put_aside_resumes_in_their_next_epoch(flow: Make) -> None:
    case = flow("call a call b call c")
    case.answers({})
    case.start()
    before = len(case.events)
    again(case, Resumption(step="b"))
    whole = len(case.events)
    for count in range(before + 1, whole):
        cut = flow("call a call b call c")
        cut.run_id, cut.store = case.run_id, restored(case, count)
        done = {path for path, step in cut.steps.items() if step.is_settled}
        scripted = cut.answers({})
        assert cut.resume().status == "completed", count
        expected = {"a", "b", "c"} - done
        assert set(scripted.paths) == expected, count
        assert cut.steps["a"].epoch == 1


# ── restart ───────────────────────────────────────────────────────────────────────────────────────
def test_restart_runs_all_again_and_totals_go_on(flow: Make) -> None:
    case = flow("call a call b always { call tidy }")
    case.answers({})
    case.start()
    record, called = again(case, Resumption(mode="restart"))
    assert called == ["a", "always#2/tidy", "b"]
    assert (record.status, record.leg, record.calls) == ("completed", 2, 6)
    assert {path: step.epoch for path, step in case.steps.items() if "#" not in path} == {"a": 2, "b": 2}
    assert told(case, "run_resumed")[0].mode == "restart"


# ── only what failed ──────────────────────────────────────────────────────────────────────────────
def test_only_failed_runs_a_handled_failure_and_its_readers(flow: Make) -> None:
    case = flow(
        'call a call weak { on_fail = continue } call reader call plain call last { inputs { t = "{{weak.x}}" } }'
    )
    answers = {
        "a": {"context": "A"},
        "weak": RuntimeError("no"),
        "reader": reads("prior_context"),
        "last": reads("t"),
    }
    case.answers(answers)
    case.start()
    assert case.steps["weak"].handled == "continue"
    _, called = again(case, Resumption(mode="only-failed"), {**answers, "weak": {"context": "W", "x": "7"}})
    assert called == ["last", "reader", "weak"]
    assert case.steps["reader"].output.context == "W"
    assert case.steps["last"].output.context == "7"
    assert case.steps["plain"].epoch == 1
    why = {event.path: event.why for event in told(case, "step_superseded")}
    assert why == {
        "weak": "failed: executor `scripted` raised RuntimeError: no",
        "reader": "inputs changed: {{prior_context}}",
        "last": "inputs changed: {{t}}, {{weak.x}}",
    }


def test_only_failed_keeps_a_reader_that_would_see_the_same(flow: Make) -> None:
    case = flow("call a call weak { on_fail = continue } call reader call far")
    answers = {"a": {"context": "A"}, "weak": RuntimeError("no"), "reader": reads("nothing"), "far": reads("reader.x")}
    case.answers(answers)
    case.start()
    _, called = again(case, Resumption(mode="only-failed"), {**answers, "weak": {"context": "W"}})
    assert called == ["weak"]


def test_what_the_way_leads_past_no_more_is_no_result_any_more(flow: Make) -> None:
    case = flow(
        'call weak { on_fail = continue } if weak.status == "failed" { call notice } else { call fine } call end'
    )
    case.answers({"weak": RuntimeError("no")})
    case.start()
    _, called = again(case, Resumption(mode="only-failed"))
    assert called == ["fine", "weak"]
    assert sorted(case.steps) == ["end", "fine", "weak"]


def test_a_crash_of_a_leg_that_looks_again_leaves_that_to_the_next(flow: Make) -> None:
    body = "call weak { on_fail = continue } call reader call last"
    case = flow(body)
    answers = {"weak": RuntimeError("no"), "reader": reads("weak.x"), "last": reads("prior_context")}
    case.answers(answers)
    case.start()
    before = len(case.events)
    fixed = {**answers, "weak": {"x": "1", "context": "W"}}
    again(case, Resumption(mode="only-failed"), fixed)
    expected = {path: (step.status, step.output) for path, step in case.steps.items()}
    for count in range(before + 2, len(case.events)):
        cut = flow(body)
        cut.run_id, cut.store = case.run_id, restored(case, count)
        cut.answers(fixed)
        assert cut.resume().status == "completed"
        assert {path: (step.status, step.output) for path, step in cut.steps.items()} == expected, count


def test_a_race_is_run_again_whole_where_its_winner_failed(flow: Make) -> None:
    body = """
      parallel race { until = quick.found  max_parallel = 1
        call bad { on_fail = continue }  call quick  call slow
      }
    """
    case = flow(body)
    case.answers({"bad": RuntimeError("no"), "quick": {"markers": ["found"]}})
    case.start()
    assert case.statuses["race/slow"] == "skipped"
    _, called = again(case, Resumption(mode="only-failed"), {"quick": {"markers": ["found"]}})
    assert called == ["race/bad"]
    assert case.statuses["race/slow"] == "skipped"


def test_what_a_branch_had_done_when_it_was_stopped_stays_on_record(flow: Make) -> None:
    body = """
      parallel race { until = quick.found  max_parallel = 2
        do { call first  call slow }
        call quick
      }
      call weak { on_fail = continue }
    """
    begun = threading.Event()

    def slow(request: Any) -> None:
        begun.set()
        assert request.cancel.wait(30)
        request.cancel.raise_if_cancelled()

    def quick(_request: Any) -> dict[str, list[str]]:
        assert begun.wait(30)
        return {"markers": ["found"]}

    case = flow(body)
    case.answers({"slow": slow, "quick": quick, "weak": RuntimeError("no")})
    case.start()
    before = dict(case.statuses)
    assert (before["race/first"], before["race/slow"]) == ("completed", "skipped")
    _, called = again(case, Resumption(mode="only-failed"))
    assert called == ["weak"]
    assert case.statuses == {**before, "weak": "completed"}


# ── fork ──────────────────────────────────────────────────────────────────────────────────────────
def test_forks_keep_what_is_settled_and_leave_their_origin_alone(flow: Make) -> None:
    case = flow("call a { retries = 1 } call weak { on_fail = continue } call b call c")
    case.answers({"a": {"context": "A", "x": "1"}, "weak": RuntimeError("no"), "c": RuntimeError("no")})
    assert case.start().status == "failed"
    before = (case.record, list(case.store.events(case.run_id)))
    first, called = fork(case)
    second, _ = fork(case)
    assert called == ["c"]
    assert (first.status, first.forked_from, first.calls) == ("completed", case.run_id, 1)
    assert len({first.id, second.id, case.run_id}) == 3
    assert (case.record, list(case.store.events(case.run_id))) == before
    steps = {step.path: step for step in case.store.steps(first.id)}
    assert steps["a"].cached_from == f"{case.run_id}/a"
    assert steps["a"].output == case.steps["a"].output
    assert (steps["weak"].status, steps["weak"].handled) == ("failed", "continue")
    assert first.cost_usd == 0


def test_a_cancelled_run_can_be_forked_and_nothing_else(flow: Make) -> None:
    from runkon.engine.cancellation import RunControl

    case = flow("call a call b")
    control = RunControl()

    def cancel(request: Any) -> None:
        control.cancel("cli", "enough")
        assert request.cancel.wait(30)
        request.cancel.raise_if_cancelled()

    case.answers({"b": cancel})
    assert case.start(control).status == "cancelled"
    with pytest.raises(UserError) as caught:
        again(case, Resumption())
    assert caught.value.code == "not-resumable"
    assert caught.value.next == f"runkon resume {case.run_id} --fork"
    record, called = fork(case)
    assert record.status == "completed"
    assert "a" not in called


def test_a_fork_from_a_step_keeps_what_comes_before(flow: Make) -> None:
    case = flow("call a call b call c")
    case.answers({})
    case.start()
    record, called = fork(case, Resumption(step="b"))
    assert (record.status, called) == ("completed", ["b", "c"])


def test_a_fork_that_was_lost_before_its_first_leg_still_takes_over(flow: Make) -> None:
    case = flow("call a call b")
    case.answers({})
    case.start()
    run = case.runner().fork(case.record, case.program, case.config, Resumption(step="b"))
    made = case.store.run(run)
    assert made.config["fork"] == {"mode": "normal", "from": "b", "edited": False}
    scripted = case.answers({})
    record = case.runner().execute(run, case.program, case.config, None, Resumption(step="b"))
    assert (record.status, scripted.paths) == ("completed", ["b"])


# ── edits ─────────────────────────────────────────────────────────────────────────────────────────
CHAIN = 'call a call b { model = "m" } call c call d'


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        pytest.param('// only a comment\n call a\n call b { model = "m" retries = 3 } call c call d', [], id="comment"),
        pytest.param('call a call b { model = "n" } call c call d', ["b", "c"], id="text of b"),
        pytest.param('call a call b { model = "m" } call new call c call d', ["new"], id="added"),
        pytest.param("call a call c call d", ["c"], id="removed"),
    ],
)
def test_edits_run_what_changed_and_its_readers(flow: Make, body: str, expected: list[str]) -> None:
    case = flow(CHAIN)
    answers = {"a": {"context": "A"}, "b": {"context": "B"}, "c": reads("prior_context"), "d": reads("a.x")}
    case.answers(answers)
    case.start()
    how = edited(case, body)
    case.configure(executors={})
    changed = {**answers, "b": {"context": "B2"}, "new": {}}
    _, called = again(case, how._replace(mode="only-failed"), {**changed, "new": {"context": "B"}})
    assert called == expected
    names = {"b": "b" in body, "new": "new" in body}
    assert all((name in case.steps) is there for name, there in names.items())
    assert dict(case.store.sources(case.run_id)) == {"flow.wf": case.program.source.text}
    assert told(case, "definition_changed")


def test_a_step_that_moved_keeps_its_result(flow: Make) -> None:
    case = flow("call a call b call c")
    case.answers({"a": {"context": "A"}})
    case.start()
    how = edited(case, "do block { call a } call b call c")
    _, called = again(case, how._replace(mode="only-failed"))
    assert called == []
    assert case.steps["block/a"].cached_from == f"{case.run_id}/a"
    assert case.steps["block/a"].output.context == "A"
    assert "a" not in case.steps


def test_other_inputs_run_what_read_them(flow: Make) -> None:
    case = flow('inputs { x default = "1" y default = "2" } call a call b call c')
    answers = {"a": reads("x"), "b": reads("y"), "c": reads("a.z")}
    case.inputs = {"x": "1", "y": "2"}
    case.answers(answers)
    case.start()
    record, called = again(case, Resumption(inputs={"x": "5", "y": "2"}), answers)
    assert called == ["a"]
    assert record.inputs == {"x": "5", "y": "2"}
    assert case.steps["a"].output.context == "5"


@pytest.mark.parametrize("is_fork", [False, True])
def test_a_crash_anywhere_after_an_edit_comes_to_the_same_end(flow: Make, is_fork: bool) -> None:
    case = flow(CHAIN)
    answers = {"a": {"context": "A"}, "b": {"x": "1"}, "c": reads("x"), "d": reads("prior_context")}
    case.answers(answers)
    case.start()
    before, how = len(case.events), edited(case, CHAIN.replace('"m"', '"n"'))
    changed = {**answers, "b": {"x": "2"}}
    if is_fork:
        record, _ = fork(case, how, changed)
        case.run_id, before = record.id, 1
    else:
        again(case, how, changed)
    expected = {path: (step.status, step.output) for path, step in case.steps.items()}
    assert case.steps["c"].output.context == "2"
    first = 3  # run_resumed, definition_changed and step_superseded are one transaction
    for count in range(before + first, len(case.events)):
        cut = flow(CHAIN)
        cut.program, cut.run_id, cut.store = case.program, case.run_id, restored(case, count)
        if "run_started" not in cut.kinds or (is_fork and "d" not in cut.steps):
            continue  # the copies of a fork are one transaction
        cut.answers(changed)
        assert cut.resume().status == "completed", count
        assert {path: (step.status, step.output) for path, step in cut.steps.items()} == expected, count


def test_a_script_whose_file_changed_runs_again_with_edits_and_not_otherwise(flow: Make, tmp_path: Path) -> None:
    file = tmp_path / "run.sh"
    file.write_text("#!/bin/sh\necho one\n")
    file.chmod(0o755)
    case = flow('script s { run = "./run.sh" } call weak { on_fail = continue }')
    case.configure(working_dir=tmp_path, roots=(tmp_path,))
    case.answers({"weak": RuntimeError("no")})
    case.executor = with_scripts(case.executor)
    case.start()
    assert case.steps["s"].output.context == "one"
    file.write_text("#!/bin/sh\necho two\n")
    for how, expected in ((Resumption(mode="only-failed"), "one"), (Resumption(before=case.program), "two")):
        case.answers({"weak": RuntimeError("no")})
        case.executor = with_scripts(case.executor)
        case.runner().execute(case.run_id, case.program, case.config, None, how)
        assert case.steps["s"].output.context == expected


# ── the record ────────────────────────────────────────────────────────────────────────────────────
def test_a_choice_that_comes_out_differently_over_equal_values_is_refused(flow: Make) -> None:
    case = flow("call a if a.ok { call b } call c")
    case.answers({"a": {"markers": ["ok"]}, "c": RuntimeError("no")})
    case.start()
    kept = case.store._runs[case.run_id]
    for index, envelope in enumerate(kept.envelopes):
        if envelope.event.kind == "choice_made":
            kept.envelopes[index] = envelope._replace(event=replace(envelope.event, result=False))
    scripted = case.answers({})
    with pytest.raises(UserError) as caught:
        again(case, Resumption())
    assert caught.value.code == "replay-mismatch"
    assert "at `if` the record has `a.ok` as false, now the same values make it true" in caught.value.message
    assert scripted.calls == ()
    assert (case.record.status, case.record.reason) == ("interrupted", "replay")


def test_a_branch_stopped_inside_a_block_whose_failure_was_taken_stays_as_it_is(flow: Make) -> None:
    body = """
      parallel { min_success = 1 fail_fast = false
        call good
        parallel inner { max_parallel = 2
          do { call bad }
          do { call first call other }
        }
      }
      call last
    """
    case = flow(body)
    begun = threading.Event()

    def first(request: Any) -> None:
        begun.set()
        assert request.cancel.wait(30)
        request.cancel.raise_if_cancelled()

    def bad(_request: Any) -> None:
        assert begun.wait(30)
        raise RuntimeError("no")

    case.answers({"bad": bad, "first": first, "last": RuntimeError("no")})
    case.configure(max_parallel=4)
    assert case.start().status == "failed"
    before = {path: (step.status, step.handled) for path, step in case.steps.items()}
    assert before["parallel/inner/first"][0] == "cancelled"
    record, called = again(case, Resumption())
    assert (record.status, called) == ("completed", ["last"])
    after = {path: (step.status, step.handled) for path, step in case.steps.items()}
    assert {path: end for path, end in after.items() if path != "last"} == {
        path: end for path, end in before.items() if path != "last"
    }


def test_a_leg_that_ended_without_a_word_is_counted(flow: Make) -> None:
    case = flow("call a call b")
    case.answers({})
    case.start()
    cut = flow("call a call b")
    cut.run_id, cut.store = case.run_id, restored(case, 4)
    cut.answers({})
    assert cut.resume().crashes == 1
    assert told(cut, "run_resumed")[0].crashed is True


# ── what was seen ─────────────────────────────────────────────────────────────────────────────────
def test_what_a_step_read_is_kept_with_its_end_and_nothing_where_it_read_nothing(flow: Make) -> None:
    case = flow('call a call b { inputs { t = "{{a.x}}!" } } call c call d')
    case.answers({"a": {"x": "1"}, "b": reads("t"), "d": lambda request: {"n": len(request.inputs)}})
    case.start()
    seen = {path: step.seen for path, step in case.steps.items()}
    assert seen["a"] is None
    assert seen["c"] is None
    assert seen["b"].names == ("a.x", "t")
    assert seen["d"].names == ("*",)
