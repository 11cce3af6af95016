"""Code that runs what others wrote, and secrets that stand in the source."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

from .findings import Finding, Module

_SECRET_NAME = re.compile(r"(?:^|_)(?:password|passwd|secret|api_?key|access_?key|auth_?token)$", re.IGNORECASE)
_PLACEHOLDER = re.compile(r"[<{$%]|example|change.?me|placeholder|dummy|xxx|\s", re.IGNORECASE)


def dangerous_calls(module: Module) -> Iterator[Finding]:
    """Calls that execute or unpack data from elsewhere."""
    for node in ast.walk(module.tree):
        if not isinstance(node, ast.Call):
            continue
        name = _dotted(node.func)
        constant = bool(node.args) and isinstance(node.args[0], ast.Constant)
        if name in ("eval", "exec") and not constant:
            yield Finding(module.path, node.lineno, "high", "eval", f"`{name}` runs text that is not a constant")
        elif not constant and (name in ("os.system", "os.popen") or _uses_shell(name, node)):
            yield Finding(module.path, node.lineno, "high", "shell", f"`{name}` gives a built text to a shell")
        elif name in ("pickle.load", "pickle.loads", "marshal.loads", "shelve.open"):
            yield Finding(module.path, node.lineno, "medium", "unpickle", f"`{name}` runs code from the data it reads")
        elif name == "yaml.load" and len(node.args) < 2 and not any(k.arg == "Loader" for k in node.keywords):
            yield Finding(module.path, node.lineno, "high", "yaml-load", "use `yaml.safe_load`")
        elif name == "tempfile.mktemp":
            yield Finding(module.path, node.lineno, "medium", "mktemp", "another process can take the name first")
        if _keyword_is(node, "verify", expected=False):
            yield Finding(module.path, node.lineno, "high", "no-verify", "certificates are not checked")


def built_queries(module: Module) -> Iterator[Finding]:
    """SQL put together from values instead of parameters."""
    for node in ast.walk(module.tree):
        if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.args):
            continue
        if node.func.attr not in ("execute", "executemany"):
            continue
        query = node.args[0]
        built = isinstance(query, ast.JoinedStr) and any(isinstance(v, ast.FormattedValue) for v in query.values)
        joined = isinstance(query, ast.BinOp) and isinstance(query.op, ast.Mod | ast.Add)
        if built or joined:
            yield Finding(module.path, node.lineno, "medium", "built-sql", "put values in as parameters, not as text")


def written_secrets(module: Module) -> Iterator[Finding]:
    """Passwords and keys as literals; tests may have made-up ones."""
    if module.is_test:
        return
    for node in ast.walk(module.tree):
        if isinstance(node, ast.Assign):
            named = [(_last_name(target), node.value) for target in node.targets]
        elif isinstance(node, ast.AnnAssign) and node.value is not None:
            named = [(_last_name(node.target), node.value)]
        elif isinstance(node, ast.Call):
            named = [(keyword.arg or "", keyword.value) for keyword in node.keywords]
        else:
            continue
        for name, value in named:
            if _SECRET_NAME.search(name) and _looks_secret(value):
                yield Finding(
                    module.path, value.lineno, "high", "written-secret", f"`{name}` holds a secret as a literal"
                )


RULES = (dangerous_calls, built_queries, written_secrets)


def _looks_secret(value: ast.expr) -> bool:
    return (
        isinstance(value, ast.Constant)
        and isinstance(value.value, str)
        and len(value.value) >= 8
        and not _PLACEHOLDER.search(value.value)
    )


def _uses_shell(name: str, node: ast.Call) -> bool:
    return name.startswith("subprocess.") and _keyword_is(node, "shell", expected=True)


def _dotted(node: ast.expr) -> str:
    if isinstance(node, ast.Attribute):
        inner = _dotted(node.value)
        return f"{inner}.{node.attr}" if inner else ""
    return node.id if isinstance(node, ast.Name) else ""


def _last_name(node: ast.expr) -> str:
    return node.attr if isinstance(node, ast.Attribute) else node.id if isinstance(node, ast.Name) else ""


def _keyword_is(node: ast.Call, name: str, *, expected: bool) -> bool:
    return any(k.arg == name and isinstance(k.value, ast.Constant) and k.value.value is expected for k in node.keywords)
