from __future__ import annotations

from pathlib import Path

import pytest

import runkon
from runkon.app import App, RunOptions
from runkon.settings import load_settings

TEXT = """workflow w {
  script s { run = "echo {{env.PLACE}} {{env.UNSET ?? 'none'}} > said; test -e go" }
  if env.PLACE == "moon" { script far { run = "true" } }
}
"""


def test_a_resume_sees_the_environment_the_run_began_with(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "runkon.toml").write_text('env = ["PLACE", "UNSET"]\n')
    (tmp_path / "w.wf").write_text(TEXT)
    monkeypatch.setenv("PLACE", "moon")
    result = runkon.run("w.wf")
    assert (tmp_path / "said").read_text() == "moon none\n"
    assert str(result.status) == "failed"
    (tmp_path / "go").touch()
    (tmp_path / "runkon.toml").unlink()
    monkeypatch.setenv("PLACE", "mars")
    app = App(load_settings(tmp_path))
    after = app.resume(result.run_id, RunOptions())
    assert str(after.status) == "completed"
    assert (tmp_path / "said").read_text() == "moon none\n"
    assert [step.path for step in app.store.steps(after.id)] == ["s", "far"]
    app.close()
