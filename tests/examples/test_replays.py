"""Every example is recorded, replayed from its cassette, and verified: nothing of it is called again."""

from __future__ import annotations

import json
import shutil
import sys
from io import TextIOWrapper
from pathlib import Path

import pytest

from runkon.cli.main import main

EXAMPLES = Path(__file__).parents[2] / "examples"


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "examples"
    shutil.copytree(EXAMPLES, folder, ignore=shutil.ignore_patterns("runkon.db*", "logs", "cache"))
    monkeypatch.chdir(folder)
    monkeypatch.setenv("HOME", str(tmp_path))
    return folder


def said(capfdbinary: pytest.CaptureFixture[bytes], monkeypatch: pytest.MonkeyPatch, *words: str) -> tuple[int, str]:
    """The exit code and what came on standard output."""
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if not hasattr(stream, "buffer"):
            monkeypatch.setattr(sys, name, TextIOWrapper(stream, encoding="utf-8"))
    code = main([*words])
    return code, capfdbinary.readouterr().out.decode()


@pytest.mark.parametrize("name", sorted(path.stem for path in EXAMPLES.glob("*.wf")))
def test_a_replay_of_an_example_is_identical(
    name: str, project: Path, capfdbinary: pytest.CaptureFixture[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    code, live = said(capfdbinary, monkeypatch, "run", f"{name}.wf", "--record", "--quiet")
    cassette = project / ".runkon" / "cassettes" / f"{name}.json"
    assert str(project) not in json.dumps(json.loads(cassette.read_text(encoding="utf-8")))
    assert said(capfdbinary, monkeypatch, "replay", str(cassette), "--quiet") == (code, live)
    code, verdict = said(capfdbinary, monkeypatch, "verify", "@last", "--json")
    assert (code, json.loads(verdict)["identical"]) == (0, True)
    assert json.loads(verdict)["answered"] > 0
