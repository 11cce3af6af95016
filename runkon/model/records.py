"""The state of a run and its steps after the events so far: what stores keep, resume reads and views show."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field

from runkon.frozen import record, value_class
from runkon.model.ids import RunID, StepPath
from runkon.model.output import EMPTY, NO_OUTPUT, JsonValue, Output
from runkon.model.status import RunStatus, StepStatus
from runkon.named import NamedTuple


@value_class(frozen=True, slots=True)
class StepError:
    """Why an attempt or step failed. `kind` is one of `exception exit timeout idle schema transient fatal value
    cancelled replay crash_limit`; `message` is one paragraph for people."""

    kind: str
    message: str


@record
class StepInfo:
    """What is fixed about a step before it runs: its place in the program. `key` is the result key, `order` sorts
    steps in program order, `iteration` is the innermost loop's, `line` and `column` those of its statement in
    `file`, all from 1."""

    kind: str
    name: str
    key: str
    order: str
    iteration: int
    file: str
    line: int
    column: int


class Seen(NamedTuple):
    """What a step read while it ran: the names, and a digest of their values then (and of its command, for a script).
    Equal digests mean that it would see the same again."""

    names: tuple[str, ...]
    digest: str


class Asked(NamedTuple):
    """What an attempt was asked, without what differs from run to run. Secrets stand there by name, the folder of the
    project and the id of the run as marks. Equal digests mean the same request to the same executor."""

    digest: str
    request: Mapping[str, JsonValue]


class CancelRequest(NamedTuple):
    """Somebody's wish that a run be given up. `at` is milliseconds UTC; with `kill` nothing is waited for."""

    at: int
    by: str
    reason: str
    kill: bool = False
    via: str = "cli"


class GateAnswer(NamedTuple):
    """One answer to a gate of `run`; `occurrence` 0 stands for every one. `ordinal` counts a gate's answers from 1."""

    run: RunID
    gate: str
    choice: str
    by: str
    via: str
    at: int
    occurrence: int = 1
    reason: str = ""
    form: Mapping[str, JsonValue] = EMPTY
    ordinal: int = 0


@value_class(frozen=True, slots=True)
class GateRecord:
    """One gate of a run as it was opened, and its decision, None while it is open."""

    run: RunID
    name: str
    occurrence: int
    path: StepPath
    type: str
    prompt: str
    options: tuple[str, ...]
    opened_at: int
    deadline_at: int | None = None
    decision: str | None = None
    by: str | None = None
    via: str | None = None
    reason: str = ""
    form: Mapping[str, JsonValue] = field(default_factory=lambda: EMPTY)
    decided_at: int | None = None


@value_class(frozen=True, slots=True)
class Lease:
    """The right to advance `run` until `expires_at` (milliseconds UTC); `fence` makes a stale holder's write fail."""

    run: RunID
    holder: str
    fence: int
    leg: int
    expires_at: int


@record
class RunRecord:
    """One run. Times are milliseconds UTC or None; `config` holds the execution settings a resume restores. `cancel` is
    the wish that it be given up, `waiting_on` the gates it waits for; `crashes` counts legs that ended without a word,
    `recoveries` those begun by nobody; `unpriced` are the attempts of which nobody knows what they cost."""

    id: RunID
    workflow: str
    file: str
    status: RunStatus
    inputs: Mapping[str, JsonValue] = field(default_factory=lambda: EMPTY)
    outputs: Mapping[str, JsonValue] | None = None
    reason: str | None = None
    error: str | None = None
    config: Mapping[str, JsonValue] = field(default_factory=lambda: EMPTY)
    dry: bool = False
    leg: int = 0
    seq: int = 0
    fence: int = 0
    holder: str | None = None
    lease_until: int | None = None
    created_at: int = 0
    started_at: int | None = None
    ended_at: int | None = None
    cost_usd: float = 0.0
    cost_known: bool = True
    unpriced: int = 0
    calls: int = 0
    deadline_at: int | None = None
    cancel: CancelRequest | None = None
    waiting_on: tuple[str, ...] = ()
    crashes: int = 0
    recoveries: int = 0
    forked_from: RunID | None = None


@record
class StepRecord:
    """One step at its path: the current epoch. `attempts` counts opened ones, `leg` is the one that last wrote it.
    `handled` says what took a failure (`continue edge min_success until`), else None. `effect` is what its last attempt
    may have done to the world; `skip_reason` says why it was skipped or cancelled, of an interrupted one what became of
    its process where nobody saw the end; `damage` says why the recorded result can't be used, so
    that the step is not settled."""

    run: RunID
    path: StepPath
    info: StepInfo
    status: StepStatus
    epoch: int = 1
    attempts: int = 0
    cut_offs: int = 0
    leg: int = 0
    handled: str | None = None
    output: Output = NO_OUTPUT
    error: StepError | None = None
    skip_reason: str | None = None
    due_at: int | None = None
    started_at: int | None = None
    ended_at: int | None = None
    effect: str | None = None
    seen: Seen | None = None
    cached_from: str | None = None
    damage: str | None = None

    @property
    def is_settled(self) -> bool:
        """True if later steps may rely on this result, so that a resume answers the step from its record."""
        if self.damage is not None:
            return False
        if self.status in (StepStatus.COMPLETED, StepStatus.SKIPPED):
            return True
        return self.status in (StepStatus.FAILED, StepStatus.TIMED_OUT) and self.handled is not None


def fresh_step(step: StepRecord) -> StepRecord:
    """The record that takes the place of `step` once it is superseded: nothing has happened in its next epoch."""
    return StepRecord(step.run, step.path, step.info, StepStatus.PENDING, epoch=step.epoch + 1)
