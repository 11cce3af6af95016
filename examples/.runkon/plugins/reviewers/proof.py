"""Tests that can't fail, and a history that carries what should not be in it."""

from __future__ import annotations

import ast
import os
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from .findings import FUNCTIONS, Finding, Module, is_test_path

# ── tests ─────────────────────────────────────────────────────────────────────────────────────────
_WORDS = frozenset(["assert", "asserts", "raises", "warns", "expect", "verify", "check", "fail"])
_HARMLESS = frozenset(["print", "len", "str", "repr", "list", "dict", "set", "tuple", "range", "type", "object"])
_WORD = re.compile(r"[A-Z]?[a-z]+")
_PLAIN_FIXTURES = frozenset(
    {
        "self", "cls", "tmp_path", "tmp_path_factory", "tmpdir", "monkeypatch", "capsys", "capfd", "caplog", "recwarn",
        "request",
    }
)  # fmt: skip


def tests_that_cannot_fail(module: Module) -> Iterator[Finding]:
    """Test functions in which nothing is asserted, neither by them nor by what they may call for it."""
    if not module.is_test:
        return
    proofs = _Proofs(module.tree)
    for test in _collected(module):
        if proofs.may_assert(test):
            continue
        if any(isinstance(n, ast.Call) and getattr(n.func, "id", "") not in _HARMLESS for n in _in_body(test)):
            text = f"`{test.name}` asserts nothing: it fails only if something raises"
            yield Finding(module.path, test.lineno, "medium", "empty-test", text)
        else:
            yield Finding(module.path, test.lineno, "high", "empty-test", f"`{test.name}` asserts nothing")


def _in_body(test: ast.FunctionDef | ast.AsyncFunctionDef) -> Iterator[ast.AST]:
    return (inner for statement in test.body for inner in ast.walk(statement))


def _collected(module: Module) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    """What test runners take for a test: functions of a test file, methods of its test classes."""
    stem = PurePosixPath(module.path).stem
    is_pytest = stem.startswith("test_") or stem.endswith("_test") or stem == "tests"
    for node in module.tree.body:
        if isinstance(node, ast.ClassDef):
            is_unittest = any(ast.unparse(base).endswith("TestCase") for base in node.bases)
            if is_unittest or (is_pytest and node.name.startswith("Test")):
                yield from (inner for inner in node.body if _is_test(inner))  # type: ignore[misc]
        elif is_pytest and _is_test(node):
            yield node  # type: ignore[misc]


def _is_test(node: ast.stmt) -> bool:
    if not isinstance(node, FUNCTIONS) or not node.name.startswith("test"):
        return False
    return not any("fixture" in ast.unparse(decorator) for decorator in node.decorator_list)


class _Proofs:
    """Which functions of a test file can make a test fail."""

    def __init__(self, tree: ast.Module) -> None:
        self._functions = [node for node in ast.walk(tree) if isinstance(node, FUNCTIONS)]
        self._names = {function.name for function in self._functions}
        self._elsewhere = {
            alias.asname or alias.name
            for node in ast.walk(tree)
            if isinstance(node, ast.ImportFrom) and (node.level or (node.module or "").split(".")[0] in _TEST_FOLDERS)
            for alias in node.names
        }
        self._asserting: set[str] = set()
        before = -1
        while before != len(self._asserting):  # a helper may call a helper
            before = len(self._asserting)
            self._asserting |= {one.name for one in self._functions if self._asserts(one)}

    def may_assert(self, test: ast.FunctionDef | ast.AsyncFunctionDef) -> bool:
        """True also where it can't be told: a fixture or a helper of another test file may do it."""
        arguments = {argument.arg for argument in ast.walk(test.args) if isinstance(argument, ast.arg)}
        unknown = (arguments - _PLAIN_FIXTURES) | self._elsewhere
        return (
            self._asserts(test)
            or any(_root(decorator) in self._names | self._elsewhere for decorator in test.decorator_list)
            or any(self._is_unknown(node, unknown) for node in ast.walk(test) if isinstance(node, ast.Call))
        )

    def _asserts(self, function: ast.AST) -> bool:
        return any(self._is_assertion(node) for node in ast.walk(function))

    def _is_assertion(self, node: ast.AST) -> bool:
        if isinstance(node, ast.Assert):
            return not (isinstance(node.test, ast.Constant) and node.test.value)
        if isinstance(node, ast.Call):
            name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
            return name in self._asserting or bool(_WORDS & {word.lower() for word in _WORD.findall(name)})
        return isinstance(node, ast.Raise)

    def _is_unknown(self, call: ast.Call, unknown: set[str]) -> bool:
        root = _root(call.func)
        inherited = root == "self" and isinstance(call.func, ast.Attribute) and call.func.attr not in self._names
        return inherited or root in unknown


def _root(node: ast.expr) -> str:
    """The name an expression begins with: `case` of `case.run().exits(0)`."""
    while isinstance(node, ast.Attribute | ast.Call | ast.Subscript | ast.Await):
        node = node.func if isinstance(node, ast.Call) else node.value
    return node.id if isinstance(node, ast.Name) else ""


_TEST_FOLDERS = ("tests", "test", "conftest")

# ── history ───────────────────────────────────────────────────────────────────────────────────────
_LARGE_FILE = 5_000_000
_GIT_TIMEOUT = 60
_BEGIN, _MIDDLE, _END = re.compile(r"<{7} "), re.compile(r"={7}$"), re.compile(r">{7} ")
_SETTING = re.compile(
    rb"(?m)^\s*(?:export\s+)?\w*(?:PASSWORD|PASSWD|SECRET|KEY|TOKEN)[ \t]*=[ \t]*['\"]?[^\s'\"<$]", re.IGNORECASE
)
_PRIVATE_FILES = {
    "id_rsa": b"PRIVATE KEY", "id_ed25519": b"PRIVATE KEY", ".netrc": b"password", ".pypirc": b"password",
    "credentials.json": b":",
}  # fmt: skip


def history(root: Path) -> Iterator[Finding]:
    """What git tracks in the tree: merge conflicts, private files, large files."""
    for file in _git(root, "ls-files", "-z").split(b"\0"):
        name = os.fsdecode(file)
        path = root / name
        if not file or path.is_symlink() or not path.is_file():
            continue
        size = path.stat().st_size
        if size > _LARGE_FILE:
            yield Finding(name, 1, "medium", "large-file", f"{size // 1_000_000} MB in the history for ever")
        elif holds_secrets(path):
            severity = "low" if is_test_path(name) else "high"
            yield Finding(name, 1, severity, "private-file", "git tracks a file that holds secrets")
    for file in _git(root, "grep", "-lzIE", "^<{7} ", "--", ".", accept=(0, 1)).split(b"\0"):
        for line in conflicts(root / os.fsdecode(file)) if file else ():
            yield Finding(os.fsdecode(file), line, "high", "conflict-marker", "an unresolved merge conflict")


def holds_secrets(path: Path) -> bool:
    """True if a file of such a name usually holds secrets, and this one does."""
    if path.suffix in (".p12", ".pfx"):
        return True
    if path.name == ".env":
        return _SETTING.search(path.read_bytes()) is not None
    sign = b"PRIVATE KEY-----" if path.suffix in (".pem", ".key") else _PRIVATE_FILES.get(path.name)
    return sign is not None and sign in path.read_bytes()


def conflicts(path: Path) -> list[int]:
    """The lines on which a conflict begins that also has a middle and an end."""
    found: list[int] = []
    begin, has_middle = 0, False
    for number, line in enumerate(path.read_text(encoding="utf-8", errors="replace").split("\n"), start=1):
        if _BEGIN.match(line):
            begin, has_middle = number, False
        elif begin and _MIDDLE.match(line):
            has_middle = True
        elif begin and has_middle and _END.match(line):
            found.append(begin)
            begin = 0
    return found


def _git(root: Path, *arguments: str, accept: tuple[int, ...] = (0,)) -> bytes:
    """What git answers. Raises RuntimeError with git's own words."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    command = ["git", "-C", str(root), *arguments]
    done = subprocess.run(command, capture_output=True, timeout=_GIT_TIMEOUT, check=False, env=clean)
    if done.returncode not in accept:
        said = done.stderr.decode(errors="replace").strip()
        raise RuntimeError(f"git {arguments[0]} failed: {said}")
    return done.stdout


RULES = (tests_that_cannot_fail,)
