"""`runkon verify`: replay a run and compare the two records."""

from __future__ import annotations

import click

from runkon.cli.options import command as runkon_command
from runkon.cli.playing import verify
from runkon.cli.session import Session


@runkon_command(
    "verify",
    summary="""Replay a run strictly and compare the two records: steps, outputs, state, how it ended.

    RUN is an id, its beginning, or @last. Exit code 0: they are identical; 1: they differ, and the first difference
    is printed.""",
)
@click.argument("run")
@click.pass_obj
def command(session: Session, run: str) -> int:
    return verify(session, session.app.find_run(run))
