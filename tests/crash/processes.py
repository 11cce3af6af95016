"""Processes of a run, found by what stands in their environment."""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple


class Living(NamedTuple):
    """A process, told from a later one with the same number by its start time."""

    pid: int
    began: str
    text: str


def processes_of(run: str) -> list[Living]:
    """Every process with the id of `run` in its environment, but for this one."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and int(entry.name) != os.getpid():
            with contextlib.suppress(OSError):
                if run.encode() in (entry / "environ").read_bytes() and (began := _began(int(entry.name))):
                    command = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
                    found.append(Living(int(entry.name), began, f"{entry.name} `{command.strip()[:60]}`"))
    return found


def still_alive(processes: Iterable[Living]) -> list[Living]:
    """Those of `processes` that have not ended."""
    return [process for process in processes if _began(process.pid) == process.began]


def end(processes: Iterable[Living]) -> None:
    """Kill what a test has found, so that nothing of it stays."""
    for process in still_alive(processes):
        with contextlib.suppress(OSError):
            os.kill(process.pid, signal.SIGKILL)


def _began(pid: int) -> str | None:
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None
    return None if fields[0] in "ZX" else fields[19]
