"""A step that is being attempted, as plain state: how many attempts it had, and what the next one has to know."""

from __future__ import annotations

from typing import TYPE_CHECKING

from runkon.model.failures import REFUSALS

if TYPE_CHECKING:
    from runkon.engine.account import Reserve
    from runkon.engine.plan import Leaf
    from runkon.engine.scheduler import Ticket
    from runkon.engine.scope import Scope
    from runkon.model.ids import StepPath
    from runkon.model.records import StepError, StepRecord


class OpenStep:
    """One step that is not settled yet. `number` is that of the next attempt, `first` that of this leg's first one;
    numbers go on from those of earlier legs. `previous` is the error of the last attempt, `elapsed_ms` its time;
    `refused` is why the last answer was not accepted, also if a later attempt got none; `why` says what the next one
    follows, `failures` how many count against its retries."""

    __slots__ = (
        "described",
        "elapsed_ms",
        "epoch",
        "first",
        "is_begun",
        "leaf",
        "number",
        "path",
        "previous",
        "prompt",
        "reads",
        "record",
        "refused",
        "reserve",
        "scope",
        "ticket",
        "why",
    )

    @property
    def failures(self) -> int:
        """The failed attempts of this leg, and of the ones before that nobody asked for."""
        return self.number - self.first + self.scope.leg.failed_before.get(self.path, 0)

    def __init__(self, leaf: Leaf, scope: Scope, path: StepPath, record: StepRecord | None) -> None:
        self.leaf = leaf
        self.scope = scope
        self.path = path
        self.record = record
        self.previous: str | None = None
        self.refused: str | None = None
        self.elapsed_ms = 0
        self.reads: set[str] | None = None  # names the last attempt asked for, once it has a request
        self.described: frozenset[str] = frozenset()  # names it asked for while its request was described
        self.prompt: str | None = None  # that of the request which was described
        self.why: str | None = None
        self.ticket: Ticket | None = None  # of the last attempt, while it has one
        self.reserve: Reserve | None = None  # what is set aside for the next attempt
        self.is_begun = False  # the next attempt has its slot and its beginning on record already
        if record is None:
            self.number = self.first = 0
            self.epoch = 1
        else:
            self.number = self.first = record.attempts
            self.epoch = record.epoch
            if record.error is not None:
                self.learn(record.error)

    def learn(self, error: StepError) -> None:
        """The last attempt ended with `error`, which the next one is told."""
        self.previous = error.message
        if error.kind in REFUSALS:
            self.refused = error.message
