"""Real `runkon` processes for tests: started, waited for by what they do, never by time alone."""

from __future__ import annotations

import json
import os
import pty
import select
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


class Terminal:
    """A command on a pseudo-terminal."""

    def __init__(self, place: Place, *words: str) -> None:
        self._end, inner = pty.openpty()
        self.process = subprocess.Popen(
            [sys.executable, "-m", "runkon", *words],
            cwd=place.folder,
            env=environment(TERM="xterm", NO_COLOR="1", COLUMNS="120", LINES="40"),
            stdin=inner,
            stdout=inner,
            stderr=inner,
            start_new_session=True,
        )
        os.close(inner)
        self.text = ""

    def read_until(self, words: str) -> None:
        while words not in self.text:
            ready, _, _ = select.select([self._end], [], [], PATIENCE)
            assert ready, f"`{words}` did not come: {self.text}"
            piece = os.read(self._end, 65_536).decode("utf-8", "replace")
            self.text += piece.replace("\r\n", "\n")

    def type(self, text: str) -> None:
        """Text as if somebody typed it; a line ends with a newline."""
        os.write(self._end, text.encode())

    def finish(self) -> int:
        try:
            while True:
                self.text += os.read(self._end, 65_536).decode("utf-8", "replace").replace("\r\n", "\n")
        except OSError:  # the other end is closed
            os.close(self._end)
        return self.process.wait(PATIENCE)


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
