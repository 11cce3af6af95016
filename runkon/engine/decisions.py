"""Everything a leg may wait for: questions about lost steps, and gates. Either part is made once it is needed."""

from __future__ import annotations

import threading
from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING

from runkon.model.gates import is_in_question, is_undecided
from runkon.model.ids import RunID, StepPath
from runkon.model.status import StepStatus

if TYPE_CHECKING:
    from runkon.engine.asks import Asks
    from runkon.engine.cancellation import CancelReason
    from runkon.engine.gate_terms import Decided
    from runkon.engine.gates import Gates
    from runkon.engine.open_step import OpenStep
    from runkon.engine.results import StepResult
    from runkon.engine.resume import Beginning
    from runkon.engine.scope import Scope
    from runkon.language.nodes import GateStep
    from runkon.model.decisions import GateResolver
    from runkon.model.events import Event
    from runkon.model.ports import Clock, Recorder, RunStore
    from runkon.model.records import StepInfo


class Decisions:
    """Safe for concurrent calls. `resolvers` decide gates, by type; `attends` says that somebody may decide while the
    leg goes on, so that it stays at open gates."""

    def __init__(
        self, store: RunStore, run: RunID, begun: Beginning, resolvers: Mapping[str, GateResolver], *, attends: bool
    ) -> None:
        self._store = store
        self._run = run
        self._begun = begun
        self._recorded = begun.recorded
        self._resolvers = resolvers
        self._attends = attends
        self._lock = threading.Lock()
        self._gates: Gates | None = None
        self._asks: Asks | None = None
        left = [one for one in (*begun.recorded.values(), *begun.steps) if one.status is not StepStatus.COMPLETED]
        self.has_unseen = any(map(is_undecided, left))
        if any(map(is_in_question, left)):
            self._make_asks()
        if any(step.status is StepStatus.WAITING and step.info.kind == "gate" for step in left):
            _ = self.gates

    def _make_asks(self) -> Asks:
        with self._lock:
            if self._asks is None:
                from runkon.engine.asks import Asks  # late: most runs have none

                begun = self._begun
                self._asks = Asks(self._store, self._run, begun.recorded, begun.unconfirmed, left=begun.steps)
            return self._asks

    def settle_unseen(self, attempts: OpenStep) -> StepResult | None:
        """What follows for a step whose last attempt nobody saw the end of. Returns and raises what `Asks.settle` does;
        where nothing can be in question, that is not even loaded."""
        record, options = attempts.record, attempts.leaf.options
        may_ask = record is not None and (is_in_question(record) or record.path in self._begun.unconfirmed)
        if self._asks is None and options.on_unknown is None and not may_ask:
            return None
        return self._make_asks().settle(attempts)

    @property
    def gates(self) -> Gates:
        """The gates of the leg, read once one is reached."""
        with self._lock:
            if self._gates is None:
                from runkon.engine.gates import Gates  # late: most runs have none

                self._gates = Gates(self._store, self._run, self._recorded, self._resolvers, attends=self._attends)
            return self._gates

    def decide(self, node: GateStep, scope: Scope, path: StepPath, info: StepInfo) -> Decided:
        """How a gate is decided. Raises what `Gates.decide` raises."""
        return self.gates.decide(node, scope, path, info)

    def deadline_of(self, path: StepPath) -> int | None:
        """The deadline of a gate that an earlier leg opened."""
        return self.gates.deadline_of(path)

    @property
    def names(self) -> tuple[str, ...]:
        """What waits for a decision, in program order."""
        found = [] if self._asks is None else list(self._asks.waiting)
        if self._gates is not None:
            found += [(gate.order or "", gate.path, gate.name) for gate in self._gates.open]
        return tuple(name for _, _, name in sorted(found))

    def has_news(self, clock: Clock, secrets: Mapping[str, str]) -> bool:
        """True if something that was waited for is decided by now, and nobody has taken it."""
        if self._asks is not None and self._asks.has_news():
            return True
        if self._gates is None:
            return False
        return self._gates.has_news(self._store.gate_answers(self._run), clock.now_ms(), secrets)

    # ── what is not needed any more ───────────────────────────────────────────────────────────────
    def outdated(self) -> list[Event]:
        """The end of what waits no longer. For the beginning of a leg."""
        asks = [] if self._asks is None else self._asks.outdated()
        return asks if self._gates is None else [*asks, *self._gates.outdated()]

    def withdraw(self, recorder: Recorder, paths: Collection[StepPath], reason: CancelReason) -> None:
        """The block around the steps at `paths` needs them no more."""
        if self._asks is not None:
            self._asks.withdraw(recorder, paths, reason)
        if self._gates is not None:
            self._gates.withdraw(recorder, paths, reason)

    def at_the_end(self, reason: str, kind: str) -> list[Event]:
        """What closes everything that is open before the run ends."""
        asks = [] if self._asks is None else self._asks.at_the_end(reason)
        return asks if self._gates is None else [*asks, *self._gates.at_the_end(reason, kind)]
