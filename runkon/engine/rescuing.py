"""What becomes of events that can't be written any more: they go to where the next leg of the run finds them.

Ends of attempts are worth keeping, whatever they cost to get. Beginnings that nobody was told to be durable never
happened: alone they are dropped, before an end that is kept they are closed.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from runkon.model.events import (
    AttemptCutOff,
    AttemptStarted,
    ChoiceMade,
    Envelope,
    Note,
    ProcessStarted,
    RunResumed,
    RunStarted,
    StateSet,
)
from runkon.model.ids import RunID
from runkon.model.ports import RunStore
from runkon.model.records import Lease, StepRecord
from runkon.named import NamedTuple

_WORTHLESS_ALONE = (AttemptStarted, ChoiceMade, Note, ProcessStarted, RunResumed, RunStarted, StateSet)


class Request(NamedTuple):
    """Events of one call, written together or not at all. `is_awaited`: somebody waits until they are durable."""

    envelopes: Sequence[Envelope]
    is_awaited: bool


class Rescue:
    """Keeps requests outside the database. `is_fenced`: the run belongs to somebody else, so nobody will apply them."""

    def __init__(self, store: RunStore, lease: Lease, seq: int, *, is_fenced: bool) -> None:
        self._store = store
        self._lease = lease
        self._is_fenced = is_fenced
        self._held: list[Request] = []  # until something worth keeping follows
        self._seq = seq  # of the last request that was taken or made
        self.count = 0  # ends of attempts and steps that were kept
        self.places: list[str] = []

    def take(self, requests: Sequence[Request]) -> int:
        """Keep what is worth it, at once. Returns the number of the last event, from which the next one goes on."""
        self._held += requests
        if self._held:
            self._seq = max(self._seq, self._held[-1].envelopes[-1].seq)
        worthy = [at for at, request in enumerate(self._held) if _is_worthy(request)]
        if worthy:
            self._keep(worthy[-1] + 1)
        return self._seq

    def _keep(self, count: int) -> None:
        """Hand over the first `count` requests; with a beginning among them all, and what closes it."""
        if any(request.is_awaited for request in self._held[:count]):
            begun = [one for request in self._held for one in request.envelopes if _begins(one)]
            if begun:
                self._held.append(self._closing(begun))
                count = len(self._held)
        kept, self._held = self._held[:count], self._held[count:]
        self.count += sum(map(_is_worthy, kept))
        requests = [request.envelopes for request in kept]
        place = self._store.rescue(self._lease, requests, is_fenced=self._is_fenced)
        if place not in self.places:
            self.places.append(place)

    def _closing(self, begun: Sequence[Envelope]) -> Request:
        """The attempts that began only on paper: cut off, so that they are neither open nor failed."""
        closing = []
        for run, _, at, leg, fence, event in begun:
            assert isinstance(event, AttemptStarted)
            self._seq += 1
            end = AttemptCutOff(
                path=event.path, number=event.number, certainty="interrupted", cause="store", epoch=event.epoch
            )
            closing.append(Envelope(run, self._seq, at, leg, fence, end))
        return Request(closing, is_awaited=False)


def steps_with_rescued(store: RunStore, run: RunID) -> tuple[Sequence[StepRecord], int] | None:
    """The steps as the next leg will find them once it has taken over what was kept, and how many results that is;
    None if there is nothing to take. Changes nothing."""
    kept = store.rescuable(run)
    if not kept:
        return None
    from runkon.model.fold import RunState  # late: for a look before a resume

    state = RunState()
    for envelope in (*store.events(run), *kept):
        state.apply(envelope)
    return state.in_order(), sum(not isinstance(one.event, (*_WORTHLESS_ALONE, AttemptCutOff)) for one in kept)


class _Rescuing(Protocol):
    """A recorder, as far as it says what became of that which it could not write."""

    @property
    def rescued(self) -> tuple[int, Sequence[str]]: ...


def where_rescued(recorder: _Rescuing, help: str | None) -> str | None:
    """`help`, and where the results are that could not be written, for people."""
    count, places = recorder.rescued
    if not count:
        return help
    text = f"what could not be written is kept in {' and '.join(f'`{place}`' for place in places)}"
    return f"{help}; {text}" if help else text


def _begins(envelope: Envelope) -> bool:
    return isinstance(envelope.event, AttemptStarted)


def _is_worthy(request: Request) -> bool:
    return not request.is_awaited and any(not isinstance(one.event, _WORTHLESS_ALONE) for one in request.envelopes)
