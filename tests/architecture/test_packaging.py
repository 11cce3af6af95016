"""What is shipped is whole: wheels and sdist are built, installed into one fresh environment, and used there.

One test, because one environment serves all of it and each step uses what the step before made."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tarfile
import venv
import zipfile
from pathlib import Path

import pytest

from .tree import ROOT

EXAMPLE = ROOT / "examples" / "plugin"
PLUGINS = {folder.name for folder in (ROOT / "plugins").iterdir() if (folder / "__init__.py").is_file()}


def call(*command: str | Path, cwd: Path, code: int = 0) -> str:
    """What a command printed. Nothing of this process's environment leads it to the checkout."""
    clean = {n: v for n, v in os.environ.items() if not n.startswith(("RUNKON", "PYTHON", "VIRTUAL_ENV", "COV"))}
    done = subprocess.run([*map(str, command)], cwd=cwd, env=clean, capture_output=True, text=True, check=False)
    assert done.returncode == code, f"{command}\n{done.stdout}\n{done.stderr}"
    return done.stdout


def only(folder: Path, pattern: str) -> Path:
    found = list(folder.glob(pattern))
    assert len(found) == 1, f"{pattern}: {found}"
    return found[0]


def contents(wheel: Path) -> set[str]:
    with zipfile.ZipFile(wheel) as archive:
        return {name for name in archive.namelist() if ".dist-info/" not in name}


def check_the_builds(tmp: Path) -> Path:
    """The wheel from the tree and the wheel from the sdist hold the same, grammar included."""
    call(sys.executable, "-m", "build", "--outdir", tmp / "from-sdist", ROOT, cwd=tmp)
    call(sys.executable, "-m", "build", "--wheel", "--outdir", tmp / "from-tree", ROOT, cwd=tmp)
    wheel, other = only(tmp / "from-tree", "*.whl"), only(tmp / "from-sdist", "*.whl")
    names = contents(wheel)
    assert contents(other) == names
    assert {"runkon/__init__.py", "runkon/__init__.pyi", "runkon/py.typed", "runkon/grammar/runkon.lark"} <= names
    assert {name.split("/")[0] for name in names} == {"runkon", *PLUGINS}
    with tarfile.open(only(tmp / "from-sdist", "*.tar.gz")) as archive:
        inside = {"/".join(name.split("/")[1:]) for name in archive.getnames()}
    assert {"grammar/runkon.lark", "examples/hello.wf", "examples/plugin/pyproject.toml", "README.md"} <= inside
    return wheel


def check_the_wheel(python: Path, runkon: Path, clean: Path) -> None:
    """In a folder that knows nothing of the checkout."""
    where = call(python, "-c", "import runkon; print(runkon.__file__)", cwd=clean)
    assert str(ROOT) not in where
    call(python, "-c", "import grammar", cwd=clean, code=1)
    shutil.copy(ROOT / "examples" / "hello.wf", clean)
    assert "completed" in call(runkon, "run", "hello.wf", "--json", cwd=clean)
    assert (clean / ".runkon" / "runkon.db").is_file()
    assert "runkon" in call(python, "-m", "runkon", "--help", cwd=clean)
    assert "runtime claude" in call(runkon, "plugins", cwd=clean)


def check_the_plugin(runkon: Path, clean: Path) -> None:
    """A distribution of strangers is found, listed with its version, and does its work."""
    listed = call(runkon, "plugins", cwd=clean)
    assert "links" in listed
    assert "1.0.0" in listed
    shutil.copy(EXAMPLE / "links.wf", clean)
    (clean / "page.md").write_text("[gone](nowhere.md)\n")
    assert '"target": "nowhere.md"' in call(runkon, "run", "links.wf", "--json", cwd=clean)


def check_the_editable_install(python: Path, runkon: Path, clean: Path) -> None:
    call(python, "-m", "pip", "install", "--quiet", "--no-deps", "--editable", ROOT, cwd=clean)
    assert str(ROOT) in call(python, "-c", "import runkon; print(runkon.__file__)", cwd=clean)
    (clean / "hello.wf").write_text((clean / "hello.wf").read_text() + "// changed, so that it is parsed again\n")
    assert "completed" in call(runkon, "run", "hello.wf", "--json", cwd=clean)


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_distributions_are_built_installed_and_used(tmp_path):
    wheel = check_the_builds(tmp_path)
    home = tmp_path / "venv"
    venv.create(home, with_pip=True)
    python, runkon = home / "bin" / "python", home / "bin" / "runkon"
    call(python, "-m", "pip", "install", "--quiet", wheel, EXAMPLE, cwd=tmp_path)
    clean = tmp_path / "clean"
    clean.mkdir()
    check_the_wheel(python, runkon, clean)
    check_the_plugin(runkon, clean)
    check_the_editable_install(python, runkon, clean)


def test_the_example_plugin_passes_its_own_tests(tmp_path):
    environment = {**os.environ, "PYTHONPATH": str(EXAMPLE), "PYTHONDONTWRITEBYTECODE": "1"}
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-q",
        "-p",
        "no:cacheprovider",
        "-p",
        "no:xdist",
        "--import-mode=importlib",
    ]
    done = subprocess.run(
        [*command, "-c", os.devnull, "--rootdir", EXAMPLE, EXAMPLE / "tests"],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert " passed" in done.stdout
