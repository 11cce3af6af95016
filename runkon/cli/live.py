"""The live tree of a run on a terminal. The only module that draws with rich, and only while the run goes.

What agents and scripts say is put into `Text` objects after it was made visible: it is never markup.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from rich.console import Console as RichConsole
from rich.console import ConsoleOptions, RenderResult
from rich.live import Live
from rich.text import Text

from runkon.cli.console import Console
from runkon.cli.presenters import Picture, PlainLines
from runkon.errors import UserError
from runkon.language.columns import visible
from runkon.model.events import Envelope, Note
from runkon.model.fold import RunState
from runkon.model.ids import StepPath
from runkon.model.status import StepStatus
from runkon.views.costs import so_far
from runkon.views.run_tree import run_tree
from runkon.views.status import BAD_STEP, is_reused
from runkon.views.times import clock, counted
from runkon.views.tree_lines import TreeLine, tree_lines

REDRAWS_PER_SECOND = 8
_NAME_WIDTH = 34
_STYLES = {
    StepStatus.COMPLETED: "green",
    StepStatus.FAILED: "bold red",
    StepStatus.TIMED_OUT: "bold red",
    StepStatus.RUNNING: "cyan",
    StepStatus.BACKOFF: "yellow",
    StepStatus.WAITING: "yellow",
}


class LiveTree:
    """An event sink that redraws the run's tree, at most as high as the terminal. When it closes, the picture goes
    away and the plain lines of what failed stay, so that the scrollback holds no stale frames."""

    def __init__(self, console: Console, picture: Picture) -> None:
        self._lock = threading.Lock()
        self._state = RunState()
        self._seen: list[Envelope] = []
        self._progress: dict[str, str] = {}
        self._picture = picture
        self._lines = PlainLines(console, is_verbose=False)
        for envelope in picture.before:
            self._state.apply(envelope)
        rich = RichConsole(file=console.err_stream, highlight=False, markup=False, emoji=False, force_terminal=True)
        rich.no_color = not console.err_color
        self._live = Live(self, console=rich, refresh_per_second=REDRAWS_PER_SECOND, transient=True)
        self._live.start()

    def emit(self, envelope: Envelope) -> None:
        with self._lock:
            try:
                self._state.apply(envelope)
            except UserError:  # a picture is not worth a run: the engine judges the record, not the view
                return
            self._seen.append(envelope)

    def progress(self, path: StepPath, text: str) -> None:
        with self._lock:
            self._progress[path] = text[-400:]

    def say(self, text: str) -> None:
        self._live.console.print(Text(text))

    def pause(self) -> Callable[[], None]:
        """Take the picture down until the result is called."""
        self._live.stop()
        return self._live.start

    def close(self) -> None:
        """Take the picture down and leave the whole tree in the scrollback."""
        self._live.stop()
        with self._lock:
            for row in self._rows(height=None):
                row.truncate(self._live.console.width, overflow="ellipsis")
                self._live.console.print(row)
            for envelope in self._seen:
                if isinstance(envelope.event, Note):
                    self._lines.emit(envelope)

    def __rich_console__(self, console: RichConsole, options: ConsoleOptions) -> RenderResult:
        height = (options.height or console.size.height) - 2
        with self._lock:
            rows = [self._header(), *self._rows(height=max(1, height - 1))]
        for row in rows:
            row.truncate(options.max_width, overflow="ellipsis")
            yield row

    def _header(self) -> Text:
        run = self._state.run
        now = int(time.time() * 1000)
        ended = sum(1 for step in self._state.steps.values() if step.ended_at is not None)
        parts = [self._picture.title, f"run {run.id}" if run.id else "starting"]
        if run.started_at is not None:
            parts.append(clock(now - run.started_at))
        parts.append(f"{ended}/{counted(len(self._state.steps), 'step')}")
        parts += so_far(run, self._picture.bounds)
        return Text(visible(" · ".join(parts)), style="bold", no_wrap=True)

    def _rows(self, height: int | None) -> list[Text]:
        steps = self._state.in_order()
        reused = frozenset(step.path for step in steps if is_reused(step, self._state.run.leg))
        now = int(time.time() * 1000)
        lines = tree_lines(
            run_tree(steps),
            now=now,
            height=height,
            progress=self._progress,
            is_reused=reused,
            kinds=self._picture.kinds,
        )
        return [_row(line) for line in lines]


def _row(line: TreeLine) -> Text:
    """One line of the tree: sign, kind and name in one column, then time and what there is to say."""
    style = _STYLES.get(line.status, "dim")
    name = visible(f"{line.kind} {line.name}".strip())
    row = Text(no_wrap=True)
    row.append(f" {'  ' * line.depth}{line.sign} ", style=style)
    row.append(name, style="bold red" if line.status in BAD_STEP else "")
    row.append(" " * max(2, _NAME_WIDTH - row.cell_len))
    row.append(f"{line.time:>6}", style="dim")
    row.append(f"  {visible(line.detail)}", style=style if line.status in BAD_STEP else "dim")
    if line.place:
        row.append(f"  {visible(line.place)}", style="dim")
    return row
