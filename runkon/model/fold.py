"""Events to records: the one state machine that stores, resume and views agree on.

`RunState.apply` takes one envelope after the other and keeps the run's record and the current record of each step.
It refuses a stream no engine can have written with UserError `corrupt-run`, naming run, number, path and rule, and
then leaves the state as it was. The rules, by the names used in the error:

- E1 numbers are dense from 1; fence and leg never fall      - E6 an attempt only while the run is open; an end only
- E2 `run_created` comes first, once                           without open attempts
- E3 at most one open attempt per path                       - E7 after an end only `run_resumed`, in a new leg
- E4 an attempt is closed under its own path, epoch, number  - E8 a step event concerns a step that has a record
- E5 attempt numbers rise by one                             - E9 a settled step gets nothing more
- E10 a gate is decided once; none is open at an end
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

from runkon.errors import UserError
from runkon.frozen import replace
from runkon.model import events as ev
from runkon.model.damage import corrupt as corrupt
from runkon.model.gates import decided, opened
from runkon.model.ids import RunID, StepPath
from runkon.model.output import NO_OUTPUT, Output, Usage
from runkon.model.records import CancelRequest, GateRecord, RunRecord, StepError, StepInfo, StepRecord, fresh_step
from runkon.model.status import TERMINAL_RUN, RunStatus, StepStatus

if TYPE_CHECKING:
    from runkon.model.events import Envelope

_OPEN_RUN = frozenset({RunStatus.RUNNING, RunStatus.WAITING, RunStatus.CANCELLING})
_FAILED = frozenset({StepStatus.FAILED, StepStatus.TIMED_OUT})
_ASIDE = frozenset({StepStatus.INTERRUPTED, StepStatus.WAITING})  # the time until the next attempt is not the step's


class RunState:
    """A run and its steps after the events so far.

    `steps` holds the current record of each path; a superseded one is gone from it until the path runs again, and
    stays in `superseded`. A step is `running` exactly while an attempt is open, whose number is `attempts` - 1.
    `gates` holds every gate that was opened, by name and occurrence.
    """

    __slots__ = ("_begun", "_epochs", "_open", "gates", "run", "steps", "superseded")

    def __init__(self) -> None:
        self.run = RunRecord(id=RunID(""), workflow="", file="", status=RunStatus.PENDING)
        self.steps: dict[StepPath, StepRecord] = {}
        self.superseded: list[StepRecord] = []
        self.gates: dict[tuple[str, int], GateRecord] = {}
        self._epochs: dict[StepPath, int] = {}  # of superseded paths: the epoch that comes next
        self._open: set[StepPath] = set()
        self._begun = 0  # the leg that began last

    def apply(self, envelope: Envelope) -> None:
        """Take the next event. Raises UserError `corrupt-run` for one that can't follow; nothing is changed then."""
        self._check_envelope(envelope)
        action = _ACTIONS.get(type(envelope.event))
        if action is None:
            raise self._bad(
                envelope, "E2", found=f"an event `{type(envelope.event).__name__}`", expected="a known kind"
            )
        action(self, envelope, envelope.event)
        self.run = replace(self.run, seq=envelope.seq, leg=envelope.leg, fence=envelope.fence)

    def in_order(self) -> list[StepRecord]:
        """The current records in program order."""
        return sorted(self.steps.values(), key=lambda step: (step.info.order, step.path))

    def put_aside(self) -> list[StepRecord]:
        """The steps that were superseded and have not run since: pending, in their next epoch, in program order."""
        gone = {step.path: step for step in self.superseded if step.path not in self.steps}
        fresh = [fresh_step(step) for step in gone.values()]
        return sorted(fresh, key=lambda step: (step.info.order, step.path))

    # ── checks ────────────────────────────────────────────────────────────────────────────────────
    def _check_envelope(self, envelope: Envelope) -> None:
        run = self.run
        first = isinstance(envelope.event, ev.RunCreated)
        if envelope.seq != run.seq + 1:
            raise self._bad(envelope, "E1", found=f"number {envelope.seq}", expected=f"number {run.seq + 1}")
        if first != (envelope.seq == 1):
            raise self._bad(envelope, "E2", found=f"`{envelope.event.kind}`", expected="`run_created` first, and once")
        if not first and envelope.run != run.id:
            raise self._bad(envelope, "E1", found=f"an event of run `{envelope.run}`", expected=f"run `{run.id}`")
        if envelope.fence < run.fence or envelope.leg < run.leg:
            found = f"leg {envelope.leg}, fence {envelope.fence}"
            raise self._bad(envelope, "E1", found=found, expected=f"leg {run.leg}, fence {run.fence} or later")
        if run.status in TERMINAL_RUN and not first:
            self._check_after_end(envelope)

    def _check_after_end(self, envelope: Envelope) -> None:
        if not isinstance(envelope.event, ev.RunResumed) or envelope.leg <= self.run.leg:
            found = f"`{envelope.event.kind}` in leg {envelope.leg} after the run was {self.run.status}"
            raise self._bad(envelope, "E7", found=found, expected="`run_resumed` in a new leg")

    def _bad(
        self, envelope: Envelope, rule: str, *, found: str, expected: str, path: StepPath | None = None
    ) -> UserError:
        return corrupt(envelope.run, envelope.seq, rule, found=found, expected=expected, path=path)

    def _current(self, envelope: Envelope, path: StepPath, epoch: int) -> StepRecord | None:
        """The record of `path`, None if it has none yet. Raises when the event belongs to another epoch."""
        record = self.steps.get(path)
        now = record.epoch if record else self._epochs.get(path, 1)
        if epoch != now:
            raise self._bad(envelope, "E4", found=f"epoch {epoch}", expected=f"epoch {now}", path=path)
        return record

    def _unsettled(self, envelope: Envelope, path: StepPath, epoch: int, info: StepInfo | None) -> StepRecord:
        """The record a step event changes: an unsettled one, or a fresh one made from `info`."""
        record = self._current(envelope, path, epoch)
        if record is None:
            if info is None:
                found = f"`{envelope.event.kind}` for a step that never began"
                raise self._bad(envelope, "E8", found=found, expected="a record of it, or its place", path=path)
            return StepRecord(envelope.run, path, info, StepStatus.PENDING, epoch=epoch)
        if record.is_settled:
            found = f"`{envelope.event.kind}` after the step was {record.status}"
            raise self._bad(envelope, "E9", found=found, expected="nothing more for a settled step", path=path)
        return record if info is None else replace(record, info=info)

    # ── the run ───────────────────────────────────────────────────────────────────────────────────
    def _run_created(self, envelope: Envelope, event: ev.RunCreated) -> None:
        self.run = RunRecord(
            id=envelope.run,
            workflow=event.workflow,
            file=next(iter(event.sources), ""),
            status=RunStatus.PENDING,
            inputs=event.inputs,
            config=event.config,
            dry=event.dry,
            created_at=envelope.at,
            forked_from=event.forked_from,
        )

    def _run_begun(self, envelope: Envelope, event: ev.RunStarted | ev.RunResumed) -> None:
        if envelope.leg <= self._begun:
            found = f"`{event.kind}` twice in leg {envelope.leg}"
            raise self._bad(envelope, "E7", found=found, expected="one beginning per leg")
        self._begun = envelope.leg
        started = envelope.at if self.run.started_at is None else self.run.started_at
        crashed = isinstance(event, ev.RunResumed) and event.crashed
        automatic = isinstance(event, ev.RunResumed) and event.automatic
        self.run = replace(
            self.run,
            status=RunStatus.RUNNING,
            holder=event.owner,
            started_at=started,
            ended_at=None,
            outputs=None,
            reason=None,
            error=None,
            waiting_on=(),
            deadline_at=self.run.deadline_at if event.deadline_at is None else event.deadline_at,
            crashes=self.run.crashes + crashed,
            recoveries=self.run.recoveries + automatic,
        )

    def _definition_changed(self, _envelope: Envelope, event: ev.DefinitionChanged) -> None:
        file = next(iter(event.sources), self.run.file)
        self.run = replace(self.run, file=file, inputs=self.run.inputs if event.inputs is None else event.inputs)

    def _run_waiting(self, _envelope: Envelope, event: ev.RunWaiting) -> None:
        self.run = replace(self.run, status=RunStatus.WAITING, waiting_on=event.gates, holder=None)

    def _cancel_requested(self, envelope: Envelope, event: ev.RunCancelRequested) -> None:
        wish = CancelRequest(envelope.at, event.by, event.reason, event.kill, event.via)
        self.run = replace(self.run, status=RunStatus.CANCELLING, cancel=self.run.cancel or wish)

    def _run_completed(self, envelope: Envelope, event: ev.RunCompleted) -> None:
        self._end(envelope, RunStatus.COMPLETED)
        self.run = replace(self.run, outputs=event.outputs)

    def _run_failed(self, envelope: Envelope, event: ev.RunFailed) -> None:
        self._end(envelope, RunStatus.FAILED)
        self.run = replace(self.run, reason=event.reason, error=event.error)

    def _run_cancelled(self, envelope: Envelope, event: ev.RunCancelled) -> None:
        self._end(envelope, RunStatus.CANCELLED)
        self.run = replace(self.run, reason=event.reason)

    def _end(self, envelope: Envelope, status: RunStatus) -> None:
        if self._open:
            path = min(self._open)
            found = f"`{envelope.event.kind}` while an attempt is open"
            raise self._bad(envelope, "E6", found=found, expected="every attempt closed first", path=path)
        for gate in self.gates.values():
            if gate.decision is None:
                found = f"`{envelope.event.kind}` while gate `{gate.name}` is open"
                raise self._bad(envelope, "E10", found=found, expected="every gate decided first", path=gate.path)
        # a wish that came too late is not for later legs
        wish = self.run.cancel if status is RunStatus.CANCELLED else None
        self.run = replace(self.run, status=status, ended_at=envelope.at, holder=None, waiting_on=(), cancel=wish)

    def _run_interrupted(self, _envelope: Envelope, event: ev.RunInterrupted) -> None:
        self.run = replace(self.run, status=RunStatus.INTERRUPTED, reason=event.cause, error=event.error, holder=None)

    # ── attempts ──────────────────────────────────────────────────────────────────────────────────
    def _attempt_started(self, envelope: Envelope, event: ev.AttemptStarted) -> None:
        path = event.path
        if self.run.status not in _OPEN_RUN:
            found = f"an attempt while the run is {self.run.status}"
            raise self._bad(envelope, "E6", found=found, expected="a begun leg first", path=path)
        if path in self._open:
            raise self._bad(envelope, "E3", found="a second open attempt", expected="one at a time", path=path)
        record = self._unsettled(envelope, path, event.epoch, event.info)
        if event.number != record.attempts:
            found, expected = f"attempt {event.number}", f"attempt {record.attempts}"
            raise self._bad(envelope, "E5", found=found, expected=expected, path=path)
        same_leg = record.leg == envelope.leg and record.started_at is not None and record.status not in _ASIDE
        self.steps[path] = StepRecord(
            envelope.run,
            path,
            event.info,
            StepStatus.RUNNING,
            epoch=event.epoch,
            attempts=record.attempts + 1,
            cut_offs=record.cut_offs,
            leg=envelope.leg,
            started_at=record.started_at if same_leg else envelope.at,
            effect=event.effect,
        )
        self._open.add(path)
        if event.info.kind == "call":
            self.run = replace(self.run, calls=self.run.calls + 1)

    def _closing(self, envelope: Envelope, path: StepPath, epoch: int, number: int) -> StepRecord:
        record = self._current(envelope, path, epoch)
        if record is None or path not in self._open:
            found = f"`{envelope.event.kind}` without an open attempt"
            raise self._bad(envelope, "E4", found=found, expected="an attempt that began", path=path)
        if number != record.attempts - 1:
            found, expected = f"the end of attempt {number}", f"attempt {record.attempts - 1}"
            raise self._bad(envelope, "E4", found=found, expected=expected, path=path)
        return record

    def _attempt_failed(
        self, envelope: Envelope, event: ev.AttemptFailed | ev.AttemptTimedOut | ev.AttemptCancelled
    ) -> None:
        record = self._closing(envelope, event.path, event.epoch, event.number)
        self._open.discard(event.path)
        self.steps[event.path] = replace(record, status=StepStatus.BACKOFF, error=event.error, leg=envelope.leg)
        self._pay(event.usage)

    def _attempt_cut_off(self, envelope: Envelope, event: ev.AttemptCutOff) -> None:
        record = self._closing(envelope, event.path, event.epoch, event.number)
        self._open.discard(event.path)
        lost = record.cut_offs + (event.cause in ("process_lost", "worker_lost"))
        record, why = replace(record, cut_offs=lost), event.cause if event.certainty == "unknown" else None
        self.steps[event.path] = replace(record, status=StepStatus.INTERRUPTED, leg=envelope.leg, skip_reason=why)
        self._pay(event.usage)

    def _process_started(self, envelope: Envelope, event: ev.ProcessStarted) -> None:
        self._closing(envelope, event.path, event.epoch, event.number)

    def _retry_scheduled(self, envelope: Envelope, event: ev.RetryScheduled) -> None:
        record = self._current(envelope, event.path, event.epoch)
        if record is None or record.status is not StepStatus.BACKOFF:
            found = "a retry of a step whose attempt has not failed"
            raise self._bad(envelope, "E8", found=found, expected="a failed attempt", path=event.path)
        self.steps[event.path] = replace(record, due_at=event.due_at, leg=envelope.leg)

    def _pay(self, usage: Usage | None) -> None:
        if usage is not None:
            cost = round(self.run.cost_usd + (usage.cost_usd or 0.0), 6)
            unpriced = self.run.unpriced + (usage.cost_usd is None)
            self.run = replace(self.run, cost_usd=cost, cost_known=not unpriced, unpriced=unpriced)

    # ── steps ─────────────────────────────────────────────────────────────────────────────────────
    def _step_completed(self, envelope: Envelope, event: ev.StepCompleted) -> None:
        record = self._unsettled(envelope, event.path, event.epoch, event.info)
        started = envelope.at - event.elapsed_ms if event.info is not None else record.started_at
        record = replace(record, seen=event.seen, cached_from=event.cached_from)
        self._close(record, envelope, StepStatus.COMPLETED, started_at=started, output=event.output)
        if event.info is None:  # a block's usage is the sum of what its steps have already paid
            self._pay(event.output.usage)

    def _step_failed(self, envelope: Envelope, event: ev.StepFailed) -> None:
        record = self._unsettled(envelope, event.path, event.epoch, event.info)
        output = NO_OUTPUT if event.output is None else event.output
        record = replace(record, seen=event.seen)
        self._close(record, envelope, StepStatus.FAILED, error=event.error, handled=event.handled, output=output)

    def _step_timed_out(self, envelope: Envelope, event: ev.StepTimedOut) -> None:
        record = self._unsettled(envelope, event.path, event.epoch, event.info)
        self._close(record, envelope, StepStatus.TIMED_OUT, error=event.error, handled=event.handled)

    def _step_left_out(self, envelope: Envelope, event: ev.StepSkipped | ev.StepCancelled) -> None:
        record = self._unsettled(envelope, event.path, event.epoch, event.info)
        status = StepStatus.SKIPPED if isinstance(event, ev.StepSkipped) else StepStatus.CANCELLED
        self._close(record, envelope, status, skip_reason=event.reason)

    def _step_handled(self, envelope: Envelope, event: ev.StepHandled) -> None:
        record = self._current(envelope, event.path, event.epoch)
        if record is None or record.status not in _FAILED or record.handled is not None:
            found = f"a failure handled of a step that is {record.status if record else 'not there'}"
            raise self._bad(envelope, "E8", found=found, expected="a failure nobody took yet", path=event.path)
        self.steps[event.path] = replace(record, handled=event.handled, leg=envelope.leg)

    def _step_superseded(self, envelope: Envelope, event: ev.StepSuperseded) -> None:
        record = self._current(envelope, event.path, event.epoch)
        if record is None or event.path in self._open:
            found = "a step superseded that " + ("is still open" if record else "has no record")
            raise self._bad(envelope, "E8", found=found, expected="a step that ended", path=event.path)
        self.superseded.append(self.steps.pop(event.path))
        self._epochs[event.path] = event.epoch + 1

    # ── gates ─────────────────────────────────────────────────────────────────────────────────────
    def _gate_opened(self, envelope: Envelope, event: ev.GateOpened) -> None:
        key = (event.name, event.occurrence)
        if key in self.gates or event.path in self._open:
            found = f"gate `{event.name}` opened " + ("twice" if key in self.gates else "beside an open attempt")
            raise self._bad(envelope, "E10", found=found, expected="each occurrence once", path=event.path)
        record = self._unsettled(envelope, event.path, event.epoch, event.info)
        self._close(record, envelope, StepStatus.WAITING)
        self.steps[event.path] = replace(self.steps[event.path], ended_at=None)
        self.gates[key] = opened(envelope, event)

    def _gate_decided(self, envelope: Envelope, event: ev.GateDecided) -> None:
        gate = self.gates.get((event.name, event.occurrence))
        if gate is None or gate.decision is not None:
            found = f"a decision of gate `{event.name}`, which is {'decided already' if gate else 'not open'}"
            raise self._bad(envelope, "E10", found=found, expected="one decision per gate", path=event.path)
        self.gates[event.name, event.occurrence] = decided(gate, envelope, event)

    def _close(
        self,
        record: StepRecord,
        envelope: Envelope,
        status: StepStatus,
        *,
        started_at: int | None = None,
        output: Output = NO_OUTPUT,
        error: StepError | None = None,
        handled: str | None = None,
        skip_reason: str | None = None,
    ) -> None:
        """The step's last record of this epoch; an attempt that is still open ends with it."""
        self._open.discard(record.path)
        self.steps[record.path] = replace(
            record,
            status=status,
            leg=envelope.leg,
            handled=handled,
            output=output,
            error=error,
            skip_reason=skip_reason,
            due_at=None,
            started_at=record.started_at if started_at is None else started_at,
            ended_at=envelope.at,
        )

    def _nothing(self, envelope: Envelope, event: ev.Event) -> None:
        """Choices, lists, worktrees and notes explain; they change no record."""


def fold(envelopes: Iterable[Envelope]) -> RunState:
    """The state after all `envelopes`. Raises UserError `corrupt-run` for a stream no engine can have written."""
    state = RunState()
    for envelope in envelopes:
        state.apply(envelope)
    return state


_ACTIONS: dict[type, Callable[[RunState, Envelope, Any], None]] = {  # each takes its own class of event
    ev.RunCreated: RunState._run_created,
    ev.RunStarted: RunState._run_begun,
    ev.RunResumed: RunState._run_begun,
    ev.DefinitionChanged: RunState._definition_changed,
    ev.RunWaiting: RunState._run_waiting,
    ev.RunCancelRequested: RunState._cancel_requested,
    ev.RunCompleted: RunState._run_completed,
    ev.RunFailed: RunState._run_failed,
    ev.RunCancelled: RunState._run_cancelled,
    ev.RunInterrupted: RunState._run_interrupted,
    ev.AttemptStarted: RunState._attempt_started,
    ev.ProcessStarted: RunState._process_started,
    ev.AttemptFailed: RunState._attempt_failed,
    ev.AttemptTimedOut: RunState._attempt_failed,
    ev.AttemptCancelled: RunState._attempt_failed,
    ev.AttemptCutOff: RunState._attempt_cut_off,
    ev.RetryScheduled: RunState._retry_scheduled,
    ev.StepCompleted: RunState._step_completed,
    ev.StepFailed: RunState._step_failed,
    ev.StepTimedOut: RunState._step_timed_out,
    ev.StepSkipped: RunState._step_left_out,
    ev.StepCancelled: RunState._step_left_out,
    ev.StepHandled: RunState._step_handled,
    ev.StepSuperseded: RunState._step_superseded,
    ev.GateOpened: RunState._gate_opened,
    ev.GateDecided: RunState._gate_decided,
    ev.ChoiceMade: RunState._nothing,
    ev.ItemsCollected: RunState._nothing,
    ev.StateSet: RunState._nothing,
    ev.WorktreeChanged: RunState._nothing,
    ev.Note: RunState._nothing,
}
