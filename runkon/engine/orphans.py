"""What is left of attempts as processes: ended before the step of a lost leg runs again, and at the end of each leg."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import TYPE_CHECKING

from runkon.model import processes
from runkon.model.events import AttemptCutOff, Event, Note, ProcessStarted
from runkon.model.ids import RunID, StepPath
from runkon.model.processes import Ended, Found
from runkon.model.status import StepStatus
from runkon.named import NamedTuple

if TYPE_CHECKING:
    from runkon.model.ports import RunStore
    from runkon.model.records import Lease, StepRecord

MOST_NAMED = 5  # processes in one message


class Lost(NamedTuple):
    """What became of the processes of lost legs. `evidence` says for steps whose processes were not seen to end why;
    `notes` tell what was ended."""

    evidence: dict[StepPath, str]
    notes: tuple[Note, ...]


def end_lost(store: RunStore, lease: Lease, held: str | None, steps: Sequence[StepRecord], grace: float) -> Lost:
    """End everything that earlier legs of the run have started, before a step of them runs again. `held` is who had the
    run last. Only what is proved to be theirs is signalled; steps for which that can't be told are in `evidence`."""
    started = _recorded(store, lease.run, steps)
    host, boot = _place(held)
    own_host, own_boot = _place(lease.holder)
    if host and host != own_host:
        where = host.partition("/")[0]
        return Lost(
            {one.path: f"it started processes on {where}, which can't be seen from here" for one in started}, ()
        )
    leaders = [(one.pid, one.began) for one in started] if not boot or boot == own_boot else []

    def find() -> list[Found]:
        found = {one.pid: one for one in processes.of_leg(lease.run, last=lease.fence - 1)}
        if leaders:
            found |= {one.pid: one for one in processes.of_leaders(leaders)[0]}
        return list(found.values())

    ended = processes.end(find, grace)
    left = {one.session: one for one in (*ended.left, *(processes.of_leaders(leaders)[1] if leaders else ()))}
    evidence = {
        one.path: f"process {left[one.pid].pid} ({left[one.pid].name}) of its session still runs"
        for one in started
        if one.pid in left
    }
    if ended.left:  # whose they are can't be told any more: any open step's
        text = f"processes still run that could not be ended: {_named(ended.left)}"
        for step in steps:
            if step.status is StepStatus.RUNNING:
                evidence.setdefault(step.path, text)
    if not ended.found:
        return Lost(evidence, ())
    what = f"what the lost process had started was still running and was ended: {_named(ended.found)}"
    return Lost(evidence, (Note(level="warning", code="orphans-ended", text=what),))


def with_evidence(closed: Collection[Event], evidence: dict[StepPath, str]) -> list[Event]:
    """The beginning's events, those that close lost attempts with what is known about their processes."""
    from dataclasses import replace  # late: hardly ever

    return [
        replace(event, evidence=evidence[event.path])
        if isinstance(event, AttemptCutOff) and event.path in evidence
        else event
        for event in closed
    ]


def end_attempt(marks: Mapping[str, str]) -> None:
    """End what an attempt has started whose executor had its grace and did not come back."""
    owner = processes.last_owner(marks)
    if owner is not None:
        processes.end(lambda: processes.of_attempt(owner), 0)


def end_leg(run: RunID, fence: int, grace: float, *, is_stopped: bool) -> Ended:
    """End everything that this leg has started and that still runs, as nobody waits for it any more. What executors
    started without the mark of an attempt only if the leg `is_stopped`: it may belong to a call that was given up."""
    return processes.end(lambda: processes.of_leg(run, first=fence, last=fence, of_attempts=not is_stopped), grace)


def left_behind(ended: Ended) -> list[Note]:
    """What to say about processes that were ended with their leg."""
    notes = []
    if ended.found:
        text = f"processes that a step had left running were ended with the run: {_named(ended.found)}"
        notes.append(Note(level="warning", code="left-running", text=text))
    if ended.left:
        text = f"these processes could not be ended: {_named(ended.left)}"
        notes.append(Note(level="warning", code="still-running", text=text))
    return notes


def _recorded(store: RunStore, run: RunID, steps: Sequence[StepRecord]) -> list[ProcessStarted]:
    """The processes of attempts that nobody saw the end of."""
    open_attempts = {(step.path, step.epoch, step.attempts - 1) for step in steps if step.status is StepStatus.RUNNING}
    if not open_attempts:
        return []
    found = (one.event for one in store.events_of(run, (ProcessStarted.kind,)))
    return [
        one for one in found if isinstance(one, ProcessStarted) and (one.path, one.epoch, one.number) in open_attempts
    ]


def _place(holder: str | None) -> tuple[str, str]:
    """Host and boot of a holder."""
    parts = (holder or "").split(" ")
    return (parts[0], parts[1]) if len(parts) == 5 and "?" not in parts[:2] else ("", "")


def _named(found: Sequence[Found]) -> str:
    listed = ", ".join(f"{one.name} ({one.pid})" for one in found[:MOST_NAMED])
    return listed + (f", and {len(found) - MOST_NAMED} more" if len(found) > MOST_NAMED else "")
