"""The plan of a resume as a pure function: records and statements in, decisions out."""

from __future__ import annotations

from dataclasses import replace

import pytest

from runkon.engine.constructs import constructs
from runkon.engine.plan import plan_body
from runkon.engine.resume_edits import compare
from runkon.engine.resume_places import Places, form_of
from runkon.engine.resume_plan import Wish, keep_cancelled, plan_resume, with_failed_attempts
from runkon.errors import UserError
from runkon.language.parser import parse
from runkon.language.source import SourceFile
from runkon.model.events import AttemptFailed, Envelope
from runkon.model.ids import RunID, StepPath
from runkon.model.output import Output, Usage
from runkon.model.records import Seen, StepError, StepInfo, StepRecord
from runkon.model.status import StepStatus

NOW = 10_000
NORMALLY = Wish()
ERROR = StepError("exception", "no")


def places(body: str) -> Places:
    parsed = parse(SourceFile("x.wf", f"workflow w {{\n{body}\n}}\n"))
    assert parsed.ok, parsed.diagnostics
    return Places(plan_body(parsed.workflows[0].body, constructs()))


def step(path: str, status: StepStatus = StepStatus.COMPLETED, order: str = "a1", **facts: object) -> StepRecord:
    key = path.rpartition("/")[2]
    info = StepInfo("call", key, key, order, 0, "x.wf", 1, 1)
    return replace(StepRecord(RunID("R"), StepPath(path), info, status, attempts=1, ended_at=NOW - 1000), **facts)


def lines(steps: list[StepRecord], wish: Wish = NORMALLY, body: str = "call a call b call c") -> list[tuple[str, ...]]:
    course = plan_resume(steps, places(body), wish, seq=7, now=NOW)
    return [(str(line.path), line.decision, line.reason) for line in course.plan.lines]


@pytest.mark.parametrize(
    ("record", "decision", "reason"),
    [
        (step("a"), "reuse", "completed"),
        (step("a", cached_from="R0/a"), "reuse", "completed in R0"),
        (step("a", StepStatus.SKIPPED, skip_reason="until_reached"), "reuse", "skipped"),
        (
            step("a", StepStatus.SKIPPED, skip_reason="condition"),
            "reuse",
            "skipped by its condition, which is tested again",
        ),
        (step("a", StepStatus.FAILED, error=ERROR), "rerun", "failed: no"),
        (step("a", StepStatus.FAILED, error=ERROR, handled="continue"), "reuse", "failed, taken by continue"),
        (step("a", StepStatus.TIMED_OUT, error=ERROR), "rerun", "timed out: no"),
        (step("a", StepStatus.RUNNING), "rerun", "cut off: process lost, effect read"),
        (step("a", StepStatus.RUNNING, effect="write"), "ask", "cut off: process lost, effect write"),
        (step("a", StepStatus.INTERRUPTED, effect="write"), "rerun", "cut off: stopped before its end"),
        (
            step("a", StepStatus.INTERRUPTED, effect="write", skip_reason="lease_lost"),
            "ask",
            "cut off: taken over by another engine, effect write",
        ),
        (
            step("a", StepStatus.WAITING, effect="write"),
            "ask",
            "waits for an answer: nobody saw how its last attempt ended",
        ),
        (step("a", StepStatus.BACKOFF), "rerun", "between two attempts"),
        (step("a", StepStatus.CANCELLED, skip_reason="fail_fast"), "rerun", "stopped: `fail_fast` of its block"),
        (step("a", StepStatus.CANCELLED, skip_reason="user"), "rerun", "stopped: the run was cancelled"),
        (
            step("a", StepStatus.CANCELLED, skip_reason="undecided"),
            "ask",
            "nobody has said what became of its last attempt",
        ),
        (step("a", damage="corrupt-artifact `f00`"), "rerun", "corrupt-artifact `f00`"),
    ],
)
def test_each_state_has_its_decision_and_reason(record: StepRecord, decision: str, reason: str) -> None:
    assert lines([record])[0] == ("a", decision, reason)


@pytest.mark.parametrize(("option", "decision"), [("rerun", "rerun"), ("ask", "ask"), ("fail", "fail")])
def test_the_option_of_the_step_decides_whether_is_asked(option: str, decision: str) -> None:
    found = lines([step("a", StepStatus.RUNNING, effect="write")], body=f"call a {{ on_unknown = {option} }}")
    assert found[0][1] == decision


def test_other_inputs_reach_every_script_and_make_readers_of_the_rest_uncertain() -> None:
    ran = step("a", seen=Seen((), "d"))
    steps = [
        replace(ran, info=replace(ran.info, kind="script")),
        step("b", order="a2", seen=Seen(("a.context",), "d")),
        step("c", order="a3", seen=Seen(("who",), "d")),
    ]
    plan = plan_resume(steps, places("call a call b call c"), Wish(inputs=frozenset({"who"})), seq=1, now=NOW).plan
    assert [(line.path, line.decision, line.unless) for line in plan.lines] == [
        ("a", "rerun", ()), ("b", "reuse", ("a.context",)), ("c", "rerun", ()),
    ]  # fmt: skip


def test_a_damaged_result_is_put_aside_so_that_it_can_be_made_again() -> None:
    course = plan_resume([step("a", damage="gone")], places("call a"), Wish(), seq=1, now=NOW)
    assert course.aside == {"a": "gone"}
    assert [event.why for event in course.superseded([step("a")])] == ["gone"]
    assert course.recorded([step("a")])[StepPath("a")].epoch == 2


def test_steps_without_a_record_are_new_and_those_of_always_are_left_out() -> None:
    assert lines([step("a"), step("always#1/tidy")]) == [
        ("a", "reuse", "completed"),
        ("b", "new", "not reached yet"),
        ("c", "new", "not reached yet"),
    ]


def test_money_is_summed_by_what_becomes_of_it() -> None:
    def paid(path: str, dollars: float, **facts: object) -> StepRecord:
        return step(path, output=Output(usage=Usage(cost_usd=dollars)), **facts)

    body = "call a call b call c"
    steps = [
        paid("a", 1.0, order="a1"),
        paid("b", 0.5, order="a2", status=StepStatus.FAILED, error=ERROR, handled="continue"),
        paid("c", 0.25, order="a3", seen=Seen(("b.x",), "d")),
    ]
    plan = plan_resume(steps, places(body), Wish("only-failed"), seq=1, now=NOW).plan
    assert [(line.decision, line.unless) for line in plan.lines] == [("reuse", ()), ("rerun", ()), ("reuse", ("b.x",))]
    assert (plan.money_kept, plan.money_at_risk) == (1.0, 0.75)
    assert [line.age_ms for line in plan.lines] == [1000] * 3


def test_failed_attempts_of_the_current_epoch_have_cost_too() -> None:
    def failed(path: str, dollars: float | None, epoch: int = 1) -> Envelope:
        usage = None if dollars is None else Usage(cost_usd=dollars)
        event = AttemptFailed(path=StepPath(path), number=0, error=ERROR, epoch=epoch, usage=usage)
        return Envelope(RunID("R"), 1, NOW, 1, 1, event)

    output = Output(usage=Usage(cost_usd=1.0))
    steps = [step("a", order="a1", output=output), step("b", order="a2", status=StepStatus.FAILED, error=ERROR)]
    plan = plan_resume(steps, places("call a call b call c"), NORMALLY, seq=1, now=NOW).plan
    events = [failed("a", 0.5), failed("a", 7.0, epoch=2), failed("b", 0.25), failed("b", 0.25), failed("b", None)]
    assert [line.cost_usd for line in with_failed_attempts(plan, steps, events).lines] == [1.5, 0.5, None]


def test_forms_and_branches() -> None:
    found = places("parallel p { call a do { call b call c } } do { max_iterations = 2 call r } while r.more")
    assert sorted(found.leaves) == ["do[]/r", "p/a", "p/b", "p/c"]
    assert form_of("do[12]/r") == "do[]/r"
    assert found.are_beside("p/a", "p/b")
    assert not found.are_beside("p/b", "p/c")
    assert not found.are_beside("p/a", "do[0]/r")


def test_branches_of_different_rounds_are_not_beside_each_other() -> None:
    found = places("do { max_iterations = 2 parallel p { call a call b } } while a.more")
    assert found.are_beside("do[1]/p/a", "do[1]/p/b")
    assert not found.are_beside("do[1]/p/a", "do[2]/p/b")


@pytest.mark.parametrize(
    ("word", "path"),
    [("a", "a"), ("a#1", "a"), ("a#2", "a#2"), ("p", "p"), ("lint", "p/lint"), ("p/li", "p/lint"), ("do[1]", "do[1]"),
     ("do", "do"), ("do[1]/r", "do[1]/r"), ("later", "later")],
)  # fmt: skip
def test_what_a_word_means(word: str, path: str) -> None:
    body = "call a call a parallel p { call lint } do { max_iterations = 2 call r } while r.more call later"
    steps = [step("a", order="a1"), step("a#2", order="a2"), step("p/lint", order="a3.a1"),
             step("do[0]/r", order="a4.a0.a1"), step("do[1]/r", order="a4.a1.a1")]  # fmt: skip
    assert places(body).find(word, steps).path == path


def test_a_key_of_several_rounds_is_refused_with_their_paths() -> None:
    steps = [step(f"do[{number}]/r", order=f"a1.a{number}.a1") for number in range(7)]
    with pytest.raises(UserError) as caught:
        places("do { max_iterations = 9 call r } while r.more").find("r", steps)
    assert caught.value.message == (
        "`r` stands for several steps: `do[0]/r`, `do[1]/r`, `do[2]/r`, `do[3]/r`, `do[4]/r`, …"
    )


@pytest.mark.parametrize(
    ("before", "after", "changed"),
    [
        ("call a", "call a { retries = 2 timeout = 1m on_fail = continue }", {}),
        ('call a { model = "m" }', '// why\n call a {\n  model = "m"\n }', {}),
        ('call a { model = "m" }', 'call a { model = "n" }', {"a": "text changed: line 2"}),
        ('script s { run = "x" }', 'script s { run = "y" }', {"s": "text changed: line 2"}),
        ('script a { run = "x" }', "call a", {"a": "text changed: line 2"}),
        ("do b { call a }", 'do b { with = ["q"] call a }', {"b/a": "text changed: line 2"}),
        ("do b { call a }", 'do b { output = "o" call a }', {"b/a": "text changed: line 2"}),
        ("parallel b { call a }", "parallel b { max_parallel = 1 call a }", {}),
    ],
)
def test_what_counts_as_another_text(before: str, after: str, changed: dict[str, str]) -> None:
    assert dict(compare(places(before), places(after)).changed) == changed


def test_added_removed_and_moved_steps() -> None:
    found = compare(places("call a call b call c"), places("call a do x { call b } call d"))
    assert (found.removed, dict(found.moved)) == (frozenset({"c"}), {"b": "x/b"})
    assert [(one.path, one.reason) for one in found.told] == [
        ("x/b", "moved from `b`"),
        ("c", "removed"),
        ("d", "added: line 2"),
    ]


def test_a_step_that_was_stopped_stays_so_only_if_its_nearest_failure_was_taken() -> None:
    def stopped(path: str) -> StepRecord:
        return step(path, StepStatus.CANCELLED, skip_reason="fail_fast")

    def failed(path: str, handled: str | None) -> StepRecord:
        return step(path, StepStatus.FAILED, error=ERROR, handled=handled)

    def kept(*steps: StepRecord) -> bool:
        return keep_cancelled(steps)[0].handled is not None

    assert kept(stopped("p/q/a"), failed("p/q/b", "min_success"))
    assert not kept(stopped("p/q/a"), failed("p/q/b", None))
    assert not kept(stopped("p/q/a"), failed("p/q/b", None), failed("p/c", "min_success"))
    assert kept(stopped("p/q/a"), failed("p/q/b", "min_success"), failed("p/c", None))
    assert not kept(stopped("p/q/a"), failed("x", "min_success"))
    assert not kept(stopped("p/q/a"))
