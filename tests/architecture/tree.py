"""The project's files, as the architecture tests walk them."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = ROOT / "runkon"
SKIPPED = {"__pycache__", ".venv", "dist", "build", ".git"}


def python_files(*folders: str) -> list[Path]:
    """Every Python file below the given folders of the project, sorted."""
    return sorted(file for folder in folders for file in (ROOT / folder).rglob("*.py") if not SKIPPED & set(file.parts))


def shown(path: Path) -> str:
    """The path as a reader of a failure wants it."""
    return str(path.relative_to(ROOT))


def tree_of(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"), filename=shown(path))


def functions_of(tree: ast.Module) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    return (item for item in ast.walk(tree) if isinstance(item, (ast.FunctionDef, ast.AsyncFunctionDef)))


def imports_of(tree: ast.Module) -> Iterator[tuple[str, int]]:
    """Every module a file names in an import, with the line."""
    for item in ast.walk(tree):
        if isinstance(item, ast.Import):
            yield from ((alias.name, item.lineno) for alias in item.names)
        elif isinstance(item, ast.ImportFrom) and item.module:
            yield item.module, item.lineno
