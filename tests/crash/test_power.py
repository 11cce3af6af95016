"""Whatever part of the log a power failure left: the file opens, is sound, holds what was acknowledged, and goes on."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from .test_matrix import ROOT, SEED


@pytest.mark.parametrize("play", ["chain", "mixed", "large"])
def test_a_log_cut_anywhere_opens_and_goes_on(play: str, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "tests.crash", "--power", play, "--seed", str(SEED)]
    environment = {"PATH": "/usr/bin:/bin", "TMPDIR": str(tmp_path), "HOME": str(tmp_path)}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert done.stdout, done.stderr
    found = json.loads(done.stdout)
    assert found["findings"] == []
    assert found["cuts"] >= 18
    assert found["acknowledged"] >= 5
