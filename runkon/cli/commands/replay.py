"""`runkon replay`: answer a run from the record of another one, or from a cassette."""

from __future__ import annotations

from pathlib import Path

import click

from runkon.app import RunOptions
from runkon.cli.options import SettingOption, VariableOption
from runkon.cli.options import command as runkon_command
from runkon.cli.playing import is_file, play
from runkon.cli.recording import MODES
from runkon.cli.session import Session


@runkon_command(
    "replay",
    summary="""Answer a run from the record of another one, or from a cassette.

    TARGET is a run (an id, its beginning, @last), whose stored workflow is replayed, or the FILE of a cassette, for
    which the workflow is read as it is now. Nothing is called, gates are decided as on record, time is virtual.
    With `--replay fill` what the record does not answer is called live.

    Exit codes: those of `run`; 1 also if the replay differs from the record.""",
)
@click.argument("target", metavar="RUN|FILE")
@click.option(
    "--replay", "mode", cls=VariableOption, type=click.Choice(MODES), default="strict",
    help="strict (the default) stops at the first difference, fill calls live what has no answer",
)  # fmt: skip
@click.option("--plugin", "plugins", cls=SettingOption, multiple=True, metavar="MODULE|FILE", help="one more plugin")
@click.pass_obj
def command(session: Session, target: str, *, mode: str, plugins: tuple[str, ...]) -> int:
    session.flags |= {"plugins": plugins}
    app = session.app
    if is_file(target):
        source = app.replaying.of_file(Path(target), RunOptions())
    else:
        source = app.replaying.of_run(app.find_run(target))
    return play(session, source, mode)
