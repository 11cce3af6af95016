"""What the README shows and what stands in `examples/` is typed in, as a reader would, and does what is said."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import pytest

from .tree import ROOT

FENCE = re.compile(r"(?ms)^```(\w+)(?: title=(\S+))?\n(.*?)^```$")
EXIT_CODE = re.compile(r"#\s*exit code (\d+)")
EXAMPLES = sorted((ROOT / "examples").glob("*.wf"))


class Typed(NamedTuple):
    """One line of a console block: the command, its exit code, and lines its output must hold."""

    command: str
    code: int
    shown: list[str]


def typed(console: str) -> list[Typed]:
    found: list[Typed] = []
    for line in console.splitlines():
        if line.startswith("$ "):
            code = EXIT_CODE.search(line)
            found.append(Typed(line[2:], int(code[1]) if code else 0, []))
        elif line.strip():
            found[-1].shown.append(line.strip())
    return found


def runkon(arguments: list[str], folder: Path) -> subprocess.CompletedProcess[str]:
    clean = {name: value for name, value in os.environ.items() if not name.startswith("RUNKON")}
    return subprocess.run(
        [sys.executable, "-m", "runkon", *arguments],
        cwd=folder,
        env={**clean, "COLUMNS": "120"},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )


def test_the_readme_can_be_followed_from_top_to_bottom(tmp_path):
    (tmp_path / ".runkon").mkdir()
    followed = []
    for language, title, text in FENCE.findall((ROOT / "README.md").read_text("utf-8")):
        if title:
            (tmp_path / title).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / title).write_text(text, encoding="utf-8")
        for step in typed(text) if language == "console" else ():
            program, *arguments = shlex.split(step.command, comments=True)
            assert program == "runkon", step.command
            done = runkon(arguments, tmp_path)
            said = done.stdout + done.stderr
            assert done.returncode == step.code, f"{step.command}\n{said}"
            assert [line for line in step.shown if line not in said] == [], f"{step.command}\n{said}"
            followed.append(arguments[0])
    assert {"validate", "run", "show", "resume", "plugins"} <= set(followed)


def test_there_are_examples():
    assert {"hello.wf", "review.wf"} <= {example.name for example in EXAMPLES}


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda example: example.name)
def test_an_example_is_valid_formatted_and_runs(example, tmp_path):
    project = tmp_path / "examples"
    shutil.copytree(ROOT / "examples", project, ignore=shutil.ignore_patterns("__pycache__", "*.db*"))
    for arguments in (["validate", "--strict"], ["fmt", "--check"], ["run"]):
        done = runkon([*arguments, example.name], project)
        assert done.returncode == 0, f"{arguments}\n{done.stdout}{done.stderr}"
