"""The fold: what follows what, and that a refused event changes nothing. Stores are held to it by their contract."""

from __future__ import annotations

import random

import pytest

from runkon.errors import UserError
from runkon.model import events as ev
from runkon.model.events import Envelope, Event
from runkon.model.fold import RunState, fold
from runkon.model.ids import RunID, StepPath
from runkon.model.output import Output, Usage
from runkon.model.status import RunStatus, StepStatus
from runkon.store.memory import MemoryRunStore
from runkon.testing.store_story import Story, attempt_failed, completed, failed, made_up, place, started

RUN = RunID("01HZZZZZZZZZZZZZZZZZZZZZZZ")
CREATED = ev.RunCreated(workflow="w", sources={"w.wf": ""}, inputs={}, config={})
BEGUN = ev.RunStarted(owner="me")


def stream(*events: Event, leg: int = 1) -> list[Envelope]:
    """A created run with these events in its first leg, 10 ms apart."""
    first = Envelope(RUN, 1, 0, 0, 0, CREATED)
    return [first, *(Envelope(RUN, 2 + n, 10 * (n + 1), leg, leg, event) for n, event in enumerate(events))]


def rule_of(envelopes: list[Envelope]) -> str:
    """The rule the last envelope breaks; the others must be fine, and the state unchanged by the refusal."""
    state = fold(envelopes[:-1])
    before = (state.run, dict(state.steps), list(state.superseded))
    with pytest.raises(UserError) as caught:
        state.apply(envelopes[-1])
    assert caught.value.code == "corrupt-run"
    assert (state.run, state.steps, state.superseded) == before
    message = caught.value.message
    assert f"event {envelopes[-1].seq}" in message
    return message.partition("rule ")[2].partition(" ")[0]


# ── the run ───────────────────────────────────────────────────────────────────────────────────────
def test_a_run_from_its_creation_to_its_end() -> None:
    state = fold(stream())
    assert (state.run.status, state.run.started_at, state.run.file) == (RunStatus.PENDING, None, "w.wf")
    state.apply(stream(BEGUN)[-1])
    assert (state.run.status, state.run.started_at, state.run.leg, state.run.holder) == ("running", 10, 1, "me")
    state.apply(stream(BEGUN, ev.RunCompleted(outputs={"a": 1}))[-1])
    assert (state.run.status, state.run.ended_at, state.run.outputs) == (RunStatus.COMPLETED, 20, {"a": 1})
    assert (state.run.seq, state.run.holder) == (3, None)


def test_an_interrupted_run_has_not_ended_and_goes_on() -> None:
    state = fold(stream(BEGUN, ev.RunInterrupted(cause="interrupt", error="^C")))
    assert (state.run.status, state.run.reason, state.run.ended_at) == (RunStatus.INTERRUPTED, "interrupt", None)
    state.apply(Envelope(RUN, 4, 99, 2, 2, ev.RunResumed(owner="you", reused=0, rerun=0)))
    assert (state.run.status, state.run.reason, state.run.error, state.run.started_at) == ("running", None, None, 10)


def test_a_resumed_end_is_forgotten() -> None:
    state = fold(stream(BEGUN, ev.RunFailed(reason="step_failed", error="x")))
    assert (state.run.reason, state.run.error, state.run.ended_at) == ("step_failed", "x", 20)
    state.apply(Envelope(RUN, 4, 99, 2, 2, ev.RunResumed(owner="you", reused=0, rerun=0)))
    assert (state.run.status, state.run.reason, state.run.ended_at) == (RunStatus.RUNNING, None, None)


def test_cut_offs_may_come_before_the_new_leg_begins() -> None:
    state = fold(stream(BEGUN, started("a")))
    cut = ev.AttemptCutOff(path=StepPath("a"), number=0, certainty="unknown", cause="process_lost")
    state.apply(Envelope(RUN, 4, 99, 2, 2, cut))
    state.apply(Envelope(RUN, 5, 99, 2, 2, ev.RunResumed(owner="you", reused=0, rerun=1)))
    assert (state.steps[StepPath("a")].status, state.run.status) == (StepStatus.INTERRUPTED, RunStatus.RUNNING)


# ── steps ─────────────────────────────────────────────────────────────────────────────────────────
def test_a_step_is_running_exactly_while_an_attempt_is_open() -> None:
    state = fold(stream(BEGUN, started("a")))
    assert state.steps[StepPath("a")].status is StepStatus.RUNNING
    state = fold(stream(BEGUN, started("a"), attempt_failed("a")))
    assert state.steps[StepPath("a")].status is StepStatus.BACKOFF
    state = fold(stream(BEGUN, started("a"), attempt_failed("a"), started("a", 1)))
    step = state.steps[StepPath("a")]
    assert (step.status, step.attempts, step.error, step.started_at) == (StepStatus.RUNNING, 2, None, 20)


def test_a_block_gets_its_record_from_its_result() -> None:
    info = place("checks", 4, kind="parallel")
    block = ev.StepCompleted(path=StepPath("checks"), output=Output(context="ok"), info=info, elapsed_ms=7)
    step = fold(stream(BEGUN, block)).steps[StepPath("checks")]
    assert (step.info, step.attempts, step.started_at, step.ended_at) == (info, 0, 13, 20)


def test_a_failure_is_settled_once_something_took_it() -> None:
    state = fold(stream(BEGUN, started("a"), failed("a")))
    assert not state.steps[StepPath("a")].is_settled
    handled = ev.StepHandled(path=StepPath("a"), handled="min_success")
    state = fold(stream(BEGUN, started("a"), failed("a"), handled))
    assert state.steps[StepPath("a")].is_settled


def test_totals_count_every_attempt_and_blocks_not_twice() -> None:
    usage = Usage(cost_usd=0.1)
    block = ev.StepCompleted(path=StepPath("b"), output=Output(usage=Usage(cost_usd=0.3)), info=place("b"))
    ends = (attempt_failed("a", usage=usage), started("a", 1), completed("a", Output(usage=Usage(cost_usd=0.2))))
    run = fold(stream(BEGUN, started("a"), *ends, block)).run
    assert (run.cost_usd, run.cost_known, run.calls) == (0.3, True, 2)
    unknown = completed("a", Output(usage=Usage(cost_usd=None)))
    assert fold(stream(BEGUN, started("a"), unknown)).run.cost_known is False


def test_scripts_are_no_calls() -> None:
    assert fold(stream(BEGUN, started("a", kind="script"))).run.calls == 0


def test_records_are_in_program_order() -> None:
    state = fold(stream(BEGUN, started("b", order=2), started("a", order=3), started("c", order=1)))
    assert [step.path for step in state.in_order()] == ["c", "b", "a"]


# ── what is refused ───────────────────────────────────────────────────────────────────────────────
DONE = (BEGUN, started("a"), completed("a"))
OPEN = (BEGUN, started("a"))


@pytest.mark.parametrize(
    ("events", "rule"),
    [
        pytest.param((BEGUN, CREATED), "E2", id="created twice"),
        pytest.param((*OPEN, started("a", 1)), "E3", id="second open attempt"),
        pytest.param((*OPEN, attempt_failed("a", 1)), "E4", id="end of another number"),
        pytest.param((BEGUN, attempt_failed("a")), "E4", id="end without a beginning"),
        pytest.param((*OPEN, completed("a", epoch=2)), "E4", id="end of another epoch"),
        pytest.param((BEGUN, started("a", 1)), "E5", id="first number not 0"),
        pytest.param((*OPEN, attempt_failed("a"), started("a", 2)), "E5", id="number left out"),
        pytest.param((started("a"),), "E6", id="attempt before the leg began"),
        pytest.param((*OPEN, ev.RunCompleted(outputs={})), "E6", id="end with an open attempt"),
        pytest.param((BEGUN, BEGUN), "E7", id="leg begun twice"),
        pytest.param((BEGUN, ev.RunCompleted(outputs={}), completed("a")), "E7", id="event after the end"),
        pytest.param((BEGUN, ev.RunCompleted(outputs={}), ev.RunCompleted(outputs={})), "E7", id="second end"),
        pytest.param((BEGUN, completed("a")), "E8", id="result of a step that never began"),
        pytest.param((*DONE, ev.StepHandled(path=StepPath("a"), handled="until")), "E8", id="no failure to handle"),
        pytest.param((*OPEN, ev.StepSuperseded(path=StepPath("a"), why="x")), "E8", id="superseded while open"),
        pytest.param((*DONE, started("a", 1)), "E9", id="attempt after the end of the step"),
        pytest.param((*DONE, failed("a")), "E9", id="second end of the step"),
    ],
)
def test_an_event_that_cannot_follow_names_its_rule(events: tuple[Event, ...], rule: str) -> None:
    assert rule_of(stream(*events)) == rule


def test_numbers_fences_and_runs_must_fit() -> None:
    *rest, last = stream(BEGUN, started("a"))
    assert rule_of([*rest, last._replace(seq=5)]) == "E1"
    assert rule_of([*rest, last._replace(seq=2)]) == "E1"
    assert rule_of([*rest, last._replace(fence=0)]) == "E1"
    assert rule_of([*rest, last._replace(leg=0)]) == "E1"
    assert rule_of([*rest, last._replace(run=RunID("another"))]) == "E1"
    assert rule_of([Envelope(RUN, 1, 0, 0, 0, BEGUN)]) == "E2"


def test_parallel_paths_may_be_open_at_once() -> None:
    state = fold(stream(BEGUN, started("a"), started("b"), completed("b"), completed("a")))
    assert {step.status for step in state.steps.values()} == {StepStatus.COMPLETED}


# ── properties over made-up streams ───────────────────────────────────────────────────────────────
def told(seed: int) -> list[Envelope]:
    story = Story(MemoryRunStore())
    story.begin()
    for events in made_up(seed, story):
        story.write(*events)
    return story.envelopes


@pytest.mark.parametrize("seed", range(100, 106))
def test_prefix_and_rest_fold_to_the_whole(seed: int) -> None:
    envelopes = told(seed)
    whole = fold(envelopes)
    for cut in (1, len(envelopes) // 2, len(envelopes) - 1):
        state = fold(envelopes[:cut])
        for envelope in envelopes[cut:]:
            state.apply(envelope)
        assert (state.run, state.steps) == (whole.run, whole.steps)


@pytest.mark.parametrize("seed", range(100, 103))
def test_notes_change_no_record(seed: int) -> None:
    envelopes, chance = told(seed), random.Random(seed)
    with_notes, shift = [], 0
    for envelope in envelopes:
        with_notes.append(envelope._replace(seq=envelope.seq + shift))
        if envelope.seq > 1 and chance.random() < 0.3:
            shift += 1
            note = ev.Note(level="info", code="x", text="")
            with_notes.append(envelope._replace(seq=envelope.seq + shift, event=note))
    assert fold(with_notes).steps == fold(envelopes).steps


@pytest.mark.parametrize("seed", range(100, 103))
def test_no_event_can_be_lost_doubled_or_swapped(seed: int) -> None:
    envelopes = told(seed)
    for at in range(1, len(envelopes) - 1):
        for damaged in (
            envelopes[:at] + envelopes[at + 1 :],
            [*envelopes[:at], envelopes[at], *envelopes[at:]],
            [*envelopes[:at], envelopes[at + 1], envelopes[at], *envelopes[at + 2 :]],
        ):
            with pytest.raises(UserError):
                fold(damaged)


def test_an_empty_state_has_no_run() -> None:
    assert RunState().run.seq == 0
