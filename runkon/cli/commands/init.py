"""`runkon init`: a project that runs at once, offline. Never overwrites a file."""

from __future__ import annotations

from pathlib import Path

import click

from runkon.cli.files import shown, write_new
from runkon.cli.options import command as runkon_command
from runkon.cli.project_files import HELLO_WORKFLOW, WORDS_PLUGIN
from runkon.cli.session import Session
from runkon.model.output import JsonValue
from runkon.model.state_folder import GITIGNORE

FILES = {
    Path(".runkon/workflows/hello.wf"): HELLO_WORKFLOW,
    Path(".runkon/plugins/words.py"): WORDS_PLUGIN,
    Path(".runkon/.gitignore"): GITIGNORE,
}


@runkon_command(
    "init",
    summary="""Make a small project in FOLDER (default: here): a workflow and a plugin that run at once, offline.

    Files that are there already stay as they are.""",
)
@click.argument("folder", type=click.Path(path_type=Path, file_okay=False), default=Path())
@click.pass_obj
def command(session: Session, folder: Path) -> int:
    written: list[JsonValue] = []
    console = session.console
    for file, text in FILES.items():
        path = folder / file
        is_new = write_new(path, text)
        if session.as_json:
            written.append({"file": str(path), "written": is_new})
        else:
            console.result(f"{'wrote' if is_new else 'kept '} {path}")
    if session.as_json:
        console.data({"schema": "runkon.init/1", "init": written})
    else:
        go = "" if folder.resolve() == Path.cwd() else f"cd {shown(folder)} && "
        console.note(f"next: {go}runkon run hello")
    return 0
