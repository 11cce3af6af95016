"""What happened, in the past tense and append-only. One class per kind; the union `Event` names them all.

The engine makes events; the recorder puts each into an `Envelope` and writes it. An event of a step carries its
`path`; one that may open the step's record carries its `info`. Times are milliseconds UTC, durations milliseconds.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field
from typing import ClassVar, TypeAlias

from runkon.frozen import frozen as event
from runkon.model.ids import RunID, StepPath
from runkon.model.items import ItemsCollected as ItemsCollected
from runkon.model.notes import Note as Note
from runkon.model.output import EMPTY, JsonValue, Output, Usage
from runkon.model.records import Asked, Seen, StepError, StepInfo
from runkon.model.state import StateSet as StateSet
from runkon.model.worktrees import WorktreeChanged as WorktreeChanged
from runkon.named import NamedTuple


# ── the run ───────────────────────────────────────────────────────────────────────────────────────
@event
class RunCreated:
    """First event of every run. `sources` maps each file name to its text; the first is the entry file."""

    kind: ClassVar[str] = "run_created"
    workflow: str
    sources: Mapping[str, str]
    inputs: Mapping[str, JsonValue]
    config: Mapping[str, JsonValue]
    dry: bool = False
    forked_from: RunID | None = None


@event
class RunStarted:
    """The first leg has begun. `deadline_at` is the instant at which the run times out."""

    kind: ClassVar[str] = "run_started"
    owner: str
    deadline_at: int | None = None


@event
class RunResumed:
    """A later leg has begun: so many steps are reused, run again, and asked about. `mode` is how it was asked for
    (`normal only-failed from restart`); `crashed` says that the leg before ended without a word, `automatic` that
    nobody asked for this one; `limits` take the place of those the run began with."""

    kind: ClassVar[str] = "run_resumed"
    owner: str
    reused: int
    rerun: int
    asked: int = 0
    mode: str = "normal"
    crashed: bool = False
    automatic: bool = False
    deadline_at: int | None = None
    limits: Mapping[str, JsonValue] | None = None


@event
class DefinitionChanged:
    """From here on the run follows these texts: file name to text, the entry file first. `changes` says per step what
    is different; `inputs` are all its inputs from here on, None if they stay what they were."""

    kind: ClassVar[str] = "definition_changed"
    sources: Mapping[str, str]
    changes: Mapping[str, str]
    inputs: Mapping[str, JsonValue] | None = None


@event
class RunWaiting:  # the lease is given back with it
    """Nothing but `gates` is left to wait for."""

    kind: ClassVar[str] = "run_waiting"
    gates: tuple[str, ...]


@event
class RunCancelRequested:
    """The owner has seen that somebody wants the run given up."""

    kind: ClassVar[str] = "run_cancel_requested"
    by: str
    via: str
    reason: str
    kill: bool = False


@event
class RunCompleted:
    kind: ClassVar[str] = "run_completed"
    outputs: Mapping[str, JsonValue]


@event
class RunFailed:
    """`reason`: `step_failed budget run_timeout crash_limit state_conflict invalid_value max_iterations stuck`."""

    kind: ClassVar[str] = "run_failed"
    reason: str
    error: str
    at_path: StepPath | None = None


@event
class RunCancelled:
    """`reason` is a stable word, `user`; what was said about it is in `RunCancelRequested`."""

    kind: ClassVar[str] = "run_cancelled"
    reason: str
    by: str


@event
class RunInterrupted:
    """A leg stopped without an end: `cause` is `interrupt sigterm sighup until store replay crash`."""

    kind: ClassVar[str] = "run_interrupted"
    cause: str
    error: str | None = None


# ── steps and attempts ────────────────────────────────────────────────────────────────────────────
@event
class AttemptStarted:
    """Durable before the executor is called. `number` counts a path's attempts from 0, over all legs. `effect` may be
    None for `read`, `executor_version` for `1`; `reserve` is set aside: `cost_usd tokens metered`; `asked` is sent."""

    kind: ClassVar[str] = "attempt_started"
    path: StepPath
    number: int
    info: StepInfo
    executor: str
    epoch: int = 1
    deadline_at: int | None = None
    why: str | None = None
    effect: str | None = None
    executor_version: str | None = None
    reserve: Mapping[str, JsonValue] | None = None
    asked: Asked | None = None


@event
class ProcessStarted:
    """An attempt has started a process, the leader of its group; `began` is its start time as the system counts it."""

    kind: ClassVar[str] = "process_started"
    path: StepPath
    number: int
    pid: int
    began: str
    epoch: int = 1


@event
class AttemptFailed:
    kind: ClassVar[str] = "attempt_failed"
    path: StepPath
    number: int
    error: StepError
    epoch: int = 1
    usage: Usage | None = None
    elapsed_ms: int = 0
    abandoned: bool = False


@event
class AttemptTimedOut:
    kind: ClassVar[str] = "attempt_timed_out"
    path: StepPath
    number: int
    error: StepError
    epoch: int = 1
    usage: Usage | None = None
    elapsed_ms: int = 0
    abandoned: bool = False


@event
class AttemptCancelled:
    kind: ClassVar[str] = "attempt_cancelled"
    path: StepPath
    number: int
    error: StepError
    epoch: int = 1
    usage: Usage | None = None
    elapsed_ms: int = 0
    abandoned: bool = False


@event
class AttemptCutOff:
    """An attempt that never closed by its own outcome; `certainty` is `interrupted` (seen to end) or `unknown`."""

    kind: ClassVar[str] = "attempt_cut_off"
    path: StepPath
    number: int
    certainty: str
    cause: str
    epoch: int = 1
    evidence: str | None = None
    usage: Usage | None = None


@event
class RetryScheduled:
    kind: ClassVar[str] = "retry_scheduled"
    path: StepPath
    due_at: int
    delay_ms: int
    retries_left: int
    epoch: int = 1


@event
class StepCompleted:
    """Closes the open attempt if there is one; `info` is given when the step opened none (a block's result). `seen` is
    what the step read; `cached_from` names the run and step the result was taken from, `decided_by` who gave it in
    place of an attempt nobody saw the end of; `asked` of a call of a workflow says by what it can be found again."""

    kind: ClassVar[str] = "step_completed"
    path: StepPath
    output: Output
    info: StepInfo | None = None
    epoch: int = 1
    elapsed_ms: int = 0
    seen: Seen | None = None
    cached_from: str | None = None
    decided_by: str | None = None
    asked: Asked | None = None


@event
class StepFailed:
    """`handled` says what took the failure, None if it fails what surrounds it. Also closes an open attempt."""

    kind: ClassVar[str] = "step_failed"
    path: StepPath
    error: StepError
    info: StepInfo | None = None
    epoch: int = 1
    handled: str | None = None
    output: Output | None = None
    seen: Seen | None = None


@event
class StepTimedOut:
    kind: ClassVar[str] = "step_timed_out"
    path: StepPath
    error: StepError
    info: StepInfo | None = None
    epoch: int = 1
    handled: str | None = None


@event
class StepSkipped:
    kind: ClassVar[str] = "step_skipped"
    path: StepPath
    reason: str
    info: StepInfo | None = None
    epoch: int = 1


@event
class StepCancelled:
    kind: ClassVar[str] = "step_cancelled"
    path: StepPath
    reason: str
    info: StepInfo | None = None
    epoch: int = 1


@event
class StepHandled:
    """A failure that the enclosing block took after the step had ended: `min_success`, `until`."""

    kind: ClassVar[str] = "step_handled"
    path: StepPath
    handled: str
    epoch: int = 1


@event
class StepSuperseded:
    """The path runs again: its next attempt is `epoch` + 1."""

    kind: ClassVar[str] = "step_superseded"
    path: StepPath
    why: str
    epoch: int = 1


@event
class GateOpened:
    """Somebody has to decide before the step at `path` goes on. `name` is the gate's, unique with `occurrence`
    (from 1); `options` are the choices, empty for approve or reject; `terms` says who decides and what follows."""

    kind: ClassVar[str] = "gate_opened"
    path: StepPath
    name: str
    type: str
    prompt: str
    info: StepInfo
    occurrence: int = 1
    options: tuple[str, ...] = ()
    deadline_at: int | None = None
    epoch: int = 1
    terms: Mapping[str, JsonValue] = field(default_factory=lambda: EMPTY)


@event
class GateDecided:
    """The one decision of a gate; `via` is how it came (`cli tty api resolver timeout`)."""

    kind: ClassVar[str] = "gate_decided"
    path: StepPath
    name: str
    decision: str
    by: str
    via: str
    occurrence: int = 1
    reason: str = ""
    form: Mapping[str, JsonValue] = field(default_factory=lambda: EMPTY)
    epoch: int = 1


@event
class ChoiceMade:
    """A condition or loop test and its result, with the operands it saw: what `explain` shows."""

    kind: ClassVar[str] = "choice_made"
    path: StepPath
    construct: str
    text: str
    operands: Mapping[str, JsonValue]
    result: bool


RunEvent: TypeAlias = (
    RunCreated
    | RunStarted
    | RunResumed
    | DefinitionChanged
    | RunWaiting
    | RunCancelRequested
    | RunCompleted
    | RunFailed
    | RunCancelled
    | RunInterrupted
)
StepEvent: TypeAlias = (
    AttemptStarted
    | ProcessStarted
    | AttemptFailed
    | AttemptTimedOut
    | AttemptCancelled
    | AttemptCutOff
    | RetryScheduled
    | StepCompleted
    | StepFailed
    | StepTimedOut
    | StepSkipped
    | StepCancelled
    | StepHandled
    | StepSuperseded
    | GateOpened
    | GateDecided
    | ChoiceMade
    | ItemsCollected
)
Event: TypeAlias = RunEvent | StepEvent | StateSet | WorktreeChanged | Note


class Envelope(NamedTuple):
    """An event as recorded. `seq` is dense from 1 per run; `at` is information, never logic."""

    run: RunID
    seq: int
    at: int
    leg: int
    fence: int
    event: Event
