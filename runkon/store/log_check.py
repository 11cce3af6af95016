"""The rules that the record of one run must keep, from the columns of its events and rows alone.

One pass over the events, then one over the rows of its steps. The rules have the names of `model/fold.py`; `I6` stands
for: the rows of a run say what its events say. `record_check.py` says what is looked at.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, TypeAlias

from runkon.errors import UserError
from runkon.model.fold import corrupt
from runkon.model.ids import RunID, StepPath
from runkon.named import NamedTuple

Row: TypeAlias = tuple[Any, ...]

_BEGUN = frozenset({"running", "waiting", "cancelling"})
_ENDED = frozenset({"completed", "failed", "cancelled"})
_SETTLED = frozenset({"completed", "skipped"})
_FAILED = frozenset({"failed", "timed_out"})


class Head(NamedTuple):
    """What the row of a run says of its events."""

    seq: int
    status: str
    leg: int
    fence: int
    seq_end: int | None
    gates: int
    decided: int


class _Step:
    """What the events so far say of one step in one epoch."""

    __slots__ = ("attempts", "epoch", "first", "handled", "is_open", "is_superseded", "last", "status")

    def __init__(self, epoch: int, seq: int) -> None:
        self.epoch = epoch
        self.first = self.last = seq
        self.status = "pending"
        self.attempts = 0
        self.is_open = self.handled = self.is_superseded = False


class LogCheck:
    """Takes the events of `run` one by one, as (seq, leg, fence, kind, path, epoch, attempt), then its rows. Raises
    UserError `corrupt-run` at the first that can't be right."""

    def __init__(self, run: RunID) -> None:
        self._run = run
        self._seq = self._leg = self._fence = self._begun = self._open = self._gates = self._decided = 0
        self._end: int | None = None
        self._status = "pending"
        self._steps: dict[str, _Step] = {}
        self._superseded: dict[tuple[str, int], _Step] = {}
        self.of_gates: list[int] = []  # the numbers of events whose payloads are to be compared with gates
        self.handled: dict[int, tuple[str, str | None]] = {}  # failures by event: path, and what the row says took it

    @property
    def seq(self) -> int:
        """The number of the last event so far."""
        return self._seq

    @property
    def reached(self) -> int:
        """The last event that was in order; that of the run, once all were."""
        return max(self._seq, 1)

    def events(self, rows: Iterable[Row]) -> None:
        actions, expected = _ACTIONS, self._seq
        for row in rows:
            expected += 1
            seq, leg, fence, kind, _, _, _ = row
            if seq != expected:
                raise self._bad("E1", expected, f"number {seq}", f"number {expected}")
            if leg < self._leg or fence < self._fence:
                known = f"leg {self._leg}, fence {self._fence} or later"
                raise self._bad("E1", seq, f"leg {leg}, fence {fence}", known)
            if (seq == 1) != (kind == "run_created"):
                raise self._bad("E2", seq, f"`{kind}`", "`run_created` first, and once")
            if self._end is not None and (kind != "run_resumed" or leg <= self._leg):
                found = f"`{kind}` in leg {leg} after the run was {self._status}"
                raise self._bad("E7", seq, found, "`run_resumed` in a new leg")
            action = actions.get(kind)
            if action is None:
                raise self._bad("E2", seq, f"an event `{kind}`", "an event of a known kind", row[4])
            action(self, row)
            self._leg, self._fence = leg, fence
        self._seq = expected

    def plain_steps(self, last: int) -> None:
        """In place of the events up to number `last`: those of steps in which nothing can be wrong but that no leg had
        begun, in the leg of the event before."""
        if self._status not in _BEGUN:
            raise self._bad("E6", self._seq + 1, f"an attempt while the run is {self._status}", "a begun leg first")
        self._seq = last

    def head(self, head: Head) -> None:
        """The row of the run."""
        seq, last = self._seq, head.seq
        if seq < last:
            raise self._bad("E1", seq + 1, "no event", f"events up to number {last}")
        if seq > last:
            raise self._bad("I6", last + 1, "an event that the run does not count", f"events up to number {last}")
        found = (head.status, head.seq_end, head.gates, head.decided)
        expected = (self._status, self._end, self._gates, self._decided)
        if found != expected:
            raise self._bad("I6", seq, f"a run that is {_told(found)}", f"one that is {_told(expected)}")
        if head.leg < self._leg or head.fence < self._fence:
            known = f"leg {self._leg}, fence {self._fence} or later"
            raise self._bad("I6", seq, f"a run in leg {head.leg}, fence {head.fence}", known)

    def steps(self, rows: Iterable[Row]) -> None:
        """The rows of the steps, as (path, epoch, status, attempts, seq_first, seq_last, handled, superseded_leg)."""
        waiting = {(path, step.epoch): step for path, step in self._steps.items()} | self._superseded
        for path, epoch, status, attempts, first, last, handled, superseded in rows:
            step = waiting.pop((path, epoch), None)
            if step is None:
                found = f"a row for epoch {epoch} of the step, {status}"
                raise self._bad("I6", last, found, "none: no event is about it", path)
            told = (step.status, step.attempts, step.first, step.last, step.is_superseded)
            row = (status, attempts, first, last, superseded is not None)
            if row != told:
                raise self._bad("I6", step.last, f"a row with {_row(row)}", f"one with {_row(told)}", path)
            if step.handled if handled is None else status not in _FAILED:
                raise self._bad("I6", step.last, f"a row handled by {handled}", "what its events say", path)
            if status in _FAILED and not step.handled:
                self.handled[last] = (path, handled)
        if waiting:
            (path, epoch), step = min(waiting.items(), key=lambda item: item[1].first)
            expected_row = f"one, as the step is {step.status}"
            raise self._bad("I6", step.last, f"no row for epoch {epoch} of the step", expected_row, path)

    # ── the run ───────────────────────────────────────────────────────────────────────────────────
    def _created(self, row: Row) -> None:
        """The first event leaves the run as it is: pending."""

    def _leg_begins(self, row: Row) -> None:
        if row[1] <= self._begun:
            raise self._bad("E7", row[0], f"`{row[3]}` twice in leg {row[1]}", "one beginning per leg")
        self._begun, self._status, self._end = row[1], "running", None

    def _becomes(self, row: Row) -> None:
        self._status = _RUN_STATUS[row[3]]

    def _ends(self, row: Row) -> None:
        if self._open:
            raise self._bad("E6", row[0], f"`{row[3]}` while an attempt is open", "every attempt closed first")
        if self._gates != self._decided:
            raise self._bad("E10", row[0], f"`{row[3]}` while a gate is open", "every gate decided first")
        self._status, self._end = _RUN_STATUS[row[3]], row[0]

    def _explains(self, row: Row) -> None:
        """Notes, choices and changed definitions leave every checked column as it is."""

    # ── attempts ──────────────────────────────────────────────────────────────────────────────────
    def _attempt_starts(self, row: Row) -> None:
        seq, _, _, _, path, epoch, number = row
        if self._status not in _BEGUN:
            raise self._bad("E6", seq, f"an attempt while the run is {self._status}", "a begun leg first", path)
        step = self._steps.get(path)
        if step is None:
            step = self._begins(seq, path, epoch)
        elif step.is_open:
            raise self._bad("E3", seq, "a second open attempt", "one at a time", path)
        elif step.epoch != epoch or step.status in _SETTLED or step.handled:
            raise self._cannot_go_on(row, step)
        if number != step.attempts:
            raise self._bad("E5", seq, f"attempt {number}", f"attempt {step.attempts}", path)
        step.attempts += 1
        step.is_open = True
        step.status = "running"
        step.last = seq
        self._open += 1

    def _begins(self, seq: int, path: str, epoch: int) -> _Step:
        """The step's first event in this epoch."""
        if epoch != 1 and (path, (epoch or 0) - 1) not in self._superseded:
            raise self._bad("E4", seq, f"epoch {epoch}", "epoch 1, or the one after a superseded one", path)
        if (path, epoch) in self._superseded:
            raise self._bad("E4", seq, f"epoch {epoch} again", f"epoch {epoch + 1}", path)
        step = self._steps[path] = _Step(epoch, seq)
        return step

    def _cannot_go_on(self, row: Row, step: _Step) -> UserError:
        seq, _, _, kind, path, epoch, _ = row
        if step.epoch != epoch:
            return self._bad("E4", seq, f"epoch {epoch}", f"epoch {step.epoch}", path)
        return self._bad("E9", seq, f"`{kind}` after the step was {step.status}", "nothing more for it", path)

    def _attempt(self, row: Row) -> _Step:
        """The step whose open attempt the event names."""
        seq, _, _, kind, path, epoch, number = row
        step = self._steps.get(path)
        if step is None or not step.is_open or step.epoch != epoch or number != step.attempts - 1:
            found = f"`{kind}` of attempt {number}, epoch {epoch}"
            open_one = (
                f"attempt {step.attempts - 1}, epoch {step.epoch}" if step and step.is_open else "an open attempt"
            )
            raise self._bad("E4", seq, found, open_one, path)
        return step

    def _attempt_ends(self, row: Row) -> None:
        step = self._attempt(row)
        step.is_open = False
        step.status = "interrupted" if row[3] == "attempt_cut_off" else "backoff"
        step.last = row[0]
        self._open -= 1

    def _attempt_goes_on(self, row: Row) -> None:
        self._attempt(row)

    # ── steps ─────────────────────────────────────────────────────────────────────────────────────
    def _step_ends(self, row: Row) -> None:
        seq, _, _, kind, path, epoch, _ = row
        step = self._steps.get(path)
        if step is None:
            step = self._begins(seq, path, epoch)
        elif step.epoch != epoch or step.status in _SETTLED or step.handled:
            raise self._cannot_go_on(row, step)
        elif step.is_open:
            step.is_open = False
            self._open -= 1
        step.status = _STEP_STATUS[kind]
        step.last = seq

    def _gate_opens(self, row: Row) -> None:
        seq, _, _, _, path, epoch, _ = row
        step = self._steps.get(path)
        if step is None:
            step = self._begins(seq, path, epoch)
        elif step.is_open:
            raise self._bad("E10", seq, "a gate beside an open attempt", "the attempt closed first", path)
        elif step.epoch != epoch or step.status in _SETTLED or step.handled:
            raise self._cannot_go_on(row, step)
        step.status, step.last = "waiting", seq
        self._gates += 1
        self.of_gates.append(seq)

    def _gate_is_decided(self, row: Row) -> None:
        self._decided += 1
        if self._decided > self._gates:
            raise self._bad("E10", row[0], "a decision without an open gate", "one decision per gate", row[4])
        self.of_gates.append(row[0])

    def _of_status(self, row: Row, statuses: frozenset[str]) -> _Step:
        seq, _, _, kind, path, epoch, _ = row
        step = self._steps.get(path)
        if step is None or step.epoch != epoch or step.status not in statuses or step.handled:
            found = f"`{kind}` of a step that is {step.status}" if step else f"`{kind}` of a step without a record"
            raise self._bad("E8", seq, found, f"one that is {' or '.join(sorted(statuses))}", path)
        return step

    def _retry_waits(self, row: Row) -> None:
        self._of_status(row, _BACKOFF)

    def _is_handled(self, row: Row) -> None:
        self._of_status(row, _FAILED).handled = True

    def _is_superseded(self, row: Row) -> None:
        seq, _, _, _, path, epoch, _ = row
        step = self._steps.get(path)
        if step is None or step.epoch != epoch or step.is_open:
            found = "a step superseded that " + ("is still open" if step and step.is_open else "has no such record")
            raise self._bad("E8", seq, found, "a step that ended", path)
        step.is_superseded = True
        self._superseded[path, epoch] = self._steps.pop(path)

    def _bad(self, rule: str, seq: int, found: str, expected: str, path: str | None = None) -> UserError:
        where = StepPath(path) if path is not None else None
        return corrupt(self._run, seq, rule, found=found, expected=expected, path=where)


def _told(told: tuple[str, int | None, int, int]) -> str:
    status, end, gates, decided = told
    text = f"{status}, ended by event {end}" if end is not None else f"{status} without an end"
    return f"{text}, gates {gates}, decided {decided}" if gates or decided else text


def _row(told: tuple[str, int, int, int, bool]) -> str:
    status, attempts, first, last, superseded = told
    text = f"status {status}, attempts {attempts}, events {first} to {last}"
    return f"{text}, superseded" if superseded else text


_BACKOFF = frozenset({"backoff"})
_RUN_STATUS = {
    "run_waiting": "waiting",
    "run_cancel_requested": "cancelling",
    "run_interrupted": "interrupted",
    "run_completed": "completed",
    "run_failed": "failed",
    "run_cancelled": "cancelled",
}
_STEP_STATUS = {
    "step_completed": "completed",
    "step_failed": "failed",
    "step_timed_out": "timed_out",
    "step_skipped": "skipped",
    "step_cancelled": "cancelled",
}
_ACTIONS: dict[str, Callable[[LogCheck, Row], None]] = {
    "run_created": LogCheck._created,
    "run_started": LogCheck._leg_begins,
    "run_resumed": LogCheck._leg_begins,
    "definition_changed": LogCheck._explains,
    "run_waiting": LogCheck._becomes,
    "run_cancel_requested": LogCheck._becomes,
    "run_interrupted": LogCheck._becomes,
    "run_completed": LogCheck._ends,
    "run_failed": LogCheck._ends,
    "run_cancelled": LogCheck._ends,
    "attempt_started": LogCheck._attempt_starts,
    "process_started": LogCheck._attempt_goes_on,
    "attempt_failed": LogCheck._attempt_ends,
    "attempt_timed_out": LogCheck._attempt_ends,
    "attempt_cancelled": LogCheck._attempt_ends,
    "attempt_cut_off": LogCheck._attempt_ends,
    "retry_scheduled": LogCheck._retry_waits,
    "step_completed": LogCheck._step_ends,
    "step_failed": LogCheck._step_ends,
    "step_timed_out": LogCheck._step_ends,
    "step_skipped": LogCheck._step_ends,
    "step_cancelled": LogCheck._step_ends,
    "step_handled": LogCheck._is_handled,
    "step_superseded": LogCheck._is_superseded,
    "gate_opened": LogCheck._gate_opens,
    "gate_decided": LogCheck._gate_is_decided,
    "choice_made": LogCheck._explains,
    "items_collected": LogCheck._explains,
    "state_set": LogCheck._explains,
    "worktree_changed": LogCheck._explains,
    "note": LogCheck._explains,
}
