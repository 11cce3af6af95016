"""One project whose runs are killed, each command a real process: what a person sees who has to go on after a crash."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from runkon.model.events import Event
from runkon.model.holder import is_alive
from runkon.model.ids import RunID
from runkon.model.records import RunRecord, StepRecord
from runkon.store.sqlite import SqliteRunStore

from .cast import append_line, lines
from .picture import record_findings

KILLED = -signal.SIGKILL
PLUGIN = """
import json, os, signal
from pathlib import Path
from runkon import Output, executor

HERE = Path(__file__).parents[2]
ANSWERS = json.loads((HERE / "answers.json").read_text())

def answer(request):
    with open(HERE / "calls", "a") as file:
        file.write(f"{request.path}\\n")
    given = ANSWERS.get(str(request.path), ANSWERS.get(request.name, {}))
    if given == "die":
        os.kill(os.getpid(), signal.SIGKILL)
    if given == "fail":
        raise ValueError(f"{request.path} fails as it should")
    context = given.get("context", f"did {request.path}")
    return Output(frozenset(given.get("markers", ())), context, {"at": request.path})

for name in "abcdefgh":
    globals()[name] = executor(name)(lambda request: answer(request))
deploy = executor("deploy", effect="write")(lambda request: answer(request))
"""


class Life:
    """A folder with one workflow `x.wf` over the executors `a` to `h` (effect `read`) and `deploy` (`write`)."""

    def __init__(self, folder: Path, text: str, answers: Mapping[str, object] | None = None) -> None:
        self.folder = folder
        self.file = folder / ".runkon" / "runkon.db"
        (folder / ".runkon" / "plugins").mkdir(parents=True)
        (folder / ".runkon" / "plugins" / "answers_of_the_test.py").write_text(PLUGIN, "utf-8")
        (folder / "answers.json").write_text(json.dumps(dict(answers or {})), "utf-8")
        (folder / "x.wf").write_text(text, "utf-8")
        self.code = 0
        self.out = self.err = ""

    # ── commands ──────────────────────────────────────────────────────────────────────────────────
    def start(self, *words: str, fail: str | None = None, **variables: str) -> subprocess.Popen[str]:
        clean = {name: value for name, value in os.environ.items() if not name.startswith("RUNKON_")}
        clean |= {"HOME": str(self.folder / "home"), **variables}
        if fail is not None:
            clean |= {"RUNKON_FAILPOINTS": fail, "RUNKON_TESTING": "1"}
        command = [sys.executable, "-m", "runkon", *words]
        pipe = subprocess.PIPE
        return subprocess.Popen(command, cwd=self.folder, env=clean, stdout=pipe, stderr=pipe, text=True)

    def do(self, *words: str, fail: str | None = None, exits: int | None = 0, **variables: str) -> Life:
        """One command to its end; `exits` is what its exit code must be, None for any."""
        with self.start(*words, fail=fail, **variables) as process:
            self.out, self.err = process.communicate(timeout=60)
        self.code = process.returncode
        assert exits is None or self.code == exits, f"exit code {self.code}\n{self.out}\n{self.err}"
        return self

    def killed(self, place: str, *words: str) -> Life:
        """A command, by default `run x.wf`, that dies at `place`; its record has to be sound."""
        self.do(*(words or ("run", "x.wf")), fail=place, exits=KILLED)
        self.assert_sound()
        return self

    def resumed(self, exits: int = 0) -> Life:
        return self.do("resume", "@last", exits=exits)

    # ── records ───────────────────────────────────────────────────────────────────────────────────
    @property
    def calls(self) -> Counter[str]:
        return Counter(lines(self.folder / "calls"))

    @property
    def run(self) -> RunRecord:
        store = SqliteRunStore(self.file)
        record = store.run(store.runs(limit=1)[0].id)
        assert record is not None
        return record

    @property
    def is_held(self) -> bool:
        """True if the newest run belongs to a process that may be alive."""
        holder = self.run.holder
        return holder is not None and is_alive(holder) is not False

    @property
    def events(self) -> Sequence[Event]:
        return [envelope.event for envelope in SqliteRunStore(self.file).events(self.run.id)]

    def kinds(self, path: str | None = None) -> list[str]:
        """The kinds of all events, or of those of one path."""
        return [event.kind for event in self.events if path is None or getattr(event, "path", None) == path]

    def step(self, path: str) -> StepRecord:
        steps = {str(step.path): step for step in SqliteRunStore(self.file).steps(self.run.id)}
        return steps[path]

    def rows(self) -> Any:
        """All that is recorded of all runs."""
        store = SqliteRunStore(self.file)
        runs: list[RunID] = [run.id for run in store.runs()]
        return [(store.run(run), list(store.steps(run)), list(store.events(run))) for run in runs]

    def assert_sound(self) -> None:
        if self.file.exists() and SqliteRunStore(self.file).runs():
            assert record_findings(SqliteRunStore(self.file), self.file, self.run.id) == []

    def note(self, name: str, text: str) -> None:
        append_line(self.folder / name, text)
