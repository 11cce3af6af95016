"""The names of files that keep what steps print."""

from __future__ import annotations

from runkon.digest import hex_digest
from runkon.model.ids import StepPath

_LONGEST = 200  # bytes of a path in the name of a file, which has 255 at most


def log_name(path: StepPath) -> str:
    """The file of the step at `path`, in the folder of its run."""
    name = path.replace("/", "~")
    if len(name.encode()) > _LONGEST:
        name = f"{name[: _LONGEST // 4]}~{hex_digest(path.encode())[:16]}"
    return f"{name}.log"
