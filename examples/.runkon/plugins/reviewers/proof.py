"""Tests that can't fail, and a history that carries what should not be in it."""

from __future__ import annotations

import ast
import subprocess
from collections.abc import Iterator
from pathlib import Path

from .findings import Finding, Module

_ASSERTING = ("assert", "raises", "warns", "expect", "verify", "check", "exits", "snapshot", "fail", "match")
_PRIVATE_FILES = ("id_rsa", "id_ed25519", ".env", ".netrc", ".pypirc", "credentials.json")
_LARGE_FILE = 5_000_000
_GIT_TIMEOUT = 60


def tests_that_cannot_fail(module: Module) -> Iterator[Finding]:
    """Test functions in which nothing is asserted."""
    if not module.is_test:
        return
    for node in ast.walk(module.tree):
        if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) or not node.name.startswith("test"):
            continue
        if not any(_asserts(inner) for inner in ast.walk(node)):
            yield Finding(module.path, node.lineno, "high", "empty-test", f"`{node.name}` asserts nothing")


def _asserts(node: ast.AST) -> bool:
    if isinstance(node, ast.Assert | ast.Raise):
        return True
    if isinstance(node, ast.Call):
        name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
        return any(word in name.lower() for word in _ASSERTING)
    return False


def history(root: Path) -> Iterator[Finding]:
    """What git tracks in the tree: merge conflicts, private files, large files."""
    for file in _git(root, "ls-files", "-z").split("\0"):
        path = root / file
        if not file or not path.is_file():
            continue
        if path.name in _PRIVATE_FILES or path.suffix in (".pem", ".p12"):
            yield Finding(file, 1, "high", "private-file", "a file of this name usually holds secrets")
        if path.stat().st_size > _LARGE_FILE:
            yield Finding(
                file, 1, "medium", "large-file", f"{path.stat().st_size // 1_000_000} MB in the history for ever"
            )
    marked = _git(root, "grep", "-nIE", "^(<{7} |>{7} )", "--", ".", accept=(0, 1))
    for row in marked.splitlines():
        file, line, _ = row.split(":", 2)
        yield Finding(file, int(line), "high", "conflict-marker", "an unresolved merge conflict")


def _git(root: Path, *arguments: str, accept: tuple[int, ...] = (0,)) -> str:
    done = subprocess.run(
        ["git", "-C", str(root), *arguments],
        capture_output=True,
        text=True,
        errors="replace",
        timeout=_GIT_TIMEOUT,
        check=False,
    )
    if done.returncode not in accept:
        raise RuntimeError(f"git {arguments[0]} failed: {done.stderr.strip()}")
    return done.stdout


RULES = (tests_that_cannot_fail,)
