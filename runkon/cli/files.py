"""Which workflow files a command means, and how a file is replaced without ever being half written."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path

from runkon.app import App
from runkon.cli.streams import unwritten
from runkon.errors import EXIT_USAGE, UserError

CASES = "*.wftest"
WORKFLOW_FOLDERS = (Path(".runkon/workflows"), Path(".conductor/workflows"))


def workflow_files(app: App, targets: Sequence[str], *, with_cases: bool = False) -> list[Path]:
    """The files behind `targets`: files, names, folders with everything below; without targets every workflow of the
    project and of the current folder; with files of tests too if `with_cases`. Raises UserError `no-workflows` if there
    is none, and for unknown names."""
    patterns = ("*.wf", CASES) if with_cases else ("*.wf",)
    found = [path for target in targets for path in _behind(app, target, patterns)] if targets else _all(app, patterns)
    if not found:
        where = "in " + ", ".join(f"`{target}`" for target in targets) if targets else "here"
        raise UserError(
            "no-workflows",
            f"there are no workflow files {where}",
            help="a workflow file ends in `.wf`; without names, this folder and `.runkon/workflows` are searched",
            next="runkon init",
            exit_code=EXIT_USAGE,
        )
    return list(dict.fromkeys(found))


def _behind(app: App, target: str, patterns: Sequence[str]) -> Iterator[Path]:
    path = Path(target)
    if path.is_dir():
        yield from sorted(file for pattern in patterns for file in path.rglob(pattern) if file.is_file())
    else:
        yield app.find_workflow(target)


def _all(app: App, patterns: Sequence[str]) -> list[Path]:
    here = Path.cwd()
    folders = [here, *(app.settings.root / folder for folder in WORKFLOW_FOLDERS)]
    there = [folder for folder in folders if folder.is_dir()]
    found = (file for folder in there for pattern in patterns for file in sorted(folder.glob(pattern)))
    return [shown(file) for file in found if not file.is_dir()]


def agent_files(root: Path) -> list[Path]:
    """The agent files of the project in `root`; those of a workflow alone stand behind the others."""
    patterns = [f"{state}/{place}agents/*.md" for state in (".runkon", ".conductor") for place in ("", "workflows/*/")]
    return [file for pattern in patterns for file in sorted(root.glob(pattern)) if file.is_file()]


def shown(path: Path) -> Path:
    """The path as a user at this place would type it."""
    relative = Path(os.path.relpath(path))
    return path if len(relative.parts) > 1 and relative.parts[:2] == ("..", "..") else relative


def write_new(path: Path, text: str) -> bool:
    """Write a file that does not exist yet, with its folders; False if it does. Raises UserError `cannot-write`."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("x", encoding="utf-8", newline="") as file:
            file.write(text)
    except FileExistsError:
        if not path.is_file():
            raise UserError("cannot-write", f"`{path}` can't be written: something else has this name") from None
        return False
    except OSError as error:
        raise cannot_write(path, error) from error
    return True


def replace_text(path: Path, text: str) -> None:
    """Give a file new content in one step, keeping its mode; through a link, the file behind it. Raises UserError
    `cannot-write` and leaves the old content."""
    import tempfile  # late: it brings compression and random numbers along

    real = path.resolve()
    try:
        mode = stat.S_IMODE(real.stat().st_mode)
        os.close(os.open(real, os.O_WRONLY))  # a file nobody may write is not replaced by one that can be
        handle, temporary = tempfile.mkstemp(prefix=f".{real.name}.", dir=real.parent)
        try:
            with os.fdopen(handle, "w", encoding="utf-8", errors="surrogatepass", newline="") as file:
                file.write(text)
                file.flush()
                os.fchmod(file.fileno(), mode)
                os.fsync(file.fileno())
            os.replace(temporary, real)
        except BaseException:
            with suppress(OSError):
                os.unlink(temporary)
            raise
    except OSError as error:
        raise cannot_write(path, error) from error


def cannot_write(path: Path, error: OSError) -> UserError:
    """The error for a file or folder that can't be written."""
    return unwritten(f"`{path}`", error)
