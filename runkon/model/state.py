"""State channels on record, and what a plugin's reducer is."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar, Protocol

from runkon.frozen import frozen as event
from runkon.model.ids import StepPath
from runkon.model.output import JsonValue


@event
class StateSet:
    """State channels were written: by the `set` at `path`; without a path, these are all channels as a leg left them.
    Explains only: a resume computes the channels again from the outputs of steps."""

    kind: ClassVar[str] = "state_set"
    updates: Mapping[str, JsonValue]
    path: StepPath | None = None


class Reducer(Protocol):
    """Makes one value of two: `old` is None before the first. Pure, for it is called again in later legs, in program
    order; whatever it raises fails the step."""

    @property
    def name(self) -> str: ...

    def __call__(self, old: JsonValue, new: JsonValue) -> JsonValue: ...
