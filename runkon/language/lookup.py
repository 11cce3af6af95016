"""Where an agent, snippet, schema or script is: one search for the checks, which say what is missing, and for a run,
which reads what was found.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from runkon.language import places
from runkon.language.program import Located, ResourceKind


def locate(kind: ResourceKind, roots: Sequence[Path], name: str, workflow: str) -> Located:
    """What `name` means in workflow `workflow`: a name is looked for in the usual folders of every root, a path below
    the roots. Never outside of them, not even through a link."""
    if kind == "script":
        return _script(roots, name)
    if "/" in name or "\\" in name:
        return _by_path(roots, name)
    if not name or ".." in name or "\0" in name:
        return Located(None, (), f"`{name}` is not a name")
    find = {"agent": places.agent_places, "snippet": places.snippet_places, "schema": places.schema_places}[kind]
    return places.first_file(find(roots, name, workflow))


def locate_agent(text: str, form: str, plugin_dirs: Sequence[str], find: Callable[[str], Located]) -> Located:
    """The file of an agent that is called by `name` or by `path`: the usual folders, then `agents/` of each plugin
    directory. `find` looks for one name or path, as `locate` does."""
    if form == "path":
        return find(text if "/" in text else f"./{text}")
    located = find(text)
    searched = list(located.places)
    for folder in plugin_dirs:
        if located.path is not None:
            break
        located = find(f"{folder.rstrip('/')}/agents/{text}.md")
        searched += located.places
    return located._replace(places=tuple(searched))


def _script(roots: Sequence[Path], run: str) -> Located:
    problem = places.escapes(run)
    if problem or ".." in run:
        return Located(None, (), problem or "`..` is not allowed in a path")
    located = places.first_file(places.script_places(roots, run))
    if located.path is None:
        return located
    return located._replace(problem=located.problem or places.not_executable(located.path))


def _by_path(roots: Sequence[Path], text: str) -> Located:
    problem = places.escapes(text)
    if problem:
        return Located(None, (), problem)
    return places.first_file(places.in_folders(roots, [""], text))
