"""Every interface between the layers, on one page. Implementations are checked by one contract suite each."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import field
from pathlib import Path
from typing import Protocol

from runkon.frozen import value_class
from runkon.model.events import Envelope, Event, Note, RunCreated
from runkon.model.ids import RunID, StepPath
from runkon.model.output import EMPTY, JsonValue, Output
from runkon.model.records import CancelRequest, GateAnswer, GateRecord, Lease, RunRecord, StepRecord


# ── time and cancellation ─────────────────────────────────────────────────────────────────────────
class Clock(Protocol):
    """Where time comes from; tests give a virtual one."""

    def now_ms(self) -> int:
        """Wall time, milliseconds UTC: for records."""
        ...

    def monotonic(self) -> float:
        """Seconds on a clock that never goes back, and stands still while the machine sleeps: for attempts."""
        ...

    def call_at(self, when: float, action: Callable[[], None]) -> Callable[[], None]:
        """Run `action` (short, never blocking) once `monotonic()` reaches `when`; the result undoes it."""
        ...

    def call_after(self, seconds: float, action: Callable[[], None]) -> Callable[[], None]:
        """As `call_at`, but counting also while the machine sleeps: for instants that are on record."""
        ...


class CancelToken(Protocol):
    """Asks work to stop. What an executor sees of the engine's token tree."""

    @property
    def is_cancelled(self) -> bool: ...

    def raise_if_cancelled(self) -> None:
        """Raises `runkon.Cancelled` once the token is cancelled."""
        ...

    def wait(self, seconds: float) -> bool:
        """Sleep up to `seconds`, waking at once on cancellation; true if cancelled."""
        ...

    def on_cancel(self, action: Callable[[], None]) -> Callable[[], None]:
        """Call `action` when cancelled (at once if it already is); the result undoes it."""
        ...


# ── executors ─────────────────────────────────────────────────────────────────────────────────────
def _drop(text: str) -> None:
    """The `emit` of a request nobody watches."""


def _unfilled(text: str) -> str:
    """The `render` of a request without a workflow around it."""
    return text


def _unseen(pid: int) -> None:
    """The `started` of a request whose processes nobody records."""


@value_class(frozen=True, slots=True, kw_only=True)
class StepRequest:
    """What an executor is asked to do: one attempt of one step.

    `inputs` are the variables the step sees; `options` is what belongs to the kind of step alone (a script's `run`,
    `env`). `attempt` counts from 0; `timeout` in seconds; `idempotency_key` is equal for all attempts of one step.
    `previous_error` is what the attempt before failed with, `refused` why the last answer was not accepted.
    `roots` are the folders in which files are looked up, first hit wins. Poll `cancel` or wait on it; `emit` sends a
    line of progress (an empty one only says that the attempt lives), `warn` a warning that stays on the run's record.
    Every process that an attempt starts gets `marks` in its environment and is told by `started(pid)` before it is
    waited for, so that it can be found and ended after this process was killed. `secrets` holds the values of secret
    inputs by name; in `inputs` a secret is `{"$secret": NAME}`, and inside text `«secret:NAME»`. With `dry_run` set
    nothing outside may be changed. `render` fills the placeholders of a text that goes to an agent, such as a prompt;
    it raises StepFailure (kind `value`) for a secret.
    """

    run_id: RunID
    workflow: str
    path: StepPath
    name: str
    cancel: CancelToken
    attempt: int = 0
    inputs: Mapping[str, JsonValue] = field(default_factory=lambda: EMPTY)
    options: Mapping[str, JsonValue] = field(default_factory=lambda: EMPTY)
    previous_error: str | None = None
    refused: str | None = None
    prompt: str | None = None
    snippets: tuple[str, ...] = ()
    schema: str | None = None
    model: str | None = None
    max_turns: int | None = None
    max_cost_usd: float | None = None
    identity: str | None = None
    plugin_dirs: tuple[str, ...] = ()
    dry_run: bool = False
    timeout: float | None = None
    working_dir: Path = Path()
    roots: tuple[Path, ...] = ()
    log_path: Path | None = None
    idempotency_key: str = ""
    secrets: Mapping[str, str] = field(default_factory=dict)
    emit: Callable[[str], None] = _drop
    warn: Callable[[str], None] = _drop
    marks: Mapping[str, str] = field(default_factory=dict)
    started: Callable[[int], None] = _unseen
    render: Callable[[str], str] = _unfilled


class ActionExecutor(Protocol):
    """Carries out one kind of action. Safe for concurrent calls. May raise `Transient`, `Fatal`, `Cancelled`; any
    other exception is an ordinary failure. An optional method `cancel(path)` is called on a thread of its own. One
    more, `describe(request)`, returns a JSON object with all that the answer depends on and nothing that differs from
    run to run, secrets by name; it asks nobody and changes nothing. A text `prompt` in it is what `execute` gets as
    `request.prompt`."""

    @property
    def name(self) -> str: ...
    @property
    def version(self) -> str: ...
    @property
    def effect(self) -> str:
        """`pure`, `read` or `write`: what an attempt may do to the world."""
        ...

    @property
    def metered(self) -> bool:
        """True if calls cost money: a dry run does not make them."""
        ...

    def execute(self, request: StepRequest) -> Output: ...


class Executors(Protocol):
    """The executors a run may use, by name."""

    def find(self, name: str) -> ActionExecutor | None: ...
    def names(self) -> Sequence[str]: ...


# ── records ───────────────────────────────────────────────────────────────────────────────────────
class RunStore(Protocol):
    """Keeps runs. Every write of a run is fenced by its lease, in the same transaction. Safe for concurrent calls."""

    def create(self, run: RunID, created: RunCreated, at: int) -> RunID:
        """The run's row and its first event (seq 1), durable. Returns `run`; or, with nothing written, the run that the
        workflow has under that start key already. Raises UserError `duplicate-run` if `run` exists."""
        ...

    def acquire(self, run: RunID, holder: str, now: int, ttl_ms: int) -> Lease | None:
        """Take the run, whose next fence and leg the new lease has; None while somebody holds it who is not proved dead
        and whose time has not run out. Patience with one who lives but is late is the caller's."""
        ...

    def extend(self, lease: Lease, now: int, ttl_ms: int) -> Lease | None:
        """A later expiry, or None if the lease was lost."""
        ...

    def append(self, lease: Lease, envelopes: Sequence[Envelope], *, release: bool = False) -> None:
        """Events and the records they imply in one transaction, durable when this returns; `release` gives the lease
        back in the same transaction. Raises LeaseLost (and writes nothing) when fenced out, StoreUnavailable when
        it can't write."""
        ...

    def rescue(self, lease: Lease, requests: Sequence[Sequence[Envelope]], *, is_fenced: bool) -> str:
        """Keep what `append` could not write where the run's next leg finds it, and say where; later calls add to it.
        With `is_fenced` the run belongs to somebody else, and nobody will take it over. Never raises."""
        ...

    def hurry(self) -> None:
        """End every wait for a store that can't be written, and wait no more until it can. Returns at once."""
        ...

    def rescued(self, lease: Lease) -> Sequence[Note]:
        """Take over what was kept for the run, under the lease of a new leg that has written nothing yet: what
        continues the record is appended as it is, everything else stays where it is. Returns what to tell of it."""
        ...

    def rescuable(self, run: RunID) -> Sequence[Envelope]:
        """What `rescued` would append for the run's next leg as things are now. Changes nothing."""
        ...

    def run(self, run: RunID) -> RunRecord | None: ...

    def find(self, prefix: str) -> Sequence[RunID]:
        """The runs whose id begins with `prefix` (any case), newest first, at most ten."""
        ...

    def runs(
        self,
        *,
        status: str | None = None,
        workflow: str | None = None,
        since: int | None = None,
        limit: int | None = None,
    ) -> Sequence[RunRecord]:
        """Runs, newest first; `since` is a created-at in milliseconds UTC."""
        ...

    def steps(self, run: RunID) -> Sequence[StepRecord]:
        """The current record of every step, in program order."""
        ...

    def put_aside(self, run: RunID) -> Sequence[StepRecord]:
        """The steps whose record was superseded and which have not run since: pending, in the epoch that comes next,
        in program order."""
        ...

    def events(self, run: RunID, after: int = 0) -> Iterator[Envelope]:
        """Recorded events with a number above `after`, in order. Raises UserError `corrupt-run` on damage."""
        ...

    def events_of(self, run: RunID, kinds: Collection[str]) -> Sequence[Envelope]:
        """The events of these kinds, in order; the others are not read."""
        ...

    def runs_asked(self, request: Mapping[str, JsonValue], limit: int = 20) -> Sequence[RunID]:
        """The runs in which an attempt was asked exactly this, newest first."""
        ...

    def check_log(self, run: RunID) -> None:
        """Look whether the run's events and records can be as they are, without reading payloads: before a leg relies
        on them. Raises UserError `corrupt-run`, which names the first that can't, and `run-not-found`."""
        ...

    def sources(self, run: RunID) -> Mapping[str, str]:
        """The texts the run follows: file name to text, the entry file first."""
        ...

    def ask_to_cancel(self, run: RunID, wish: CancelRequest, *, within: float | None = None) -> RunRecord:
        """Keep the wish that `run` be given up, durable; the first one wins, `kill` may be added later. Returns the
        run as it is then. Raises UserError `run-not-found`, `already-ended` for a run that completed or failed, and
        StoreUnavailable, after `within` seconds at the latest, if that is given."""
        ...

    def cancel_wishes(self, runs: Sequence[RunID]) -> Mapping[RunID, CancelRequest]:
        """Those of `runs` that somebody wants given up. One short read: engines ask this several times a second."""
        ...

    def answer_gate(self, answer: GateAnswer) -> GateAnswer:
        """Keep an answer to a gate, durable, with its ordinal; anybody may. Raises UserError `gate-decided`, which says
        by whom, when the gate has its decision or an answer that decides, and `run-not-found`."""
        ...

    def gates(self, run: RunID) -> Sequence[GateRecord]:
        """Every gate of the run, in the order in which they were opened."""
        ...

    def gate_answers(self, run: RunID) -> Sequence[GateAnswer]:
        """Every answer to a gate of the run, by gate, occurrence and ordinal; also to gates that are not open yet."""
        ...

    def together(self) -> AbstractContextManager[None]:
        """Reads inside of it follow each other soon, so that they can share what each would open. Each still sees the
        record as it is then."""
        ...

    def close(self) -> None: ...


class EventSink(Protocol):
    """Receives events after they are durable, in order, on a thread of its own; its errors are logged, never fatal.

    One that takes longer than 5 s over an event is not waited for until it has caught up. Events it misses meanwhile
    are told by an optional method `gap(first, last)` with their numbers; the store has them all."""

    def emit(self, envelope: Envelope) -> None: ...


class Recorder(Protocol):
    """The engine's only writer for one run under one lease. Safe for concurrent calls."""

    def append(self, *events: Event) -> None:
        """Queue events; they become durable with the next commit, at the latest a few milliseconds later."""
        ...

    def commit(self, *events: Event) -> None:
        """Queue events and return when they, and all queued before, are durable and the sinks were told."""
        ...

    def hurry(self) -> None:
        """Wait no longer for a store that can't be written. Returns at once."""
        ...

    def close(self, *events: Event) -> None:
        """`commit`, giving the lease back in the same transaction. Later calls raise LeaseLost."""
        ...
