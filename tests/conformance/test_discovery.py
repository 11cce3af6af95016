"""Which file a name means, and what one broken file does to the others."""

from __future__ import annotations

from pathlib import Path

import pytest

from runkon.app import App
from runkon.cli.main import main
from runkon.errors import UserError
from runkon.settings import load_settings


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for folder in (".runkon/workflows", ".conductor/workflows"):
        (tmp_path / folder).mkdir(parents=True)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    return tmp_path


def found(name: str) -> Path:
    return App(load_settings(Path.cwd(), {}, {})).find_workflow(name).resolve()


@pytest.mark.parametrize("name", ["..", "a b", ""])
def test_what_is_no_name_is_refused(project: Path, name: str) -> None:  # D26
    with pytest.raises(UserError) as raised:
        found(name)
    assert raised.value.code == "invalid-name"


def test_a_name_with_a_slash_is_a_file_and_never_looked_up(project: Path) -> None:  # D26
    (project / ".runkon/workflows/a").mkdir()
    (project / ".runkon/workflows/a/b.wf").write_text("workflow b { }", encoding="utf-8")
    with pytest.raises(UserError) as raised:
        App(load_settings(project, {}, {})).check_file(found("a/b"))
    assert raised.value.code == "file-not-found"


def test_an_unknown_name_lists_the_places(project: Path) -> None:
    with pytest.raises(UserError) as raised:
        found("nope")
    assert raised.value.code == "workflow-not-found"
    text = f"{raised.value.message} {raised.value.help}"
    assert ".runkon/workflows/nope.wf" in text
    assert ".conductor/workflows/nope.wf" in text


def test_the_nearer_folder_wins(project: Path) -> None:  # D27
    for folder in (".conductor/workflows", ".runkon/workflows"):
        (project / folder / "w.wf").write_text("workflow w { }", encoding="utf-8")
    assert found("w") == (project / ".runkon/workflows/w.wf").resolve()
    (project / ".runkon/workflows/w.wf").unlink()
    assert found("w") == (project / ".conductor/workflows/w.wf").resolve()


def test_the_name_is_that_of_the_file_not_the_declared_one(project: Path) -> None:
    (project / ".runkon/workflows/w.wf").write_text("workflow other { }", encoding="utf-8")
    assert found("w").name == "w.wf"
    with pytest.raises(UserError):
        found("other")


def test_one_broken_file_does_not_hide_the_good_one(project: Path, capsys: pytest.CaptureFixture[str]) -> None:  # D28
    (project / ".runkon/workflows/bad.wf").write_text("workflow bad {", encoding="utf-8")
    (project / ".runkon/workflows/good.wf").write_text("workflow good { }", encoding="utf-8")
    code = main(["validate", ".runkon/workflows/bad.wf", ".runkon/workflows/good.wf"])
    printed = capsys.readouterr()
    assert code == 3
    assert "good.wf: ok" in printed.out
    assert "bad.wf" in printed.err
    assert found("good").name == "good.wf"
