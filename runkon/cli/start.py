"""A run that begins here: its first words, and its first leg."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial

from runkon.app import RunOptions
from runkon.cli.leg import Watched, first_words, watch
from runkon.cli.presenters import Picture
from runkon.cli.session import Session
from runkon.language.columns import visible
from runkon.language.program import CheckedWorkflow
from runkon.model.ids import RunID
from runkon.model.output import JsonValue
from runkon.model.ports import EventSink
from runkon.model.records import RunRecord
from runkon.named import NamedTuple
from runkon.views.costs import before


class Start(NamedTuple):
    """What `run` was asked for. `events` is where NDJSON goes; `begun` is told the first event by a process of its
    own."""

    checked: CheckedWorkflow
    inputs: Mapping[str, JsonValue]
    options: RunOptions
    key: str | None
    events: str | None
    begun: Sequence[EventSink]
    picture: Picture


def run_new(session: Session, start: Start) -> int:
    """Make a run, execute its first leg and say how it ended; the exit code is that of its end."""
    is_new = not session.settings.db.parent.exists()

    def execute(watched: Watched) -> RunRecord:
        return session.app.start(
            start.checked,
            start.inputs,
            start.options,
            sinks=(*watched.sinks, *start.begun),
            control=watched.control,
            on_created=partial(on_created, session, watched, title_of(start.picture), is_new=is_new),
            progress=watched.progress,
        )

    return watch(session, execute, events=start.events, picture=start.picture)


def title_of(picture: Picture) -> str:
    """The title with what the run may use at most, where it calls anybody."""
    bounds = picture.bounds
    is_free = bounds is None or (bounds.calls == 0 and bounds.cost_usd is None)
    return picture.title if bounds is None or is_free else f"{picture.title} · {before(bounds)}"


def on_created(session: Session, watched: Watched, title: str, run: RunID, *, is_new: bool) -> None:
    """Say the id, now that nothing can lose the run any more, and show the first event, which the engine's own sinks
    are too late for. A folder that was made for the records is named: from now on it marks the project."""
    if is_new:
        watched.say(f"note: runs are recorded in {visible(str(session.settings.db.parent))}, made now")
    watched.say(first_words(run, title))
    for envelope in session.app.store.events(run):
        for sink in watched.sinks:
            sink.emit(envelope)
