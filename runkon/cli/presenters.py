"""What people see while a run goes: plain lines here, the live tree in `live.py`. Each is an event sink of the run."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

from runkon.cli.console import Console
from runkon.language.columns import visible
from runkon.model.events import Envelope
from runkon.model.ids import StepPath
from runkon.model.ports import EventSink
from runkon.named import NamedTuple
from runkon.views.costs import Bounds
from runkon.views.lines import Lines, first_line


class Picture(NamedTuple):
    """What a live view must know that events do not say. `kinds` maps a static path to its keyword; `before` are the
    events of earlier legs, `bounds` what the run may use at most."""

    title: str
    kinds: Mapping[str, str]
    before: Sequence[Envelope] = ()
    bounds: Bounds | None = None


class Presenter(EventSink, Protocol):
    """An event sink that people watch. Called from several threads, one at a time for events."""

    def progress(self, path: StepPath, text: str) -> None:
        """A line that a running step sent."""
        ...

    def say(self, text: str) -> None:
        """A line of our own, already visible, beside what is drawn."""
        ...

    def pause(self) -> Callable[[], None]:
        """Leave the terminal alone until the result is called."""
        ...

    def close(self) -> None:
        """The run has stopped; nothing more comes."""
        ...


class PlainLines(Presenter):
    """One line per change of state, the same for the same run; progress only when asked for more."""

    def __init__(self, console: Console, *, is_verbose: bool) -> None:
        self._console = console
        self._is_verbose = is_verbose
        self._lines = Lines(is_verbose=is_verbose)

    def emit(self, envelope: Envelope) -> None:
        line = self._lines.of(envelope.event)
        if line is not None:
            self._console.note(self._console.paint_err(line.level, visible(str(line))))

    def progress(self, path: StepPath, text: str) -> None:
        if self._is_verbose:
            said = visible(f"{path} | {first_line(text)}")
            self._console.note(self._console.paint_err("quiet", said))

    def say(self, text: str) -> None:
        self._console.note(text)

    def pause(self) -> Callable[[], None]:
        return _nothing

    def close(self) -> None:
        """Every line is out already."""


def _nothing() -> None:
    """Lines need no terminal of their own."""
