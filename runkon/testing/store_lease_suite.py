"""What every run store must do about who may write a run: leases, fences, many threads. Part of the store suite."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from runkon.errors import LeaseLost
from runkon.model import events as ev
from runkon.model import holder as holders
from runkon.model.ids import RunID
from runkon.model.ports import RunStore
from runkon.model.records import Lease, RunRecord
from runkon.model.status import RunStatus
from runkon.testing.store_story import START_MS, TTL_MS, Story, completed, started

THREADS = 8


class LeaseContract:
    """The base of `StoreContract`: how a store is made, and who may write."""

    def make(self, folder: Path) -> RunStore:
        """A store that keeps its runs in `folder`: without runs for a new folder, with them for a used one."""
        raise AssertionError(f"override `make`: it returns the store under test, in {folder}")

    @pytest.fixture
    def store(self, tmp_path: Path) -> Iterator[RunStore]:
        made = self.make(tmp_path)
        yield made
        made.close()

    def everything(self, store: RunStore, run: RunID) -> tuple[object, ...]:
        """All a store tells about a run, to compare before and after."""
        return store.run(run), list(store.steps(run)), list(store.events(run))

    def with_lease(self, story: Story) -> RunRecord:
        """What the run's record should be: the fold of its events, and its lease."""
        return replace(story.state.run, lease_until=self.held(story).expires_at)

    def held(self, story: Story) -> Lease:
        assert story.lease is not None
        return story.lease

    # ── the lease ─────────────────────────────────────────────────────────────────────────────────
    def test_each_tenure_has_the_next_fence_and_leg(self, store: RunStore) -> None:
        story = Story(store)
        first = story.begin("first")
        assert (first.fence, first.leg, first.expires_at) == (1, 1, START_MS + TTL_MS)
        story.write(ev.RunInterrupted(cause="interrupt"), release=True)
        second = story.begin("second", resumed=True)
        assert (second.fence, second.leg) == (2, 2)
        record = store.run(story.run)
        assert record is not None
        assert (record.holder, record.fence, record.leg) == ("second", 2, 2)

    def test_a_held_run_is_refused_until_its_time_has_run_out(self, store: RunStore) -> None:
        story = Story(store)
        lease = story.begin("first")
        before = store.run(story.run)
        assert store.acquire(story.run, "second", lease.expires_at, TTL_MS) is None
        assert store.run(story.run) == before
        taken = store.acquire(story.run, "second", lease.expires_at + 1, TTL_MS)
        assert taken is not None
        assert taken.fence == lease.fence + 1

    def test_a_holder_proved_alive_is_safe_while_its_time_lasts(self, store: RunStore) -> None:
        story = Story(store)
        lease = story.begin(holders.this_holder())
        assert store.acquire(story.run, "second", lease.expires_at, TTL_MS) is None
        assert store.acquire(story.run, "second", lease.expires_at + 1, TTL_MS) is not None

    def test_a_holder_proved_dead_is_replaced_at_once(self, store: RunStore) -> None:
        story = Story(store)
        alive = holders.this_holder().split(" ")
        story.begin(" ".join((*alive[:3], "1", alive[4])))  # this process id, but another start: a process that ended
        assert store.acquire(story.run, "second", START_MS, TTL_MS) is not None

    def test_a_holder_from_before_this_host_started_is_replaced_at_once(self, store: RunStore) -> None:
        story = Story(store)
        host, _, pid, *rest = holders.this_holder().split(" ")
        story.begin(" ".join((host, "another-boot", pid, *rest)))
        assert store.acquire(story.run, "second", START_MS, TTL_MS) is not None

    def test_a_holder_of_another_host_is_replaced_when_its_time_has_run_out(self, store: RunStore) -> None:
        story = Story(store)
        lease = story.begin(" ".join(("elsewhere", *holders.this_holder().split(" ")[1:])))
        assert store.acquire(story.run, "second", lease.expires_at, TTL_MS) is None
        assert store.acquire(story.run, "second", lease.expires_at + 1, TTL_MS) is not None

    def test_the_same_holder_may_ask_again(self, store: RunStore) -> None:
        story = Story(store)
        lease = story.begin("first")
        again = store.acquire(story.run, "first", START_MS + 100, TTL_MS)
        assert again is not None
        assert (again.fence, again.leg) == (lease.fence, lease.leg)
        assert again.expires_at == START_MS + 100 + TTL_MS

    def test_a_lease_is_extended_by_its_holder_only(self, store: RunStore) -> None:
        story = Story(store)
        lease = story.begin("first")
        longer = store.extend(lease, START_MS + 10_000, TTL_MS)
        assert longer is not None
        assert longer.expires_at == START_MS + 10_000 + TTL_MS
        assert store.acquire(story.run, "second", lease.expires_at + 1, TTL_MS) is None
        taken = store.acquire(story.run, "second", longer.expires_at + 1, TTL_MS)
        assert taken is not None
        assert store.extend(longer, START_MS + 50_000, TTL_MS) is None

    def test_an_append_renews_the_lease_to_the_expiry_it_names(self, store: RunStore) -> None:
        story = Story(store)
        lease = story.begin("first")
        renewed = replace(lease, expires_at=lease.expires_at + 5_000)
        store.append(renewed, story.next(ev.Note(level="info", code="x", text="y")))
        record = store.run(story.run)
        assert record is not None
        assert record.lease_until == lease.expires_at + 5_000

    def test_who_lost_the_lease_changes_nothing(self, store: RunStore) -> None:
        story = Story(store)
        lease = story.begin("first")
        story.write(started("a"))
        assert store.acquire(story.run, "second", lease.expires_at + 1, TTL_MS) is not None
        before = self.everything(store, story.run)
        for release in (False, True):
            with pytest.raises(LeaseLost):
                store.append(lease, story.next(completed("a")), release=release)
            with pytest.raises(LeaseLost):
                store.append(lease, [], release=True)
        assert self.everything(store, story.run) == before

    def test_a_released_run_can_be_taken_at_once_and_not_written(self, store: RunStore) -> None:
        story = Story(store)
        lease = story.begin("first")
        story.write(ev.RunCompleted(outputs={"answer": 42}), release=True)
        record = store.run(story.run)
        assert record is not None
        assert (record.status, record.holder, record.lease_until) == (RunStatus.COMPLETED, None, None)
        assert (record.outputs, record.ended_at) == ({"answer": 42}, story.envelopes[-1].at)
        with pytest.raises(LeaseLost):
            store.append(lease, [], release=True)
        assert store.acquire(story.run, "second", START_MS, TTL_MS) is not None

    # ── many threads ──────────────────────────────────────────────────────────────────────────────
    def test_threads_write_their_own_runs_at_once(self, store: RunStore) -> None:
        stories = [Story(store) for _ in range(THREADS)]

        def write(story: Story) -> None:
            story.begin(f"holder of {story.run}")
            for number in range(20):
                story.write(started(f"s#{number}", order=number), completed(f"s#{number}"))
            story.write(ev.RunCompleted(outputs={}), release=True)

        in_threads([lambda story=story: write(story) for story in stories])  # type: ignore[misc]
        for story in stories:
            assert list(store.events(story.run)) == story.envelopes
            assert len(store.steps(story.run)) == 20

    def test_of_many_takers_one_gets_the_run(self, store: RunStore) -> None:
        story = Story(store)
        taken: list[Lease | None] = []

        def take(number: int) -> None:
            taken.append(store.acquire(story.run, f"taker {number}", START_MS, TTL_MS))

        in_threads([lambda number=number: take(number) for number in range(THREADS)])  # type: ignore[misc]
        (lease,) = [lease for lease in taken if lease is not None]
        assert lease.fence == 1
        record = store.run(story.run)
        assert record is not None
        assert record.holder == lease.holder

    # ── what could not be written ─────────────────────────────────────────────────────────────────
    def test_what_was_kept_outside_is_taken_over_once_by_the_next_leg(self, store: RunStore) -> None:
        story = Story(store)
        lease = story.begin()
        story.write(started("a"))
        left = story.next(completed("a"))
        assert store.rescue(lease, [left], is_fenced=False)
        assert list(store.rescuable(story.run)) == left
        assert list(store.events(story.run)) == story.envelopes
        following = store.acquire(story.run, "second", START_MS + 10 * TTL_MS, TTL_MS)
        assert following is not None
        assert [(note.level, note.code) for note in store.rescued(following)] == [("info", "rescue-applied")]
        assert list(store.rescuable(story.run)) == []
        assert list(store.events(story.run)) == [*story.envelopes, *left]
        assert [step.status for step in store.steps(story.run)] == ["completed"]
        assert list(store.rescued(following)) == []

    def test_what_does_not_continue_the_record_or_was_fenced_out_is_left(self, store: RunStore) -> None:
        story = Story(store)
        lease = story.begin()
        story.write(started("a"))
        left, later = story.next(completed("a"), ev.Note(level="info", code="x", text="x"))
        store.rescue(lease, [[later]], is_fenced=False)
        store.rescue(lease, [[left]], is_fenced=True)
        assert list(store.rescuable(story.run)) == []
        following = store.acquire(story.run, "second", START_MS + 10 * TTL_MS, TTL_MS)
        assert following is not None
        assert {(note.level, note.code) for note in store.rescued(following)} == {("warning", "rescue-kept")}
        assert list(store.events(story.run)) == story.envelopes


def in_threads(actions: Sequence[Callable[[], None]]) -> None:
    """Run `actions` at once, each on a thread; raises what the first of them raised."""
    barrier = threading.Barrier(len(actions))
    raised: list[BaseException] = []

    def act(action: Callable[[], None]) -> None:
        barrier.wait()
        try:
            action()
        except BaseException as error:  # noqa: BLE001  raised again below, on the test's thread
            raised.append(error)

    threads = [threading.Thread(target=act, args=(action,)) for action in actions]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if raised:
        raise raised[0]
