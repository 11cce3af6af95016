"""Sentences about steps: one for every kind of event and for every way in which a step can stand."""

from __future__ import annotations

from typing import get_args

import pytest

from runkon.model import events as ev
from runkon.model.events import Envelope, Event
from runkon.model.ids import RunID, StepPath
from runkon.model.items import ItemsCollected, ListedItem
from runkon.model.output import Output, Usage
from runkon.model.records import GateRecord, RunRecord, Seen, StepError, StepInfo, StepRecord
from runkon.model.status import RunStatus, StepStatus
from runkon.views.asks import answer_command, ask_lines, gate_object, open_gates
from runkon.views.explain import explanation, not_reached
from runkon.views.explain_events import told
from runkon.views.explain_text import explain_lines
from runkon.views.guards import Guard, guards_of, step_places
from runkon.views.lines import line_of
from runkon.views.outline import Outline

RUN, PATH = RunID("R"), StepPath("a")
INFO = StepInfo("script", "a", "a", "a1", 0, "x.wf", 3, 5)
ERROR = StepError("exit", "it broke\nbadly")
WHEN = "1970-01-01T00:00:09.000Z"


def made(kind: type, *values: object, **named: object) -> Event:
    """An event from its values, in the order of its fields."""
    names = [name for name in kind.__annotations__ if name != "kind"]
    event: Event = kind(**dict(zip(names, values, strict=False)), **named)
    return event


SENTENCES: list[tuple[Event, str]] = [
    (made(ev.AttemptStarted, PATH, 0, INFO, "script"), "attempt 1 began with `script`"),
    (
        made(ev.AttemptStarted, PATH, 1, INFO, "script", why="answered", effect="write", executor_version="3"),
        "attempt 2 began with `script` version 3, which may write, because somebody decided to make another one",
    ),
    (
        made(ev.AttemptStarted, PATH, 1, INFO, "x", why="cancelled"),
        "attempt 2 began with `x` because an earlier leg stopped the step before it was done",
    ),
    (made(ev.ProcessStarted, PATH, 0, 77, "123"), "process 77 was started"),
    (
        made(ev.AttemptFailed, PATH, 0, ERROR, elapsed_ms=1500, usage=Usage(0.5)),
        "attempt 1 failed after 1.5s, $0.50 (exit): it broke …",
    ),
    (
        made(ev.AttemptTimedOut, PATH, 2, StepError("idle", "no sign of life for 5s"), abandoned=True),
        "attempt 3 timed out (idle): no sign of life for 5s; it did not stop and was left behind",
    ),
    (
        made(ev.AttemptCancelled, PATH, 0, StepError("cancelled", "another branch failed")),
        "attempt 1 was stopped (cancelled): another branch failed",
    ),
    (
        made(ev.AttemptCutOff, PATH, 0, "unknown", "process_lost", evidence="process 77 was ended"),
        "attempt 1 was cut off, its end was not seen: the process that ran it was lost; process 77 was ended",
    ),
    (
        made(ev.AttemptCutOff, PATH, 0, "interrupted", "interrupt"),
        "attempt 1 was cut off, seen to end: the run was interrupted",
    ),
    (
        made(ev.AttemptCutOff, PATH, 0, "unknown", "interrupt"),
        "attempt 1 was cut off, its end was not seen: it did not stop when told to",
    ),
    (
        made(ev.RetryScheduled, PATH, 9000, 2000, 1),
        f"another attempt was to follow after 2.0s, at {WHEN}; 1 more after it",
    ),
    (made(ev.RetryScheduled, PATH, 9000, 0, 0), "another attempt was to follow at once; 0 more after it"),
    (made(ev.StepCompleted, PATH, Output()), "completed"),
    (made(ev.StepCompleted, PATH, Output(degraded=True)), "completed, by its fallback"),
    (made(ev.StepCompleted, PATH, Output(), decided_by="ann"), "completed, as ann decided"),
    (made(ev.StepCompleted, PATH, Output(), INFO, cached_from="Q/a"), "completed with the result of Q/a"),
    (made(ev.StepFailed, PATH, ERROR), "failed for good (exit): it broke …"),
    (
        made(ev.StepFailed, PATH, ERROR, handled="continue"),
        "failed for good (exit): it broke …; taken by `on_fail = continue`",
    ),
    (made(ev.StepTimedOut, PATH, StepError("timeout", "late")), "timed out for good (timeout): late"),
    (made(ev.StepSkipped, PATH, "condition"), "skipped: its condition is false"),
    (made(ev.StepSkipped, PATH, "until_reached"), "skipped: the block needed no more answers"),
    (made(ev.StepCancelled, PATH, "fail_fast"), "cancelled: another branch failed"),
    (made(ev.StepCancelled, PATH, "undecided"), "cancelled: nobody said what became of its last attempt"),
    (made(ev.StepHandled, PATH, "min_success"), "its failure was taken by `min_success` of its block"),
    (made(ev.StepHandled, PATH, "until"), "its failure was taken by `until` of its block"),
    (made(ev.StepSuperseded, PATH, "after --from"), "put aside, to run again: after --from"),
    (made(ev.GateOpened, PATH, "unknown:a", "unknown", "what now?", INFO), "asked: what now?"),
    (
        made(ev.GateDecided, PATH, "unknown:a", "done", "ann", "cli", reason="saw it"),
        "decided: done, by ann: saw it, via cli",
    ),
    (
        made(ev.GateDecided, PATH, "unknown:a", "withdrawn", "runkon", "run", reason="the run ended"),
        "decided: withdrawn: the run ended, via run",
    ),
    (
        made(ev.ChoiceMade, PATH, "if", "b.ok", {"b.ok": False, "n": "x"}, result=False),
        '`if b.ok` was false (b.ok = false, n = "x")',
    ),
    (made(ev.ItemsCollected, PATH, (ListedItem("k", "K", 1),)), "its list was fixed: 1 items"),
    (
        made(ev.ItemsCollected, PATH, (), (("a", "b"),), "tickets"),
        "its list was fixed: 0 items from `tickets`, 1 links between them",
    ),
    (made(ev.Note, "warning", "late", "it was late", PATH), "warning: it was late"),
]  # fmt: skip


@pytest.mark.parametrize(("event", "sentence"), SENTENCES, ids=lambda value: getattr(value, "kind", ""))
def test_every_event_of_a_step_has_a_sentence(event: Event, sentence: str) -> None:
    assert told(event) == sentence


def test_no_kind_of_step_event_is_left_out() -> None:
    assert {type(event) for event, _ in SENTENCES} >= set(get_args(ev.StepEvent))
    assert told(made(ev.RunWaiting, ())) is None


# ── why a step is as it is ────────────────────────────────────────────────────────────────────────
def step(status: str, **more: object) -> StepRecord:
    return StepRecord(RUN, PATH, INFO, StepStatus(status), **{"attempts": 1, "leg": 1, **more})  # type: ignore[arg-type]


def envelopes(*events: Event, leg: int = 1) -> list[Envelope]:
    return [Envelope(RUN, at, at * 1000, leg, leg, event) for at, event in enumerate(events, 1)]


def why(found: StepRecord, *events: Event, leg: int = 1) -> object:
    run = RunRecord(RUN, "w", "x.wf", RunStatus.RUNNING, leg=leg)
    return explanation(run, found, envelopes(*events), (), ())["why"]


WHYS: list[tuple[StepRecord, str]] = [
    (step("completed"), "completed in attempt 1"),
    (step("completed", attempts=3), "completed in attempt 3"),
    (
        step("completed", output=Output(degraded=True), attempts=2),
        "completed by its fallback in attempt 2, after its own attempts failed",
    ),
    (
        step("completed", cached_from="Q/a", attempts=0),
        "completed with the result of Q/a, without an attempt of its own",
    ),
    (step("failed", error=ERROR), "failed (exit): it broke …; it was not called in this leg"),
    (
        step("failed", error=StepError("crash_limit", "its process was lost 3 times while it ran")),
        "failed (crash_limit): its process was lost 3 times while it ran; a resume tries it again",
    ),
    (
        step("failed", error=StepError("unknown_outcome", "ann decided that it failed")),
        "failed (unknown_outcome): ann decided that it failed; it was not tried again",
    ),
    (step("skipped", skip_reason="until_reached"), "skipped, because the block needed no more answers"),
    (
        step("skipped", skip_reason="always_grace"),
        "skipped, because the always block took longer than its grace",
    ),
    (step("cancelled", skip_reason="user"), "cancelled, because the run was cancelled"),
    (
        step("cancelled", skip_reason="undecided"),
        "cancelled, because the run ended before anybody said what became of its last attempt; a resume asks",
    ),
    (step("waiting"), "it waits for a decision, because nobody saw how attempt 1 ended"),
    (
        step("interrupted", skip_reason="process_lost", effect="write"),
        "nobody saw how attempt 1 ended: the process that ran it was lost; a resume asks what to do",
    ),
    (
        step("interrupted", skip_reason="process_lost"),
        "nobody saw how attempt 1 ended: the process that ran it was lost; a resume makes another attempt",
    ),
    (step("interrupted"), "attempt 1 was stopped with the run; a resume makes another one"),
    (step("backoff", due_at=9000), f"attempt 1 failed and another one follows, due at {WHEN}"),
    (step("running", started_at=9000), f"attempt 1 began at {WHEN} and no end of it is recorded"),
    (step("pending", attempts=0), "it was put aside and has not run again yet"),
    (step("completed", damage="artifact ab is gone"), "its recorded result can't be used: artifact ab is gone"),
]


@pytest.mark.parametrize(("found", "sentence"), WHYS, ids=[sentence[:40] for _, sentence in WHYS])
def test_every_way_a_step_can_stand_has_a_reason(found: StepRecord, sentence: str) -> None:
    assert why(found) == sentence


def test_no_status_is_left_out() -> None:
    assert {found.status for found, _ in WHYS} >= set(StepStatus) - {StepStatus.TIMED_OUT}


def test_a_reused_step_names_both_legs() -> None:
    assert why(step("completed"), leg=3) == "completed in attempt 1; leg 3 answered it from the record of leg 1"


def test_retries_that_are_used_up_are_told() -> None:
    failed = (
        made(ev.AttemptFailed, PATH, 0, ERROR),
        made(ev.RetryScheduled, PATH, 1, 0, 0),
        made(ev.AttemptFailed, PATH, 1, ERROR),
    )
    assert why(step("failed", error=ERROR), *failed) == (
        "failed (exit): it broke …; after 2 attempts in leg 1, all its retries"
    )
    late = StepError("timeout", "not done after 1s")
    assert why(step("timed_out", error=late), made(ev.AttemptTimedOut, PATH, 0, late)) == (
        "timed out (timeout): not done after 1s; after 1 attempt in leg 1, it has no retries for this"
    )


def test_an_attempt_that_nobody_closed_is_lost_once_a_later_leg_has_begun() -> None:
    begun = Envelope(RUN, 1, 0, 1, 1, made(ev.AttemptStarted, PATH, 0, INFO, "script"))
    resumed = Envelope(RUN, 2, 9, 2, 2, made(ev.RunResumed, "me", 0, 1))
    run = RunRecord(RUN, "w", "x.wf", RunStatus.RUNNING, leg=2)
    for events, status in (([begun], "running"), ([begun, resumed], "unknown")):
        attempts = explanation(run, step("running"), events, (), ())["attempts"]
        assert isinstance(attempts, list)
        assert [one["status"] for one in attempts if isinstance(one, dict)] == [status]


def test_an_attempt_whose_process_died_is_lost_before_anybody_resumes() -> None:
    begun = Envelope(RUN, 1, 0, 1, 1, made(ev.AttemptStarted, PATH, 0, INFO, "script"))
    run = RunRecord(RUN, "w", "x.wf", RunStatus.RUNNING, leg=1)
    found = explanation(run, step("interrupted", skip_reason="process_lost"), [begun], (), ())
    assert "    1  leg 1  script  unknown" in list(explain_lines(found))


def test_how_an_attempt_was_stopped_is_told_in_words() -> None:
    begun = Envelope(RUN, 1, 0, 1, 1, made(ev.AttemptStarted, PATH, 0, INFO, "script"))
    cut = Envelope(RUN, 2, 1000, 1, 1, made(ev.AttemptCutOff, PATH, 0, "interrupted", "interrupt"))
    run = RunRecord(RUN, "w", "x.wf", RunStatus.INTERRUPTED, leg=1)
    lines = list(explain_lines(explanation(run, step("interrupted"), [begun, cut], (), ())))
    assert "    1  leg 1  script  interrupted: ^C  1.0s" in lines


def test_what_a_step_read_and_where_its_result_came_from_is_told() -> None:
    run = RunRecord(RUN, "w", "x.wf", RunStatus.RUNNING, leg=1)
    found = explanation(run, step("completed", seen=Seen(("b.n", "who"), "ff"), cached_from="Q/a"), [], (), ())
    assert (found["read"], found["reused_from"]) == (["b.n", "who"], "Q/a")
    assert "read: b.n, who" in explain_lines(found)


SAW = {"b.ok": True, "fast": True, "c.x": False}


def test_a_value_is_told_with_the_step_that_gave_it() -> None:
    other = StepInfo("call", "b", "b", "a0", 0, "x.wf", 2, 5)
    events = envelopes(
        made(ev.AttemptStarted, StepPath("b"), 0, other, "b"),
        made(ev.StepCompleted, StepPath("b"), Output(markers=frozenset({"ok"}))),
        made(ev.ChoiceMade, StepPath("if"), "if", "b.ok and fast and c.x", SAW, result=True),
        made(ev.AttemptStarted, PATH, 0, INFO, "script"),
    )  # fmt: skip
    run = RunRecord(RUN, "w", "x.wf", RunStatus.RUNNING, leg=1)
    found = explanation(run, step("running", started_at=0), events, (), (Guard("if", "if", 0),))
    assert found["led_here"] == [
        {
            "seq": 3, "leg": 1, "path": "if", "construct": "if", "text": "b.ok and fast and c.x", "result": True,
            "operands": [
                {"name": "b.ok", "value": True, "from": "of `b`, attempt 1, completed in leg 1"},
                {"name": "fast", "value": True, "from": "an input of the run"},
                {"name": "c.x", "value": False, "from": "`c` had not run"},
            ],
        }
    ]  # fmt: skip


def test_a_condition_of_an_item_saw_what_its_own_item_gave() -> None:
    inner, kid = (
        StepInfo("call", "b", "b", "a0", 0, "x.wf", 2, 5),
        StepInfo("call_workflow", "k", "k", "a1", 0, "", 1, 1),
    )
    first, second, kids = StepPath("f[n%2Fa]/b"), StepPath("f[n%2Fb]/b"), StepPath("k/b")
    events = envelopes(
        made(ItemsCollected, StepPath("f"), (ListedItem("n/a", "a", "a"), ListedItem("n/b", "b", "b"))),
        *(made(ev.AttemptStarted, path, 0, inner, "b") for path in (first, second, kids)),
        *(made(ev.StepCompleted, path, Output()) for path in (first, second, kids)),
        made(ev.StepCompleted, StepPath("k"), Output(), kid),
        *(made(ev.ChoiceMade, StepPath(path), "if", "b.ok", {"b.ok": False}, result=False) for path in (
            "f[n%2Fa]/if", "f[n%2Fb]/if", "if", "k/if"
        )),
    )  # fmt: skip
    guards = (Guard("if", "f/if", 1), Guard("if", "if", 0), Guard("if", "k/if", 1))
    lines = "\n".join(explain_lines(not_reached("f/a", "a", events, guards)))
    assert [line.strip() for line in lines.splitlines() if "b.ok = " in line] == [
        "b.ok = false  of `f[n%2Fa]/b`, attempt 1, completed in leg 1",
        "b.ok = false  of `f[n%2Fb]/b`, attempt 1, completed in leg 1",
        "b.ok = false  `b` had not run",
        "b.ok = false  of `k/b`, attempt 1, completed in leg 1",
    ]


def test_a_step_nobody_came_to_names_the_condition() -> None:
    events = envelopes(made(ev.ChoiceMade, StepPath("while[1]"), "while", "b.more", {"b.more": False}, result=False))
    found = not_reached("while/a", "a", events, (Guard("while", "while", 0),))
    assert list(explain_lines(found))[:2] == [
        "while/a",
        "why: the run did not come to it: `while b.more` was false",
    ]
    assert not_reached("a", "a", [], ())["why"] == "the run did not come to it"


# ── the conditions around a step ──────────────────────────────────────────────────────────────────
LEAF, TIDY = Outline("call", "a", "do/while/a"), Outline("call", "t", "always/t")
TREE = Outline(
    "workflow", "w", "", 1,
    (
        Outline("if", "", "", 1, (Outline("arm", "if x", "", 1, (Outline("call", "b", "b"),)),)),
        Outline(
            "do while", "", "do", 2,
            (
                Outline("unless", "", "", 3, (Outline("arm", "unless y", "", 3, (Outline("do", "", "", 3, ()),)),)),
                Outline(
                    "while", "", "do/while", 4,
                    (Outline("if", "", "", 5, (Outline("else", "", "", 5, (LEAF,)),)),),
                ),
            ),
        ),
        Outline("if", "", "", 6, (Outline("arm", "if z", "", 6, (Outline("call", "c", "c"),)),)),
        Outline("always", "", "", 7, (Outline("if", "", "", 8, (Outline("arm", "", "", 8, (TIDY,)),)),)),
    ),
)  # fmt: skip


@pytest.mark.parametrize(
    ("path", "places"),
    [
        ("b", ["if"]),
        ("c", ["if#2"]),
        ("do[0]/while[2]/a", [None, "do[0]/while[2]", "do[0]/while[2]/if"]),
        ("do[2]/while[1]/a", ["do[1]", "do[2]/while[1]", "do[2]/while[1]/if"]),
        ("always#3/t", ["always#3/if"]),
        ("nothing", []),
    ],
)
def test_where_the_conditions_around_a_step_are_recorded(path: str, places: list[str | None]) -> None:
    assert [guard.record_path(path) for guard in guards_of(TREE, path)] == places


def test_all_places_of_a_workflow() -> None:
    assert step_places(TREE) == ("b", "do", "do/while", "do/while/a", "c", "always/t")


# ── what is asked ─────────────────────────────────────────────────────────────────────────────────
def gate(path: str, **more: object) -> GateRecord:
    known = {"type": "unknown", "prompt": "what now?", "options": ("rerun", "done", "failed"), "opened_at": 1000}
    return GateRecord(RUN, f"unknown:{path}", 1, StepPath(path), **{**known, **more})  # type: ignore[arg-type]


def test_open_gates_come_in_program_order() -> None:
    later = StepRecord(RUN, StepPath("b"), INFO, StepStatus.WAITING)
    first = StepRecord(RUN, StepPath("z"), StepInfo("call", "z", "z", "a0", 0, "x.wf", 1, 1), StepStatus.WAITING)
    gates = [gate("b"), gate("z"), gate("c", decision="done")]
    assert [one.path for one in open_gates(gates, [later, first])] == ["z", "b"]


def test_a_question_is_told_with_a_command_per_choice() -> None:
    asked = StepRecord(
        RUN, StepPath("do[1]/a"), StepInfo("call", "a", "a", "a1", 1, "x.wf", 1, 1), StepStatus.WAITING, started_at=0
    )
    assert list(ask_lines(gate("do[1]/a"), [asked], "01J", 120_000)) == [
        "do[1]/a waits for a decision (begun 2m ago, 1970-01-01T00:00:00.000Z)",
        "    what now?",
        "    runkon answer '01J:unknown:do[1]/a' --set decision=rerun                           try it again",
        "    runkon answer '01J:unknown:do[1]/a' --set decision=done --set output=@result.json  it has done its work",
        "    runkon answer '01J:unknown:do[1]/a' --set decision=failed                          count it as failed",
    ]
    assert (
        answer_command(gate("a"), "01J", "done", has_output=False) == "runkon answer 01J:unknown:a --set decision=done"
    )


def test_a_question_for_programs() -> None:
    assert gate_object(gate("a")) == {
        "gate": "unknown:a",
        "type": "unknown",
        "path": "a",
        "prompt": "what now?",
        "options": ["rerun", "done", "failed"],
        "opened_at": "1970-01-01T00:00:01.000Z",
        "deadline_at": None,
        "occurrence": 1,
        "answer_with": "runkon answer R:unknown:a --set decision=CHOICE",
    }


@pytest.mark.parametrize(
    ("event", "line"),
    [
        (made(ev.GateOpened, PATH, "unknown:a", "unknown", "what now?", INFO), "asks        a  what now?"),
        (made(ev.GateDecided, PATH, "unknown:a", "rerun", "ann", "cli"), "decided     a  rerun, by ann"),
        (
            made(ev.GateDecided, PATH, "unknown:a", "withdrawn", "runkon", "run", reason="the run ended"),
            "decided     a  withdrawn: the run ended",
        ),
        (made(ev.RunCancelRequested, "ann", "cli", "enough"), "cancelling  as ann asked: enough"),
        (made(ev.StepCancelled, PATH, "undecided"), "undecided   a  nobody said what became of its last attempt"),
    ],
)
def test_plain_lines_of_questions(event: Event, line: str) -> None:
    assert str(line_of(event)) == line
