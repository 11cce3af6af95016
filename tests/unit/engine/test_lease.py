"""Who may advance a run: judged by proof of death first, by time last, and never without saying who has it."""

from __future__ import annotations

import os
import subprocess
import sys
import threading

import pytest

from runkon.engine.lease import RENEWAL_MS, TTL_MS, take
from runkon.errors import EXIT_HELD, UserError
from runkon.model import holder as holders
from runkon.model.events import Envelope, RunCreated, RunStarted
from runkon.model.ids import RunID, new_run_id
from runkon.model.records import Lease
from runkon.store.memory import MemoryRunStore
from runkon.testing import FakeClock


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def store() -> MemoryRunStore:
    return MemoryRunStore()


def created(store: MemoryRunStore, clock: FakeClock) -> RunID:
    run = new_run_id()
    store.create(run, RunCreated(workflow="w", sources={"w.wf": ""}, inputs={}, config={}), clock.now_ms())
    return run


def held(store: MemoryRunStore, clock: FakeClock, holder: str) -> Lease:
    """A run whose first leg was begun by `holder` just now."""
    run = created(store, clock)
    lease = store.acquire(run, holder, clock.now_ms(), TTL_MS)
    assert lease is not None
    store.append(lease, [Envelope(run, 2, clock.now_ms(), 1, lease.fence, RunStarted(owner=holder))])
    return lease


def dead_holder() -> str:
    code = "from runkon.model.holder import this_holder; print(this_holder())"
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip()


def test_a_free_run_is_taken_with_a_new_fence_and_leg(store, clock):
    lease = take(store, created(store, clock), clock)
    assert (lease.leg, lease.fence) == (1, 1)
    assert holders.is_alive(lease.holder) is True


@pytest.mark.parametrize(
    ("seconds", "age"),
    [(1, "1 second"), (20, "20 seconds")],
)
def test_a_run_that_is_held_says_by_whom_and_for_how_long(store, clock, seconds, age):
    lease = held(store, clock, holders.this_holder())
    clock.advance(seconds)
    with pytest.raises(UserError) as raised:
        take(store, lease.run, clock)
    error = raised.value
    assert (error.code, error.exit_code) == ("already-active", EXIT_HELD)
    assert error.message == (
        f"run `{lease.run}` is being advanced by process {os.getpid()} on {os.uname().nodename} for {age}"
    )
    assert error.help == "only one process at a time can advance a run: follow this one, or wait for its end"
    assert error.next == f"runkon events -f {lease.run}"


@pytest.mark.parametrize(
    ("seconds", "age"), [(119, "1 minute"), (7200, "2 hours"), (90_000, "1 day")], ids=["minute", "hours", "day"]
)
def test_ages_are_told_in_their_largest_unit(store, clock, seconds, age):
    lease = held(store, clock, holders.this_holder())
    clock.advance(seconds)
    assert store.extend(lease, clock.now_ms(), TTL_MS) is not None
    with pytest.raises(UserError, match=f" for {age}$"):
        take(store, lease.run, clock)


def test_a_holder_proved_dead_is_replaced_at_once(store, clock):
    lease = held(store, clock, dead_holder())
    taken = take(store, lease.run, clock)
    assert (taken.fence, taken.leg) == (lease.fence + 1, 2)
    assert clock.timers == []


def test_a_holder_nobody_here_can_judge_keeps_the_run_until_its_time_is_up(store, clock):
    lease = held(store, clock, "elsewhere boot 1 1 00")
    with pytest.raises(UserError, match="by process 1 on elsewhere for 0 seconds"):
        take(store, lease.run, clock)
    clock.advance(TTL_MS / 1000 + 1)
    assert take(store, lease.run, clock).fence == lease.fence + 1


class Taker(threading.Thread):
    """Takes a run on a thread of its own: the clock is moved by the test."""

    def __init__(self, store: MemoryRunStore, run: RunID, clock: FakeClock) -> None:
        super().__init__(daemon=True)
        self._arguments = (store, run, clock)
        self.lease: Lease | None = None
        self.error: UserError | None = None
        self.start()

    def run(self) -> None:
        try:
            self.lease = take(*self._arguments)
        except UserError as error:
            self.error = error


def test_a_living_holder_that_is_late_gets_the_time_of_one_renewal_and_keeps_the_run(store, clock, capsys):
    lease = held(store, clock, holders.this_holder())
    clock.advance(TTL_MS / 1000 + 1)
    taker = Taker(store, lease.run, clock)
    clock.wait_for_timers(1)
    assert store.extend(lease, clock.now_ms(), TTL_MS) is not None  # it was only slow
    clock.advance(RENEWAL_MS / 1000)
    taker.join(30)
    assert taker.lease is None
    assert taker.error is not None
    assert taker.error.exit_code == EXIT_HELD
    assert store.run(lease.run).fence == lease.fence
    assert capsys.readouterr().err == (
        f"note: process {os.getpid()} on {os.uname().nodename} has stopped renewing its hold on run {lease.run}; "
        "waiting 10 seconds for it\n"
    )


def test_a_living_holder_that_stays_silent_loses_the_run(store, clock):
    lease = held(store, clock, holders.this_holder())
    clock.advance(TTL_MS / 1000 + 1)
    taker = Taker(store, lease.run, clock)
    clock.wait_for_timers(1)
    clock.advance(RENEWAL_MS / 1000)
    taker.join(30)
    assert taker.lease is not None
    assert taker.lease.fence == lease.fence + 1


def test_who_is_refused_has_changed_nothing(store, clock):
    lease = held(store, clock, holders.this_holder())
    before = store.run(lease.run)
    with pytest.raises(UserError):
        take(store, lease.run, clock)
    assert store.run(lease.run) == before
    assert len(list(store.events(lease.run))) == 2


def test_a_stranger_with_the_number_of_a_dead_holder_is_not_taken_for_it(store, clock):
    stranger = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    try:
        host, boot, _, _, rest = holders.this_holder().split(" ")
        lease = held(store, clock, " ".join((host, boot, str(stranger.pid), "1", rest)))
        assert take(store, lease.run, clock).fence == lease.fence + 1
        assert stranger.poll() is None
    finally:
        stranger.communicate(b"\n")
    assert stranger.returncode == 0
