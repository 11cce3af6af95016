"""The executors of the plays: they answer by a rule, and count each call in a file that survives any kill."""

from __future__ import annotations

import hashlib
import json
import os
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from runkon.executors.script import ScriptExecutor
from runkon.model.ids import RunID
from runkon.model.output import JsonValue, Output
from runkon.model.ports import ActionExecutor, RunStore, StepRequest

from .plays import Play
from .processes import Living, still_alive

PATIENCE = 30.0  # seconds until a wait in a play is given up as a failure
LARGE = 1 << 20  # characters of a large context
_OWN = ("workflow_run_id", "folder")  # variables that differ from run to run


def append_line(file: Path, text: str) -> None:
    """One line at the end of `file`, whole whatever dies: one write to a file opened for appending."""
    descriptor = os.open(file, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
    try:
        os.write(descriptor, f"{text}\n".encode())
    finally:
        os.close(descriptor)


def lines(file: Path) -> list[str]:
    return file.read_text("utf-8").splitlines() if file.exists() else []


def bare(path: str) -> str:
    """The path without the leg of an `always` block."""
    return path.partition("/")[2] if path.startswith("always#") else path


def calls(folder: Path) -> Counter[str]:
    """How often each path was called, over all legs."""
    return Counter(lines(folder / "calls"))


class Cast:
    """Every executor that a play asks for. `old` are the processes an earlier leg left: no step may meet them."""

    def __init__(self, play: Play, folder: Path, store: RunStore, old: Sequence[Living] = ()) -> None:
        self._play = play
        self._folder = folder
        self._store = store
        self._old = old
        self._script = ScriptExecutor()

    def find(self, name: str) -> ActionExecutor:
        return self._script if name == "script" else _Counted(name, self)

    def names(self) -> Sequence[str]:
        return ("script", "any")

    def answer(self, name: str, request: StepRequest) -> Output:
        path = bare(str(request.path))
        append_line(self._folder / "calls", str(request.path))
        for process in still_alive(self._old):
            append_line(self._folder / "findings", f"`{path}` was called while process {process.text} was alive")
        if self._play.scripts and name == "watch":
            self._meet()
        wanted = self._play.fails.get(path, 0)
        own = path.rpartition("/")[2].partition("#")[0]
        if own == name and (wanted < 0 or (wanted and self._failed(request) < wanted)):
            raise ValueError(f"`{path}` fails as it should")
        context = f"{name} at {path} saw {_digest(request)}"
        if name in self._play.large:
            context = f"{context} " + "x" * LARGE
        values: dict[str, JsonValue] = {"at": path, "log": [path]} if self._play.logs else {"at": path}
        return Output(self._play.markers.get(path, frozenset()), context, values)

    def _meet(self) -> None:
        """Wait until the script beside this step has started its processes, then let it go on."""
        deadline = time.monotonic() + PATIENCE
        while not (self._folder / "touched").exists():
            if time.monotonic() > deadline:
                raise TimeoutError("the script never began")
            time.sleep(0.005)
        append_line(self._folder / "release", "now")

    def _failed(self, request: StepRequest) -> int:
        events = (envelope.event for envelope in self._store.events(RunID(request.run_id)))
        return sum(event.kind == "attempt_failed" and getattr(event, "path", None) == request.path for event in events)


class _Counted:
    version, metered = "1", False

    def __init__(self, name: str, cast: Cast) -> None:
        self.name = name
        self.effect = "write" if name in cast._play.writers else "read"
        self._cast = cast

    def execute(self, request: StepRequest) -> Output:
        return self._cast.answer(self.name, request)


def _digest(request: StepRequest) -> str:
    """What the step could read: a resumed run has to show it the same."""
    seen = {name: value for name, value in sorted(request.inputs.items()) if name not in _OWN}
    return hashlib.sha256(json.dumps(seen, sort_keys=True).encode()).hexdigest()[:12]
