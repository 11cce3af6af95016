"""Where a replay went another way than the record, and in what words to say so."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

from runkon.cassettes.answering import Miss
from runkon.cassettes.cassette import Cassette, as_first_leg, last_always
from runkon.model.ids import StepPath, is_in_always
from runkon.model.json_text import dumps
from runkon.model.output import EMPTY, JsonValue
from runkon.model.records import RunRecord, StepRecord
from runkon.model.value_text import harmless
from runkon.named import NamedTuple

_CONTEXT = 2  # lines of a diff around what differs
_MOST_LINES = 60
_LONGEST = 400


class Divergence(NamedTuple):
    """The first difference: the step, the field, both values as text, the event of the record it begins with; `lines`
    are a diff of both. `later` counts steps of the record that come after it."""

    path: StepPath | None
    what: str
    field: str
    lines: tuple[str, ...]
    seq: int | None = None
    later: int = 0


def of_misses(misses: Sequence[Miss], cassette: Cassette) -> Divergence | None:
    """The first of the attempts without an answer, in program order; None if there is none, or the record ends."""
    order = {one.path: (one.info.order, one.path) for one in reversed(cassette.answers)}
    real = [miss for miss in misses if not miss.is_end]
    if not real:
        return None
    first = min(real, key=lambda miss: order.get(miss.path, ("", miss.path)) if miss.recorded else ("", miss.path))
    paths = list(dict.fromkeys(one.path for one in cassette.answers))
    later = len(paths) - paths.index(first.path) - 1 if first.path in paths else len(paths)
    seq = None if first.recorded is None else first.recorded.seq or None
    what, field, lines = _of_miss(first)
    return Divergence(first.path, what, field, tuple(lines), seq, later)


def _of_miss(miss: Miss) -> tuple[str, str, Sequence[str]]:
    recorded, asked = miss.recorded, miss.asked
    if recorded is None:
        return "the record has no such step", "path", request_lines({} if asked is None else asked.request, "+ ")
    if miss.reads:
        names = ", ".join(f"`{name}`" for name in miss.reads)
        return "it would read other values than it did", "inputs", [f"it read {names}; at least one has changed"]
    if recorded.asked is None or asked is None or recorded.asked.digest == asked.digest:
        return f"attempt {miss.order + 1} has no answer in the record", "attempt", ()
    before, now = recorded.asked.request, asked.request
    field = next((one for one in sorted({*before, *now}) if before.get(one) != now.get(one)), "request")
    return "its request is another one", field, request_diff(before, now)


# ── requests as text ──────────────────────────────────────────────────────────────────────────────
def request_lines(request: Mapping[str, JsonValue], begin: str = "") -> list[str]:
    """A request for people: a field per line, texts as they are, indented below their name."""
    lines = []
    for name, value in request.items():
        if isinstance(value, str) and "\n" in value:
            lines += [f"{name}:", *(f"    {harmless(line)}" for line in value.split("\n"))]
        else:
            lines.append(f"{name}: {harmless(value) if isinstance(value, str) else dumps(value)}")
    return [begin + line for line in lines]


def request_diff(before: Mapping[str, JsonValue], now: Mapping[str, JsonValue]) -> list[str]:
    """What differs between two requests, as a diff: `-` as recorded, `+` as it is now."""
    found = difflib.unified_diff(request_lines(before), request_lines(now), n=_CONTEXT, lineterm="")
    lines = [line if len(line) <= _LONGEST else line[:_LONGEST] + "…" for line in list(found)[2:]]
    return lines if len(lines) <= _MOST_LINES else [*lines[:_MOST_LINES], f"… {len(lines) - _MOST_LINES} more lines"]


# ── two records ───────────────────────────────────────────────────────────────────────────────────
def compare(
    before: tuple[RunRecord, Sequence[StepRecord], Mapping[str, JsonValue]],
    now: tuple[RunRecord, Sequence[StepRecord], Mapping[str, JsonValue]],
    *,
    is_whole: bool = True,
) -> Divergence | None:
    """The first difference between two runs, each given with its steps and what its state channels hold; None if they
    are alike. Times, costs, ids and legs are not compared; of a first run that did not come to its end (`is_whole`)
    only what it has settled."""
    old, new = _by_path(before[1]), _by_path(now[1])
    if not is_whole:
        old = {path: step for path, step in old.items() if step.is_settled and not is_in_always(path)}
        new = {path: step for path, step in new.items() if path in old}
    paths = list(dict.fromkeys((*old, *new)))
    for place, path in enumerate(paths):
        for field, was, found in _fields(old.get(path), new.get(path)):
            if was != found:
                later = sum(one in old for one in paths[place + 1 :])
                return Divergence(path, "its record differs", field, tuple(_both(was, found)), later=later)
    if not is_whole:
        return None
    ends = (before[0], now[0])
    for field, values in (
        ("status", [one.status.value for one in ends]),
        ("reason", [one.reason for one in ends]),
        ("outputs", [dict(one.outputs or EMPTY) for one in ends]),
        ("state", [dict(before[2]), dict(now[2])]),
    ):
        if values[0] != values[1]:
            return Divergence(None, "the run ended differently", field, tuple(_both(*values)))
    return None


def _by_path(steps: Sequence[StepRecord]) -> Mapping[StepPath, StepRecord]:
    last = last_always(step.path for step in steps)
    return {path: step for step in steps if (path := as_first_leg(step.path, last)) is not None}


def _fields(old: StepRecord | None, new: StepRecord | None) -> Iterator[tuple[str, JsonValue, JsonValue]]:
    if old is None or new is None:
        yield "step", None if old is None else old.status.value, None if new is None else new.status.value
        return
    yield "kind", old.info.kind, new.info.kind
    yield "name", old.info.name, new.info.name
    yield "status", old.status.value, new.status.value
    yield "handled", old.handled, new.handled
    yield "reason", old.skip_reason, new.skip_reason
    yield "error", _error(old), _error(new)
    first, then = (replace(one.output, usage=None) for one in (old, new))
    yield "markers", [*sorted(first.markers)], [*sorted(then.markers)]
    yield "context", first.context, then.context
    yield "output", _values(old), _values(new)


def _values(step: StepRecord) -> JsonValue:
    """Without the instant of a gate's end, which is as late as the run itself."""
    return {name: value for name, value in step.output.values.items() if step.info.kind != "gate" or name != "at"}


def _error(step: StepRecord) -> JsonValue:
    return None if step.error is None else f"{step.error.kind}: {step.error.message}"


def _both(was: object, found: object) -> Iterator[str]:
    for sign, value in (("-", was), ("+", found)):
        text = value if isinstance(value, str) else dumps(value)
        yield from (f"{sign}{harmless(line)}"[:_LONGEST] for line in text.split("\n")[:_MOST_LINES])
