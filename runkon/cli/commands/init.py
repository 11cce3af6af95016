"""`runkon init`: a project with an agent that runs at once, offline. Never overwrites a file."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from pathlib import Path

import click

from runkon.cli import project_files as texts
from runkon.cli.files import shown, write_new
from runkon.cli.options import command as runkon_command
from runkon.cli.session import Session
from runkon.errors import UserError
from runkon.model.output import JsonValue
from runkon.model.state_folder import GITIGNORE
from runkon.settings import FILE_NAME, load_settings

FILES = {
    Path(FILE_NAME): texts.SETTINGS,
    Path(".runkon/workflows/hello.wf"): texts.HELLO_WORKFLOW,
    Path(".runkon/workflows/hello.wftest"): texts.HELLO_TESTS,
    Path(".runkon/agents/critic.md"): texts.CRITIC_AGENT,
    Path(".runkon/schemas/opinion.yaml"): texts.OPINION_SCHEMA,
    Path(".runkon/plugins/words.py"): texts.WORDS_PLUGIN,
    Path(".runkon/.gitignore"): GITIGNORE,
}
_MADE_UP = "test"


@runkon_command(
    "init",
    summary="""Make a small project in FOLDER (default: here): a workflow with an agent that runs at once, offline.

    Files that are there already stay as they are.""",
)
@click.argument("folder", type=click.Path(path_type=Path, file_okay=False), default=Path())
@click.pass_obj
def command(session: Session, folder: Path) -> int:
    console = session.console
    written: list[JsonValue] = []
    for file, text in FILES.items():
        path = folder / file
        is_new = write_new(path, text)
        written.append({"file": str(path), "written": is_new})
        if not session.as_json:
            console.result(f"{'wrote' if is_new else 'kept '} {path}")
    following = list(_following(folder))
    if session.as_json:
        console.data({"schema": "runkon.init/1", "init": written, "next": [line for line, _ in following]})
        return 0
    width = max(len(line) for line, _ in following) + 2
    console.note("next:")
    for line, what in following:
        console.note(f"  {line.ljust(width)}{what}".rstrip())
    if not _is_made_up(folder):
        return 0
    console.note(f"answers are made up; for real ones change the word `{_MADE_UP}` in {shown(folder / FILE_NAME)}")
    return 0


def _following(folder: Path) -> Iterator[tuple[str, str]]:
    """What to type next, in this order, and what it does."""
    if folder.resolve() != Path.cwd():
        yield f"cd {shlex.quote(str(shown(folder)))}", ""
    offline = "" if _is_made_up(folder) else f" --model {_MADE_UP}"
    yield f"runkon run hello{offline}", "a script, an agent, a Python function"
    yield "runkon show @last critic --prompt", "what the agent was sent"
    yield "runkon test", "its tests, which call nobody"


def _is_made_up(folder: Path) -> bool:
    """True if the settings that hold in the folder say that answers are made up."""
    try:
        return load_settings(folder).model == _MADE_UP
    except UserError:
        return False
