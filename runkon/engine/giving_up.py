"""Giving up a run that nobody advances and whose program can't be used any more: without its always block."""

from __future__ import annotations

from runkon.engine.asks import Asks
from runkon.engine.clock import system_clock
from runkon.engine.gates import Gates
from runkon.engine.lease import take
from runkon.engine.orphans import end_lost, with_evidence
from runkon.engine.recorder import BatchRecorder
from runkon.engine.resume import cut_offs, recorded_by_path, refuse_unless_resumable
from runkon.engine.wishes import not_taken_up
from runkon.model.events import Event, RunCancelled, RunCancelRequested, RunResumed, RunStarted
from runkon.model.ids import RunID
from runkon.model.ports import RunStore
from runkon.model.records import CancelRequest, RunRecord
from runkon.model.status import RunStatus


def give_up(store: RunStore, run: RunID, wish: CancelRequest, grace: float) -> RunRecord:
    """Cancel the run: what its lost legs have started is ended (SIGKILL after `grace` seconds), attempts and questions
    that are open are closed. Raises UserError `already-active` if somebody alive holds it, and `not-resumable`."""
    clock = system_clock()
    before = refuse_unless_resumable(run, store.run(run))
    if before.seq > 1:
        store.check_log(run)
    lease = take(store, run, clock, before)
    try:
        rescued = store.rescued(lease)
        record = refuse_unless_resumable(run, store.run(run))
        steps = store.steps(run)
        is_lost = record.status in (RunStatus.RUNNING, RunStatus.CANCELLING)
        lost = end_lost(store, lease, before.holder, steps, grace) if is_lost else None
        recorded = recorded_by_path(steps)
        asks, gates = Asks(store, run, recorded, left=steps), Gates(store, run, recorded, {}, attends=False)
    except BaseException:
        store.append(lease, (), release=True)
        raise
    begun: Event
    if record.status is RunStatus.PENDING:
        begun = RunStarted(owner=lease.holder)
    else:
        begun = RunResumed(owner=lease.holder, reused=0, rerun=0, crashed=is_lost)
    recorder = BatchRecorder(store, lease, clock, record.seq)
    recorder.close(
        *with_evidence(cut_offs(steps), lost.evidence if lost else {}),
        begun,
        *rescued,
        *(lost.notes if lost else ()),
        RunCancelRequested(by=wish.by, via=wish.via, reason=wish.reason, kill=wish.kill),
        *not_taken_up(recorded),
        *asks.at_the_end("the run was cancelled"),
        *gates.outdated(),
        *gates.at_the_end("the run was cancelled", "user"),
        RunCancelled(reason="user", by=wish.by),
    )
    return store.run(run) or record
