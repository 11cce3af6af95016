"""Asking a resolver about one gate: at once, then again and again, until somebody has decided."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import TYPE_CHECKING

from runkon.engine.gate_terms import options_of
from runkon.engine.scheduler import in_background
from runkon.errors import RunkonError
from runkon.model.decisions import (
    APPROVED,
    BY_RESOLVER,
    REJECTED,
    Approved,
    GateRequest,
    GateResolver,
    Pending,
    Rejected,
    Resolution,
)
from runkon.model.events import Note
from runkon.model.records import GateAnswer

if TYPE_CHECKING:
    from runkon.engine.gate_terms import Opened
    from runkon.engine.scope import Scope
    from runkon.language.nodes import GateStep
    from runkon.model.ports import RunStore

INTERVAL = 5.0  # seconds between two questions, unless the resolver says how many


class Polling:
    """The questions to one resolver about one gate, on threads of their own: the timer only says when. `wake` is called
    once it has decided."""

    def __init__(
        self,
        store: RunStore,
        resolver: GateResolver,
        node: GateStep,
        scope: Scope,
        gate: Opened,
        wake: Callable[[], None],
    ) -> None:
        self._store = store
        self._resolver = resolver
        self._node = node
        self._scope = scope
        self._gate = gate
        self._prompt = None if node.prompt is None else scope.env.at(gate.path).render(node.prompt)
        self._options = dict(options_of(node, scope.env))
        self._wake = wake
        self._lock = threading.Lock()
        self._is_over = False
        self._polls = 0
        self._told: str | None = None
        self._undo: Callable[[], None] = _nothing
        self._interval = float(getattr(resolver, "interval", INTERVAL))
        self._ask_soon()

    def stop(self) -> None:
        """Ask no more; an answer that is on its way is not wanted."""
        with self._lock:
            self._is_over = True
        self._undo()

    def _ask_soon(self) -> None:
        in_background(self._ask, f"runkon-resolver-{self._gate.name}")

    def _ask(self) -> None:
        try:
            found: Resolution = self._resolver.poll(self._request())
        except Exception as error:  # noqa: BLE001  a resolver that can't tell now may be able to later
            self._tell(error)
            found = Pending()
        with self._lock:
            self._polls += 1
            if self._is_over:
                return
            if not isinstance(found, Approved | Rejected):
                self._undo = self._scope.leg.clock.call_after(self._interval, self._ask_soon)
                return
        if self._keep(found):
            self._wake()

    def _keep(self, found: Approved | Rejected) -> bool:
        """Put the decision where decisions are kept; whoever was first has decided."""
        is_approved = isinstance(found, Approved)
        answer = GateAnswer(
            run=self._scope.leg.run,
            gate=self._gate.name,
            choice=APPROVED if is_approved else REJECTED,
            by=found.by or self._resolver.name,
            via=BY_RESOLVER,
            at=self._scope.leg.clock.now_ms(),
            occurrence=self._gate.occurrence,
            reason=found.feedback if isinstance(found, Approved) else found.reason,
        )
        try:
            self._store.answer_gate(answer)
        except RunkonError:
            return True  # decided already, or the store is in trouble: the gate looks for itself
        return True

    def _request(self) -> GateRequest:
        node, scope = self._node, self._scope
        return GateRequest(
            run_id=scope.leg.run,
            workflow=scope.leg.workflow,
            path=self._gate.path,
            gate=self._gate.name,
            type=node.type,
            occurrence=self._gate.occurrence,
            params={
                "prompt": self._prompt,
                "min_approvals": node.min_approvals,
                "mode": node.mode,
                "options": {**self._options},
                "approvers": list(node.approvers),
                "timeout": node.timeout / 1000,
                "identity": node.identity,
            },
            inputs=dict(scope.env.given()),
            poll=self._polls,
        )

    def _tell(self, error: Exception) -> None:
        """Say once per kind of trouble that the resolver could not be asked."""
        text = f"the resolver of gate `{self._gate.name}` failed: {error!r}"
        if text == self._told:
            return
        self._told = text
        try:
            self._scope.leg.recorder.append(
                Note(level="warning", code="resolver-failed", text=text, path=self._gate.path)
            )
        except RunkonError:
            return


def _nothing() -> None:
    """Undoes a timer that was never set."""
