"""A workflow as a neutral tree, for drawings: what stands in what, with the state of a run laid over it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from runkon.model.output import JsonValue
from runkon.model.records import StepRecord
from runkon.named import NamedTuple
from runkon.views.times import elapsed


@dataclass(frozen=True, slots=True)
class Outline:
    """One thing of a workflow. `kind` is its keyword (`if`, `arm`, `else`, `call`, …), `label` its name or condition,
    `path` its step path without loop rounds (empty where it has none), `line` its line from 1. `file` is the one its
    children stand in, given where that is another one."""

    kind: str
    label: str
    path: str = ""
    line: int = 0
    children: tuple[Outline, ...] = ()
    file: str = ""

    def kinds(self) -> dict[str, str]:
        """Path to keyword, for everything below that has a path."""
        found = {self.path: self.kind} if self.path else {}
        for child in self.children:
            found |= child.kinds()
        return found

    def as_json(self, overlay: Mapping[str, Overlay] | None = None) -> dict[str, JsonValue]:
        found: dict[str, JsonValue] = {"kind": self.kind, "label": self.label, "path": self.path, "line": self.line}
        if self.file:
            found["file"] = self.file
        state = (overlay or {}).get(self.path) if self.path else None
        if state is not None:
            found |= {"status": state.status, "duration_ms": state.duration_ms, "rounds": state.rounds}
        found["children"] = [child.as_json(overlay) for child in self.children]
        return found


class Overlay(NamedTuple):
    """The state of one place of the workflow in one run: the newest round's status, the time of all rounds."""

    status: str
    duration_ms: int
    rounds: int

    @property
    def text(self) -> str:
        rounds = f", {self.rounds} rounds" if self.rounds > 1 else ""
        return f"{self.status} {elapsed(self.duration_ms)}{rounds}"


def overlay_of(steps: Iterable[StepRecord]) -> dict[str, Overlay]:
    """What the records say about each place of the workflow."""
    found: dict[str, Overlay] = {}
    for step in steps:
        if step.path.endswith("]"):
            continue  # an item: its block has a record of its own, for all of them
        place = static_path(step.path)
        spent = (step.ended_at or 0) - step.started_at if step.started_at and step.ended_at else 0
        before = found.get(place)
        found[place] = Overlay(
            str(step.status),
            spent + (before.duration_ms if before else 0),
            1 + (before.rounds if before else 0),
        )
    return found


def static_path(path: str) -> str:
    """A step path without rounds and item keys: `while[2]/review` is `while/review`, `always#3/a` is `always/a`."""
    return re.sub(r"^always#\d+", "always", re.sub(r"\[[^\]]*\]", "", path))
