"""The recorder: numbering, grouping into transactions, sinks, failures, renewal."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest

from runkon.engine.recorder import BatchRecorder
from runkon.errors import InternalError, LeaseLost, StoreUnavailable
from runkon.model.events import Envelope, Event, Note, RunCompleted, RunCreated, RunStarted
from runkon.model.ids import new_run_id
from runkon.model.records import Lease
from runkon.store.memory import MemoryRunStore
from runkon.store.sqlite import SqliteRunStore
from runkon.testing.clock import FakeClock
from runkon.testing.store_story import completed, started

PATIENCE = 20.0  # real seconds until a test gives up on another thread
LONG = 3600.0  # a linger that never ends within a test
TTL_MS = 30_000


class WatchedStore(MemoryRunStore):
    """Counts transactions, can hold the next one back and can fail."""

    def __init__(self) -> None:
        super().__init__()
        self.batches: list[tuple[Envelope, ...]] = []
        self.leases: list[Lease] = []
        self.extended = threading.Semaphore(0)
        self.appended = threading.Semaphore(0)
        self.entered = threading.Event()
        self.gate = threading.Event()
        self.gate.set()
        self.failure: Exception | None = None

    def append(self, lease: Lease, envelopes: Sequence[Envelope], *, release: bool = False) -> None:
        self.entered.set()
        assert self.gate.wait(PATIENCE)
        if self.failure is not None:
            raise self.failure
        super().append(lease, envelopes, release=release)
        self.batches.append(tuple(envelopes))
        self.leases.append(lease)
        self.appended.release()

    def extend(self, lease: Lease, now: int, ttl_ms: int) -> Lease | None:
        extended = super().extend(lease, now, ttl_ms)
        self.extended.release()
        return extended


class Ears:
    """A sink that remembers, and may do something else first."""

    def __init__(self, action: Callable[[Envelope], None] = lambda _: None) -> None:
        self.heard: list[int] = []
        self.action = action

    def emit(self, envelope: Envelope) -> None:
        self.heard.append(envelope.seq)
        self.action(envelope)


class AskedClock(FakeClock):
    """Counts who asks for the time: the recorder does, for each event it queues."""

    def __init__(self) -> None:
        super().__init__()
        self.asked = threading.Semaphore(0)

    def now_ms(self) -> int:
        self.asked.release()
        return super().now_ms()


class Bench:
    """A recorder of a fresh run over a watched store."""

    def __init__(self, *sinks: Ears, linger: float = LONG) -> None:
        self.store = WatchedStore()
        self.clock = AskedClock()
        self.run = new_run_id()
        self.store.create(self.run, RunCreated(workflow="w", sources={}, inputs={}, config={}), self.clock.now_ms())
        lease = self.store.acquire(self.run, "me", self.clock.now_ms(), TTL_MS)
        assert lease is not None
        self.recorder = BatchRecorder(self.store, lease, self.clock, 1, sinks, linger=linger)
        self.recorder.commit(RunStarted(owner="me"))

    def recorded(self) -> list[Event]:
        return [envelope.event for envelope in self.store.events(self.run)][2:]


@pytest.fixture
def bench() -> Iterator[Bench]:
    made = Bench()
    yield made
    made.recorder._stop_background(wait=True)


def note(text: str) -> Note:
    return Note(level="info", code="test", text=text)


# ── numbering and grouping ────────────────────────────────────────────────────────────────────────
def test_events_are_numbered_on_from_the_given_one(bench: Bench) -> None:
    bench.clock.advance(1.5)
    bench.recorder.commit(note("a"), note("b"))
    first, second = list(bench.store.events(bench.run))[2:]
    assert (first.seq, second.seq, first.leg, first.fence) == (3, 4, 1, 1)
    assert first.at == bench.clock.now_ms()


def test_a_chain_takes_one_transaction_per_step(bench: Bench) -> None:
    before = len(bench.store.batches)
    for number in range(50):
        bench.recorder.commit(started(f"s#{number}", order=number))
        bench.recorder.append(completed(f"s#{number}"))
    assert len(bench.store.batches) - before == 50
    bench.recorder.commit()
    assert len(bench.store.batches) - before == 51


def test_a_commit_without_news_writes_nothing(bench: Bench) -> None:
    before = len(bench.store.batches)
    bench.recorder.commit()
    assert len(bench.store.batches) == before


def test_a_commit_takes_everything_queued_before(bench: Bench) -> None:
    bench.recorder.append(note("a"))
    bench.recorder.append(note("b"), note("c"))
    bench.recorder.commit(note("d"))
    assert len(bench.store.batches[-1]) == 4
    assert bench.recorded() == [note(text) for text in "abcd"]


def test_an_appended_event_is_written_without_a_commit() -> None:
    bench = Bench(linger=0.001)
    assert bench.store.appended.acquire(timeout=PATIENCE)  # the beginning
    bench.recorder.append(note("alone"))
    assert bench.store.appended.acquire(timeout=PATIENCE)
    assert bench.recorded() == [note("alone")]
    bench.recorder.append(note("again"))
    assert bench.store.appended.acquire(timeout=PATIENCE)
    bench.recorder.close()


def test_no_thread_is_started_for_commits_alone(bench: Bench) -> None:
    before = threading.active_count()
    for _ in range(5):
        bench.recorder.commit(note("x"))
    assert threading.active_count() == before


def test_the_thread_sleeps_when_nothing_is_left(bench: Bench) -> None:
    recorder = bench.recorder
    recorder.append(note("x"))
    recorder.commit()
    assert recorder._tick()  # something came since the last look
    assert not recorder._tick()  # nothing did: it sleeps until it is woken
    recorder.append(note("y"))
    assert recorder._tick()
    assert bench.recorded() == [note("x")]
    assert recorder._tick()  # `y` was there a tick ago already
    assert bench.recorded() == [note("x"), note("y")]


def test_many_threads_share_transactions(bench: Bench) -> None:
    store, threads = bench.store, 32
    store.gate.clear()
    store.entered.clear()
    leader = threading.Thread(target=bench.recorder.commit, args=(note("leader"),))
    leader.start()
    assert store.entered.wait(PATIENCE)
    before = len(store.batches)
    bench.clock.asked = threading.Semaphore(0)
    others = [threading.Thread(target=bench.recorder.commit, args=(note(f"{n}"),)) for n in range(threads)]
    for thread in others:
        thread.start()
    for _ in range(threads):
        assert bench.clock.asked.acquire(timeout=PATIENCE)
    with bench.recorder._queue_lock:  # who asked for the time held it and has queued its event since
        store.gate.set()
    for thread in (leader, *others):
        thread.join(PATIENCE)
    assert len(store.batches) - before == 2
    assert len(store.batches[-1]) == threads


def test_threads_under_load_form_batches_and_lose_nothing(tmp_path: Path) -> None:
    store, clock, run = SqliteRunStore(tmp_path / "runs.db", durability="full"), FakeClock(), new_run_id()
    store.create(run, RunCreated(workflow="w", sources={}, inputs={}, config={}), 0)
    lease = store.acquire(run, "me", 0, TTL_MS)
    assert lease is not None
    heard = Ears()
    recorder = BatchRecorder(store, lease, clock, 1, [heard])
    recorder.commit(RunStarted(owner="me"))

    def work(branch: int) -> None:
        for number in range(10):
            path = f"b{branch}#{number}"
            recorder.commit(started(path))
            recorder.append(completed(path))
        recorder.commit()

    threads = [threading.Thread(target=work, args=(branch,)) for branch in range(32)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE)
    recorder.close(RunCompleted(outputs={}))
    assert heard.heard == list(range(2, 2 + 2 * 320 + 2))
    assert len(list(store.events(run))) == 3 + 2 * 320
    assert {step.status for step in store.steps(run)} == {"completed"}
    store.close()


# ── sinks ─────────────────────────────────────────────────────────────────────────────────────────
def test_sinks_hear_every_event_once_in_order_and_after_it_is_durable() -> None:
    def check(envelope: Envelope) -> None:
        record = bench.store.run(envelope.run)
        assert record is not None
        durable.append(record.seq >= envelope.seq)

    durable: list[bool] = []
    ears = Ears()
    bench = Bench(ears)
    ears.action = check
    bench.recorder.append(note("a"))
    bench.recorder.commit(note("b"))
    bench.recorder.close(RunCompleted(outputs={}))
    assert ears.heard == [2, 3, 4, 5]
    assert durable == [True] * 3


def test_a_failing_sink_is_reported_once_and_stops_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    def fail(_: Envelope) -> None:
        raise RuntimeError("no network")

    broken, healthy = Ears(fail), Ears()
    bench = Bench(broken, healthy)
    bench.recorder.commit(note("a"))
    bench.recorder.close()
    assert healthy.heard == broken.heard == [2, 3]
    err = capsys.readouterr().err
    assert err.count("no network") == 1
    assert "Ears" in err


def test_a_sink_that_calls_the_recorder_back_is_told_so(capsys: pytest.CaptureFixture[str]) -> None:
    def call_back(envelope: Envelope) -> None:
        if envelope.seq == 3:
            bench.recorder.commit(note("from the sink"))

    bench = Bench(Ears(call_back))
    bench.recorder.commit(note("a"))
    bench.recorder.commit()
    assert bench.recorded() == [note("a"), note("from the sink")]
    assert "an event sink called the recorder that was telling it" in capsys.readouterr().err


# ── failures and the end ──────────────────────────────────────────────────────────────────────────
@pytest.mark.parametrize(
    "failure", [LeaseLost("taken over"), StoreUnavailable("disk full"), ValueError("not a number")], ids=type
)
def test_after_a_failure_every_call_raises_the_same(bench: Bench, failure: Exception) -> None:
    bench.store.failure = failure
    with pytest.raises(Exception) as first:  # noqa: PT011  which one is asserted below
        bench.recorder.commit(note("a"))
    bench.store.failure = None
    for call in (bench.recorder.commit, bench.recorder.close):
        with pytest.raises(type(first.value)) as again:
            call(note("b"))
        assert again.value is first.value
    bench.recorder.append(note("b"))  # its end may still come to where the next leg finds it
    assert bench.recorded() == []
    if isinstance(failure, ValueError):
        assert isinstance(first.value, InternalError)
        assert first.value.__cause__ is failure
    else:
        assert first.value is failure


def test_a_failure_while_nobody_waits_is_raised_to_the_next_caller() -> None:
    bench = Bench(linger=0.001)
    bench.store.failure = StoreUnavailable("disk full")
    bench.store.entered.clear()
    bench.recorder.append(note("a"))
    assert bench.store.entered.wait(PATIENCE)
    with pytest.raises(StoreUnavailable):
        bench.recorder.close()


def test_waiting_threads_all_learn_of_a_failure(bench: Bench) -> None:
    store, seen = bench.store, []

    def commit() -> None:
        try:
            bench.recorder.commit(note("x"))
        except StoreUnavailable as error:
            seen.append(error)

    store.gate.clear()
    store.entered.clear()
    threads = [threading.Thread(target=commit) for _ in range(6)]
    for thread in threads:
        thread.start()
    assert store.entered.wait(PATIENCE)
    store.failure = StoreUnavailable("disk full")
    store.gate.set()
    for thread in threads:
        thread.join(PATIENCE)
    assert len(seen) == 6
    assert len({id(error) for error in seen}) == 1


def test_close_gives_the_lease_back_in_the_same_transaction(bench: Bench) -> None:
    bench.recorder.append(note("last"))
    bench.recorder.close(RunCompleted(outputs={}))
    record = bench.store.run(bench.run)
    assert record is not None
    assert (record.status, record.holder) == ("completed", None)
    assert len(bench.store.batches[-1]) == 2
    for call in (bench.recorder.append, bench.recorder.commit, bench.recorder.close):
        with pytest.raises(LeaseLost):
            call(note("too late"))


def test_close_leaves_no_thread_and_no_timer() -> None:
    before = set(threading.enumerate())
    for _ in range(20):
        bench = Bench(linger=0.001)
        bench.recorder.append(note("x"))
        bench.recorder.close()
        assert bench.clock.timers == []
    assert set(threading.enumerate()) <= before


# ── renewal ───────────────────────────────────────────────────────────────────────────────────────
def test_an_idle_lease_is_renewed_after_a_third_of_its_time() -> None:
    bench = Bench(linger=0.001)
    bench.clock.advance(9.9)
    assert not bench.store.extended.acquire(blocking=False)
    bench.clock.advance(0.2)
    assert bench.store.extended.acquire(timeout=PATIENCE)
    bench.clock.wait_for_timers(1)
    record = bench.store.run(bench.run)
    assert record is not None
    assert record.lease_until == bench.clock.now_ms() + TTL_MS
    bench.clock.advance(10.1)
    assert bench.store.extended.acquire(timeout=PATIENCE)
    bench.recorder.close()


def test_a_commit_renews_for_free(bench: Bench) -> None:
    for _ in range(10):
        bench.clock.advance(5.0)
        bench.recorder.commit(note("x"))
    assert bench.store.leases[-1].expires_at == bench.clock.now_ms() + TTL_MS
    assert not bench.store.extended.acquire(blocking=False)


def test_a_lease_found_lost_while_idle_is_raised_to_the_next_caller() -> None:
    bench = Bench(linger=0.001)
    later = bench.clock.now_ms() + 2 * TTL_MS
    assert bench.store.acquire(bench.run, "somebody else", later, TTL_MS) is not None
    bench.clock.advance(10.1)
    assert bench.store.extended.acquire(timeout=PATIENCE)
    bench.recorder._background._thread.join(PATIENCE)  # type: ignore[union-attr]  # it ends with the lease
    with pytest.raises(LeaseLost):
        bench.recorder.commit(note("a"))
    assert bench.recorded() == []


class SilentStore(WatchedStore):
    """Does not answer renewals while `is_silent`."""

    def __init__(self) -> None:
        super().__init__()
        self.is_silent = False

    def extend(self, lease: Lease, now: int, ttl_ms: int) -> Lease | None:
        if self.is_silent:
            self.extended.release()
            raise StoreUnavailable("the disk is full")
        return super().extend(lease, now, ttl_ms)


@pytest.fixture
def silent(monkeypatch: pytest.MonkeyPatch) -> Iterator[Bench]:
    monkeypatch.setattr(f"{__name__}.WatchedStore", SilentStore)
    made = Bench(linger=0.001)
    yield made
    made.recorder._stop_background(wait=True)


def missed(bench: Bench, seconds: float) -> None:
    """Time passes until the next try to renew, which the store does not answer."""
    bench.clock.advance(seconds)
    assert bench.store.extended.acquire(timeout=PATIENCE)
    bench.clock.wait_for_timer(bench.clock.monotonic() + 1.0)


def test_a_store_that_is_silent_for_twenty_seconds_costs_nothing(
    silent: Bench, capsys: pytest.CaptureFixture[str]
) -> None:
    silent.store.is_silent = True  # type: ignore[attr-defined]
    missed(silent, 10.0)
    for _ in range(19):  # each second from then on
        missed(silent, 1.0)
    silent.store.is_silent = False  # type: ignore[attr-defined]
    silent.clock.advance(1.0)
    assert silent.store.extended.acquire(timeout=PATIENCE)
    silent.clock.wait_for_timer(silent.clock.monotonic() + 10.0)
    silent.recorder.commit(note("a"))
    assert silent.recorded() == [note("a")]
    assert capsys.readouterr().err == (
        f"warning: the store has not answered for run `{silent.run}` for 16 s, nothing new begins until it answers: "
        f"the disk is full\nnote: run `{silent.run}` is held again as it should be\n"
    )


def test_a_lease_that_ran_out_meanwhile_is_still_ours_if_nobody_took_it(
    silent: Bench, capsys: pytest.CaptureFixture[str]
) -> None:
    silent.store.is_silent = True  # type: ignore[attr-defined]
    missed(silent, 10.0)
    for _ in range(25):
        missed(silent, 1.0)
    assert "for 31 s, another process may take it over" in capsys.readouterr().err
    silent.store.is_silent = False  # type: ignore[attr-defined]
    silent.recorder.commit(note("a"))
    envelope = list(silent.store.events(silent.run))[-1]
    assert (envelope.event, envelope.fence) == (note("a"), 1)
    record = silent.store.run(silent.run)
    assert record is not None
    assert record.lease_until == silent.clock.now_ms() + TTL_MS


def test_a_lease_that_somebody_took_while_the_store_was_silent_is_lost(silent: Bench) -> None:
    silent.store.is_silent = True  # type: ignore[attr-defined]
    missed(silent, 10.0)
    assert silent.store.acquire(silent.run, "other", silent.clock.now_ms() + 10**6, TTL_MS) is not None
    silent.store.is_silent = False  # type: ignore[attr-defined]
    with pytest.raises(LeaseLost):
        silent.recorder.commit(note("a"))
    assert silent.recorded() == []


@pytest.mark.parametrize("jump_ms", [3_600_000, -3_600_000])
def test_a_jump_of_the_wall_clock_loses_no_lease(jump_ms: int) -> None:
    bench = Bench(linger=0.001)
    bench.clock._start_ms += jump_ms
    bench.clock.advance(5.0)
    assert not bench.store.extended.acquire(blocking=False)
    bench.recorder.commit(note("a"))
    bench.clock.advance(10.0)
    assert bench.store.extended.acquire(timeout=PATIENCE)
    bench.recorder.commit(note("b"))
    assert bench.recorded() == [note("a"), note("b")]
    bench.recorder.close()


# ── threads that end, and the end of the program ──────────────────────────────────────────────────
def test_the_death_of_the_background_thread_is_told_to_the_next_caller(monkeypatch: pytest.MonkeyPatch) -> None:
    bench = Bench(linger=0.001)

    def die() -> bool:
        raise MemoryError("no room")

    monkeypatch.setattr(bench.recorder._background, "_tick", die)
    bench.recorder.append(note("a"))
    bench.recorder._background._thread.join(PATIENCE)  # type: ignore[union-attr]
    with pytest.raises(InternalError, match="no room"):
        bench.recorder.commit()
    assert bench.recorded() == []


def test_a_writer_that_vanished_in_the_middle_is_an_error_of_ours_for_all_others(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("runkon.engine.turns.DEATH_WATCH", 0.001)
    recorder = bench.recorder

    def vanish() -> None:
        recorder._turns.enter(10**6)
        recorder._taken = recorder._queue

    recorder.append(completed("x"))
    gone = threading.Thread(target=vanish)
    gone.start()
    gone.join(PATIENCE)
    with pytest.raises(InternalError, match="has ended in the middle of it"):
        recorder.commit()


def test_without_a_thread_to_be_had_an_appended_event_is_written_at_once(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", refuse)
    bench.recorder.append(note("a"))
    assert bench.recorded() == [note("a")]


def test_when_the_program_ends_nobody_waits_for_the_recorder_any_more(bench: Bench) -> None:
    bench.recorder._program_ends()
    with pytest.raises(StoreUnavailable, match="this program is ending"):
        bench.recorder.commit(note("a"))


# ── what could not be written ─────────────────────────────────────────────────────────────────────
def kept(bench: Bench) -> list[str]:
    return [envelope.event.kind for _, request in bench.store._runs[bench.run].rescued for envelope in request]


def test_ends_go_outside_and_beginnings_nobody_was_told_of_do_not(bench: Bench) -> None:
    bench.recorder.commit(started("a"))
    bench.store.failure = StoreUnavailable("disk full")
    bench.recorder.append(completed("a"))
    with pytest.raises(StoreUnavailable):
        bench.recorder.commit(started("b"))
    assert kept(bench) == ["step_completed"]
    assert bench.recorder.rescued == (1, ("memory",))


def test_a_beginning_before_an_end_that_comes_later_is_closed(bench: Bench) -> None:
    bench.recorder.commit(started("a"))
    bench.store.failure = StoreUnavailable("disk full")
    with pytest.raises(StoreUnavailable):
        bench.recorder.commit(started("b"))
    assert kept(bench) == []
    bench.recorder.append(completed("a"))
    assert kept(bench) == ["attempt_started", "step_completed", "attempt_cut_off"]
    bench.recorder.append(note("late"), note("later"))
    bench.store.failure = None
    lease = bench.store.acquire(bench.run, "next", bench.clock.now_ms() + 10**6, TTL_MS)
    assert lease is not None
    assert [one.code for one in bench.store.rescued(lease)] == ["rescue-applied"]
    assert {str(step.path): str(step.status) for step in bench.store.steps(bench.run)} == {
        "a": "completed",
        "b": "interrupted",
    }


def test_the_end_of_the_run_itself_is_left_to_the_next_leg(bench: Bench) -> None:
    bench.recorder.commit(started("a"))
    bench.recorder.append(completed("a"))
    bench.store.failure = StoreUnavailable("disk full")
    with pytest.raises(StoreUnavailable):
        bench.recorder.close(RunCompleted(outputs={}))
    assert kept(bench) == ["step_completed"]


def test_what_a_fenced_out_engine_had_left_is_taken_over_by_nobody(bench: Bench) -> None:
    bench.recorder.commit(started("a"))
    bench.recorder.append(completed("a"))
    lease = bench.store.acquire(bench.run, "other", bench.clock.now_ms() + 10**6, TTL_MS)
    assert lease is not None
    with pytest.raises(LeaseLost):
        bench.recorder.commit()
    assert [one.code for one in bench.store.rescued(lease)] == ["rescue-kept"]
    assert str(bench.store.steps(bench.run)[0].status) == "running"
