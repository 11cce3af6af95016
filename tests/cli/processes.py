"""Real `runkon` processes for tests: started, waited for by what they do, never by time alone."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

PATIENCE = 60.0  # seconds after which a condition that does not come is a failure

HOLDS = """\
workflow holds {
  script hold { run = "echo holding; echo once >> calls; while ! test -e go; do sleep 0.05; done" effect = "read" }
  script after { run = "echo after; echo after >> calls" effect = "read" }
}
"""


class Place:
    """A project folder and the processes that work in it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        (folder / ".runkon").mkdir()
        self.write("x.wf", HOLDS)
        self.processes: list[subprocess.Popen[str]] = []

    def write(self, name: str, text: str) -> None:
        (self.folder / name).write_text(text)

    def run(self, *words: str, **variables: str) -> subprocess.CompletedProcess[str]:
        """One command, from its beginning to its end."""
        return subprocess.run(
            [sys.executable, "-m", "runkon", *words],
            cwd=self.folder,
            env=environment(**variables),
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            check=False,
        )

    def start(self, *words: str, **variables: str) -> subprocess.Popen[str]:
        """One command that goes on; it is killed when the test ends."""
        process = subprocess.Popen(
            [sys.executable, "-m", "runkon", *words],
            cwd=self.folder,
            env=environment(**variables),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self.processes.append(process)
        return process

    def go(self) -> None:
        """Let the step `hold` end."""
        (self.folder / "go").touch()

    def calls(self) -> list[str]:
        file = self.folder / "calls"
        return file.read_text().splitlines() if file.exists() else []

    def runs(self) -> list[dict]:
        return json.loads(self.run("runs", "--json").stdout)["runs"]

    def status(self) -> str:
        """The status that is shown of the newest run."""
        return self.runs()[0]["status"]

    def events(self) -> list[dict]:
        """Of the newest run."""
        return [json.loads(line) for line in self.run("events", "@last").stdout.splitlines()]

    def held(self) -> subprocess.Popen[str]:
        """A run whose first step holds."""
        process = self.start("run", "x.wf")
        wait_for(lambda: self.calls() == ["once"])
        wait_for(lambda: self.events()[-1]["type"] == "process_started")  # nothing more is recorded until it may end
        return process

    def close(self) -> None:
        self.go()
        for process in self.processes:
            process.kill()
            process.communicate()


def environment(**variables: str) -> dict[str, str]:
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("RUNKON_", "CI"))}
    return {**clean, **variables}


def wait_for(condition: Callable[[], bool]) -> None:
    """Return once `condition` holds. Raises TimeoutError if it never does."""
    end = time.monotonic() + PATIENCE
    while not condition():
        if time.monotonic() > end:
            raise TimeoutError("what was waited for did not come")
        time.sleep(0.02)
