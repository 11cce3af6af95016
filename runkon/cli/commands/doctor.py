"""`runkon doctor`: is everything here that runs need? Looks only; asks nobody outside unless told to."""

from __future__ import annotations

import os
import shutil
import sqlite3
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import click

from runkon import __version__
from runkon.cli.console import columns
from runkon.cli.files import agent_files, shown
from runkon.cli.options import VariableOption
from runkon.cli.options import command as runkon_command
from runkon.cli.session import Session
from runkon.errors import EXIT_ENVIRONMENT, EXIT_OK, UserError
from runkon.model.value_text import harmless
from runkon.named import NamedTuple
from runkon.parts import agent_choice
from runkon.settings import Settings
from runkon.views.lines import first_line
from runkon.views.times import counted

if TYPE_CHECKING:
    from runkon.executors.agents.choosing import Runtimes

OLDEST_SQLITE = (3, 35)
_TOOLS = (("git", "repository facts"), ("sh", "scripts"), ("dot", "`graph --format svg`"))


class Check(NamedTuple):
    """One thing that was looked at. `state` is `ok missing unknown problem`; only a problem makes the command fail."""

    name: str
    state: str
    detail: str


@runkon_command(
    "doctor",
    summary="""Check what is installed, the project, its database, plugins and runtimes. Changes nothing.

    Stays offline; with `--check` runtimes are asked whether they answer. Keys are present or absent.""",
)
@click.option(
    "--check", "asks", cls=VariableOption, is_flag=True, help="ask runtimes whether they answer, over the network"
)
@click.pass_obj
def command(session: Session, *, asks: bool) -> int:
    checks = list(_checks(session, asks=asks))
    console = session.console
    is_well = not any(check.state == "problem" for check in checks)
    if session.as_json:
        console.data({"schema": "runkon.doctor/1", "ok": is_well, "doctor": [check._asdict() for check in checks]})
    else:
        for check, line in zip(checks, columns(checks), strict=True):
            console.result(console.paint_out("bad" if check.state == "problem" else "info", line))
    return EXIT_OK if is_well else EXIT_ENVIRONMENT


def _checks(session: Session, *, asks: bool) -> Iterator[Check]:
    yield Check("runkon", "ok", __version__)
    yield Check("python", "ok", f"{sys.version.split()[0]} at {sys.executable}")
    is_new = sqlite3.sqlite_version_info >= OLDEST_SQLITE
    yield Check("sqlite", "ok" if is_new else "problem", sqlite3.sqlite_version)
    try:
        settings = session.settings
    except UserError as error:
        yield Check("settings", "problem", error.message)
        return
    yield from _project(settings)
    yield _database(session)
    yield from _plugins(session)
    yield from _runtimes(session, asks=asks)
    for tool, purpose in _TOOLS:
        found = shutil.which(tool)
        yield Check(tool, "ok" if found else "missing", found or f"needed for {purpose}")


def _project(settings: Settings) -> Iterator[Check]:
    yield Check("project", "ok", str(settings.root))
    files = ", ".join(str(shown(path)) for path in settings.files)
    yield Check("settings", "ok", files or "no file; defaults hold")
    state = settings.state_dir
    nearest = next(folder for folder in (state, *state.parents) if folder.exists())
    is_writable = nearest.is_dir() and os.access(nearest, os.W_OK | os.X_OK)
    detail = str(shown(state)) + ("" if state.exists() else " (made by the first run)")
    problem = ": no write access" if nearest.is_dir() else ": it is a file, not a folder"
    yield Check("state folder", "ok" if is_writable else "problem", detail if is_writable else f"{detail}{problem}")


def _database(session: Session) -> Check:
    """The database, without making one where there is none."""
    path: Path = session.settings.db
    if not path.exists():
        return Check("database", "ok", f"{shown(path)} (made by the first run)")
    try:
        number = len(session.app.store.runs())
    except UserError as error:
        return Check("database", "problem", error.message)
    return Check("database", "ok", f"{shown(path)}, {counted(number, 'run')}, durability {session.settings.durability}")


def _runtimes(session: Session, *, asks: bool) -> Iterator[Check]:
    """What could run agent files here. One that is not ready is a problem only if the project names it."""
    from runkon.executors.agents.finding import runtimes_of

    try:
        registry = session.app.loaded.registry
    except UserError:
        return
    tables = session.settings.runtimes
    runtimes = runtimes_of(registry.things("runtime"), tables)
    for name in runtimes.names():
        runtime = runtimes.find(name)
        assert runtime is not None
        try:
            found = runtime.availability(runtimes.settings(name), check=asks)
        except Exception as error:  # noqa: BLE001  a plugin may raise anything
            yield Check(f"runtime {name}", "problem", f"its plugin failed: {first_line(str(error)) or repr(error)}")
            continue
        missing = "problem" if name in tables else "missing"
        state = {True: "ok", False: missing, None: "unknown"}[found.ready]
        yield Check(f"runtime {name}", state, first_line(harmless(found.detail)))
    for name in sorted(set(tables) - set(runtimes.names())):
        kind = tables[name].get("type", name)
        yield Check(f"runtime {name}", "problem", f"its table has the type `{kind}`, which is not there")
    yield from _agents(session.settings, runtimes)


def _agents(settings: Settings, runtimes: Runtimes) -> Iterator[Check]:
    """Who would answer the agent files of the project, as the settings are."""
    from runkon.executors.agents.judging import who_answers

    answering: dict[tuple[str, str], list[str]] = {}
    for file in agent_files(settings.root):
        who, problem = who_answers(file, agent_choice(settings), runtimes)
        if problem is None:
            answering.setdefault(("ok", who), []).append(file.stem)
        else:
            told = first_line(harmless(problem))
            yield Check(f"agent {file.stem}", "problem", told if not who else f"{who}: {told}")
    for (state, who), names in answering.items():
        several = "agents" if len(names) > 1 else "agent"
        yield Check(f"{several} {', '.join(names)}" if len(names) < 4 else f"{len(names)} agents", state, who)


def _plugins(session: Session) -> Iterator[Check]:
    try:
        loaded = session.app.loaded
    except UserError as error:
        yield Check("plugins", "problem", error.message)
        return
    broken = [plugin for plugin in loaded.plugins if plugin.problem and not plugin.blocked]
    working = len(loaded.plugins) - len(broken)
    yield Check("plugins", "ok", f"{working} loaded; executors: {', '.join(loaded.registry.names())}")
    for plugin in broken:
        yield Check(f"plugin {plugin.name}", "problem", plugin.problem or "")
