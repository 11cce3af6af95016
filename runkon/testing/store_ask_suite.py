"""What every run store must do about people: wishes that a run be given up, gates and their answers. Part of the store
suite."""

from __future__ import annotations

from dataclasses import replace

import pytest

from runkon.errors import EXIT_NOT_FOUND, UserError
from runkon.model import events as ev
from runkon.model.gates import ANY, answer_for
from runkon.model.ids import RunID, StepPath, new_run_id
from runkon.model.ports import RunStore
from runkon.model.records import CancelRequest, GateAnswer
from runkon.model.status import RunStatus, StepStatus
from runkon.testing.store_lease_suite import LeaseContract, in_threads
from runkon.testing.store_story import START_MS, TTL_MS, Story, completed, failed, gate, started

MANY = 20
ANN = CancelRequest(START_MS + 7, "ann", "wrong branch")


def answer(run: RunID, choice: str = "approved", *, by: str = "ann", name: str = "ship") -> GateAnswer:
    return GateAnswer(run, name, choice, by, "cli", START_MS + 9)


class AskContract(LeaseContract):
    """Wishes and answers come from anybody, without a lease, and change nothing that only the owner writes."""

    # ── giving a run up ───────────────────────────────────────────────────────────────────────────
    def test_a_wish_is_kept_and_the_first_one_stands(self, store: RunStore) -> None:
        story = Story(store)
        story.begin()
        before = list(store.events(story.run)), list(store.steps(story.run))
        record = store.ask_to_cancel(story.run, ANN)
        assert record == store.run(story.run)
        assert (record.cancel, record.status, record.seq) == (ANN, RunStatus.RUNNING, 2)
        second = CancelRequest(START_MS + 8, "bob", "too late", kill=True, via="api")
        assert store.ask_to_cancel(story.run, second).cancel == ANN._replace(kill=True)
        assert store.ask_to_cancel(story.run, second._replace(kill=False)).cancel == ANN._replace(kill=True)
        assert (list(store.events(story.run)), list(store.steps(story.run))) == before
        story.write(started("a"))

    def test_wishes_are_read_for_many_runs_at_once(self, store: RunStore) -> None:
        first, second, third = Story(store), Story(store), Story(store)
        store.ask_to_cancel(first.run, ANN)
        store.ask_to_cancel(third.run, ANN._replace(kill=True))
        asked = [first.run, second.run, new_run_id()]
        assert dict(store.cancel_wishes(asked)) == {first.run: ANN}
        assert dict(store.cancel_wishes([])) == {}
        assert dict(store.cancel_wishes([third.run])) == {third.run: ANN._replace(kill=True)}

    def test_what_the_owner_saw_is_the_wish_where_nobody_left_one(self, store: RunStore) -> None:
        story = Story(store)
        story.begin()
        story.write(ev.RunCancelRequested(by="bob", via="signal", reason="^C"))
        seen = CancelRequest(story.envelopes[-1].at, "bob", "^C", via="signal")
        record = store.run(story.run)
        assert record is not None
        assert (record.status, record.cancel) == (RunStatus.CANCELLING, seen)
        assert store.ask_to_cancel(story.run, ANN).cancel == seen

    def test_a_run_that_ended_well_or_badly_is_not_given_up(self, store: RunStore) -> None:
        ended: list[tuple[ev.Event, ...]] = [
            (ev.RunCompleted(outputs={}),),
            (started("a"), failed("a"), ev.RunFailed(reason="step_failed", error="x")),
        ]
        for events in ended:
            story = Story(store)
            story.begin()
            story.write(*events, release=True)
            with pytest.raises(UserError) as caught:
                store.ask_to_cancel(story.run, ANN)
            assert (caught.value.code, caught.value.exit_code) == ("already-ended", EXIT_NOT_FOUND)
            assert caught.value.next == f"runkon show {story.run}"
            record = store.run(story.run)
            assert record is not None
            assert record.cancel is None

    def test_a_given_up_run_may_be_given_up_again(self, store: RunStore) -> None:
        story = Story(store)
        story.begin()
        story.write(ev.RunCancelRequested(by="ann", via="cli", reason=""), ev.RunCancelled(reason="user", by="ann"))
        assert store.ask_to_cancel(story.run, ANN).status is RunStatus.CANCELLED

    def test_nobody_gives_up_or_answers_an_unknown_run(self, store: RunStore) -> None:
        unknown = new_run_id()
        for ask in (lambda: store.ask_to_cancel(unknown, ANN), lambda: store.answer_gate(answer(unknown))):
            with pytest.raises(UserError) as caught:
                ask()
            assert caught.value.code == "run-not-found"
        assert (list(store.gates(unknown)), list(store.gate_answers(unknown))) == ([], [])

    # ── gates ─────────────────────────────────────────────────────────────────────────────────────
    def test_a_gate_is_opened_waited_for_and_decided(self, store: RunStore) -> None:
        story = Story(store)
        story.begin()
        story.write(gate("ship", options=("now", "later"), deadline_at=START_MS + 50), gate("pay"))
        assert [(step.path, step.status) for step in store.steps(story.run)] == [
            ("pay", StepStatus.WAITING),
            ("ship", StepStatus.WAITING),
        ]
        story.write(ev.RunWaiting(gates=("ship", "pay")), release=True)
        record = store.run(story.run)
        assert record is not None
        assert (record.status, record.waiting_on, record.holder) == (RunStatus.WAITING, ("ship", "pay"), None)
        story.begin("second", resumed=True)
        decided = ev.GateDecided(
            path=StepPath("ship"), name="ship", decision="now", by="ann", via="cli", reason="go", form={"n": [1.0]}
        )
        story.write(decided, ev.StepCompleted(path=StepPath("ship"), output=completed("x").output, decided_by="ann"))
        assert list(store.gates(story.run)) == list(story.state.gates.values())
        ship, pay = store.gates(story.run)
        assert (ship.options, ship.deadline_at, ship.decision, ship.by) == (
            ("now", "later"),
            START_MS + 50,
            "now",
            "ann",
        )
        assert (ship.form, ship.decided_at, pay.decision) == ({"n": [1.0]}, story.envelopes[-2].at, None)
        assert store.run(story.run) == self.with_lease(story)

    def test_an_attempt_nobody_saw_the_end_of_may_be_asked_about(self, store: RunStore) -> None:
        story = Story(store)
        story.begin()
        story.write(replace(started("a"), effect="write"))
        story.write(ev.AttemptCutOff(path=StepPath("a"), number=0, certainty="unknown", cause="process_lost"))
        story.write(gate("unknown:a", path="a"))
        (step,) = store.steps(story.run)
        assert (step.status, step.attempts, step.cut_offs, step.effect) == (StepStatus.WAITING, 1, 1, "write")
        decided = ev.GateDecided(path=StepPath("a"), name="unknown:a", decision="rerun", by="ann", via="cli")
        story.write(decided, started("a", 1))
        assert list(store.steps(story.run)) == story.state.in_order()

    @pytest.mark.parametrize(
        "wrong",
        [
            pytest.param((gate("ship"),), id="opened twice"),
            pytest.param((gate("new", path="open"),), id="beside an open attempt"),
            pytest.param((gate("new", path="done"),), id="of a settled step"),
            pytest.param((gate("new", epoch=2),), id="in an epoch out of nowhere"),
            pytest.param(
                (ev.GateDecided(path=StepPath("x"), name="x", decision="y", by="", via=""),), id="decided unopened"
            ),
            pytest.param((completed("open"), ev.RunCompleted(outputs={})), id="end with an open gate"),
            pytest.param(
                (ev.ProcessStarted(path=StepPath("done"), number=0, pid=1, began="2"),),
                id="process of a closed attempt",
            ),
            pytest.param(
                (ev.ProcessStarted(path=StepPath("open"), number=1, pid=1, began="2"),), id="process of another attempt"
            ),
        ],
    )
    def test_a_gate_or_process_that_cannot_follow_is_refused_whole(
        self, store: RunStore, wrong: tuple[ev.Event, ...]
    ) -> None:
        story = Story(store)
        story.begin()
        story.write(started("done"), completed("done"), started("open"), gate("ship"))
        before = self.everything(store, story.run), list(store.gates(story.run))
        with pytest.raises(UserError) as caught:
            store.append(self.held(story), story.next(*wrong))
        assert caught.value.code == "corrupt-run"
        assert (self.everything(store, story.run), list(store.gates(story.run))) == before

    def test_a_decision_is_made_once(self, store: RunStore) -> None:
        story = Story(store)
        story.begin()
        decided = ev.GateDecided(path=StepPath("ship"), name="ship", decision="approved", by="ann", via="cli")
        story.write(gate("ship"), decided)
        with pytest.raises(UserError) as caught:
            store.append(self.held(story), story.next(replace(decided, decision="rejected")))
        assert "E10" in caught.value.message
        assert [one.decision for one in store.gates(story.run)] == ["approved"]

    # ── answers ───────────────────────────────────────────────────────────────────────────────────
    def test_an_answer_changes_nothing_that_the_owner_writes(self, store: RunStore) -> None:
        story = Story(store)
        story.begin()
        story.write(gate("ship"))
        before = self.everything(store, story.run)
        given = answer(story.run)._replace(reason="looks good", form={"n": 1.0})
        kept = store.answer_gate(given)
        assert kept == given._replace(ordinal=1)
        assert list(store.gate_answers(story.run)) == [kept]
        assert answer_for("ship", 1, store.gate_answers(story.run)) == kept
        assert self.everything(store, story.run) == before
        story.write(started("a"))

    def test_an_answer_may_come_before_its_gate_and_for_every_occurrence(self, store: RunStore) -> None:
        story = Story(store)
        early = store.answer_gate(answer(story.run)._replace(occurrence=2))
        standing = store.answer_gate(answer(story.run, "rejected")._replace(occurrence=ANY))
        other = store.answer_gate(answer(story.run, name="pay"))
        found = store.gate_answers(story.run)
        assert list(found) == [other, standing, early]
        assert answer_for("ship", 1, found) == standing
        assert answer_for("ship", 2, found) == early
        assert answer_for("build", 1, found) is None

    def test_a_second_answer_hears_who_was_first_and_when(self, store: RunStore) -> None:
        story = Story(store)
        story.begin()
        story.write(gate("ship"))
        store.answer_gate(answer(story.run))
        with pytest.raises(UserError) as caught:
            store.answer_gate(answer(story.run, "rejected", by="bob"))
        assert caught.value.code == "gate-decided"
        assert caught.value.message == (
            "gate `ship` has its decision already: `approved` by ann (cli, 2026-01-01T00:00:00Z)"
        )
        assert caught.value.next == f"runkon show {story.run}"
        assert [one.choice for one in store.gate_answers(story.run)] == ["approved"]

    def test_an_answer_after_the_decision_hears_the_decision(self, store: RunStore) -> None:
        story = Story(store)
        story.begin()
        late = ev.GateDecided(path=StepPath("ship"), name="ship", decision="timed_out", by="clock", via="timeout")
        story.write(gate("ship"), late)
        with pytest.raises(UserError) as caught:
            store.answer_gate(answer(story.run))
        assert (caught.value.code, "`timed_out` by clock" in caught.value.message) == ("gate-decided", True)
        assert list(store.gate_answers(story.run)) == []

    def test_of_many_answers_at_once_one_counts(self, store: RunStore) -> None:
        story = Story(store)
        story.begin()
        story.write(gate("ship"))
        won: list[str] = []
        lost: list[UserError] = []

        def give(number: int) -> None:
            try:
                won.append(store.answer_gate(answer(story.run, by=f"voter {number}")).by)
            except UserError as error:
                lost.append(error)

        in_threads([lambda number=number: give(number) for number in range(MANY)])  # type: ignore[misc]
        assert (len(won), len(lost)) == (1, MANY - 1)
        assert {error.code for error in lost} == {"gate-decided"}
        assert all(f"by {won[0]} (" in error.message for error in lost)
        assert [one.by for one in store.gate_answers(story.run)] == won

    def test_wishes_and_answers_come_while_the_owner_writes(self, store: RunStore) -> None:
        story = Story(store)
        story.begin()

        def own() -> None:
            for number in range(MANY):
                story.write(started(f"s#{number}", order=number), completed(f"s#{number}"))

        def ask() -> None:
            for number in range(MANY):
                store.answer_gate(answer(story.run, name=f"gate {number}"))
                store.ask_to_cancel(story.run, ANN)

        in_threads([own, ask])
        assert list(store.events(story.run)) == story.envelopes
        assert len(store.gate_answers(story.run)) == MANY
        record = store.run(story.run)
        assert record is not None
        assert (record.seq, record.cancel) == (2 + 2 * MANY, ANN)
        store.check_log(story.run)

    def test_a_waiting_run_is_free_for_the_next_leg(self, store: RunStore) -> None:
        story = Story(store)
        lease = story.begin()
        story.write(gate("ship"), ev.RunWaiting(gates=("ship",)), release=True)
        taken = store.acquire(story.run, "second", START_MS, TTL_MS)
        assert taken is not None
        assert (taken.fence, taken.leg) == (lease.fence + 1, lease.leg + 1)
