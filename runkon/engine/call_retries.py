"""Retries of called workflows: which were made, on record and in this leg, and when the next one is due.

A call has no attempts of its own, so a retry is recorded as a choice of the engine: how many it has been, and when it
begins. Retries that a call has used up are not granted again by a resume, which goes on with what its steps have left.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from runkon.model.events import ChoiceMade, Envelope, RunResumed, StepSuperseded
from runkon.model.ids import StepPath
from runkon.model.output import JsonValue
from runkon.model.records import StepError
from runkon.named import NamedTuple

RETRY = "retry"  # the construct of the choice
TOLD = frozenset({ChoiceMade.kind, RunResumed.kind, StepSuperseded.kind})
_ANEW = frozenset({"from", "restart"})  # resumes that put records aside because they were asked to


_SHOWN = 300  # characters of the failure


class Made(NamedTuple):
    """So many retries, the last of them due at an instant in milliseconds UTC."""

    number: int
    due_at: int


def choice(path: StepPath, error: StepError, made: Made, *, delay_ms: int, left: int) -> ChoiceMade:
    """The event for another retry of the call at `path`."""
    operands: dict[str, JsonValue] = {"made": made.number, "left": left}
    if delay_ms:
        operands |= {"delay_ms": delay_ms, "due_at": made.due_at}
    return ChoiceMade(path=path, construct=RETRY, text=error.message[:_SHOWN], operands=operands, result=True)


def made_before(told: Iterable[Envelope]) -> dict[StepPath, Made]:
    """The retries of each call that count, by its path, from the events of kinds `TOLD`."""
    found: dict[StepPath, Made] = {}
    is_anew = False
    for envelope in told:
        event = envelope.event
        match event:
            case ChoiceMade(path=path, construct="retry", operands=operands):
                forget_below(found, path)
                found[path] = Made(_number(operands, "made"), _number(operands, "due_at"))
            case RunResumed(mode=mode):
                is_anew = mode in _ANEW
            case StepSuperseded(path=path) if is_anew:
                forget_around(found, path)
    return found


def forget_below(made: dict[StepPath, Made], path: StepPath) -> None:
    """The call at `path` begins anew, and with it those inside of it."""
    for inner in [one for one in made if one.startswith(f"{path}/")]:
        del made[inner]


def forget_around(made: dict[StepPath, Made], path: StepPath) -> None:
    """Somebody has asked that the step at `path` runs again: the calls around it are granted all their retries."""
    for call in [one for one in made if path == one or path.startswith(f"{one}/")]:
        del made[call]


def _number(operands: Mapping[str, object], name: str) -> int:
    value = operands.get(name)
    return value if isinstance(value, int) else 0
