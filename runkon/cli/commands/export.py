"""`runkon export`: one run as one file."""

from __future__ import annotations

import os
from pathlib import Path

import click

from runkon.cli.exporting import write_capsule
from runkon.cli.options import VariableOption
from runkon.cli.options import command as runkon_command
from runkon.cli.session import Session


@runkon_command(
    "export",
    summary="""Write RUN to a database file of its own, to be looked at elsewhere. Never overwrites.

    Its large values are in it; secrets, hosts, processes and the folders of this machine are not. What steps gave back
    stays as it is. FILE is `runkon-RUN.db` if not given; its SHA-256 stands beside it in `FILE.sha256`.

    Exit code 5 if the record is damaged: then the file holds what comes before the damage.""",
)
@click.argument("run")
@click.argument("file", required=False, type=click.Path(path_type=Path))
@click.option("--keep-paths", cls=VariableOption, is_flag=True, help="leave the folders of this machine in it")
@click.pass_obj
def command(session: Session, run: str, file: Path | None, *, keep_paths: bool) -> int:
    id = session.app.find_run(run)
    return write_capsule(session, id, None if file is None else Path(os.path.abspath(file)), keeps_paths=keep_paths)
