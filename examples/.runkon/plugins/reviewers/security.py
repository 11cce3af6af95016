"""Code that runs what others wrote, and secrets that stand in the source."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

from .findings import Finding, Module

_SHELLS = frozenset(
    ["os.system", "os.popen", "subprocess.getoutput", "subprocess.getstatusoutput", "asyncio.create_subprocess_shell"]
)
_UNPICKLE = frozenset(
    ["pickle.load", "pickle.loads", "pickle.Unpickler", "marshal.load", "marshal.loads", "shelve.open", "dill.loads"]
)
_SAFE_LOADERS = ("SafeLoader", "CSafeLoader", "BaseLoader", "CBaseLoader")
_WEB = frozenset(["requests", "httpx"])
_WEB_CALLS = frozenset(
    ["get", "post", "put", "patch", "delete", "head", "options", "request", "stream", "send", "Client", "AsyncClient"]
)


def dangerous_calls(module: Module) -> Iterator[Finding]:
    """Calls that execute or unpack data from elsewhere, or trust anybody."""
    names = _imported(module.tree)
    for node in ast.walk(module.tree):
        if isinstance(node, ast.Call):
            name = _dotted(node.func, names)
            judged = _judge(name, node) or _judge_connection(name, node, names)
            if judged is not None:
                yield Finding(module.path, node.lineno, *judged)


def _judge(name: str, node: ast.Call) -> tuple[str, str, str] | None:
    first = node.args[0] if node.args else next((k.value for k in node.keywords if k.arg in ("args", "cmd")), None)
    is_built = first is not None and not _is_fixed(first)
    if name in ("eval", "exec") and is_built:
        return "high", "eval", f"`{name}` runs text that is not a constant"
    if is_built and (name in _SHELLS or (name.startswith("subprocess.") and _keyword_is(node, "shell", value=True))):
        return "high", "shell", f"`{name}` gives a built text to a shell"
    if name in _UNPICKLE:
        return "medium", "unpickle", f"`{name}` runs code from the data it reads"
    if name == "yaml.unsafe_load" or (name in ("yaml.load", "yaml.load_all") and not _has_safe_loader(node)):
        return "high", "yaml-load", "use `yaml.safe_load`"
    if name == "tempfile.mktemp":
        return "medium", "mktemp", "another process can take the name first"
    return None


def _judge_connection(name: str, node: ast.Call, names: dict[str, str]) -> tuple[str, str, str] | None:
    is_web = bool(_WEB & {origin.partition(".")[0] for origin in names.values()})
    last = name.rpartition(".")[2] or (node.func.attr if isinstance(node.func, ast.Attribute) else "")
    off = is_web and last in _WEB_CALLS and _keyword_is(node, "verify", value=False)
    if off or name == "ssl._create_unverified_context":
        return "high", "no-verify", "certificates are not checked"
    return None


def _has_safe_loader(node: ast.Call) -> bool:
    loader = node.args[1] if len(node.args) > 1 else next((k.value for k in node.keywords if k.arg == "Loader"), None)
    if loader is None:
        return any(k.arg is None for k in node.keywords)  # `**options`: can't be told
    name = loader.attr if isinstance(loader, ast.Attribute) else getattr(loader, "id", "")
    return name in _SAFE_LOADERS or name not in ("Loader", "CLoader", "UnsafeLoader", "FullLoader")


# ── queries ───────────────────────────────────────────────────────────────────────────────────────
_STATEMENT = re.compile(r"\s*(?:select|insert|update|delete|replace|merge|with)\b", re.IGNORECASE)
_BEFORE_NAME = re.compile(r"\b(?:from|into|update|join|table|by|select|distinct|as)\s+[\w.\"`\[]*$", re.IGNORECASE)


def built_queries(module: Module) -> Iterator[Finding]:
    """SQL put together from values instead of parameters. Names of tables and columns can't be parameters."""
    for node in ast.walk(module.tree):
        if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.args):
            continue
        if node.func.attr in ("execute", "executemany", "executescript") and _puts_values_in(node.args[0]):
            yield Finding(module.path, node.lineno, "medium", "built-sql", "put values in as parameters, not as text")


def _puts_values_in(query: ast.expr) -> bool:
    """True if text stands in front that makes it a statement, and a value after text that asks for one."""
    if isinstance(query, ast.Call) and isinstance(query.func, ast.Attribute) and query.func.attr == "format":
        query = ast.BinOp(query.func.value, ast.Mod(), ast.Tuple(query.args))
    if isinstance(query, ast.BinOp) and isinstance(query.op, ast.Mod):
        return _is_statement(_text(query.left)) and not _is_fixed(query.right)
    parts = query.values if isinstance(query, ast.JoinedStr) else _summands(query)
    before = ""
    for number, part in enumerate(parts):
        text = _text(part)
        if number == 0 and not _is_statement(text):
            return False
        if text is None and not _is_fixed(part) and not _BEFORE_NAME.search(before):
            return True
        before += text or "?"
    return False


def _is_statement(text: str | None) -> bool:
    return text is not None and _STATEMENT.match(text) is not None


def _text(node: ast.expr) -> str | None:
    return node.value if isinstance(node, ast.Constant) and isinstance(node.value, str) else None


# ── secrets ───────────────────────────────────────────────────────────────────────────────────────
_SECRET_NAME = re.compile(r"(?:^|_)(?:password|passwd|secret|api_?key|access_?key|auth_?token)$", re.IGNORECASE)
_NO_SECRET = re.compile(
    r"[<{$%*]|example|change.?me|placeholder|dummy|xxx|your|\s|^[./~]|://|(?-i:^[A-Z][A-Z0-9]*(?:_[A-Z0-9]+)+$)",
    re.IGNORECASE,
)
_TOKEN = re.compile(r"\bAKIA[0-9A-Z]{16}\b|\bgh[pousr]_[A-Za-z0-9]{36}|-----BEGIN (?:[A-Z]+ )*PRIVATE KEY-----\n")


def written_secrets(module: Module) -> Iterator[Finding]:
    """Passwords and keys as literals; tests may have made-up ones."""
    if module.is_test:
        return
    for node in ast.walk(module.tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and _TOKEN.search(node.value):
            yield Finding(module.path, node.lineno, "high", "written-secret", "this literal is a key or a token")
        for name, value in _named_values(node):
            if _SECRET_NAME.search(name) and _looks_secret(name, value):
                text = f"`{name}` holds a secret as a literal"
                yield Finding(module.path, value.lineno, "high", "written-secret", text)


def _named_values(node: ast.AST) -> Iterator[tuple[str, ast.expr]]:
    """Every value a node gives a name to: variables, attributes, keys, arguments and their defaults."""
    match node:
        case ast.Assign():
            yield from ((_last_name(target), node.value) for target in node.targets)
        case ast.AnnAssign(value=ast.expr() as value):
            yield _last_name(node.target), value
        case ast.Call():
            yield from ((keyword.arg or "", keyword.value) for keyword in node.keywords)
        case ast.Dict():
            pairs = zip(node.keys, node.values, strict=True)
            yield from ((_text(key) or "", value) for key, value in pairs if key is not None)
        case ast.arguments():
            positional = [*node.posonlyargs, *node.args]
            given = zip(positional[len(positional) - len(node.defaults) :], node.defaults, strict=True)
            yield from ((argument.arg, value) for argument, value in given)
            only = zip(node.kwonlyargs, node.kw_defaults, strict=True)
            yield from ((argument.arg, value) for argument, value in only if value is not None)


def _looks_secret(name: str, value: ast.expr) -> bool:
    text = _text(value)
    return text is not None and len(text) >= 8 and not _NO_SECRET.search(text) and name.lower() not in text.lower()


RULES = (dangerous_calls, built_queries, written_secrets)


# ── expressions ───────────────────────────────────────────────────────────────────────────────────
def _imported(tree: ast.Module) -> dict[str, str]:
    """What each imported name stands for: `sp` is `subprocess`, `run` is `subprocess.run`."""
    found: dict[str, str] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                first = alias.name.partition(".")[0]
                found[alias.asname or first] = alias.name if alias.asname else first
        elif isinstance(node, ast.ImportFrom):
            origin = "." * node.level + (node.module or "")
            found |= {alias.asname or alias.name: f"{origin}.{alias.name}" for alias in node.names}
    return found


def _dotted(node: ast.expr, names: dict[str, str]) -> str:
    """`os.path.join` for such an expression, by the names things were imported from; empty for anything else."""
    parts: list[str] = []
    while isinstance(node, ast.Attribute):
        parts.append(node.attr)
        node = node.value
    if not isinstance(node, ast.Name):
        return ""
    return ".".join([names.get(node.id, node.id), *reversed(parts)])


def _is_fixed(node: ast.expr) -> bool:
    """True for what the source alone decides: literals, and texts and lists of them."""
    waiting: list[ast.expr] = [node]
    while waiting:
        one = waiting.pop()
        if isinstance(one, ast.BinOp):
            waiting += [one.left, one.right]
        elif isinstance(one, ast.List | ast.Tuple):
            waiting += one.elts
        elif isinstance(one, ast.JoinedStr):
            waiting += one.values
        elif not isinstance(one, ast.Constant):
            return False
    return True


def _summands(node: ast.expr) -> list[ast.expr]:
    """`a + b + c` from left to right."""
    found: list[ast.expr] = []
    while isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add):
        found.append(node.right)
        node = node.left
    return [node, *reversed(found)]


def _last_name(node: ast.expr) -> str:
    if isinstance(node, ast.Subscript):
        return _text(node.slice) or ""
    return node.attr if isinstance(node, ast.Attribute) else node.id if isinstance(node, ast.Name) else ""


def _keyword_is(node: ast.Call, name: str, *, value: bool) -> bool:
    return any(k.arg == name and isinstance(k.value, ast.Constant) and k.value.value is value for k in node.keywords)
