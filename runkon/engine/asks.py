"""Steps whose last attempt ended unseen: run again, failed, or asked about, as `effect` and `on_unknown` say.

An ask is a gate. It is opened when the walk comes to its step, and its answer is applied in the transaction that
settles the step, so that a crash between any two of these leaves either the question or its whole consequence. Only
`rerun` has no consequence but the next attempt: a step found waiting at a gate decided so goes on with that.
"""

from __future__ import annotations

import threading
from collections.abc import Collection, Mapping, Sequence
from types import MappingProxyType
from typing import TYPE_CHECKING

from runkon.engine.answers import Failed, answer_of
from runkon.engine.ends import Waits
from runkon.engine.outcome import close_failed
from runkon.engine.results import StepResult
from runkon.failpoints import failpoint
from runkon.model.decisions import UNKNOWN
from runkon.model.events import Event, GateDecided, GateOpened, StepCancelled, StepCompleted, StepSkipped
from runkon.model.gates import (
    DONE,
    RERUN,
    RULINGS,
    UNDECIDED,
    WITHDRAWN,
    answer_for,
    ask_name,
    is_in_question,
    is_undecided,
    occurrence_of,
)
from runkon.model.ids import RunID, StepPath
from runkon.model.records import GateAnswer, GateRecord, StepError, StepRecord
from runkon.model.secrets import redact
from runkon.model.status import StepStatus
from runkon.named import NamedTuple

if TYPE_CHECKING:
    from runkon.engine.cancellation import CancelReason
    from runkon.engine.open_step import OpenStep
    from runkon.language.nodes import StepOptions
    from runkon.model.ports import Recorder, RunStore

_LOST = {
    "process_lost": "the process that ran it was lost",
    "worker_lost": "the worker that ran it was lost",
    "lease_lost": "another engine took the run over",
}


class _Open(NamedTuple):
    """An ask that waits for its answer. `order` is that of its step, None for a step that was put aside."""

    path: StepPath
    name: str
    occurrence: int
    epoch: int
    order: str | None


class Asks:
    """The asks of one leg. `unconfirmed` are steps whose old processes could not be seen to end, and what is known of
    these: they count as ones that write, whatever they say; `left` are records as earlier legs left them, before any
    was put aside. Safe for concurrent calls."""

    def __init__(
        self,
        store: RunStore,
        run: RunID,
        recorded: Mapping[StepPath, StepRecord],
        unconfirmed: Mapping[StepPath, str] = MappingProxyType({}),
        left: Sequence[StepRecord] = (),
    ) -> None:
        self._store = store
        self._run = run
        self._unconfirmed = unconfirmed
        self._lock = threading.Lock()
        self._known: tuple[Sequence[GateRecord], Sequence[GateAnswer]] | None = None
        self._open: dict[StepPath, _Open] = {}
        if any(map(is_in_question, (*recorded.values(), *left))):
            gates, _ = self._read()
            asked = [one for one in gates if one.decision is None and one.type == UNKNOWN]
            self._open = {one.path: _found_open(one, recorded.get(one.path)) for one in asked}

    def _read(self) -> tuple[Sequence[GateRecord], Sequence[GateAnswer]]:
        """Gates and answers as they are when first needed: steps that run again without a question cost no reading."""
        with self._lock:
            if self._known is None:
                self._known = (tuple(self._store.gates(self._run)), tuple(self._store.gate_answers(self._run)))
            return self._known

    @property
    def waiting(self) -> tuple[tuple[str, StepPath, str], ...]:
        """What waits for a decision: the order text of its step, its path, its name."""
        with self._lock:
            return tuple((ask.order or "", ask.path, ask.name) for ask in self._open.values())

    # ── one step ──────────────────────────────────────────────────────────────────────────────────
    def settle(self, attempts: OpenStep) -> StepResult | None:
        """What follows for a step before anything is attempted: None if it may be attempted, its result if it is
        settled without. Raises `Waits` if somebody has to decide first."""
        record = attempts.record
        if record is None or not is_undecided(record):
            return None
        policy = self._policy(record, attempts.leaf.options)
        if policy != "ask" and self._known is None:
            return self._unasked(attempts, record, policy)
        gates, answers = self._read()
        name, occurrence = ask_name(record.path), occurrence_of(record, gates, answers)
        known = next((one for one in gates if (one.name, one.occurrence) == (name, occurrence)), None)
        answer = answer_for(name, occurrence, answers)
        if known is not None and known.decision == RERUN:
            return None
        if answer is None or answer.choice not in RULINGS:
            if policy != "ask" and known is None:
                return self._unasked(attempts, record, policy)
            self._ask(attempts, record, known, occurrence)
            raise Waits(frozenset({record.path}))
        failpoint("before_decide", record.path)
        before: tuple[Event, ...] = () if known is not None else (_opening(attempts, record, name, occurrence),)
        if known is None or known.decision is None:
            before += (_decision(attempts, answer, occurrence),)
        return self._apply(attempts, answer, before)

    def _unasked(self, attempts: OpenStep, record: StepRecord, policy: str) -> StepResult | None:
        if policy == "rerun":
            return None
        return close_failed(attempts, Failed(StepError("unknown_outcome", _what_happened(record))))

    def _policy(self, record: StepRecord, options: StepOptions) -> str:
        """`rerun`, `ask` or `fail`. What was asked about before is asked about again; an answer about this very attempt
        counts whatever it is."""
        if options.on_unknown is not None:
            return options.on_unknown
        writes = record.effect == "write" or record.path in self._unconfirmed
        return "ask" if writes or record.status is StepStatus.CANCELLED else "rerun"

    def _ask(self, attempts: OpenStep, record: StepRecord, known: GateRecord | None, occurrence: int) -> None:
        path, name = record.path, ask_name(record.path)
        order = attempts.scope.info_of(attempts.leaf).order
        with self._lock:
            self._open[path] = _Open(path, name, occurrence, attempts.epoch, order)
        if known is None:
            failpoint("before_open", path)
            seen = self._unconfirmed.get(path, "")
            attempts.scope.leg.recorder.append(_opening(attempts, record, name, occurrence, seen))
            failpoint("after_open", path)

    def _apply(self, attempts: OpenStep, answer: GateAnswer, before: tuple[Event, ...]) -> StepResult | None:
        """What follows from an answer, in one transaction with the events `before`: None is one more attempt."""
        leg, path = attempts.scope.leg, attempts.path
        failpoint("before_apply", path)
        with self._lock:
            self._open.pop(path, None)
        if answer.choice == RERUN:
            leg.recorder.append(*before)
            failpoint("after_decide", path)
            return None
        output = answer_of(answer.form.get("output"), leg.secrets) if answer.choice == DONE else None
        if output is None or isinstance(output, Failed):
            said = f": {redact(answer.reason, leg.secrets)}" if answer.reason else ""
            error = StepError("unknown_outcome", f"{answer.by} decided that it failed{said}")
            if output is not None:
                error = StepError("value", f"the output that {answer.by} gave is unusable: {output.error.message}")
            return close_failed(attempts, Failed(error), before)
        if attempts.leaf.schema is not None:
            from runkon.engine.fitting import as_told  # late: few steps have a schema

            output = as_told(output, attempts.leaf.schema, attempts.scope)
        completed = StepCompleted(path=path, output=output, epoch=attempts.epoch, decided_by=answer.by)
        leg.recorder.append(*before, completed)
        failpoint("after_decide", path)
        if attempts.scope.strand.markers is not None:
            attempts.scope.strand.markers |= output.markers
        number, iteration = attempts.number, attempts.scope.iteration
        return StepResult(attempts.leaf.key, StepStatus.COMPLETED, output, None, number, iteration)

    def has_news(self) -> bool:
        """True if one of the open questions has an answer, and some answer came that this leg has not seen: one that
        begins now has something to do. Nobody else would take it."""
        known = self._known
        answers = self._store.gate_answers(self._run)
        if known is not None and len(answers) <= len(known[1]):
            return False
        found = [answer_for(ask.name, ask.occurrence, answers) for ask in self._open.values()]
        return any(one is not None and one.choice in RULINGS for one in found)

    # ── what is not needed any more ───────────────────────────────────────────────────────────────
    def outdated(self) -> list[Event]:
        """The end of asks about steps that wait no longer, because they were put aside. For the beginning of a leg."""
        gone = [ask.path for ask in self._open.values() if ask.order is None]
        return [_withdrawal(self._open.pop(path), "the step runs anew") for path in gone]

    def withdraw(self, recorder: Recorder, paths: Collection[StepPath], reason: CancelReason) -> None:
        """The block around these steps needs them no more. Steps that are not skipped for good are asked about again
        when they are wanted again."""
        taken = self._take(paths)
        if taken:
            recorder.append(*_ends(taken, str(reason), skips=reason.kind == "until_reached"))

    def at_the_end(self, reason: str) -> list[Event]:
        """What closes every open ask before the run ends."""
        return _ends(self._take(tuple(self._open)), reason, skips=False)

    def _take(self, paths: Collection[StepPath]) -> list[_Open]:
        with self._lock:
            return [self._open.pop(path) for path in sorted(paths) if path in self._open]


def _found_open(gate: GateRecord, step: StepRecord | None) -> _Open:
    waits = step is not None and step.status is StepStatus.WAITING
    epoch = 1 if step is None else step.epoch
    return _Open(gate.path, gate.name, gate.occurrence, epoch, step.info.order if step is not None and waits else None)


def _opening(attempts: OpenStep, record: StepRecord, name: str, occurrence: int, seen: str = "") -> GateOpened:
    info = attempts.scope.info_of(attempts.leaf)
    return GateOpened(
        path=record.path,
        name=name,
        type=UNKNOWN,
        prompt=_prompt(record) + (f"; {seen}" if seen else ""),
        info=info,
        occurrence=occurrence,
        options=RULINGS,
        epoch=record.epoch,
    )


def _decision(attempts: OpenStep, answer: GateAnswer, occurrence: int) -> GateDecided:
    return GateDecided(
        path=attempts.path,
        name=answer.gate,
        decision=answer.choice,
        by=answer.by,
        via=answer.via,
        occurrence=occurrence,
        reason=redact(answer.reason, attempts.scope.leg.secrets),
        epoch=attempts.epoch,
    )


def _prompt(record: StepRecord) -> str:
    if not record.attempts and record.epoch > 1:  # put aside, because what is recorded of it can't be read
        what = f"{record.info.kind} `{record.info.key}`"
        return f"{what} is done, but its recorded result can't be used any more; running it again does its work twice"
    return f"{_what_happened(record)}; it may have done all of its work, a part of it, or none"


def _what_happened(record: StepRecord) -> str:
    cause = _LOST.get(record.skip_reason or "", "it did not stop when told to")
    what = f"{record.info.kind} `{record.info.key}`"
    if not record.attempts:  # of a fork, which has made none itself
        return f"nobody saw how the last attempt of {what} ended in the run this one is a fork of"
    return f"nobody saw how attempt {record.attempts} of {what} ended: {cause}"


def _ends(taken: Sequence[_Open], why: str, *, skips: bool) -> list[Event]:
    """Each ask with its step."""
    events: list[Event] = []
    for ask in taken:
        events.append(_withdrawal(ask, why))
        if skips:
            events.append(StepSkipped(path=ask.path, reason="until_reached", epoch=ask.epoch))
        else:
            events.append(StepCancelled(path=ask.path, reason=UNDECIDED, epoch=ask.epoch))
    return events


def _withdrawal(ask: _Open, why: str) -> GateDecided:
    return GateDecided(
        path=ask.path,
        name=ask.name,
        decision=WITHDRAWN,
        by="runkon",
        via="run",
        occurrence=ask.occurrence,
        reason=why,
        epoch=ask.epoch,
    )
