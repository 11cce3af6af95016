"""`runkon events`: the recorded events of a run as NDJSON."""

from __future__ import annotations

import sys

import click

from runkon.cli.event_lines import EventLines
from runkon.cli.options import VariableOption
from runkon.cli.options import command as runkon_command
from runkon.cli.run_state import record_of
from runkon.cli.session import Session
from runkon.views.event_object import EventObjects


@runkon_command(
    "events",
    summary="""Print the recorded events of a run, one JSON object per line.

    RUN is an id or a unique beginning of one, @last, or @last-failed. With -f from any terminal: reading never disturbs
    the run, and ^C ends the reading only.""",
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
    if not follow:
        for envelope in store.events(found, since):
            lines.emit(envelope)
        return 0
    from runkon.cli.attach import end_of_now, followed, let_go  # late: where it was asked for

    try:
        for envelope in followed(store, found, since):
            lines.emit(envelope)
    except KeyboardInterrupt:
        return let_go(session, found)
    session.console.note(end_of_now(session, found))
    return 0
