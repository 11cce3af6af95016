"""A world per test."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from .world import World

Worlds = Callable[..., World]


@pytest.fixture
def world(tmp_path: Path) -> Worlds:
    """Make the folder of the test: the workflow's text, and what its executors do."""

    def make(text: str, answers: Mapping[str, object] | None = None) -> World:
        return World(tmp_path / "project", text, answers)

    (tmp_path / "project").mkdir()
    return make
