"""What a model says while it says it: as lines for the live view, bounded."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from pydantic_ai import messages

from runkon.model.secrets import redact
from runkon.model.value_text import harmless
from runkon_agents.wire import Flood

MOST_TEXT = 16 << 20  # characters of one answer
LINE = 400  # characters of a line that is shown


class Speech:
    """The pieces of one attempt, told line by line."""

    def __init__(self, emit: Callable[[str], None], secrets: Mapping[str, str]) -> None:
        self._emit = emit
        self._secrets = secrets
        self._line = ""
        self._size = 0

    def hear(self, event: object) -> None:
        """One event of the library. Raises Flood for an answer above all bounds."""
        if isinstance(event, messages.PartStartEvent):
            part = event.part
            if isinstance(part, messages.TextPart):
                self._text(part.content)
            else:
                self.end()
                self._count(len(str(getattr(part, "args", None) or getattr(part, "content", "") or "")))
        elif isinstance(event, messages.PartDeltaEvent):
            delta = event.delta
            if isinstance(delta, messages.TextPartDelta):
                self._text(delta.content_delta)
            else:
                piece = getattr(delta, "args_delta", None) or getattr(delta, "content_delta", None)
                self._count(len(piece) if isinstance(piece, str) else 0)
        elif isinstance(event, messages.FunctionToolCallEvent):
            self.end()
            self._show(f"uses {event.part.tool_name}")

    def whole(self, response: messages.ModelResponse) -> None:
        """A response that came in one piece."""
        for part in response.parts:
            if isinstance(part, messages.TextPart):
                self._text(part.content)
        self.end()

    def end(self) -> None:
        """Tell what has no line end."""
        if self._line.strip():
            self._show(self._line)
        self._line = ""

    def _text(self, piece: str) -> None:
        self._count(len(piece))
        *lines, rest = (self._line[-4 * LINE :] + piece[: 1 << 16]).split("\n")
        for line in lines[:200]:
            if line.strip():
                self._show(line)
        self._line = rest

    def _count(self, size: int) -> None:
        self._size += size
        if self._size > MOST_TEXT:
            raise Flood(f"its answer is above {MOST_TEXT >> 20} MiB")

    def _show(self, line: str) -> None:
        line = harmless(redact(line, self._secrets)).strip().encode("utf-8", "replace").decode()
        self._emit(line if len(line) <= LINE else line[: LINE - 1] + "…")
