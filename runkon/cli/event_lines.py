"""Events as NDJSON, for programs. Loaded only where somebody asked for events."""

from __future__ import annotations

from typing import TextIO

from runkon.cli.console import json_text
from runkon.model.events import Envelope
from runkon.model.ports import EventSink
from runkon.views.event_object import EventObjects


class EventLines(EventSink):
    """NDJSON, each line written out at once."""

    def __init__(self, stream: TextIO, objects: EventObjects) -> None:
        self.stream = stream
        self._objects = objects

    def emit(self, envelope: Envelope) -> None:
        self.stream.write(json_text(self._objects.of(envelope)) + "\n")
        self.stream.flush()
