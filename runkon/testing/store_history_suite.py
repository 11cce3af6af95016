"""What every run store must do about the history of a run: parallel steps, legs, forks, runs that share a store.
Part of the store suite."""

from __future__ import annotations

from dataclasses import replace

import pytest

from runkon.errors import LeaseLost, UserError
from runkon.model import events as ev
from runkon.model.ids import RunID, StepPath, new_run_id
from runkon.model.output import JsonValue
from runkon.model.ports import RunStore
from runkon.model.records import Asked
from runkon.model.status import StepStatus
from runkon.testing.store_ask_suite import AskContract
from runkon.testing.store_lease_suite import in_threads
from runkon.testing.store_story import START_MS, TTL_MS, Story, completed, made_up, started


class HistoryContract(AskContract):
    """What the events of a run may be, and what is told of them."""

    @pytest.mark.parametrize("seed", range(3))
    def test_notes_and_choices_change_no_record(self, store: RunStore, seed: int) -> None:
        plain, noted = Story(store), Story(store)
        for story in (plain, noted):
            story.begin()
        for events in made_up(seed, plain, 30):
            plain.write(*events)
            note = ev.Note(level="info", code="x", text="y", path=StepPath("p/a"))
            choice = ev.ChoiceMade(path=StepPath("p/b"), construct="if", text="a.x", operands={}, result=True)
            noted.write(note, *events, choice)

        def told(run: RunID) -> list[tuple[object, ...]]:
            return [(step.path, step.status, step.epoch, step.attempts, step.output) for step in store.steps(run)]

        assert told(noted.run) == told(plain.run)
        store.check_log(noted.run)

    def test_parallel_steps_are_open_at_once(self, store: RunStore) -> None:
        story = Story(store)
        story.begin()
        story.write(started("p/a"), started("p/b"), completed("p/b"), completed("p/a"))
        assert [step.status for step in store.steps(story.run)] == [StepStatus.COMPLETED] * 2
        store.check_log(story.run)

    def test_a_run_says_how_often_it_crashed_and_until_when_it_may_take(self, store: RunStore) -> None:
        story = Story(store)
        story.lease = store.acquire(story.run, "first", START_MS, TTL_MS)
        story.write(ev.RunStarted(owner="first", deadline_at=START_MS + 5))
        for holder, automatic in (("second", True), ("third", False)):
            story.lease = store.acquire(story.run, holder, self.held(story).expires_at + 1, TTL_MS)
            story.write(ev.RunResumed(owner=holder, reused=1, rerun=2, asked=3, crashed=True, automatic=automatic))
        record = store.run(story.run)
        assert record is not None
        assert (record.crashes, record.recoveries, record.deadline_at) == (2, 1, START_MS + 5)
        assert record == self.with_lease(story)
        assert list(store.events(story.run)) == story.envelopes

    def test_a_fork_says_where_it_comes_from(self, store: RunStore) -> None:
        run, source = new_run_id(), Story(store).run
        store.create(run, ev.RunCreated(workflow="w", sources={}, inputs={}, config={}, forked_from=source), START_MS)
        record = store.run(run)
        assert record is not None
        assert record.forked_from == source
        (first,) = store.events(run)
        assert isinstance(first.event, ev.RunCreated)
        assert first.event.forked_from == source

    @pytest.mark.parametrize("size", [1, 9000])
    def test_runs_are_found_by_what_an_attempt_was_asked(self, store: RunStore, size: int) -> None:
        request: dict[str, JsonValue] = {"executor": "fake", "prompt": "ü" * size}
        stories = [Story(store) for _ in range(3)]
        other: dict[str, JsonValue] = {"executor": "other"}
        for story, sent in zip(stories, (request, other, request), strict=True):
            story.begin()
            story.write(replace(started("p/a"), asked=Asked("d", sent)))
            story.write(completed("p/a"))
        assert store.runs_asked(request) == [stories[2].run, stories[0].run]
        assert store.runs_asked(request, 1) == [stories[2].run]
        assert store.runs_asked({"executor": "nobody"}) == []
        (found,) = store.events_of(stories[0].run, {"attempt_started"})
        assert isinstance(found.event, ev.AttemptStarted)
        assert found.event.asked == Asked("d", request)

    def test_the_log_of_an_unknown_run_is_not_called_whole(self, store: RunStore) -> None:
        with pytest.raises(UserError) as caught:
            store.check_log(new_run_id())
        assert caught.value.code == "run-not-found"

    def test_who_lost_one_run_goes_on_with_another(self, store: RunStore) -> None:
        lost, kept = Story(store), Story(store)
        lease = lost.begin("first")
        kept.begin("first")
        assert store.acquire(lost.run, "second", lease.expires_at + 1, TTL_MS) is not None
        before = self.everything(store, lost.run)
        refused: list[LeaseLost] = []

        def write_lost() -> None:
            for _ in range(10):
                try:
                    store.append(lease, lost.next(started("a")))
                except LeaseLost as error:
                    refused.append(error)

        def write_kept() -> None:
            for number in range(10):
                kept.write(started(f"s#{number}"), completed(f"s#{number}"))

        in_threads([write_lost, write_kept])
        assert len(refused) == 10
        assert self.everything(store, lost.run) == before
        assert list(store.events(kept.run)) == kept.envelopes
        store.check_log(kept.run)
        store.check_log(lost.run)
