"""The right to advance a run: taken before anything is read that a leg relies on, given back with its last event.

The store judges the holder and fences every write; the recorder renews. Here is what a refused or lost lease means
to people.
"""

from __future__ import annotations

from runkon.errors import EXIT_HELD, LeaseLost, UserError
from runkon.model import holder as holders
from runkon.model.ids import RunID
from runkon.model.ports import Clock, RunStore
from runkon.model.records import Lease

TTL_MS = 30_000


def take(store: RunStore, run: RunID, clock: Clock) -> Lease:
    """The lease of a new leg. Raises UserError `already-active` (exit code 8) if somebody alive holds the run."""
    lease = store.acquire(run, holders.this_holder(), clock.now_ms(), TTL_MS)
    if lease is not None:
        return lease
    record = store.run(run)
    by = f" by {holders.describe(record.holder)}" if record is not None and record.holder else ""
    raise UserError(
        "already-active",
        f"run `{run}` is being advanced{by}",
        help="wait for it to end, or follow it with `runkon events -f`",
        next=f"runkon show {run}",
        exit_code=EXIT_HELD,
    )


def lost(run: RunID, error: LeaseLost) -> UserError:
    """What to tell whoever waited for a run that was taken over."""
    return UserError(
        "already-active",
        f"run `{run}` was taken over by another process; this one stopped and wrote nothing more ({error})",
        next=f"runkon show {run}",
        exit_code=EXIT_HELD,
    )
