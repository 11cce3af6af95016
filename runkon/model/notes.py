"""What the engine, or a step, has to say about a run besides what happened."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field
from typing import ClassVar

from runkon.frozen import frozen as event
from runkon.model.ids import StepPath
from runkon.model.output import EMPTY, JsonValue


@event
class Note:
    """Information only: removing every note changes no record."""

    kind: ClassVar[str] = "note"
    level: str
    code: str
    text: str
    path: StepPath | None = None
    data: Mapping[str, JsonValue] = field(default_factory=lambda: EMPTY)
