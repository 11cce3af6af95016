"""Every play, killed at every place it passes, and at seeded pairs and triples of places."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from .plays import PLAYS

ROOT = Path(__file__).parents[2]
KILLS = 28  # of each play, at least: all in all more than 300
SEED = 20
ALWAYS_PASSED = {
    *("after_create", "before_lease", "after_lease", "before_begin", "after_begin", "before_end", "after_end"),
    *("before_release", "before_start", "after_start", "before_dispatch", "in_attempt", "after_return"),
    *("before_finish", "after_finish", "before_batch", "after_begin_immediate", "after_fence", "after_insert"),
    *("before_commit", "after_commit", "before_sinks"),
}


def campaign(play: str, folder: Path, *options: str) -> dict[str, Any]:
    """Kills of one play, in a process that has no threads: it forks."""
    command = [sys.executable, "-m", "tests.crash", "--play", play, "--seed", str(SEED), *options]
    environment = {"PATH": "/usr/bin:/bin", "TMPDIR": str(folder), "HOME": str(folder)}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert done.stdout, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


@pytest.mark.parametrize("play", sorted(PLAYS))
def test_killed_anywhere_and_resumed_it_ends_as_if_nothing_had_been(play: str, tmp_path: Path) -> None:
    found = campaign(play, tmp_path, "--every", "brief", "--kills", str(KILLS))
    assert found["findings"] == {}
    assert found["kills"] >= KILLS
    assert set(found["passed"][play]) >= ALWAYS_PASSED


@pytest.mark.parametrize("play", ["mixed", "nested", "ask"])
def test_killed_again_while_it_resumes(play: str, tmp_path: Path) -> None:
    found = campaign(play, tmp_path, "--every", "none", "--kills", "20")
    assert found["findings"] == {}
    assert found["kills"] >= 20
