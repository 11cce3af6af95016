"""Gates: opened, decided once, by whom, in time or not, and what later steps see of it."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from runkon.engine.cancellation import RunControl
from runkon.engine.config import RunConfig
from runkon.engine.runner import Runner
from runkon.errors import UserError
from runkon.model.decisions import Approved, GateRequest, Pending, Rejected, Resolution
from runkon.model.events import Envelope, GateDecided, GateOpened
from runkon.model.ids import RunID
from runkon.model.ports import Clock, RunStore
from runkon.model.records import GateAnswer
from runkon.model.status import RunStatus, StepStatus
from runkon.store.memory import MemoryRunStore
from runkon.testing import FakeClock, ScriptedExecutor, TextRun, check_text
from runkon.testing.running import recorded

PATIENCE = 30.0
BODY = """
  gate human_review { prompt = "Ship?" %s }
  if human_review.approved { call ship } else { call wait_for }
  outputs {
    decision = human_review.decision
    reason = human_review.reason
    feedback = "{{gate_feedback ?? '-'}}"
    by = human_review.by
    late = human_review.timed_out
  }
"""


def said(choice: str = "approved", **fields: object) -> GateAnswer:
    given = {"run": RunID(""), "gate": "human_review", "choice": choice, "by": "ann", "via": "cli", "at": 1, **fields}
    return GateAnswer(**given)  # type: ignore[arg-type]


class Play:
    """One run on one store, leg by leg. `answers` are there before the first leg."""

    def __init__(
        self,
        body: str,
        answers: Sequence[GateAnswer] = (),
        *,
        clock: Clock | None = None,
        resolvers: dict[str, object] | None = None,
        store: RunStore | None = None,
        **config: object,
    ) -> None:
        self.program = check_text(f"workflow w {{ {body} }}")
        self.store = store or MemoryRunStore()
        self.clock = clock
        self.config = replace(RunConfig(working_dir=Path.cwd()), **config)  # type: ignore[arg-type]
        self.scripted = ScriptedExecutor(
            {name: name for name in ("before", "ship", "wait_for", "other", "after")}
            | {"score": {"confidence": 79.9, "names": ["a", "b", 3], "labels": {"x": "one", "y": 2}}}
        )
        self.opened = threading.Event()
        self.runner = Runner(
            self.store,
            self.scripted,
            sinks=[self],
            clock=clock,
            resolvers=resolvers or {},  # type: ignore[arg-type]
        )
        self.run = self.runner.create(self.program, {}, self.config)
        for one in answers:
            self.answer(one)

    def emit(self, envelope: Envelope) -> None:
        if isinstance(envelope.event, GateOpened):
            self.opened.set()

    def answer(self, answer: GateAnswer) -> GateAnswer:
        return self.store.answer_gate(answer._replace(run=self.run))

    def leg(self, control: RunControl | None = None, **config: object) -> TextRun:
        record = self.runner.execute(self.run, self.program, replace(self.config, **config), control)  # type: ignore[arg-type]
        return recorded(record, self.store, self.program)

    def attended(self, then: Callable[[], object], control: RunControl | None = None) -> TextRun:
        """A leg that stays at its gates; `then` happens once one is open."""
        found: list[TextRun | BaseException] = []

        def work() -> None:
            try:
                found.append(self.leg(control, attends=True))
            except BaseException as error:  # noqa: BLE001  raised again below
                found.append(error)

        thread = threading.Thread(target=work)
        thread.start()
        assert self.opened.wait(PATIENCE)
        then()
        thread.join(PATIENCE)
        assert not thread.is_alive()
        if isinstance(found[0], BaseException):
            raise found[0]
        return found[0]


def decisions(done: TextRun) -> list[tuple[str, str, str]]:
    return [(one.decision, one.by, one.via) for one in done.events if isinstance(one, GateDecided)]


def calls(play: Play) -> list[str]:
    return [call.name for call in play.scripted.calls]


# ── decided while nobody ran ──────────────────────────────────────────────────────────────────────
def test_an_unattended_run_leaves_and_goes_on_with_the_decision() -> None:
    play = Play(f"call before {BODY % 'timeout = 48h'}")
    waiting = play.leg()
    assert (waiting.record.status, waiting.record.waiting_on) == (RunStatus.WAITING, ("human_review",))
    (gate,) = play.store.gates(play.run)
    assert (gate.type, gate.prompt, gate.occurrence) == ("human_review", "Ship?", 1)
    assert gate.deadline_at is not None
    assert round((gate.deadline_at - gate.opened_at) / 3_600_000) == 48
    again = play.leg()
    assert again.record.status is RunStatus.WAITING
    assert [(one.occurrence, one.deadline_at) for one in play.store.gates(play.run)] == [(1, gate.deadline_at)]
    play.answer(said(reason="well done"))
    done = play.leg()
    assert done.record.status is RunStatus.COMPLETED
    assert done.record.outputs == {
        "decision": "approved", "reason": "well done", "feedback": "well done", "by": "ann", "late": None
    }  # fmt: skip
    assert calls(play) == ["before", "ship"]
    assert [event.kind for event in done.events].count("gate_opened") == 1


def test_a_decision_may_come_before_its_gate() -> None:
    done = Play(BODY % "", [said()]).leg()
    assert done.record.status is RunStatus.COMPLETED
    kinds = [event.kind for event in done.events]
    assert kinds[2:5] == ["gate_opened", "gate_decided", "step_completed"]


def test_a_decision_for_all_yields_to_one_for_this_opening() -> None:
    both = [said("rejected", occurrence=0), said()]
    assert decisions(Play(BODY % "", both).leg()) == [("approved", "ann", "cli")]
    newer = [said("rejected", occurrence=0), said(occurrence=0, by="bob")]
    assert decisions(Play(BODY % "", newer).leg()) == [("approved", "bob", "cli")]


def test_every_round_of_a_loop_opens_the_gate_anew() -> None:
    body = """
      do { max_iterations = 5 gate human_review { on_reject = continue } } while human_review.rejected
    """
    play = Play(body, [said("rejected"), said(occurrence=2, by="bob")])
    done = play.leg()
    assert done.record.status is RunStatus.COMPLETED
    assert decisions(done) == [("rejected", "ann", "cli"), ("approved", "bob", "cli")]
    assert [step.path for step in done.steps] == ["do[0]/human_review", "do[1]/human_review"]


def test_a_rejection_fails_the_run_and_its_reason_says_why() -> None:
    done = Play(BODY % "", [said("rejected", reason="too early")]).leg()
    assert (done.record.status, done.record.reason) == (RunStatus.FAILED, "step_failed")
    assert done.record.error == "gate `human_review` failed: `human_review` was rejected by ann: too early"
    step = done.step("human_review")
    assert (step.status, sorted(step.output.markers)) == (StepStatus.FAILED, ["rejected"])
    assert step.error is not None
    assert step.error.kind == "rejected"


def test_a_rejection_may_be_taken() -> None:
    play = Play(BODY % "on_reject = continue", [said("rejected", reason="no")])
    done = play.leg()
    assert done.record.outputs == {"decision": "rejected", "reason": "no", "feedback": "no", "by": "ann", "late": None}
    assert calls(play) == ["wait_for"]


def test_a_failed_run_that_is_resumed_asks_again() -> None:
    play = Play(BODY % "", [said("rejected")])
    assert play.leg().record.status is RunStatus.FAILED
    assert play.leg().record.status is RunStatus.WAITING
    assert [gate.occurrence for gate in play.store.gates(play.run)] == [1, 2]
    play.answer(said(occurrence=2))
    assert play.leg().record.status is RunStatus.COMPLETED


# ── who decides ───────────────────────────────────────────────────────────────────────────────────
def test_a_quorum_counts_people() -> None:
    vote = {"form": {"needed": 2}}
    play = Play(BODY % "quorum = 2", [said(**vote)])
    assert play.leg().record.status is RunStatus.WAITING
    with pytest.raises(UserError) as caught:
        play.answer(said(**vote))
    assert (caught.value.code, caught.value.exit_code) == ("already-voted", 6)
    assert play.leg().record.status is RunStatus.WAITING
    play.answer(said(by="bob", **vote))
    assert play.leg().record.status is RunStatus.COMPLETED
    with pytest.raises(UserError) as caught:
        play.answer(said(by="cyd", **vote))
    assert caught.value.code == "gate-decided"
    assert "by bob" in caught.value.message


def test_only_approvers_count() -> None:
    play = Play(BODY % 'approvers = ["bob"]', [said(occurrence=0)])
    assert play.leg().record.status is RunStatus.WAITING
    play.answer(said(by="bob"))
    assert play.leg().record.status is RunStatus.COMPLETED


def test_of_many_at_once_one_decides() -> None:
    play = Play(BODY % "on_reject = continue")
    refused: list[str] = []

    def vote(number: int) -> None:
        try:
            play.answer(said("approved" if number % 2 else "rejected", by=f"p{number}"))
        except UserError as error:
            refused.append(error.message)

    def all_at_once() -> None:
        threads = [threading.Thread(target=vote, args=(number,)) for number in range(20)]
        for one in threads:
            one.start()
        for one in threads:
            one.join()

    done = play.attended(all_at_once)
    ((decision, by, _),) = decisions(done)
    assert len(refused) == 19
    assert all(f"`{decision}` by {by} (" in message for message in refused)


def test_choices_become_the_feedback() -> None:
    body = BODY % 'options = { a = "one" b = "two" }'
    play = Play(body, [said(form={"selected": ["a", "b"]})])
    done = play.leg()
    assert (done.record.outputs or {})["feedback"] == "a, b"
    assert (done.record.outputs or {})["decision"] == "a, b"
    (gate,) = play.store.gates(play.run)
    assert (gate.options, gate.prompt) == (("a", "b"), "Ship?\na: one\nb: two")


@pytest.mark.parametrize(("field", "options"), [("names", ("a", "b")), ("labels", ("x",))])
def test_choices_may_come_from_a_step(field: str, options: tuple[str, ...]) -> None:
    play = Play(f"call score {BODY % f'options = score.{field}'}")
    assert play.leg().record.status is RunStatus.WAITING
    assert play.store.gates(play.run)[0].options == options


def test_choices_that_are_not_there_fail_the_gate() -> None:
    done = Play(f"call score {BODY % 'options = score.nothing'}").leg()
    assert done.record.status is RunStatus.FAILED
    assert "no list or map of texts called `nothing`" in (done.record.error or "")


def test_values_of_an_answer_are_fields_of_the_result() -> None:
    body = "gate human_review {} outputs { risk = human_review.risk }"
    done = Play(body, [said(form={"values": {"risk": 3}})]).leg()
    assert done.record.outputs == {"risk": 3}


# ── time ──────────────────────────────────────────────────────────────────────────────────────────
@pytest.mark.parametrize(
    ("option", "status", "decision", "markers"),
    [
        ("fail", StepStatus.TIMED_OUT, "timed_out", []),
        ("continue", StepStatus.TIMED_OUT, "timed_out", []),
        ("approve", StepStatus.COMPLETED, "approved", ["approved", "timed_out"]),
        ("reject", StepStatus.FAILED, "rejected", ["rejected", "timed_out"]),
    ],
)
def test_the_end_of_the_wait(option: str, status: StepStatus, decision: str, markers: list[str]) -> None:
    clock = FakeClock()
    play = Play(BODY % f"timeout = 48h on_timeout = {option}", clock=clock)
    done = play.attended(lambda: (clock.wait_for_timer(172_800), clock.advance(172_800)))
    step = done.step("human_review")
    assert (step.status, sorted(step.output.markers)) == (status, markers)
    assert decisions(done) == [(decision, "runkon", "timeout")]
    ends_well = option in ("continue", "approve")
    assert done.record.status is (RunStatus.COMPLETED if ends_well else RunStatus.FAILED)
    if not ends_well:
        assert "nobody decided within 48h" in (done.record.error or "")


def test_a_gate_that_timed_out_is_the_same_after_a_resume() -> None:
    body = """
      gate human_review { timeout = 0 on_timeout = continue }
      if human_review.timed_out { gate second {} }
      outputs { at = human_review.at late = human_review.timed_out decision = human_review.decision }
    """
    play = Play(body.replace("gate second", "gate human_approval"))
    waiting = play.leg()
    assert waiting.record.waiting_on == ("human_approval",)
    due = play.store.gates(play.run)[0].deadline_at
    play.answer(said(gate="human_approval"))
    done = play.leg()
    assert (done.record.outputs or {})["decision"] == "timed_out"
    assert str((done.record.outputs or {})["at"]).endswith(f"{(due or 0) % 1000:03d}Z")


def test_time_goes_on_while_nobody_runs() -> None:
    clock = FakeClock()
    play = Play(BODY % "timeout = 1h on_timeout = continue", clock=clock)
    assert play.leg().record.status is RunStatus.WAITING
    clock.advance(3600)
    assert play.leg().record.status is RunStatus.COMPLETED
    assert calls(play) == ["wait_for"]


def test_a_decision_before_the_deadline_counts_also_when_it_is_read_after() -> None:
    clock = FakeClock()
    play = Play(BODY % "timeout = 1h", clock=clock)
    play.leg()
    early = clock.now_ms() + 1000
    clock.advance(7200)
    play.answer(said(at=early))
    assert decisions(play.leg()) == [("approved", "ann", "cli")]


def test_a_decision_after_the_deadline_does_not_count() -> None:
    clock = FakeClock()
    play = Play(BODY % "timeout = 1h on_timeout = continue", clock=clock)
    play.leg()
    clock.advance(7200)
    play.answer(said(at=clock.now_ms()))
    assert play.leg().step("human_review").status is StepStatus.TIMED_OUT


@pytest.mark.parametrize("seconds", [7200, -7200], ids=["forward", "back"])
def test_a_wall_clock_that_is_set_ends_no_wait_early_and_none_late(seconds: int) -> None:
    clock, looks = FakeClock(), threading.Semaphore(0)
    play = Play(BODY % "timeout = 1h on_timeout = continue", clock=clock)
    read = play.store.gate_answers

    def counted(run: RunID) -> Sequence[GateAnswer]:
        if threading.current_thread().name != "runkon-watcher":
            looks.release()
        return read(run)

    def then() -> None:
        clock.wait_for_timer(3600)
        clock.set_wall(seconds)
        play.store.gate_answers = counted  # type: ignore[method-assign]
        for number in range(3):  # news, by which the wait looks again
            play.answer(said(gate="another", occurrence=number + 1))
            assert looks.acquire(timeout=PATIENCE)
        clock.advance(3600)

    done = play.attended(then)
    assert decisions(done) == [("timed_out", "runkon", "timeout")]
    assert calls(play) == ["wait_for"]


# ── waiting ───────────────────────────────────────────────────────────────────────────────────────
def test_a_leg_that_is_attended_goes_on_soon_after_the_decision() -> None:
    play = Play(BODY % "")
    given: list[float] = []

    def decide() -> None:
        play.answer(said(at=int(time.time() * 1000)))
        given.append(time.monotonic())

    done = play.attended(decide)
    assert done.record.status is RunStatus.COMPLETED
    assert time.monotonic() - given[0] < PATIENCE
    assert [event.kind for event in done.events].count("run_resumed") == 0


def test_a_cancel_beats_a_default() -> None:
    clock = FakeClock()
    play = Play(BODY % "timeout = 1h on_timeout = approve", clock=clock)
    control = RunControl()

    def both() -> None:
        clock.wait_for_timer(3600)
        control.cancel("ann", "enough")
        clock.advance(3600)

    done = play.attended(both, control)
    assert done.record.status is RunStatus.CANCELLED
    assert done.step("human_review").status is StepStatus.CANCELLED
    assert decisions(done) == [("withdrawn", "runkon", "run")]
    assert calls(play) == []


def test_a_pause_keeps_the_gate_open() -> None:
    play = Play(BODY % "")
    control = RunControl()
    paused = play.attended(control.interrupt, control)
    assert paused.record.status is RunStatus.INTERRUPTED
    assert play.store.gates(play.run)[0].decision is None
    play.answer(said())
    assert play.leg().record.status is RunStatus.COMPLETED
    assert len(play.store.gates(play.run)) == 1


def test_other_branches_go_on_and_take_its_place() -> None:
    play = Play("parallel { max_parallel = 1 gate human_review {} call other call before } call after")
    waiting = play.leg()
    assert waiting.record.status is RunStatus.WAITING
    assert sorted(calls(play)) == ["before", "other"]
    attended = Play("parallel { max_parallel = 1 gate human_review {} call other call before } call after")

    def once_they_ran() -> None:
        attended.scripted.wait_for_calls(2)
        attended.answer(said())

    assert attended.attended(once_they_ran).record.status is RunStatus.COMPLETED
    assert sorted(calls(attended)) == ["after", "before", "other"]


def test_a_block_that_fails_withdraws_its_gate() -> None:
    play = Play("parallel { gate human_review {} call missing }")
    play.scripted = ScriptedExecutor({"missing": RuntimeError("broken")})
    play.runner = Runner(play.store, play.scripted)
    done = play.leg()
    assert done.record.status is RunStatus.FAILED
    assert decisions(done) == [("withdrawn", "runkon", "run")]
    with pytest.raises(UserError) as caught:
        play.answer(said())
    assert caught.value.code == "gate-decided"


def test_a_dry_run_is_approved_and_uses_no_decision_up() -> None:
    play = Play(BODY % "", [said("rejected")], dry_run=True)
    done = play.leg()
    assert (done.record.outputs or {})["by"] == "dry-run"
    assert decisions(done) == []


# ── resolvers ─────────────────────────────────────────────────────────────────────────────────────
class Answers:
    """A resolver that gives these answers in turn."""

    name = "pr_checks"
    interval = 30.0

    def __init__(self, *answers: Resolution | Exception) -> None:
        self.answers = list(answers)
        self.asked: list[GateRequest] = []

    def poll(self, request: GateRequest) -> Resolution:
        self.asked.append(request)
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer


def test_a_resolver_is_asked_with_what_stands_in_the_prompt() -> None:
    resolver = Answers(Approved("green"))
    gate = 'gate pr_checks { prompt = "{{pr}}: {{score.names}}?" options = score.labels }'
    Play(f'inputs {{ pr default = "7" }} call score {gate}', resolvers={"pr_checks": resolver}).leg()
    (asked,) = resolver.asked
    assert asked.params["prompt"] == '7: ["a", "b", 3]?'
    assert asked.params["options"] == {"x": "one"}


@pytest.mark.parametrize(
    ("last", "expected"),
    [
        (Approved("green", by="ci"), ("approved", "ci", "resolver")),
        (Rejected("red"), ("rejected", "pr_checks", "resolver")),
    ],
)
def test_a_resolver_is_asked_until_it_knows(last: Resolution, expected: tuple[str, str, str]) -> None:
    clock, resolver = FakeClock(), Answers(Pending(), OSError("no network"), last)
    play = Play(
        'gate pr_checks { prompt = "Green?" on_reject = continue }', clock=clock, resolvers={"pr_checks": resolver}
    )
    found: list[TextRun] = []
    thread = threading.Thread(target=lambda: found.append(play.leg()))
    thread.start()
    for due in (30.0, 60.0):
        clock.wait_for_timer(due)
        clock.advance(due - clock.monotonic())
    thread.join(PATIENCE)
    assert decisions(found[0]) == [expected]
    assert [request.poll for request in resolver.asked] == [0, 1, 2]
    assert resolver.asked[0].params["prompt"] == "Green?"
    assert ["no network" in event.text for event in found[0].events if event.kind == "note"] == [True]  # type: ignore[attr-defined]


# ── quality gates ─────────────────────────────────────────────────────────────────────────────────
@pytest.mark.parametrize(
    ("confidence", "passes", "score"),
    [(85, True, 85), (79, False, 79), (150, True, 100), (79.9, False, 79), (None, False, 0), ("high", False, 0)],
)
def test_a_quality_gate_judges_by_the_score(confidence: object, passes: bool, score: int) -> None:
    play = Play(
        "call score gate quality_gate { source = score threshold = 80 } outputs { c = quality_gate.confidence }"
    )
    play.runner = Runner(play.store, ScriptedExecutor({"score": {"confidence": confidence}}))
    done = play.leg()
    assert done.record.status is (RunStatus.COMPLETED if passes else RunStatus.FAILED)
    assert done.step("quality_gate").output.values["confidence"] == score
    assert passes or f"the confidence of `score` is {score}, the threshold is 80" in (done.record.error or "")


def test_a_quality_gate_may_go_on_below_its_threshold() -> None:
    body = """
      call score gate quality_gate { source = score threshold = 80 on_fail = continue }
      if quality_gate.approved { call ship } else { call other }
    """
    play = Play(body)
    assert play.leg().record.status is RunStatus.COMPLETED
    assert calls(play) == ["score", "other"]


def test_two_gates_in_one_place_take_turns() -> None:
    body = """
      parallel {
        max_parallel = 1
        do { gate human_review {} call before }
        do { gate human_approval {} call other }
      }
    """
    play = Play(body)
    opened: list[str] = []

    def both() -> None:
        deadline = time.monotonic() + PATIENCE
        while len(play.store.gates(play.run)) < 2 and time.monotonic() < deadline:
            time.sleep(0.01)
        opened.extend(gate.name for gate in play.store.gates(play.run))
        play.answer(said())
        play.scripted.wait_for_calls(1)
        play.answer(said(gate="human_approval"))

    assert play.attended(both).record.status is RunStatus.COMPLETED
    assert sorted(opened) == ["human_approval", "human_review"]
    assert sorted(calls(play)) == ["before", "other"]
