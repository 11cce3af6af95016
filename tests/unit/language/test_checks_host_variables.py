from __future__ import annotations

from pathlib import Path

import pytest

from runkon.language.cache import ParsedFiles
from runkon.language.check import check
from runkon.language.project import Project
from runkon.language.source import SourceFile


def found_in(statement: str, *listed: str) -> list[tuple[str, int]]:
    files = ParsedFiles(None)
    parsed = files.parse(SourceFile("w.wf", f"workflow w {{\n  call a\n  {statement}\n}}"))
    assert parsed.ok, parsed.diagnostics
    project = Project(Path(), {"executor": ("a", "b", "script"), "variable": listed}, files)
    findings = check(parsed, parsed.workflows[0], project).diagnostics
    return [(found.code, found.span.line) for found in findings if found.severity == "error"]


@pytest.mark.parametrize(
    "statement",
    [
        'if env.HOME == "x" { call b }',
        "call b { if = not env.HOME }",
        "call b { inputs = { x = env.HOME } }",
        'call b { inputs = { x = ["{{env.HOME}}"] } }',
        'script b { run = "echo {{env.HOME}} {{ env.HOME }}" }',
        'script b { run = "true" env = { X = "{{env.HOME}}" } }',
        "outputs { x = env.HOME }",
    ],
)
def test_a_variable_is_read_only_if_it_is_listed(statement: str) -> None:
    assert found_in(statement) == [("unlisted-variable", 3)]
    assert found_in(statement, "HOME") == []
    assert found_in(statement, "HOM") == [("unlisted-variable", 3)]


def test_a_step_called_env_is_no_environment() -> None:
    assert found_in('script env { run = "true" } if env.ok { call b }') == []
