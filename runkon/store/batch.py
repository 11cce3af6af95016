"""What one transaction writes for one run, put together before it begins."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias

from runkon.model.events import Envelope
from runkon.model.ids import StepPath
from runkon.model.output import Usage
from runkon.store import statements as sql

if TYPE_CHECKING:
    from runkon.store.artifacts import Artifact

Value: TypeAlias = str | int | None
EventRow: TypeAlias = tuple[Value, ...]


class Batch:
    """What one transaction writes for one run: its row's move from event `first` - 1 to `last`, then events, changes
    and payments in this order."""

    __slots__ = (
        "advance", "artifacts", "base", "calls", "changes", "events", "first", "last", "number", "payments", "sources",
    )  # fmt: skip

    def __init__(self, number: int, first: int, last: int) -> None:
        self.number = number
        self.first = first
        self.last = last
        self.base = number * sql.PLACES  # an event's key is this plus its number
        self.advance = sql.ADVANCE
        self.calls = 0
        self.events: list[EventRow] = []
        self.changes: list[tuple[str, tuple[Value, ...], Envelope]] = []
        self.payments: list[tuple[Value, ...]] = []
        self.sources: list[tuple[str, str]] = []  # texts that may be stored already
        self.artifacts: list[Artifact] = []  # the same for large values

    def change(self, statement: str, envelope: Envelope, *values: Value) -> None:
        """A statement that must change exactly one row, or `envelope` can't follow what is recorded."""
        self.changes.append((statement, values, envelope))

    def record(
        self,
        envelope: Envelope,
        payload: str,
        *,
        path: StepPath | None = None,
        epoch: int | None = None,
        attempt: int | None = None,
    ) -> None:
        _, seq, at, leg, fence, event = envelope
        self.events.append((self.base + seq, at, leg, fence, event.kind, path, epoch, attempt, payload))

    def pay(self, usage: Usage | None) -> None:
        if usage is not None:
            cost = usage.cost_usd
            micro = 0 if cost is None else round(cost * 1_000_000)
            self.payments.append((micro, cost is not None, usage.input_tokens, usage.output_tokens, self.number))
