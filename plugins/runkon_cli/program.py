"""The program of a runtime: where it is, and which version."""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path

from runkon.errors import Fatal, RunkonError, Transient
from runkon.executors.process import ChildProcess
from runkon.model.failures import StepFailure
from runkon.model.output import Usage
from runkon_cli.failures import shown
from runkon_cli.lines import Lines

_BUSY = (errno.EAGAIN, errno.ENOMEM, errno.EMFILE, errno.ENFILE, errno.ETXTBSY)
_PATIENCE = 10.0  # seconds for `--version`


def find(binary: str, path: str, folders: Sequence[Path] = ()) -> str | None:
    """The program's file: a bare name along `path`, any other one below the first of `folders` that has it."""
    binary = os.path.expanduser(binary)
    if os.sep not in binary:
        return shutil.which(binary, path=path)
    for folder in folders or (Path.cwd(),):
        if (folder / binary).exists():
            return str((folder / binary).absolute())
    return None


def need(binary: str, who: str, environment: Mapping[str, str], folders: Sequence[Path], install: str) -> str:
    """As `find`. Raises Fatal, with how to install it, if it is not there or can't be run."""
    found = find(binary, environment.get("PATH", os.defpath), folders)
    if found is None:
        where = "there is no such file" if os.sep in binary else "it is not in `PATH`"
        raise _not_begun(f"`{who}` can't run `{binary}`: {where}{_how(install)}")
    if not os.access(found, os.X_OK) or os.path.isdir(found):
        raise _not_begun(f"`{who}` can't run `{found}`: it is not an executable file")
    return found


def _not_begun(message: str) -> Fatal:
    """An attempt that has cost nothing, as nothing was started."""
    error = Fatal(message)
    error.usage = Usage(cost_usd=0.0)  # type: ignore[attr-defined]  # read by the engine where there is one
    return error


def refusal(who: str, error: OSError | ValueError, folder: Path) -> RunkonError:
    """Why the system would not start a program."""
    if isinstance(error, ValueError):
        return StepFailure("value", f"`{who}` could not be started: an argument or variable holds a NUL character")
    if error.errno == errno.E2BIG:
        return Fatal(f'`{who}` could not be started: the prompt is too big for an argument; set `prompt_via = "stdin"`')
    if not folder.is_dir():
        return StepFailure("exit", f"`{who}` could not be started: the folder `{folder}` is not there")
    why = (error.strerror or str(error)).lower()
    if error.errno in _BUSY:
        return Transient(f"`{who}` could not be started: {why}")
    if error.errno in (errno.ENOEXEC, errno.EACCES, errno.ENOENT):
        return Fatal(f"`{who}` could not be started: {why}")
    return StepFailure("exit", f"`{who}` could not be started: {why}")


def version_of(program: str, environment: Mapping[str, str]) -> str:
    """The first line that `program --version` prints, or why there is none."""
    lines, printed = Lines(1 << 16), list[bytes]()
    try:
        child = ChildProcess([program, "--version"], folder=Path.cwd(), environment=environment)
    except OSError as error:
        return f"it can't be run: {(error.strerror or str(error)).lower()}"
    child.end_within(_PATIENCE, "time")

    def receive(stream: str, piece: bytes) -> None:
        if stream == "stdout" and len(printed) < 10:
            printed.extend(lines.feed(piece))

    code = child.run(receive, kill_grace=1.0)
    printed.extend(lines.rest())
    words = [shown(line.decode("utf-8", "replace"))[:100] for line in printed if line.strip()]
    if child.ran_out is not None:
        return "it gives no answer to `--version`"
    return words[0] if words and code == 0 else f"`--version` ends with code {code}"


def _how(install: str) -> str:
    return f"; {install}" if install else ""
