"""What a start may import. Time is not measured here: a module is either imported or not."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

from .tree import ROOT

HEAVY = (
    "sqlmodel",
    "sqlalchemy",
    "pydantic",
    "lark",
    "asyncio",
    "importlib.metadata",
    "rich",
    "ulid",
    "jsonschema",
    "yaml",
    "interegular",
    "hashlib",
    "difflib",
    "acp",
    "pydantic_ai",
    "httpx2",
)
PROBE = """
import json, sys
from runkon.cli.main import main
try:
    code = main(sys.argv[1:])
except SystemExit as end:
    code = end.code
sys.stdout.flush()
print(json.dumps([code or 0, sorted(sys.modules)]), file=sys.stderr)
"""
WORKFLOW = 'workflow hello {\n  script greet {\n    run = "echo hello"\n  }\n}\n'


@pytest.fixture
def project(tmp_path):
    (tmp_path / ".runkon").mkdir()
    (tmp_path / "hello.wf").write_text(WORKFLOW)
    return tmp_path


def imported_by(folder, *arguments: str) -> tuple[int, set[str]]:
    """Exit code and modules of one call of the command line in a process of its own."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith("RUNKON_")}
    done = subprocess.run(
        [sys.executable, "-c", PROBE, *arguments], cwd=folder, env=clean, capture_output=True, text=True, check=False
    )
    last = done.stderr.strip().splitlines()[-1]
    code, modules = json.loads(last)
    return code, set(modules)


def heavy_of(modules: set[str]) -> list[str]:
    return [name for name in HEAVY if name in modules]


def test_a_run_without_agents_imports_nothing_of_a_plugin_but_its_hook(project):
    code, modules = imported_by(project, "run", "hello.wf")
    assert code == 0
    plugins = {file.parent.name for file in (ROOT / "plugins").glob("*/__init__.py")}
    assert plugins & modules
    assert [name for name in modules if name.partition(".")[0] in plugins and "." in name] == []


@pytest.mark.parametrize("arguments", [("--help",), ("--version",), ("run", "--help")])
def test_help_and_version_import_nothing_heavy(project, arguments):
    code, modules = imported_by(project, *arguments)
    assert code == 0
    assert heavy_of(modules) == []


@pytest.mark.parametrize(
    "arguments",
    [("validate", "hello.wf"), ("run", "hello.wf"), ("run", "hello.wf", "--json"), ("run", "hello.wf", "-q")],
)
def test_an_unchanged_file_is_handled_without_anything_heavy(project, arguments):
    first, _ = imported_by(project, "validate", "hello.wf")
    assert first == 0
    code, modules = imported_by(project, *arguments)
    assert code == 0
    assert heavy_of(modules) == []


def test_a_resume_imports_nothing_heavy(project):
    (project / "hello.wf").write_text('workflow hello {\n  script fails {\n    run = "exit 3"\n  }\n}\n')
    code, _ = imported_by(project, "run", "hello.wf")
    assert code == 1
    code, modules = imported_by(project, "resume")
    assert code == 1
    assert heavy_of(modules) == []


def test_a_changed_file_may_import_lark_and_nothing_else_heavy(project):
    code, modules = imported_by(project, "run", "hello.wf")
    assert code == 0
    assert set(heavy_of(modules)) <= {"lark"}


def test_a_project_plugin_brings_nothing_heavy_of_ours(project):
    (project / ".runkon" / "plugins").mkdir()
    (project / ".runkon" / "plugins" / "own.py").write_text(
        "from runkon import executor\n@executor('own')\ndef own(request):\n    return 'ok'\n"
    )
    (project / "hello.wf").write_text("workflow hello {\n  call own\n}\n")
    assert imported_by(project, "validate", "hello.wf")[0] == 0
    code, modules = imported_by(project, "run", "hello.wf")
    assert code == 0
    assert heavy_of(modules) == []
