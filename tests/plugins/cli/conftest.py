"""Small programs that speak like coding agents, over real pipes, and requests for them."""

from __future__ import annotations

import itertools
import os
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import psutil
import pytest

import runkon_cli
from runkon.model import processes
from runkon.model.agents import AgentDefinition, AgentReply, AgentRequest, AgentRuntime
from runkon.testing import request_for

PREAMBLE = f"""#!{sys.executable} -I
import json, os, signal, subprocess, sys, time
def say(**fields): print(json.dumps(fields), flush=True)
def raw(piece): os.write(1, piece)
def forever():
    while True: time.sleep(3600)
here = os.path.dirname(os.path.abspath(__file__))
def note(name, value):
    with open(os.path.join(here, name + ".tmp"), "w") as file: json.dump(value, file)
    os.rename(os.path.join(here, name + ".tmp"), os.path.join(here, name))
"""
LEG = f"01JTEST{os.getpid():019}"  # tests run side by side
ATTEMPTS = itertools.count(1)


@pytest.fixture
def program(tmp_path: Path) -> Callable[..., Path]:
    """Makes an executable Python program of a text, in a folder of its own."""

    def make(body: str, name: str = "agent") -> Path:
        folder = tmp_path / "bin"
        folder.mkdir(exist_ok=True)
        file = folder / name
        file.write_text(PREAMBLE + body)
        file.chmod(0o755)
        return file

    return make


@pytest.fixture
def runtimes() -> dict[str, AgentRuntime]:
    found: dict[str, AgentRuntime] = {}
    runkon_cli.runkon_register_runtimes(lambda one: found.__setitem__(one.name, one))
    return found


class Asked:
    """Asks runtimes, and keeps what they told meanwhile."""

    def __init__(self, runtimes: dict[str, AgentRuntime], folder: Path) -> None:
        self.runtimes = runtimes
        self.folder = folder
        self.log = folder / "logs" / "step.log"
        self.lines: list[str] = []
        self.warnings: list[str] = []
        self.pids: list[int] = []
        self.heard = threading.Event()

    def request(self, *, step: dict[str, object] | None = None, can_commit: bool = False, **fields) -> AgentRequest:
        agent = AgentDefinition(name="reviewer", prompt="", path=self.folder / "reviewer.md", can_commit=can_commit)
        marks = processes.marks_of(processes.mark_of_leg(LEG, 1), next(ATTEMPTS))
        given = {"log_path": self.log, "marks": marks, "started": self.pids.append, "warn": self.warnings.append}
        made = replace(request_for("review", working_dir=self.folder, emit=self._emit), **given | (step or {}))
        return AgentRequest(step=made, agent=agent, **{"prompt": "look at it", **fields})

    def __call__(self, name: str, settings: dict, *, prompt: str = "look at it", **fields) -> AgentReply:
        return self.runtimes[name].run(self.request(settings=settings, prompt=prompt, **fields))

    def _emit(self, line: str) -> None:
        self.lines.append(line)
        self.heard.set()


@pytest.fixture
def ask(runtimes, tmp_path) -> Asked:
    return Asked(runtimes, tmp_path)


@pytest.fixture(autouse=True)
def nothing_is_left(tmp_path) -> Iterator[None]:
    before = psutil.Process().num_fds(), threading.active_count()
    yield
    assert processes.of_leg(LEG) == []
    assert [child for child in psutil.Process().children() if "agent" in " ".join(_words(child))] == []
    assert list(tmp_path.rglob("prompt-*")) == []
    assert (psutil.Process().num_fds(), threading.active_count()) <= before


def _words(child: psutil.Process) -> list[str]:
    try:
        return child.cmdline()
    except psutil.Error:
        return []


@pytest.fixture
def clean_environment(monkeypatch) -> None:
    for name in list(os.environ):
        if name.startswith(("ANTHROPIC", "OPENAI", "CODEX", "GEMINI", "CLAUDE")):
            monkeypatch.delenv(name)
