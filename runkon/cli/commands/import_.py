"""`runkon import`: a run that was exported elsewhere becomes one of this project."""

from __future__ import annotations

import os
from pathlib import Path

import click

from runkon.cli.options import command as runkon_command
from runkon.cli.run_state import short_id
from runkon.cli.session import Session
from runkon.errors import EXIT_OK
from runkon.language.columns import visible


@runkon_command(
    "import",
    summary="""Take the run of FILE, which `runkon export` wrote, into this project's database.

    The file is checked first, as a whole. The run can be shown, explained and forked; it is not resumed. It keeps its
    id, unless another run has it.""",
)
@click.argument("file", type=click.Path(path_type=Path))
@click.pass_obj
def command(session: Session, file: Path) -> int:
    done = session.app.upkeep.bring(Path(os.path.abspath(file)), session.settings.root)
    console = session.console
    if session.as_json:
        found = {"run": done.run, "was": done.was, "new": done.is_new}
        console.data({"schema": "runkon.import/1", **found})
        return EXIT_OK
    if done.is_new:
        console.result(f"imported run {done.run}" + (f", which was {done.was}" if done.was != done.run else ""))
    else:
        console.result(f"run {done.run} is here already; nothing was changed")
    console.note(f"next: runkon show {visible(short_id(session.app, done.run))}")
    return EXIT_OK
