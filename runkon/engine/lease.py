"""The right to advance a run: taken before anything is read that a leg relies on, given back with its last event.

The store judges the holder and fences every write; the recorder renews. Here is what a refused or lost lease means
to people, and the patience with a holder that lives but has not renewed.
"""

from __future__ import annotations

import sys
import threading

from runkon.errors import EXIT_HELD, RunkonError, UserError
from runkon.model import holder as holders
from runkon.model.events import RunResumed, RunStarted
from runkon.model.holder import RENEWAL_MS, TTL_MS
from runkon.model.ids import RunID
from runkon.model.ports import Clock, RunStore
from runkon.model.records import Lease, RunRecord


def take(store: RunStore, run: RunID, clock: Clock, seen: RunRecord | None = None) -> Lease:
    """The lease of a new leg. A holder that is proved alive but has let its lease run out gets the time of one renewal;
    one proved dead is replaced at once. `seen` is the run's record as just read, which saves reading it again.

    Raises UserError `already-active` (exit code 8) if somebody holds the run; nothing was changed then."""
    now = clock.now_ms()  # of the look at the holder and of the take: none can become late in between
    before = store.run(run) if seen is None else seen
    if before is not None and _is_late(before, now):
        _wait_for(before, clock)
        now = clock.now_ms()
        after = store.run(run)
        if after is not None and (after.fence, after.lease_until) != (before.fence, before.lease_until):
            raise held(store, run, clock)
    lease = store.acquire(run, holders.this_holder(), now, TTL_MS)
    if lease is None:
        raise held(store, run, clock)
    return lease


def held(store: RunStore, run: RunID, clock: Clock) -> UserError:
    """The error for a run that somebody else is advancing: who, where, for how long, and how to watch it."""
    record = store.run(run)
    by = age = ""
    if record is not None and record.holder:
        by = f" by {holders.describe(record.holder)}"
        began = _leg_began(store, record)
        age = "" if began is None else f" for {_duration(clock.now_ms() - began)}"
    return UserError(
        "already-active",
        f"run `{run}` is being advanced{by}{age}",
        help="only one process at a time can advance a run: follow this one, or wait for its end",
        next=f"runkon events -f {run}",
        exit_code=EXIT_HELD,
    )


def lost(store: RunStore, run: RunID) -> UserError:
    """What to tell whoever waited for a run that was taken over: by whom, if that can be read and it is not over."""
    try:
        record = store.run(run)
    except RunkonError:
        record = None
    by = holders.describe(record.holder) if record is not None and record.holder else "another process"
    return UserError(
        "already-active",
        f"run `{run}` was taken over by {by}; this process stopped and wrote nothing more",
        next=f"runkon show {run}",
        exit_code=EXIT_HELD,
    )


def _is_late(record: RunRecord, now: int) -> bool:
    """True if the run's holder lives, but has not renewed in time: stopped, asleep, or kept from writing."""
    if record.holder is None or (record.lease_until or 0) >= now:
        return False
    return holders.is_alive(record.holder) is True


def _wait_for(record: RunRecord, clock: Clock) -> None:
    """Let the time of one renewal pass, and say why nothing happens meanwhile."""
    by = holders.describe(record.holder or "")
    print(
        f"note: {by} has stopped renewing its hold on run {record.id}; waiting {RENEWAL_MS // 1000} seconds for it",
        file=sys.stderr,
    )
    over = threading.Event()
    clock.call_at(clock.monotonic() + RENEWAL_MS / 1000, over.set)
    over.wait()


def _leg_began(store: RunStore, record: RunRecord) -> int | None:
    """When the run's latest leg began, milliseconds UTC; None if it has not said so yet. On the way to an error."""
    began = None
    for envelope in store.events(record.id):
        if envelope.leg == record.leg and isinstance(envelope.event, RunStarted | RunResumed):
            began = envelope.at
    return began


def _duration(milliseconds: int) -> str:
    """A time in its largest whole unit: `3 minutes`."""
    seconds = max(0, milliseconds) // 1000
    for unit, name in ((86_400, "day"), (3600, "hour"), (60, "minute")):
        if seconds >= unit:
            return f"{seconds // unit} {name}" + ("s" if seconds >= 2 * unit else "")
    return f"{seconds} second" + ("" if seconds == 1 else "s")
