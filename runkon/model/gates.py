"""Gates as records: opened by one event, decided by another, and who may still answer.

An *ask* is the gate of a step whose last attempt ended unseen: its name is `unknown:PATH`, and one of `RULINGS` decides
it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

from runkon.model.events import Envelope, GateDecided, GateOpened
from runkon.model.ids import StepPath, is_in_always
from runkon.model.records import GateAnswer, GateRecord, StepRecord
from runkon.model.status import StepStatus

ANY = 0  # the occurrence of an answer that stands for all of them
RERUN, DONE, FAILED = RULINGS = ("rerun", "done", "failed")
WITHDRAWN = "withdrawn"  # the decision of a gate that is not needed any more
UNDECIDED = "undecided"  # why a step was cancelled whose ask was withdrawn
_ASK = "unknown:"
_FORM, _FIELD, _OPTIONAL = "with these values:", "- ", ", optional)"  # how a prompt lists the fields of a form


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


def with_fields(prompt: str, fields: Iterable[str]) -> str:
    """What a person reads at a gate with a form; `fields` are lines like `name (type, optional): what it is about`."""
    return "\n".join([prompt, _FORM, *(f"{_FIELD}{field}" for field in fields)])


def needed_values(prompt: str) -> list[str]:
    """The names of the values an approval has to have, as `with_fields` has listed them."""
    listed = prompt.rpartition(f"\n{_FORM}\n")[2].splitlines() if f"\n{_FORM}\n" in prompt else []
    lines = [line.removeprefix(_FIELD) for line in listed if line.startswith(_FIELD)]
    return [line.partition(" (")[0] for line in lines if _OPTIONAL not in line]


# ── asks ──────────────────────────────────────────────────────────────────────────────────────────
def ask_name(path: StepPath) -> str:
    """The name of the gate that asks what became of the last attempt of the step at `path`."""
    return f"{_ASK}{path}"


def is_undecided(step: StepRecord) -> bool:
    """True if nobody knows how the last attempt of the step ended, and nobody has said what to do about it. Steps of an
    always block are left alone: a later leg runs its own."""
    if step.status is StepStatus.COMPLETED or is_in_always(step.path):  # nearly all are, of very many
        return False
    match step.status:
        case StepStatus.WAITING:
            return step.info.kind != "gate"
        case StepStatus.INTERRUPTED:
            return step.skip_reason is not None
        case StepStatus.CANCELLED:
            return step.skip_reason == UNDECIDED
        case _:
            return False


def is_in_question(step: StepRecord) -> bool:
    """True if somebody may decide about the unseen end of the last attempt, also before being asked."""
    return is_undecided(step) and (step.status is not StepStatus.INTERRUPTED or step.effect == "write")


def occurrence_of(step: StepRecord, gates: Sequence[GateRecord], answers: Sequence[GateAnswer]) -> int:
    """The number of the ask about the last attempt of `step`: of the one it waits at, else of the one to be opened. An
    answer that was meant for another attempt keeps its number to itself."""
    name = ask_name(step.path)
    found = [gate for gate in gates if gate.name == name]
    if step.status is StepStatus.WAITING and found and found[-1].decision != WITHDRAWN:
        return found[-1].occurrence
    number = max((gate.occurrence for gate in found), default=0) + 1
    while any(not _is_about(step, one) for one in answers if one.gate == name and one.occurrence == number):
        number += 1
    return number


def about(step: StepRecord) -> dict[str, int]:
    """What an answer says of the attempt it is about."""
    return {"epoch": step.epoch, "attempt": step.attempts - 1}


def _is_about(step: StepRecord, answer: GateAnswer) -> bool:
    return all(answer.form.get(key, value) == value for key, value in about(step).items())
