"""Where a project keeps what its workflows name: folders, their order, and the rule that nothing leads outside."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from runkon.language.program import Located
from runkon.named import NamedTuple
from runkon.pattern import pattern

PROJECT_FOLDERS = (".runkon", ".conductor")
NAME = pattern(r"[A-Za-z0-9_-]+")
_FILE_WORD = pattern(r"[\w./%@+,:-]+")
_EXTENSION = pattern(r"\.[A-Za-z][A-Za-z0-9]*$")


class Candidate(NamedTuple):
    """A path to try: `path` below `root`, which its real path may not leave. `shown` is how people read it."""

    root: Path
    path: Path
    shown: str


def names_file(run: str) -> bool:
    """True if the `run` text of a script is one plain word that names a file: with a `/` or a file extension, and
    without anything a shell would interpret. Templates are never judged."""
    return bool(_FILE_WORD.fullmatch(run)) and ("/" in run or bool(_EXTENSION.search(run)))


def is_name(text: str) -> bool:
    """True for what can be looked up by name: letters, digits, `-` and `_`."""
    return bool(NAME.fullmatch(text))


def nearest_project(start: Path) -> Path | None:
    """The nearest folder, from `start` upwards, that has a `.runkon` or a `.conductor` in it."""
    for folder in (start, *start.parents):
        if folder.name not in PROJECT_FOLDERS and any((folder / name).is_dir() for name in PROJECT_FOLDERS):
            return folder
    return None


def in_folders(roots: Sequence[Path], folders: Iterable[str], file: str) -> Iterator[Candidate]:
    """`file` in every folder of every root, the first root's folders first."""
    outermost = roots[-1]
    for root in roots:
        for folder in folders:
            below = f"{folder}/{file}" if folder else file
            path = root / below
            shown = path.relative_to(outermost) if path.is_relative_to(outermost) else path
            yield Candidate(root, path, below if root == outermost else str(shown))


def agent_places(roots: Sequence[Path], name: str, workflow: str) -> Iterator[Candidate]:
    return in_folders(roots, [*_local(workflow, "agents"), *_shared("agents"), ".claude/agents"], f"{name}.md")


def snippet_places(roots: Sequence[Path], name: str, workflow: str) -> Iterator[Candidate]:
    return in_folders(roots, [*_local(workflow, "prompts"), *_shared("prompts")], f"{name}.md")


def schema_places(roots: Sequence[Path], name: str, workflow: str) -> Iterator[Candidate]:
    return in_folders(roots, [*_local(workflow, "schemas"), *_shared("schemas")], f"{name}.yaml")


def script_places(roots: Sequence[Path], run: str) -> Iterator[Candidate]:
    return in_folders(roots, ["", *_shared("scripts")], run)


def workflow_places(roots: Sequence[Path], name: str) -> Iterator[Candidate]:
    return in_folders(roots, _shared("workflows"), f"{name}.wf")


def _shared(what: str) -> list[str]:
    return [f"{folder}/{what}" for folder in PROJECT_FOLDERS]


def _local(workflow: str, what: str) -> list[str]:
    return [f"{folder}/workflows/{workflow}/{what}" for folder in PROJECT_FOLDERS]


def first_file(candidates: Iterable[Candidate]) -> Located:
    """The first candidate that is a regular file inside its root. One that leads outside is passed over, and named
    as the problem if nothing else is found."""
    places: list[str] = []
    problem: str | None = None
    for candidate in candidates:
        places.append(candidate.shown)
        found = _regular_file(candidate.path)
        if found is None:
            continue
        if not stays_inside(candidate.path, candidate.root):
            problem = problem or f"`{candidate.shown}` leads outside the project"
            continue
        return Located(candidate.path, tuple(places), unreadable(candidate.path))
    return Located(None, tuple(places), problem)


def _regular_file(path: Path) -> os.stat_result | None:
    try:
        status = path.stat()
    except (OSError, ValueError):
        return None
    return status if stat.S_ISREG(status.st_mode) else None


def stays_inside(path: Path, root: Path) -> bool:
    """True if the real path, all links followed, lies below the real `root`."""
    try:
        return path.resolve().is_relative_to(root.resolve())
    except (OSError, RuntimeError, ValueError):
        return False


def unreadable(path: Path) -> str | None:
    return None if os.access(path, os.R_OK) else "the file can't be read"


def not_executable(path: Path) -> str | None:
    """Why a script file can't be started, with its mode; None if it can, or where modes mean nothing."""
    if os.name != "posix":
        return None
    mode = stat.S_IMODE(path.stat().st_mode)
    return None if mode & 0o111 else f"it is not executable (mode {mode:04o})"


def escapes(text: str) -> str | None:
    """Why a path written in a workflow is refused before it is even looked for."""
    if "\0" in text:
        return "the path contains a NUL character"
    if text.startswith(("/", "~")) or Path(text).is_absolute():
        return "absolute paths are not allowed; write it relative to the project"
    if ".." in text.replace("\\", "/").split("/"):
        return "`..` is not allowed in a path"
    return None
