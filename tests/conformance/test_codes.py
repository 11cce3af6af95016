"""`runkon/ERRORS.md` lists every code there is, those of files with the line of the catalogue."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

from runkon.language.diagnostics import CATALOGUE, Severity

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "runkon" / "ERRORS.md").read_text(encoding="utf-8")
IN_FILES, _, ELSEWHERE = PAGE.partition("## Everywhere else")
RAISED = ("UserError", "ValueFailure")


def raised_codes() -> Iterator[str]:
    """The codes that stand as plain text where an error for people is made."""
    for path in sorted((ROOT / "runkon").rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in RAISED and node.args:
                first = node.args[0]
                if isinstance(first, ast.Constant) and isinstance(first.value, str):
                    yield first.value


def test_every_code_of_files_stands_there_with_its_line() -> None:
    expected = {
        f"| `{code}`{' (warning)' if wording.severity is Severity.WARNING else ''} | {wording.about} |"
        for code, wording in CATALOGUE.items()
    }
    assert {line for line in IN_FILES.splitlines() if line.startswith("| `")} == expected


def test_every_other_code_stands_there() -> None:
    listed = set(re.findall(r"^\| `([a-z0-9-]+)`", ELSEWHERE, re.MULTILINE))
    codes = set(raised_codes())
    assert len(codes) > 30
    assert sorted(codes - listed) == []
