"""A recorded event as one JSON object: a line of `runkon events` and of `run --events`. Fields are only added."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import fields, is_dataclass

from runkon.model.events import Envelope
from runkon.model.ids import StepPath
from runkon.model.output import JsonValue
from runkon.model.records import StepInfo, StepRecord
from runkon.views.times import iso

VERSION = 1
_OUTSIDE_DATA = frozenset({"path", "number"})


class EventObjects:
    """Turns envelopes of one run into objects. It remembers where each step stands in its file, so that every event
    of a step says so; `steps` are those whose first event will not be seen."""

    def __init__(self, steps: Iterable[StepRecord] = ()) -> None:
        self._places: dict[StepPath, dict[str, JsonValue]] = {step.path: _place(step.info) for step in steps}

    def of(self, envelope: Envelope) -> dict[str, JsonValue]:
        """The object of one event; `attempt` counts from 0, like the event's own number."""
        event = envelope.event
        path: StepPath | None = getattr(event, "path", None)
        info: StepInfo | None = getattr(event, "info", None)
        if path is not None and info is not None:
            self._places[path] = _place(info)
        return {
            "v": VERSION,
            "seq": envelope.seq,
            "ts": iso(envelope.at),
            "run": envelope.run,
            "leg": envelope.leg,
            "path": path,
            "type": event.kind,
            "attempt": getattr(event, "number", None),
            "source": self._places.get(path) if path is not None else None,
            "data": {f.name: _json(getattr(event, f.name)) for f in fields(event) if f.name not in _OUTSIDE_DATA},
        }


def _place(info: StepInfo) -> dict[str, JsonValue]:
    return {"file": info.file, "line": info.line, "column": info.column}


def _json(value: object) -> JsonValue:
    """A value of an event as JSON: records become objects, sets sorted lists."""
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, frozenset):
        return list[JsonValue](sorted(value))
    if isinstance(value, Mapping):
        return {str(key): _json(item) for key, item in value.items()}
    if hasattr(value, "_asdict"):  # a tuple with names
        return {str(name): _json(item) for name, item in value._asdict().items()}
    if isinstance(value, list | tuple):
        return [_json(item) for item in value]
    if is_dataclass(value):
        return {f.name: _json(getattr(value, f.name)) for f in fields(value)}
    raise TypeError(f"an event holds a {type(value).__name__}")
