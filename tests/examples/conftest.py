"""The examples as their readers use them: typed in, in a project of one's own, against a tree made for the test."""

from __future__ import annotations

import importlib
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType

import pytest

from runkon.cli.main import main
from runkon.plugin.discovery import import_file

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
REVIEWERS = EXAMPLES / ".runkon" / "plugins" / "reviewers"

Row = tuple[str, int, str, str]  # file, line, severity, rule


class Project:
    """A project without files of its own; `tree` is what stands beside it to be looked at."""

    def __init__(self, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self.folder = folder
        self.tree = folder / "tree"
        self.tree.mkdir()
        self._capsys = capsys

    def write(self, name: str, content: str | bytes = "") -> Path:
        path = self.tree / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return path

    def git(self, *arguments: str) -> None:
        identity = ["-c", "user.name=t", "-c", "user.email=t@t", "-c", "init.defaultBranch=main"]
        done = subprocess.run(
            ["git", *identity, *arguments], cwd=self.tree, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr

    def commit_all(self) -> None:
        self.git("init", "-q")
        self.git("add", "--all", "--force")
        self.git("commit", "-q", "-m", "all")

    def runkon(self, *words: str, code: int = 0) -> str:
        """What the command printed to standard output."""
        ended = main(list(words))
        said = self._capsys.readouterr()
        self.err = said.err
        assert ended == code, said.out + said.err
        return said.out

    def run(self, example: str, *words: str, code: int = 0) -> dict:
        """The run as `--json` tells it."""
        return json.loads(self.runkon("run", str(EXAMPLES / example), "--json", *words, code=code))

    def review(self, *words: str, path: str = "tree", code: int = 0) -> dict:
        return self.run("review.wf", "-i", f"path={path}", *words, code=code)

    def report(self, name: str = "review-report.md") -> str:
        return (self.folder / name).read_text("utf-8")


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Project:
    for name in [name for name in os.environ if name.startswith(("RUNKON_", "GIT_"))]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path))
    (tmp_path / "project" / ".runkon").mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "project")
    return Project(tmp_path / "project", capsys)


@pytest.fixture(scope="session")
def reviewers() -> Iterator[Callable[[str], ModuleType]]:
    """The modules of the reviewers' plugin, by name."""
    package = import_file(REVIEWERS / "__init__.py").__name__
    yield lambda name: importlib.import_module(f"{package}.{name}")
    for name in [name for name in sys.modules if name.partition(".")[0] == package]:
        del sys.modules[name]


def step(run: dict, path: str) -> dict:
    return next(step for step in run["steps"] if step["path"] == path)


def rows(run: dict) -> set[Row]:
    """Every finding of a review, as the step that gathers them put them out."""
    return {(f["file"], f["line"], f["severity"], f["rule"]) for f in step(run, "findings")["output"]["findings"]}
