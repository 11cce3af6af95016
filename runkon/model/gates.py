"""Gates as records: opened by one event, decided by another, and who may still answer."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from runkon.model.events import Envelope, GateDecided, GateOpened
from runkon.model.records import GateAnswer, GateRecord

ANY = 0  # the occurrence of an answer that stands for all of them


def opened(envelope: Envelope, event: GateOpened) -> GateRecord:
    """The record of a gate that has just been opened."""
    return GateRecord(
        run=envelope.run,
        name=event.name,
        occurrence=event.occurrence,
        path=event.path,
        type=event.type,
        prompt=event.prompt,
        options=event.options,
        opened_at=envelope.at,
        deadline_at=event.deadline_at,
    )


def decided(gate: GateRecord, envelope: Envelope, event: GateDecided) -> GateRecord:
    """The record of `gate` with its decision."""
    return replace(
        gate,
        decision=event.decision,
        by=event.by,
        via=event.via,
        reason=event.reason,
        form=event.form,
        decided_at=envelope.at,
    )


def answer_for(gate: str, occurrence: int, answers: Iterable[GateAnswer]) -> GateAnswer | None:
    """The first of `answers` that decides this occurrence of `gate`; one for the occurrence itself comes before one
    for all of them."""
    found = [one for one in answers if one.gate == gate and one.occurrence in (occurrence, ANY)]
    return min(found, key=lambda one: (one.occurrence == ANY, one.ordinal), default=None)
