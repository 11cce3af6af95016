"""Events as lines of text: what `.events` files hold.

One line per event, in the order of the record: kind, path, essential facts. Notes are left out, and what comes at an
instant of its own: processes, and the wish to cancel. Branches of a `parallel`, and items of a `foreach` that takes
several at once, run at the same time: the lines of each branch are put together, the branches sorted by path.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence

from runkon.model import events as ev
from runkon.model.items import ItemsCollected
from runkon.model.output import Output

BY_CHANCE = (ev.Note, ev.ProcessStarted, ev.RunCancelRequested)  # the others may come before or after what it is about


def trace(events: Sequence[ev.Event], blocks: frozenset[str]) -> str:
    """The whole record; `blocks` are the names of parallel blocks, besides `parallel` itself."""
    kept = [event for event in events if not isinstance(event, BY_CHANCE)]
    return "".join(f"{line(event)}\n" for event in in_stable_order(kept, blocks | {"parallel"}))


def in_stable_order(events: Sequence[ev.Event], blocks: frozenset[str]) -> Iterator[ev.Event]:
    """Each stretch of events inside one parallel block sorted by path; equal paths keep their order."""
    stretch: list[ev.Event] = []
    inside = None
    for event in events:
        block = block_of(str(getattr(event, "path", "") or ""), blocks)
        if block != inside:
            yield from by_branch(stretch)
            stretch, inside = [], block
        if block is None:
            yield event
        else:
            stretch.append(event)
    yield from by_branch(stretch)


def by_branch(stretch: Sequence[ev.Event]) -> Sequence[ev.Event]:
    """Sorted by path, what a block inside came to behind its contents."""
    paths = {path_of(event) for event in stretch}
    outer = {path for path in paths if any(one.startswith(f"{path}/") and one != f"{path}/on_fail" for one in paths)}
    return sorted(stretch, key=lambda event: path_of(event) + ("/~" if path_of(event) in outer else ""))


def path_of(event: ev.Event) -> str:
    return str(getattr(event, "path", None) or "")


def block_of(path: str, blocks: frozenset[str]) -> str | None:
    """The outermost block with parts that run at the same time which a path is inside of; an item is inside, too."""
    parts = path.split("/")
    for count, part in enumerate(parts, 1):
        name = part.partition("[")[0]
        if re.sub(r"#\d+$", "", name) in blocks and (count < len(parts) or name != part):
            return "/".join([*parts[: count - 1], name])
    return None


def line(event: ev.Event) -> str:
    path = path_of(event)
    return " ".join(word for word in (event.kind, path, *facts(event)) if word)


def facts(event: ev.Event) -> Iterator[str]:
    match event:
        case ev.RunCreated():
            yield event.workflow
            yield "dry" if event.dry else ""
        case ev.RunResumed():
            yield f"reused={event.reused} rerun={event.rerun}"
        case ev.RunCompleted():
            yield as_json(dict(event.outputs))
        case ev.RunFailed():
            yield f"{event.reason} at={event.at_path or '-'}"
        case ev.RunCancelled():
            yield f"by={event.by} reason={event.reason}"
        case ev.RunInterrupted():
            yield event.cause
        case ev.AttemptStarted():
            yield str(event.number)
            yield f"by={event.executor}" if event.executor != event.info.name and event.executor != "script" else ""
        case ev.AttemptFailed() | ev.AttemptTimedOut():
            yield f"{event.number} {event.error.kind}"
        case ev.AttemptCancelled():
            yield str(event.number)
        case ev.AttemptCutOff():
            yield f"{event.number} {event.certainty}"
        case ev.RetryScheduled():
            yield f"delay={event.delay_ms}ms left={event.retries_left}"
        case ev.StepCompleted():
            yield result(event.output)
        case ev.StepFailed() | ev.StepTimedOut():
            yield event.error.kind
            yield f"handled={event.handled}" if event.handled else ""
        case ev.StepHandled():
            yield event.handled
        case ev.ChoiceMade():
            yield f"{event.construct} {event.text} {as_json(event.result)} {as_json(dict(event.operands))}"
        case ev.GateOpened():
            yield f"{event.name}#{event.occurrence} {event.type}"
            yield as_json(event.prompt) if event.prompt else ""
            yield as_json(list(event.options)) if event.options else ""
        case ev.GateDecided():
            yield f"{event.name}#{event.occurrence} {event.decision} by={event.by} via={event.via}"
            yield as_json(event.reason) if event.reason else ""
        case ev.StateSet():
            yield as_json(dict(event.updates))
        case ItemsCollected():
            yield as_json([item.key for item in event.items])
            yield f"by={event.provider}" if event.provider else ""


def result(output: Output) -> str:
    words = [f"[{' '.join(sorted(output.markers))}]"] if output.markers else []
    words += [as_json(output.context)] if output.context else []
    values = timeless(output)
    words += [as_json(values)] if values else []
    words += ["degraded"] if output.degraded else []
    return " ".join(words)


def timeless(output: Output) -> dict[str, object]:
    """The fields without the instant at which a gate was decided."""
    return {name: value for name, value in output.values.items() if name != "at" or "decision" not in output.values}


def as_json(value: object) -> str:
    return json.dumps(value, ensure_ascii=False, sort_keys=True)
