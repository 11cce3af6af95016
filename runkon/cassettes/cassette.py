"""What a run was answered, ready to be given again: the attempts of its steps, its gates, the lists of its items.

It is read off the record of a run, so every run is its own cassette. Of each step the attempts of the last leg that
tried it count: what was cut off, and what a resume put aside, was answered anew there.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import field, replace
from typing import Literal, TypeAlias

from runkon.frozen import value_class
from runkon.model import events as ev
from runkon.model.costs import is_cost
from runkon.model.ids import StepPath
from runkon.model.items import ItemsCollected
from runkon.model.output import EMPTY, JsonValue, Output
from runkon.model.records import Asked, GateAnswer, Seen, StepError, StepInfo
from runkon.model.secrets import secret_mark, secret_name
from runkon.pattern import pattern

Outcome: TypeAlias = Literal["completed", "failed", "stopped"]
VERSION = 1
LEAVES = frozenset({"call", "script"})
CALL = "call_workflow"
_REUSABLE = LEAVES | {CALL}
_ALWAYS = pattern(r"always#([0-9]+)/")


@value_class(frozen=True, slots=True, kw_only=True)
class Answer:
    """How one attempt of the step at `path` ended. `asked` is what it was asked, `seen` what it read, each None where
    the record does not say; `stopped` means that something else ended it. `seq` is the event that began it."""

    path: StepPath
    info: StepInfo
    executor: str
    outcome: Outcome
    version: str = "1"
    effect: str = "read"
    asked: Asked | None = None
    seen: Seen | None = None
    output: Output | None = None
    error: StepError | None = None
    elapsed_ms: int = 0
    seq: int = 0
    leg: int = 1


@value_class(frozen=True, slots=True, kw_only=True)
class Cassette:
    """The answers of a run of `workflow`, from the file `file`, in program order. `is_whole`: the run came to an end of
    its own, so nothing is missing. `name` is what people call it: a run's id or a file."""

    name: str
    workflow: str
    file: str
    inputs: Mapping[str, JsonValue] = field(default_factory=lambda: EMPTY)
    answers: tuple[Answer, ...] = ()
    decisions: tuple[GateAnswer, ...] = ()
    lists: tuple[ItemsCollected, ...] = ()
    is_whole: bool = True
    model: str | None = None
    executors: Mapping[str, str] = field(default_factory=dict)


def answers_in(envelopes: Iterable[ev.Envelope]) -> tuple[Answer, ...]:
    """The answers on record, by program order and then as they came."""
    found: dict[StepPath, list[Answer]] = defaultdict(list)
    begun: dict[StepPath, Answer] = {}
    for envelope in envelopes:
        event = envelope.event
        if isinstance(event, ev.AttemptStarted):
            begun[event.path] = _begun(event, envelope)
        elif isinstance(event, ev.AttemptCutOff) and event.path in begun:
            _forget(found[event.path], begun.pop(event.path))
        elif (answer := _ended(event, envelope, begun)) is not None:
            kept = found[answer.path]
            _forget(kept, answer)
            kept.append(answer)
    for path, still_open in begun.items():
        _forget(found[path], still_open)
    _walked_calls(found)
    _of_last_always(found)
    ordered = sorted(found.values(), key=lambda kept: (kept[0].info.order, kept[0].path) if kept else ("", ""))
    return tuple(answer for kept in ordered for answer in kept)


def inputs_without_secrets(cassette: Cassette) -> dict[str, JsonValue]:
    """The inputs, a text in the place of each secret: nobody is called, so nobody needs to know it."""
    return {
        name: value if (secret := secret_name(value)) is None else secret_mark(secret)
        for name, value in cassette.inputs.items()
    }


def _forget(kept: list[Answer], later: Answer) -> None:
    """Once a later leg has tried a step, what earlier ones were told counts no more, however it ended."""
    if kept and kept[-1].leg < later.leg:
        kept.clear()


def last_always(paths: Iterable[StepPath]) -> str | None:
    """The beginning of the paths of the always block that ran last; None if none has run."""
    numbers = [int(found.group(1)) for path in paths if (found := _ALWAYS.match(path)) is not None]
    return f"always#{max(numbers)}/" if numbers else None


def as_first_leg(path: StepPath, last: str | None) -> StepPath | None:
    """The path as a run in one leg has it: only the always block that ran last counts, and is its first."""
    if last is None or _ALWAYS.match(path) is None:
        return path
    return StepPath(f"always#1/{path.removeprefix(last)}") if path.startswith(last) else None


def place_of(path: StepPath) -> StepPath:
    """The path of a step under which a cassette has it, whichever leg its always block belongs to."""
    return as_first_leg(path, last_always([path])) or path


def _walked_calls(found: dict[StepPath, list[Answer]]) -> None:
    """A call of a workflow whose own steps are on record is answered by these."""
    for path in [path for path, kept in found.items() if kept and kept[-1].info.kind == CALL]:
        if any(other.startswith(f"{path}/") for other in found):
            del found[path]


def _of_last_always(found: dict[StepPath, list[Answer]]) -> None:
    last = last_always(found)
    for path in [path for path in found if last is not None and _ALWAYS.match(path)]:
        kept, there = found.pop(path), as_first_leg(path, last)
        if there is not None:
            found[there] = [replace(one, path=there) for one in kept]


def _begun(event: ev.AttemptStarted, envelope: ev.Envelope) -> Answer:
    return Answer(
        path=event.path,
        info=event.info,
        executor=event.executor,
        outcome="stopped",
        version=event.executor_version or "1",
        effect=event.effect or "read",
        asked=event.asked,
        seq=envelope.seq,
        leg=envelope.leg,
    )


def _ended(event: ev.Event, envelope: ev.Envelope, begun: dict[StepPath, Answer]) -> Answer | None:
    """The answer that `event` closes; None if it closes none."""
    match event:
        case ev.StepCompleted():
            answer = begun.pop(event.path, None) or _without_attempt(event, envelope)
            if answer is None:
                return None
            return replace(
                answer, outcome="completed", output=event.output, seen=event.seen, elapsed_ms=event.elapsed_ms
            )
        case ev.AttemptFailed() | ev.AttemptTimedOut() if event.path in begun:
            return replace(begun.pop(event.path), outcome="failed", error=event.error, elapsed_ms=event.elapsed_ms)
        case ev.AttemptCancelled() if event.path in begun:
            return replace(begun.pop(event.path), elapsed_ms=event.elapsed_ms)
    return None


def _without_attempt(event: ev.StepCompleted, envelope: ev.Envelope) -> Answer | None:
    """A step that was answered without being asked: from the cache, from another run, by a person."""
    info = event.info
    if info is None or info.kind not in (LEAVES if event.cached_from is None else _REUSABLE):
        return None
    return Answer(path=event.path, info=info, executor="", outcome="completed", seq=envelope.seq, leg=envelope.leg)


def lists_in(envelopes: Iterable[ev.Envelope]) -> tuple[ItemsCollected, ...]:
    """The lists that providers gave, the last of each place."""
    found = {one.event.path: one.event for one in envelopes if isinstance(one.event, ItemsCollected)}
    return tuple(one for one in found.values() if one.provider is not None)


def decisions_of(answers: Sequence[GateAnswer]) -> tuple[GateAnswer, ...]:
    """The answers to gates, but those about attempts that nobody saw the end of."""
    return tuple(one for one in answers if not (one.gate.startswith("unknown:") or is_cost(one)))
