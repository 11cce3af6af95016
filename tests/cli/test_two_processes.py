"""Commands of other processes beside a run that goes on: they read, they are refused, and they do no harm."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

HOLDS = """\
workflow holds {
  script hold { run = "echo holding; while ! test -e go; do sleep 0.05; done" }
  script after { run = "echo after" }
}
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / ".runkon").mkdir()
    (tmp_path / "x.wf").write_text(HOLDS)
    return tmp_path


def runkon(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    clean = {name: value for name, value in os.environ.items() if not name.startswith("RUNKON_")}
    return subprocess.run(
        [sys.executable, "-m", "runkon", *words], cwd=folder, env=clean, capture_output=True, text=True, check=False
    )


def test_a_run_that_is_watched_and_fought_over_ends_as_if_alone(folder):
    process = subprocess.Popen(
        [sys.executable, "-m", "runkon", "run", "x.wf", "-v"], cwd=folder, stderr=subprocess.PIPE, text=True
    )
    assert process.stderr is not None
    for line in process.stderr:
        if "holding" in line:
            break
    for _ in range(2):
        assert json.loads(runkon(folder, "runs", "--json").stdout)["runs"][0]["status"] == "running"
        refused = runkon(folder, "resume", "@last")
        assert refused.returncode == 8
        assert "error[already-active]: " in refused.stderr
        assert runkon(folder, "show", "@last").returncode == 0
        assert runkon(folder, "resume", "@last", "--dry-run").returncode == 0
    follower = subprocess.Popen(
        [sys.executable, "-m", "runkon", "events", "@last", "-f"], cwd=folder, stdout=subprocess.PIPE, text=True
    )
    assert follower.stdout is not None
    assert json.loads(follower.stdout.readline())["type"] == "run_created"
    (folder / "go").touch()
    _, err = process.communicate(timeout=60)
    assert process.returncode == 0, err
    rest, _ = follower.communicate(timeout=60)
    assert follower.returncode == 0
    assert json.loads(rest.splitlines()[-1])["type"] == "run_completed"
