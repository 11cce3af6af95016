"""`runkon events`: the recorded events of a run as NDJSON."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator

import click

from runkon.cli.event_lines import EventLines
from runkon.cli.options import VariableOption
from runkon.cli.options import command as runkon_command
from runkon.cli.run_state import is_held, record_of
from runkon.cli.session import Session
from runkon.cli.streams import is_left
from runkon.model.events import Envelope
from runkon.model.ids import RunID
from runkon.model.ports import RunStore
from runkon.views.event_object import EventObjects

POLL_SECONDS = 0.2


@runkon_command(
    "events",
    summary="""Print the recorded events of a run, one JSON object per line.

    RUN is an id or a unique beginning of one, @last, or @last-failed.""",
)
@click.argument("run")
@click.option("-f", "--follow", cls=VariableOption, is_flag=True, help="go on until the run stops")
@click.option(
    "--since", cls=VariableOption, type=click.IntRange(min=0), default=0, metavar="SEQ", help="later ones only"
)
@click.pass_obj
def command(session: Session, run: str, *, follow: bool, since: int) -> int:
    found = record_of(session.app, run).id
    store = session.app.store
    lines = EventLines(sys.stdout, EventObjects(store.steps(found) if since else ()))
    for envelope in _followed(store, found, since) if follow else store.events(found, since):
        lines.emit(envelope)
    return 0


def _followed(store: RunStore, run: RunID, since: int) -> Iterator[Envelope]:
    """Events as they are recorded, until nobody advances the run any more and none is left."""
    seq = since
    while True:
        record = store.run(run)
        has_owner = record is not None and is_held(record)  # judged before reading, so that the last event is not lost
        for envelope in store.events(run, seq):
            seq = envelope.seq
            yield envelope
        if not has_owner or is_left(sys.stdout):
            return
        time.sleep(POLL_SECONDS)
