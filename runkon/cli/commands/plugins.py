"""`runkon plugins`: every plugin that was found, what it brings, and why a broken one was left out."""

from __future__ import annotations

from collections.abc import Mapping

import click

from runkon.cli.checked_file import warn_about_plugins
from runkon.cli.console import columns
from runkon.cli.options import SettingOption
from runkon.cli.options import command as runkon_command
from runkon.cli.session import Session
from runkon.language.columns import visible
from runkon.model.output import JsonValue


@runkon_command("plugins", summary="List plugins: where they come from, their hooks, and what they bring.")
@click.option("--plugin", "plugins", cls=SettingOption, multiple=True, metavar="MODULE|FILE", help="one more plugin")
@click.pass_obj
def command(session: Session, plugins: tuple[str, ...]) -> int:
    session.flags |= {"plugins": plugins}
    loaded, console = session.app.loaded, session.console
    brought = _brought(session)
    if session.as_json:
        found: list[JsonValue] = [
            {
                "name": plugin.name,
                "version": plugin.version,
                "source": plugin.source,
                "hooks": list(plugin.hooks),
                "brings": list[JsonValue](brought.get(plugin.name, [])),
                "problem": plugin.problem,
                "blocked": plugin.blocked,
            }
            for plugin in loaded.plugins
        ]
        console.data({"schema": "runkon.plugins/1", "plugins": found})
        return 0
    rows = []
    for plugin in loaded.plugins:
        state = "blocked" if plugin.blocked else "broken" if plugin.problem else "ok"
        rows.append([plugin.name, plugin.version, state, plugin.source, ", ".join(brought.get(plugin.name, []))])
    for line in columns(rows):
        console.result(line)
    for plugin in loaded.plugins:
        if plugin.problem and not plugin.blocked:
            console.result(console.paint_out("bad", visible(f"{plugin.name}: {plugin.problem}")))
    warn_about_plugins(session, tuple(w for w in loaded.warnings if not _is_told(w, loaded.plugins)))
    return 0


def _is_told(warning: str, plugins: tuple[object, ...]) -> bool:
    """True if the list has already said what a warning says."""
    problems = [problem for plugin in plugins if (problem := getattr(plugin, "problem", None))]
    return any(problem in warning for problem in problems)


def _brought(session: Session) -> Mapping[str, list[str]]:
    """Plugin name to the things it registered, as `executor count-words`."""
    from runkon.plugin.registry import KINDS  # late: the application has loaded it anyway

    registry, found = session.app.registry, dict[str, list[str]]()
    for kind in KINDS:
        for name in registry.names_of(kind):
            entry = registry.origin(kind, name)
            if entry is not None:
                found.setdefault(entry.plugin, []).append(kind if kind == "sink" else f"{kind} {name}")
    return found
