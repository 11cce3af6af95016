"""`runkon new`: one more workflow file in the project."""

from __future__ import annotations

import re

import click

from runkon.cli.files import shown, write_new
from runkon.cli.options import command as runkon_command
from runkon.cli.project_files import NEW_WORKFLOW
from runkon.cli.session import Session
from runkon.errors import EXIT_USAGE, UserError
from runkon.language.source import SourceFile

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_-]*")


@runkon_command(
    "new", summary="Write a workflow file NAME.wf into the project's `.runkon/workflows`, ready to run and to change."
)
@click.argument("name")
@click.pass_obj
def command(session: Session, name: str) -> int:
    text = NEW_WORKFLOW.format(name=name)
    if not _NAME.fullmatch(name) or not session.app.parsed_files.parse(SourceFile(f"{name}.wf", text)).ok:
        raise UserError(
            "invalid-name",
            f"`{name}` can't name a workflow",
            help="a name begins with a letter, has letters, digits, `-` and `_`, and is no word of the language",
            exit_code=EXIT_USAGE,
        )
    path = shown(session.settings.state_dir / "workflows" / f"{name}.wf")
    if not write_new(path, text):
        raise UserError(
            "file-exists",
            f"`{path}` exists already",
            help="take another name, or change that file",
            next=f"runkon run {name}",
            exit_code=EXIT_USAGE,
        )
    if session.as_json:
        session.console.data({"schema": "runkon.new/1", "new": [str(path)]})
        return 0
    session.console.result(f"wrote {path}")
    session.console.note(f"next: runkon run {name}")
    return 0
