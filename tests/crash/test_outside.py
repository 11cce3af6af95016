"""Two `runkon` processes on one database, parents and children killed with SIGKILL at seeded moments, and resumed."""

from __future__ import annotations

from pathlib import Path

import pytest

from .outside import Battle


@pytest.mark.parametrize("seed", range(4))
def test_runs_killed_from_outside_lose_no_completed_step(seed: int, tmp_path: Path) -> None:
    battle = Battle(tmp_path / "project", seed)
    assert battle.fight() == []
    assert battle.kills["parent"] >= 1
