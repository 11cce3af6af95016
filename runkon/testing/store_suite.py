"""What every run store must do: a pytest suite to inherit from.

class TestMine(StoreContract):
    def make(self, folder): return MyRunStore(folder / "runs")
"""

from __future__ import annotations

from pathlib import Path

import pytest

from runkon.errors import EXIT_NOT_FOUND, LeaseLost, UserError
from runkon.model import events as ev
from runkon.model.fold import fold
from runkon.model.ids import RunID, StepPath, new_run_id
from runkon.model.items import ListedItem
from runkon.model.output import Output, Usage
from runkon.model.ports import RunStore
from runkon.model.records import RunRecord
from runkon.model.start_key import START_KEY
from runkon.model.status import RunStatus, StepStatus
from runkon.testing.store_history_suite import HistoryContract
from runkon.testing.store_lease_suite import in_threads
from runkon.testing.store_story import (
    SOURCES,
    START_MS,
    TTL_MS,
    Story,
    attempt_failed,
    completed,
    failed,
    made_up,
    place,
    started,
    value_zoo,
)


class StoreContract(HistoryContract):
    """Inherit, name the class `Test…`, and say what `make` gives."""

    # ── creating and finding ──────────────────────────────────────────────────────────────────────
    def test_a_created_run_is_pending_with_what_it_was_given(self, store: RunStore) -> None:
        story = Story(store, dry=True)
        record = store.run(story.run)
        assert record == RunRecord(
            id=story.run,
            workflow="review",
            file="review.wf",
            status=RunStatus.PENDING,
            inputs={"scope": "full"},
            config={"n": 1},
            dry=True,
            seq=1,
            created_at=START_MS,
        )

    def test_a_run_can_be_created_once(self, store: RunStore) -> None:
        story = Story(store)
        created = ev.RunCreated(workflow="other", sources={}, inputs={}, config={})
        with pytest.raises(UserError) as caught:
            store.create(story.run, created, START_MS)
        assert caught.value.code == "duplicate-run"
        assert store.run(story.run) == story.state.run

    def test_a_start_key_belongs_to_one_run_of_its_workflow(self, store: RunStore) -> None:
        def create(workflow: str, key: str | None) -> tuple[RunID, RunID]:
            config = {} if key is None else {START_KEY: key}
            run = new_run_id()
            created = ev.RunCreated(workflow=workflow, sources={"w.wf": ""}, inputs={}, config=config)
            return run, store.create(run, created, START_MS)

        first, made = create("w", "k")
        assert made == first
        again, there = create("w", "k")
        assert there == first
        assert store.run(again) is None
        for workflow, key in (("w", "l"), ("other", "k"), ("w", None), ("w", None)):
            run, made = create(workflow, key)
            assert made == run
        assert len(store.runs()) == 5

    def test_of_many_that_start_with_one_key_one_makes_the_run(self, store: RunStore) -> None:
        made: list[RunID] = []

        def create() -> None:
            created = ev.RunCreated(workflow="w", sources={"w.wf": ""}, inputs={}, config={START_KEY: "k"})
            made.append(store.create(new_run_id(), created, START_MS))

        in_threads([create] * 8)
        assert len(made) == 8
        assert {*made} == {run.id for run in store.runs()}
        assert len(store.runs()) == 1

    def test_the_sources_come_back_in_order(self, store: RunStore) -> None:
        story = Story(store)
        Story(store)
        assert list(store.sources(story.run).items()) == list(SOURCES.items())

    def test_nothing_is_known_about_an_unknown_run(self, store: RunStore) -> None:
        unknown = new_run_id()
        assert store.run(unknown) is None
        assert list(store.steps(unknown)) == []
        assert list(store.events(unknown)) == []
        assert dict(store.sources(unknown)) == {}
        assert list(store.runs()) == []
        with pytest.raises(UserError) as caught:
            store.acquire(unknown, "first", START_MS, TTL_MS)
        assert (caught.value.code, caught.value.exit_code) == ("run-not-found", EXIT_NOT_FOUND)

    def test_runs_are_found_by_the_beginning_of_their_id(self, store: RunStore) -> None:
        runs = [Story(store).run for _ in range(12)]
        assert list(store.find(runs[3].lower())) == [runs[3]]
        assert list(store.find("")) == runs[:1:-1]
        assert list(store.find("ZZZ")) == []
        assert list(store.find("%")) == []

    def test_runs_are_listed_newest_first_and_chosen(self, store: RunStore) -> None:
        first = Story(store, workflow="review", at=START_MS)
        second = Story(store, workflow="deploy", at=START_MS + 5)
        third = Story(store, workflow="review", at=START_MS + 9)
        third.begin()
        assert [run.id for run in store.runs()] == [third.run, second.run, first.run]
        assert [run.id for run in store.runs(workflow="review")] == [third.run, first.run]
        assert [run.id for run in store.runs(status="running")] == [third.run]
        assert [run.id for run in store.runs(since=START_MS + 5)] == [third.run, second.run]
        assert [run.id for run in store.runs(limit=1)] == [third.run]
        assert store.runs()[0] == store.run(third.run)

    # ── events ────────────────────────────────────────────────────────────────────────────────────
    def test_events_come_back_equal_and_in_order(self, store: RunStore) -> None:
        story = Story(store)
        story.begin()
        story.write(started("a"), ev.Note(level="warning", code="slow", text="hm", data={"n": [1]}))
        story.write(
            completed("a", Output(frozenset({"x"}), "c", value_zoo(), Usage(None, 1, 2, 3), degraded=True, text="t")),
            ev.ChoiceMade(path=StepPath("if"), construct="if", text="a.x", operands={"a.x": True}, result=True),
            ev.ItemsCollected(path=StepPath("f"), items=(ListedItem("k", "K", {"n": [1]}), ListedItem("l", "", None))),
            ev.ItemsCollected(path=StepPath("g"), items=(), blockers=(("k", "l"),), provider="p", epoch=2),
        )
        assert list(store.events(story.run)) == story.envelopes
        assert list(store.events(story.run, after=3)) == story.envelopes[3:]
        assert list(store.events(story.run, after=99)) == []

    def test_a_reader_that_pages_sees_every_event_once(self, store: RunStore) -> None:
        story = Story(store)
        story.begin()
        seen: list[ev.Envelope] = []
        for number in range(10):
            story.write(started(f"s#{number}", order=number), completed(f"s#{number}"))
            seen += store.events(story.run, after=len(seen))
        assert seen == story.envelopes

    def test_values_come_back_to_the_digit_and_in_their_order(self, store: RunStore) -> None:
        story = Story(store)
        story.begin()
        story.write(started("a"), completed("a", Output(values=value_zoo())))
        (step,) = store.steps(story.run)
        assert repr(dict(step.output.values)) == repr(value_zoo())

    @pytest.mark.parametrize("value", [float("nan"), float("inf"), "\ud800", object()])
    def test_a_value_json_cannot_hold_is_refused_whole(self, store: RunStore, value: object) -> None:
        story = Story(store)
        story.begin()
        story.write(started("a"))
        before = self.everything(store, story.run)
        output = Output(values={"bad": value})  # type: ignore[dict-item]
        with pytest.raises((ValueError, TypeError)):
            store.append(
                self.held(story), story.next(ev.Note(level="info", code="x", text="y"), completed("a", output))
            )
        assert self.everything(store, story.run) == before

    # ── steps ─────────────────────────────────────────────────────────────────────────────────────
    def test_steps_are_in_program_order_with_their_results(self, store: RunStore) -> None:
        story = Story(store)
        story.begin()
        story.write(started("late", order=2), started("early", order=1))
        story.write(completed("late", Output(frozenset({"m"}), "text", {"k": [1]})))
        story.write(ev.StepSkipped(path=StepPath("never"), reason="condition", info=place("never", 3)))
        early, late, never = store.steps(story.run)
        assert (early.path, early.status, early.attempts) == ("early", StepStatus.RUNNING, 1)
        assert late.output == Output(frozenset({"m"}), "text", {"k": [1]})
        assert (never.status, never.skip_reason, never.attempts) == (StepStatus.SKIPPED, "condition", 0)
        assert late.info == started("late", order=2).info

    def test_a_retried_step_counts_its_attempts_and_pays_for_all(self, store: RunStore) -> None:
        story = Story(store)
        story.begin()
        paid = Usage(cost_usd=0.25, input_tokens=10)
        story.write(started("a"), attempt_failed("a", 0, usage=paid))
        (waiting,) = store.steps(story.run)
        assert (waiting.status, waiting.error) == (StepStatus.BACKOFF, attempt_failed("a").error)
        story.write(ev.RetryScheduled(path=StepPath("a"), due_at=START_MS + 99, delay_ms=9, retries_left=0))
        assert store.steps(story.run)[0].due_at == START_MS + 99
        story.write(started("a", 1), completed("a", Output(usage=Usage(cost_usd=None))))
        (done,) = store.steps(story.run)
        assert (done.status, done.attempts, done.error, done.due_at) == (StepStatus.COMPLETED, 2, None, None)
        record = store.run(story.run)
        assert record is not None
        assert (record.calls, record.cost_usd, record.cost_known) == (2, 0.25, False)

    def test_a_cut_off_attempt_is_followed_by_the_next_number(self, store: RunStore) -> None:
        story = Story(store)
        story.begin("first")
        story.write(started("a"))
        taken = store.acquire(story.run, "second", START_MS + 10 * TTL_MS, TTL_MS)
        story.lease = taken
        cut = ev.AttemptCutOff(path=StepPath("a"), number=0, certainty="unknown", cause="process_lost")
        story.write(cut, ev.RunResumed(owner="second", reused=0, rerun=1))
        (step,) = store.steps(story.run)
        assert (step.status, step.cut_offs, step.attempts, step.leg) == (StepStatus.INTERRUPTED, 1, 1, 2)
        story.write(started("a", 1), completed("a"))
        assert store.steps(story.run)[0].attempts == 2
        assert store.run(story.run) == self.with_lease(story)

    def test_a_superseded_step_leaves_the_list_and_comes_back_in_its_next_epoch(self, store: RunStore) -> None:
        story = Story(store)
        story.begin()
        story.write(started("a"), completed("a"), ev.StepSuperseded(path=StepPath("a"), why="after --from"))
        assert list(store.steps(story.run)) == []
        story.write(started("a", 0, epoch=2))
        (step,) = store.steps(story.run)
        assert (step.epoch, step.attempts, step.output) == (2, 1, Output())

    @pytest.mark.parametrize("seed", range(12))
    def test_the_records_are_the_fold_of_the_events(self, store: RunStore, seed: int) -> None:
        story = Story(store)
        story.begin()
        for number, events in enumerate(made_up(seed, story)):
            story.write(*events)
            if number % 20 == 19:
                story.write(ev.RunInterrupted(cause="interrupt", error="^C"), release=True)
                story.begin(f"leg {number}", resumed=True)
        assert list(store.events(story.run)) == story.envelopes
        state = fold(story.envelopes)
        assert list(store.steps(story.run)) == state.in_order()
        assert list(store.gates(story.run)) == list(state.gates.values())
        assert store.run(story.run) == self.with_lease(story)
        store.check_log(story.run)

    # ── what can't follow ─────────────────────────────────────────────────────────────────────────
    @pytest.mark.parametrize(
        "wrong",
        [
            pytest.param((started("open", 1),), id="second open attempt"),
            pytest.param((started("done", 1),), id="attempt of a settled step"),
            pytest.param((started("taken", 1),), id="attempt of a handled failure"),
            pytest.param((completed("taken"),), id="result of a handled failure"),
            pytest.param((started("new", 1),), id="first attempt not 0"),
            pytest.param((started("failed", 0),), id="number not rising"),
            pytest.param((started("new", 0, epoch=2),), id="epoch out of nowhere"),
            pytest.param((started("done", 0, epoch=2),), id="epoch of a current step"),
            pytest.param((completed("new"),), id="end without a beginning"),
            pytest.param((completed("done"),), id="second end"),
            pytest.param((failed("done"),), id="failure after the end"),
            pytest.param((attempt_failed("open", 1),), id="end of another attempt"),
            pytest.param((attempt_failed("failed", 0),), id="end of a closed attempt"),
            pytest.param((ev.StepHandled(path=StepPath("done"), handled="until"),), id="handled without a failure"),
            pytest.param((ev.StepSuperseded(path=StepPath("open"), why="x"),), id="superseded while open"),
            pytest.param((ev.RunCompleted(outputs={}),), id="end with an open attempt"),
        ],
    )
    def test_an_event_that_cannot_follow_is_refused_whole(self, store: RunStore, wrong: tuple[ev.Event, ...]) -> None:
        story = Story(store)
        story.begin()
        story.write(started("open"), started("done"), completed("done"), started("failed"), attempt_failed("failed"))
        story.write(started("taken"), failed("taken", handled="continue"))
        before = self.everything(store, story.run)
        envelopes = story.next(ev.Note(level="info", code="before", text=""), *wrong)
        with pytest.raises(UserError) as caught:
            store.append(self.held(story), envelopes)
        assert caught.value.code == "corrupt-run"
        assert story.run in caught.value.message
        assert self.everything(store, story.run) == before
        story.write(completed("open"))
        assert len(store.steps(story.run)) == 4

    def test_numbers_must_go_on(self, store: RunStore) -> None:
        story = Story(store)
        lease = story.begin()
        story.write(started("a"))
        before = self.everything(store, story.run)
        right = story.next(completed("a"))[0]
        for wrong in (
            [right._replace(seq=right.seq + 1)],
            [right._replace(seq=right.seq - 1)],
            [right, right._replace(seq=right.seq + 2)],
            [right._replace(fence=right.fence - 1)],
        ):
            with pytest.raises(UserError) as caught:
                store.append(lease, wrong)
            assert caught.value.code == "corrupt-run"
        assert self.everything(store, story.run) == before

    def test_nothing_follows_an_end_but_a_new_leg(self, store: RunStore) -> None:
        story = Story(store)
        story.begin()
        story.write(started("a"), failed("a"), ev.RunFailed(reason="step_failed", error="`a` failed"), release=True)
        story.lease = store.acquire(story.run, "second", START_MS, TTL_MS)
        before = self.everything(store, story.run)
        for wrong in (started("a", 1), ev.Note(level="info", code="x", text=""), ev.RunCompleted(outputs={})):
            with pytest.raises(UserError) as caught:
                store.append(self.held(story), story.next(wrong))
            assert caught.value.code == "corrupt-run"
        assert self.everything(store, story.run) == before
        story.write(ev.RunResumed(owner="second", reused=0, rerun=1), started("a", 1))
        record = store.run(story.run)
        assert record is not None
        assert (record.status, record.reason, record.error, record.ended_at) == (RunStatus.RUNNING, None, None, None)

    def test_a_changed_definition_brings_texts_and_inputs(self, store: RunStore) -> None:
        story = Story(store)
        story.begin()
        before = store.run(story.run)
        story.write(ev.DefinitionChanged(sources={"b.wf": "new"}, changes={"a": "added"}))
        after = store.run(story.run)
        assert before is not None
        assert after is not None
        assert (after.file, after.inputs) == ("b.wf", before.inputs)
        story.write(ev.DefinitionChanged(sources={"b.wf": "newer"}, changes={}, inputs={"x": [1]}))
        after = store.run(story.run)
        assert after is not None
        assert after.inputs == {"x": [1]}
        assert dict(store.sources(story.run)) == {"b.wf": "newer"}
        assert [run.inputs for run in store.runs() if run.id == story.run] == [{"x": [1]}]
        found = store.events_of(story.run, {"definition_changed"})
        assert [envelope.event for envelope in found] == [one.event for one in story.envelopes if one in found]
        assert [envelope.event.kind for envelope in found] == ["definition_changed"] * 2

    def test_what_was_put_aside_waits_in_its_next_epoch(self, store: RunStore) -> None:
        story = Story(store)
        story.begin()
        story.write(started("a"), completed("a"), started("b"), completed("b"))
        assert list(store.put_aside(story.run)) == []
        story.write(ev.StepSuperseded(path=StepPath("a"), why="x"), ev.StepSuperseded(path=StepPath("b"), why="x"))
        expected = [(StepPath("a"), StepStatus.PENDING, 2, 0), (StepPath("b"), StepStatus.PENDING, 2, 0)]
        found = store.put_aside(story.run)
        assert [(step.path, step.status, step.epoch, step.attempts) for step in found] == expected
        assert list(found) == fold(story.envelopes).put_aside()
        story.write(started("a", 0, epoch=2))
        assert [step.path for step in store.put_aside(story.run)] == ["b"]
        assert [step.path for step in store.steps(story.run)] == ["a"]


class DurableStoreContract(StoreContract):
    """For stores whose runs outlive the object: what two of them, on one folder, see of each other."""

    def test_another_object_sees_what_was_written(self, store: RunStore, tmp_path: Path) -> None:
        story = Story(store)
        story.begin()
        story.write(started("a"), completed("a"))
        other = self.make(tmp_path)
        assert self.everything(other, story.run) == self.everything(store, story.run)
        assert dict(other.sources(story.run)) == SOURCES
        other.close()

    def test_runs_outlive_the_store_object(self, store: RunStore, tmp_path: Path) -> None:
        story = Story(store)
        story.begin()
        story.write(started("a"))
        before = self.everything(store, story.run)
        store.close()
        again = self.make(tmp_path)
        assert self.everything(again, story.run) == before
        story.store = again
        story.write(completed("a"))
        assert list(again.events(story.run)) == story.envelopes
        again.close()

    def test_a_takeover_through_another_object_fences_the_first_out(self, store: RunStore, tmp_path: Path) -> None:
        story = Story(store)
        lease = story.begin("first")
        other = self.make(tmp_path)
        assert other.acquire(story.run, "second", lease.expires_at, TTL_MS) is None
        assert other.acquire(story.run, "second", lease.expires_at + 1, TTL_MS) is not None
        before = self.everything(other, story.run)
        with pytest.raises(LeaseLost):
            story.write(started("a"))
        assert store.extend(lease, START_MS, TTL_MS) is None
        assert self.everything(other, story.run) == before
        other.close()
