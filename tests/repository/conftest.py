"""A repository of thirty-one workflows, and somebody who types commands in it."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from runkon.cli.main import main

from .building import INPUTS, LAYOUTS, build


class Repository:
    def __init__(self, root: Path, patch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
        self.root = root
        self._patch = patch
        self._capsys = capsys

    def go(self, folder: Path | str) -> None:
        """Change to a folder, which is made if it is not there."""
        place = self.root / folder
        place.mkdir(parents=True, exist_ok=True)
        self._patch.chdir(place)

    def type(self, *words: str, code: int | None = 0) -> str:
        """What a command printed."""
        self.code = main(list(words))
        self.out, self.err = self._capsys.readouterr()
        assert code is None or self.code == code, f"{words}\n{self.out}\n{self.err}"
        return self.out

    def facts(self, name: str) -> dict:
        return json.loads(self.type("validate", name, "--json"))["files"][0]["facts"]

    def inputs(self, name: str) -> list[str]:
        """The flags that give a workflow what it requires."""
        return [word for wanted in self.facts(name)["inputs_required"] for word in ("-i", f"{wanted}={INPUTS[wanted]}")]

    def run(self, name: str, *words: str, code: int | None = 0) -> dict:
        return json.loads(self.type("run", name, "--json", *self.inputs(name), *words, code=code))

    def finish(self, run: dict) -> dict:
        """Approve what waits, and resume, until the run has ended."""
        while self.code == 4:
            for gate in run["open_gates"]:
                chosen = ["--select", gate["options"][0]] if gate["options"] else []
                self.type("approve", f"{run['run_id']}:{gate['path']}", "--as", "kim", "-m", "do it", *chosen)
            run = json.loads(self.type("resume", run["run_id"], "--json", code=None))
        return run


@pytest.fixture
def made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[..., Repository]:
    """Builds a repository in one of the layouts, and stands in it."""
    for name in [name for name in os.environ if name.startswith(("RUNKON_", "CONDUCTOR_"))]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.setenv("PATH", "/usr/bin:/bin")  # no agents of whoever runs the tests
    monkeypatch.setenv("NO_COLOR", "1")

    def make(layout: str = "conductor", *, with_host: bool = True) -> Repository:
        root = tmp_path / "shop"
        (root / ".conductor").mkdir(parents=True)
        build(root, LAYOUTS[layout], with_host=with_host)
        repository = Repository(root, monkeypatch, capsys)
        repository.go(".")
        return repository

    return make
