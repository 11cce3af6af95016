"""The gates of one leg: opened, decided once, timed out, withdrawn.

Whoever decides (a person, a resolver, the end of the wait) puts an answer into the store, where the first one wins;
the leg reads it there and records it together with the end of its step. A gate waits on its own thread if somebody
attends to it; else its walk ends with `Waits`, and the leg once nothing else is left to do.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import TYPE_CHECKING

from runkon.engine.cancellation import Waiter
from runkon.engine.ends import Stopped, Waits
from runkon.engine.gate_terms import Decided, Opened, Verdict, at_timeout, options_of, prompt_of, terms_of, verdict_of
from runkon.engine.resolving import Polling
from runkon.engine.watcher import watcher
from runkon.errors import UserError
from runkon.failpoints import failpoint
from runkon.language.nodes import GateStep
from runkon.model.decisions import BY_TIME, TIMED_OUT, UNKNOWN, GateResolver
from runkon.model.events import Event, GateDecided, GateOpened, StepCancelled, StepSkipped
from runkon.model.gates import WITHDRAWN
from runkon.model.ids import RunID, StepPath, is_in_always
from runkon.model.records import GateAnswer, GateRecord, StepInfo, StepRecord
from runkon.model.status import StepStatus

if TYPE_CHECKING:
    from runkon.engine.cancellation import CancelReason
    from runkon.engine.scope import Scope
    from runkon.model.ports import Recorder, RunStore


class Gates:
    """Safe for concurrent calls. `attends` says that somebody may decide while the leg goes on."""

    def __init__(
        self,
        store: RunStore,
        run: RunID,
        recorded: Mapping[StepPath, StepRecord],
        resolvers: Mapping[str, GateResolver],
        *,
        attends: bool,
    ) -> None:
        self._store = store
        self._run = run
        self._resolvers = resolvers
        self._attends = attends
        self._lock = threading.Lock()
        known = store.gates(run)
        self._last: dict[str, int] = {}
        for gate in known:
            self._last[gate.name] = max(self._last.get(gate.name, 0), gate.occurrence)
        left = [gate for gate in known if gate.decision is None and gate.type != UNKNOWN]
        self._open = {gate.path: _found_open(gate, recorded.get(gate.path)) for gate in left}
        self._deadlines = {gate.path: gate.deadline_at for gate in known}

    @property
    def open(self) -> tuple[Opened, ...]:
        """The gates that wait for a decision."""
        with self._lock:
            return tuple(self._open.values())

    def deadline_of(self, path: StepPath) -> int | None:
        """The deadline of a gate that an earlier leg opened."""
        return self._deadlines.get(path)

    # ── one gate ──────────────────────────────────────────────────────────────────────────────────
    def decide(self, node: GateStep, scope: Scope, path: StepPath, info: StepInfo) -> Decided:
        """How the gate is decided; it is opened if it is not yet. Raises `Waits` if somebody else has to decide first,
        `Stopped` if told to stop meanwhile, StepFailure for options or a prompt that have no value."""
        with self._lock:
            found = self._open.get(path)
        opening: tuple[Event, ...] = ()
        if found is None:
            failpoint("before_open", path)
            found, event = self._opened(node, scope, path, info)
            opening = (event,)
        found = found._replace(node=node)
        verdict = self._verdict(found, scope)
        if verdict is None and _is_due(found, scope):
            verdict = self._expired(found, scope)
        if verdict is None:
            with self._lock:
                self._open[path] = found
            if opening:
                scope.leg.recorder.commit(*opening)
                opening = ()
                failpoint("after_open", path)
            verdict = self._awaited(found, node, scope)
        failpoint("before_decide", path)
        with self._lock:
            self._open.pop(path, None)
        return Decided(verdict, (*opening, _decision(found, verdict)))

    def _opened(self, node: GateStep, scope: Scope, path: StepPath, info: StepInfo) -> tuple[Opened, GateOpened]:
        options = options_of(node, scope.env)
        prompt = prompt_of(node, scope.env.at(path), options, is_resolved=node.type in self._resolvers)
        if node.form is not None:
            from runkon.engine.fitting import prompt_with_form  # late: few gates have a form

            prompt = prompt_with_form(prompt, node.form, scope)
        with self._lock:
            occurrence = self._last[node.key] = self._last.get(node.key, 0) + 1
        epoch, due = scope.leg.epoch_of(path), scope.leg.clock.now_ms() + node.timeout
        event = GateOpened(
            path=path,
            name=node.key,
            type=node.type,
            prompt=prompt,
            info=info,
            occurrence=occurrence,
            options=tuple(options),
            deadline_at=due,
            epoch=epoch,
            terms=terms_of(node, options),
        )
        return Opened(path, node.key, occurrence, epoch, info.order, due, node), event

    def _verdict(self, gate: Opened, scope: Scope) -> Verdict | None:
        assert gate.node is not None
        answers = [one for one in self._store.gate_answers(self._run) if one.gate == gate.name]
        return verdict_of(gate.node, gate.occurrence, gate.deadline_at, answers, scope.leg.secrets)

    def _expired(self, gate: Opened, scope: Scope) -> Verdict:
        """The end of the wait is an answer like others: if one came first, that counts."""
        late = GateAnswer(self._run, gate.name, TIMED_OUT, "runkon", BY_TIME, scope.leg.clock.now_ms(), gate.occurrence)
        try:
            self._store.answer_gate(late)
        except UserError as error:
            if error.code != "gate-decided":
                raise
        verdict = self._verdict(gate, scope)
        if verdict is None:  # one that does not count came between: the time is over all the same
            assert gate.node is not None
            return at_timeout(gate.node, gate.deadline_at or late.at)
        return verdict

    # ── waiting ───────────────────────────────────────────────────────────────────────────────────
    def _awaited(self, gate: Opened, node: GateStep, scope: Scope) -> Verdict:
        resolver = self._resolvers.get(node.type)
        if not self._attends and resolver is None:
            raise Waits(frozenset({gate.path}))
        waiter, leg = Waiter(), scope.leg
        undo: list[Callable[[], None]] = [scope.token.on_cancel(waiter.wake)]
        is_over = threading.Event()  # not by the wall clock, which somebody may set meanwhile

        def end() -> None:
            is_over.set()
            waiter.wake()

        if _is_due(gate, scope):
            is_over.set()
        elif gate.deadline_at is not None:
            undo.append(leg.clock.call_after((gate.deadline_at - leg.clock.now_ms()) / 1000, end))
        undo.append(watcher().watch_answers(self._store, self._run, waiter.wake))
        if resolver is not None:
            undo.append(Polling(self._store, resolver, node, scope, gate, waiter.wake).stop)
        failpoint("in_wait", gate.path)
        aside = scope.strand.step_aside()
        try:
            while (verdict := self._verdict(gate, scope)) is None:
                if scope.token.reason is not None:
                    self._stopped(gate, scope)
                if is_over.is_set():
                    return self._expired(gate, scope)
                waiter.wait()
            if scope.token.reason is not None:  # a cancel beats every decision that is not on record yet
                self._stopped(gate, scope)
            return verdict
        finally:
            for one in undo:
                one()
            aside()

    def _stopped(self, gate: Opened, scope: Scope) -> None:
        reason = scope.token.reason
        assert reason is not None
        if reason.kind in ("fail_fast", "until_reached"):
            self.withdraw(scope.leg.recorder, (gate.path,), reason)
        stopped = Stopped(reason)
        stopped.is_recorded = True
        raise stopped

    def has_news(self, answers: Sequence[GateAnswer], now: int, secrets: Mapping[str, str]) -> bool:
        """True if one of the open gates is decided by now: a leg that begins now has something to do."""
        for gate in self.open:
            if gate.node is None:
                continue
            if gate.deadline_at is not None and gate.deadline_at <= now:
                return True
            mine = [one for one in answers if one.gate == gate.name]
            if verdict_of(gate.node, gate.occurrence, gate.deadline_at, mine, secrets) is not None:
                return True
        return False

    # ── what is not needed any more ───────────────────────────────────────────────────────────────
    def outdated(self) -> list[Event]:
        """The end of gates that wait no longer, because their steps were put aside. For the beginning of a leg."""
        with self._lock:
            gone = [gate for gate in self._open.values() if gate.order is None]
            for gate in gone:
                del self._open[gate.path]
        return [_withdrawal(gate, "the step runs anew") for gate in gone]

    def withdraw(self, recorder: Recorder, paths: Collection[StepPath], reason: CancelReason) -> None:
        """The block around these gates needs them no more."""
        taken = self._take(paths)
        if taken:
            recorder.append(*_ends(taken, str(reason), reason.kind))

    def at_the_end(self, reason: str, kind: str) -> list[Event]:
        """What closes every open gate before the run ends."""
        return _ends(self._take(tuple(self._open)), reason, kind)

    def _take(self, paths: Collection[StepPath]) -> list[Opened]:
        with self._lock:
            return [self._open.pop(path) for path in sorted(paths) if path in self._open]


def _is_due(gate: Opened, scope: Scope) -> bool:
    return gate.deadline_at is not None and scope.leg.clock.now_ms() >= gate.deadline_at


def _found_open(gate: GateRecord, step: StepRecord | None) -> Opened:
    waits = step is not None and step.status is StepStatus.WAITING and not is_in_always(gate.path)
    epoch = 1 if step is None else step.epoch
    order = step.info.order if step is not None and waits else None
    return Opened(gate.path, gate.name, gate.occurrence, epoch, order, gate.deadline_at)


def _decision(gate: Opened, verdict: Verdict) -> GateDecided:
    return GateDecided(
        path=gate.path,
        name=gate.name,
        decision=", ".join(verdict.selected) or verdict.decision,
        by=verdict.by,
        via=verdict.via,
        occurrence=gate.occurrence,
        reason=verdict.reason,
        form=dict(verdict.values),
        epoch=gate.epoch,
    )


def _ends(taken: Sequence[Opened], why: str, kind: str) -> list[Event]:
    """Each gate with its step."""
    end = StepSkipped if kind == "until_reached" else StepCancelled
    events: list[Event] = []
    for gate in taken:
        events += (_withdrawal(gate, why), end(path=gate.path, reason=kind, epoch=gate.epoch))
    return events


def _withdrawal(gate: Opened, why: str) -> GateDecided:
    return GateDecided(
        path=gate.path,
        name=gate.name,
        decision=WITHDRAWN,
        by="runkon",
        via="run",
        occurrence=gate.occurrence,
        reason=why,
        epoch=gate.epoch,
    )
