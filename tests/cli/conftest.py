"""A fluent case: a folder with files, one command, its whole output.

`case.wf("…").run("validate", "x.wf").stdout("…").stderr("…").exits(3)`. What differs from run to run is written as
`RUN` (run ids), `TIME` (instants), `0.0s` (durations), `TMP` (the folder).
"""

from __future__ import annotations

import io
import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path
from textwrap import dedent

import pytest

from runkon.cli.main import main

_NOISE = (
    (re.compile(r"\b[0-9A-HJKMNP-TV-Z]{26}\b"), "RUN"),
    (re.compile(r"\b01[0-9A-HJKMNP-TV-Z]{8,23}\b"), "RUN"),
    (re.compile(r"\b20\d\d-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z"), "TIME"),
    (re.compile(r"\b\d{8}T\d{6}Z-\d+"), "STAMP"),
    (re.compile(r"(?<![\w.])\d+\.\ds\b"), "0.0s"),
)


class Case:
    """One folder. Files first, then any number of `run`s, each followed by what it must have printed."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.folder = folder
        self._patch = monkeypatch
        self._input = b""
        self.out = self.err = ""
        self.code = -1
        for name in [n for n in os.environ if n.startswith("RUNKON_")]:
            monkeypatch.delenv(name)
        for name in ("NO_COLOR", "FORCE_COLOR", "CI"):
            monkeypatch.delenv(name, raising=False)
        monkeypatch.setenv("HOME", str(folder / "home"))
        for name in ("XDG_CONFIG_HOME", "XDG_CACHE_HOME"):
            monkeypatch.delenv(name, raising=False)
        self.project = folder / "project"
        (self.project / ".runkon").mkdir(parents=True)
        monkeypatch.chdir(self.project)

    # ── given ─────────────────────────────────────────────────────────────────────────────────────
    def file(self, name: str, text: str) -> Case:
        path = self.project / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(dedent(text), encoding="utf-8")
        return self

    def wf(self, text: str, name: str = "x.wf") -> Case:
        return self.file(name, text)

    def env(self, **variables: str) -> Case:
        for name, value in variables.items():
            self._patch.setenv(name, value)
        return self

    def stdin(self, text: str) -> Case:
        self._input = text.encode()
        return self

    # ── when ──────────────────────────────────────────────────────────────────────────────────────
    def run(self, *words: str) -> Case:
        out, err = io.BytesIO(), io.BytesIO()
        self._patch.setattr(sys, "stdout", io.TextIOWrapper(out, encoding="utf-8", write_through=True))
        self._patch.setattr(sys, "stderr", io.TextIOWrapper(err, encoding="utf-8", write_through=True))
        self._patch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(self._input), encoding="utf-8"))
        try:
            self.code = main(list(words))
        finally:
            for stream in (sys.stdout, sys.stderr):
                stream.flush()
            self._patch.setattr(sys, "stdout", sys.__stdout__)
            self._patch.setattr(sys, "stderr", sys.__stderr__)
        self.raw_out, self.raw_err = out.getvalue(), err.getvalue()
        self.out, self.err = out.getvalue().decode(), err.getvalue().decode()
        return self

    def dies(self, at: str, *words: str) -> Case:
        """`runkon WORDS` as a process of its own that kills itself at a failpoint."""
        clean = {name: value for name, value in os.environ.items() if not name.startswith("RUNKON_")}
        process = subprocess.run(
            [sys.executable, "-m", "runkon", *words],
            cwd=self.project,
            env={**clean, "RUNKON_TESTING": "1", "RUNKON_FAILPOINTS": at},
            capture_output=True,
            text=True,
            check=False,
        )
        assert process.returncode == -signal.SIGKILL, process.stderr
        return self

    # ── then ──────────────────────────────────────────────────────────────────────────────────────
    def exits(self, code: int) -> Case:
        assert self.code == code, f"exit code {self.code}\n--- stdout\n{self.out}\n--- stderr\n{self.err}"
        return self

    def stdout(self, text: str) -> Case:
        assert self.plain(self.out) == _expected(text), self.err
        return self

    def stderr(self, text: str) -> Case:
        assert self.plain(self.err) == _expected(text), self.out
        return self

    def json(self) -> dict:
        return json.loads(self.out)

    def plain(self, text: str) -> str:
        text = text.replace(str(self.folder), "TMP")
        for pattern, name in _NOISE:
            text = pattern.sub(name, text)
        return text


def _expected(text: str) -> str:
    text = dedent(text)
    return text[1:] if text.startswith("\n") else text


@pytest.fixture
def case(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Case:
    return Case(tmp_path, monkeypatch)
