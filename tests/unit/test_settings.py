"""Settings: where they come from, which wins, and what a wrong one says."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from runkon.errors import UserError
from runkon.settings import injected_names, load_settings, parse_duration, project_root, user_file


@pytest.fixture
def environ(tmp_path: Path) -> dict[str, str]:
    return {"HOME": str(tmp_path / "home"), "XDG_CONFIG_HOME": str(tmp_path / "config")}


@pytest.fixture
def project(tmp_path: Path) -> Path:
    root = tmp_path / "project"
    (root / ".git").mkdir(parents=True)
    return root


def test_defaults_need_no_file(project: Path, environ: dict[str, str]) -> None:
    settings = load_settings(project, environ, {})
    assert settings.root == project
    assert settings.state_dir == project / ".runkon"
    assert settings.db == project / ".runkon" / "runkon.db"
    assert (settings.durability, settings.jobs, settings.kill_grace, settings.always_grace) == ("full", 16, 5.0, 300.0)
    assert settings.files == ()


@pytest.mark.parametrize("mark", [".runkon", ".conductor", ".git"])
def test_the_root_is_the_nearest_parent_with_a_mark(tmp_path: Path, mark: str) -> None:
    deep = tmp_path / "a" / "b" / "c"
    deep.mkdir(parents=True)
    (tmp_path / "a" / mark).mkdir()
    assert project_root(deep) == tmp_path / "a"
    (deep / ".git").write_text("gitdir: elsewhere")
    assert project_root(deep) == deep


def test_each_origin_wins_over_the_next(project: Path, environ: dict[str, str]) -> None:
    user = user_file(environ)
    user.parent.mkdir(parents=True)
    user.write_text("jobs = 2\nmodel = 'u'\ndurability = 'normal'\nkill_grace = '1m'\n")
    (project / "runkon.toml").write_text("jobs = 3\nmodel = 'p'\ndurability = 'full'\n")
    environ |= {"RUNKON_JOBS": "4", "RUNKON_MODEL": "e"}
    settings = load_settings(project, environ, {"jobs": 5})
    assert (settings.jobs, settings.model, settings.durability, settings.kill_grace) == (5, "e", "full", 60.0)
    assert settings.files == (project / "runkon.toml", user)


def test_pyproject_gives_settings_to_folders_below(project: Path, environ: dict[str, str]) -> None:
    (project / "pyproject.toml").write_text("[tool.runkon]\njobs = 7\ndb = 'state/x.db'\nplugins = ['p/a.py', 'm.b']\n")
    below = project / "src" / "deep"
    below.mkdir(parents=True)
    settings = load_settings(below, environ, {})
    assert settings.jobs == 7
    assert settings.db == project / "state" / "x.db"
    assert settings.plugins == (str(project / "p" / "a.py"), "m.b")


def test_a_pyproject_of_others_is_not_read(project: Path, environ: dict[str, str]) -> None:
    (project / "pyproject.toml").write_text("[tool.ruff\nbroken")
    assert load_settings(project, environ, {}).files == ()


def test_a_flag_path_starts_where_the_user_stands(project: Path, environ: dict[str, str]) -> None:
    below = project / "sub"
    below.mkdir()
    assert load_settings(below, environ, {"db": "x.db"}).db == below / "x.db"


def test_variables_of_a_surrounding_run_are_no_settings(project: Path, environ: dict[str, str]) -> None:
    environ |= {"RUNKON_MODEL": "inner", "RUNKON_DB": "inner.db", "RUNKON_INJECTED": "RUNKON_DB,RUNKON_MODEL"}
    settings = load_settings(project, environ, {})
    assert settings.model is None
    assert settings.db == project / ".runkon" / "runkon.db"
    assert injected_names(environ) == {"RUNKON_DB", "RUNKON_MODEL"}


def test_an_unknown_setting_suggests_the_close_one(project: Path, environ: dict[str, str]) -> None:
    (project / "runkon.toml").write_text("job = 3\n")
    with pytest.raises(UserError) as caught:
        load_settings(project, environ, {})
    assert caught.value.code == "unknown-setting"
    assert caught.value.message == "`runkon.toml` has an unknown setting `job`"
    assert caught.value.help == "did you mean `jobs`?"
    assert caught.value.exit_code == 5


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("jobs = 0", "`jobs` in `runkon.toml` is 0: input should be greater than or equal to 1"),
        ("durability = 'fast'", "`durability` in `runkon.toml` is 'fast': input should be 'full' or 'normal'"),
        (
            "kill_grace = 'soon'",
            "`kill_grace` in `runkon.toml` is 'soon': input should be a valid number, "
            "unable to parse string as a number",
        ),
        ("plugins = 'x'", "`plugins` in `runkon.toml` is 'x': input should be a valid tuple"),
    ],
)
def test_a_wrong_value_names_its_file(project: Path, environ: dict[str, str], line: str, message: str) -> None:
    (project / "runkon.toml").write_text(line)
    with pytest.raises(UserError) as caught:
        load_settings(project, environ, {})
    assert caught.value.code == "invalid-setting"
    assert caught.value.message == message
    assert caught.value.help


def test_a_wrong_variable_is_named(project: Path, environ: dict[str, str]) -> None:
    environ["RUNKON_JOBS"] = "many"
    with pytest.raises(UserError, match=r"`jobs` in the environment \(`RUNKON_\*`\) is 'many'"):
        load_settings(project, environ, {})


@pytest.mark.parametrize("content", [b"jobs = = 3", b"\xff\xfe"])
def test_a_broken_file_is_reported(project: Path, environ: dict[str, str], content: bytes) -> None:
    (project / "runkon.toml").write_bytes(content)
    with pytest.raises(UserError, match="is not valid TOML") as caught:
        load_settings(project, environ, {})
    assert caught.value.code == "unreadable-settings"


def test_a_database_url_names_the_missing_store(project: Path, environ: dict[str, str]) -> None:
    with pytest.raises(UserError) as caught:
        load_settings(project, environ, {"db": "postgresql://host/x"})
    assert (caught.value.code, caught.value.exit_code) == ("unknown-store", 2)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("90", 90.0), ("1.5s", 1.5), ("500ms", 0.5), ("1h30m", 5400.0), ("2d", 172800.0), ("", None), ("5x", None)],
)
def test_durations(text: str, seconds: float | None) -> None:
    assert parse_duration(text) == seconds


def test_without_files_only_the_standard_library_is_imported(project: Path, environ: dict[str, str]) -> None:
    code = (
        "import sys; from pathlib import Path; from runkon.settings import load_settings;"
        f"load_settings(Path({str(project)!r}), {environ!r}, {{'db': 'x.db'}});"
        "print(sorted({'pydantic', 'tomllib', 'platformdirs', 'click'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
