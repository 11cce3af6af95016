"""Mistakes that Python accepts without a word."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from itertools import pairwise

from .findings import FUNCTIONS, Finding, Module

_SCOPES = (*FUNCTIONS, ast.Lambda, ast.ClassDef)
_LOOPS = (ast.For, ast.AsyncFor, ast.While)
_JUMPS = (ast.Return, ast.Raise, ast.Break, ast.Continue)
_DISPLAYS = (ast.List, ast.Dict, ast.Set, ast.ListComp, ast.DictComp, ast.SetComp)


# ── exceptions ────────────────────────────────────────────────────────────────────────────────────
def swallowed_exceptions(module: Module) -> Iterator[Finding]:
    """`except` blocks that catch everything and say nothing."""
    for node in ast.walk(module.tree):
        if not isinstance(node, ast.ExceptHandler):
            continue
        if node.type is None and not any(map(_raises, _inside(node.body))):
            text = "catches every exception, even ^C, and does not raise again"
            yield Finding(module.path, node.lineno, "high", "bare-except", text)
        elif _is_broad(node.type) and all(_says_nothing(statement) for statement in node.body):
            yield Finding(module.path, node.lineno, "high", "silent-except", "swallows every exception without a word")


def _is_broad(kind: ast.expr | None) -> bool:
    kinds = kind.elts if isinstance(kind, ast.Tuple) else [kind]
    return any(isinstance(one, ast.Name) and one.id in ("Exception", "BaseException") for one in kinds)


def _raises(node: ast.AST) -> bool:
    """True for `raise`, and for a helper that is named after doing it: `with safe_reraise():`."""
    name = node.func if isinstance(node, ast.Call) else None
    named = name.attr if isinstance(name, ast.Attribute) else getattr(name, "id", "")
    return isinstance(node, ast.Raise) or "reraise" in named


def _says_nothing(statement: ast.stmt) -> bool:
    if isinstance(statement, ast.Expr):
        return isinstance(statement.value, ast.Constant)
    return isinstance(statement, ast.Pass | ast.Continue)


# ── defaults ──────────────────────────────────────────────────────────────────────────────────────
_CHANGES = frozenset(
    {
        "add", "append", "clear", "discard", "extend", "insert", "pop", "popitem", "remove", "reverse", "setdefault",
        "sort", "update",
    }
)  # fmt: skip
_MEANT = re.compile(r"^_|cache|memo")  # shared by all calls on purpose
_READ_ONLY = frozenset(["AbstractSet", "Collection", "Container", "Iterable", "Mapping", "Sequence"])


def mutable_defaults(module: Module) -> Iterator[Finding]:
    """Default values that all calls share; they block where the function changes them."""
    for node in ast.walk(module.tree):
        if not isinstance(node, FUNCTIONS):
            continue
        for argument, default in _defaults(node.args):
            if not (isinstance(default, _DISPLAYS) or _calls(default, {"list", "dict", "set", "defaultdict"})):
                continue
            changed = _changes(node, argument.arg) and not _MEANT.search(argument.arg)
            if changed or not _is_read_only(argument.annotation):
                text = f"all calls share the default of `{argument.arg}`"
                yield Finding(module.path, default.lineno, "high" if changed else "low", "mutable-default", text)


def _defaults(arguments: ast.arguments) -> Iterator[tuple[ast.arg, ast.expr]]:
    positional = [*arguments.posonlyargs, *arguments.args]
    yield from zip(positional[len(positional) - len(arguments.defaults) :], arguments.defaults, strict=True)
    for argument, default in zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True):
        if default is not None:
            yield argument, default


def _is_read_only(annotation: ast.expr | None) -> bool:
    """True where a type checker sees to it that nobody changes the value."""
    if isinstance(annotation, ast.Subscript):
        annotation = annotation.value
    name = annotation.attr if isinstance(annotation, ast.Attribute) else getattr(annotation, "id", "")
    return name in _READ_ONLY


def _changes(function: ast.FunctionDef | ast.AsyncFunctionDef, name: str) -> bool:
    """True if the function changes the object its argument was given, or hands it out to be changed."""
    inner = [node for statement in function.body for node in ast.walk(statement)]
    if any(isinstance(n, ast.Name) and n.id == name and isinstance(n.ctx, ast.Store) and not _is_augmented(n, inner)
           for n in inner):  # fmt: skip
        return False  # `x = list(x)`: from there on it may be another object
    for node in inner:
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in _CHANGES:
            owner: ast.expr | None = node.func.value
        elif isinstance(node, ast.Subscript) and isinstance(node.ctx, ast.Store | ast.Del):
            owner = node.value
        elif isinstance(node, ast.AugAssign):
            owner = node.target
        elif isinstance(node, ast.Return):
            owner = node.value
        else:
            continue
        if isinstance(owner, ast.Name) and owner.id == name:
            return True
    return False


def _is_augmented(name: ast.Name, nodes: list[ast.AST]) -> bool:
    return any(isinstance(node, ast.AugAssign) and node.target is name for node in nodes)


# ── comparisons ───────────────────────────────────────────────────────────────────────────────────
def wrong_comparisons(module: Module) -> Iterator[Finding]:
    """`is` with a literal, `==` with None."""
    for node in ast.walk(module.tree):
        if not isinstance(node, ast.Compare):
            continue
        for op, pair in zip(node.ops, pairwise([node.left, *node.comparators]), strict=True):
            if isinstance(op, ast.Is | ast.IsNot) and any(map(_is_literal, pair)):
                yield Finding(module.path, node.lineno, "high", "is-literal", "`is` compares identity, not value")
            if isinstance(op, ast.Eq | ast.NotEq) and any(map(_is_none, pair)):
                yield Finding(module.path, node.lineno, "low", "equals-none", "compare with None by `is`")


def _is_literal(value: ast.expr) -> bool:
    if isinstance(value, ast.UnaryOp):
        value = value.operand
    if isinstance(value, ast.Constant):
        return isinstance(value.value, str | bytes | int | float | complex) and not isinstance(value.value, bool)
    return isinstance(value, (ast.JoinedStr, ast.Tuple, *_DISPLAYS))


def _is_none(value: ast.expr) -> bool:
    return isinstance(value, ast.Constant) and value.value is None


# ── dead ends ─────────────────────────────────────────────────────────────────────────────────────
def dead_ends(module: Module) -> Iterator[Finding]:
    """Asserted tuples, `raise NotImplemented`, leaving `finally`, statements nothing can reach."""
    for node in ast.walk(module.tree):
        if isinstance(node, ast.Assert) and isinstance(node.test, ast.Tuple) and node.test.elts:
            text = "a tuple is always true: this asserts nothing"
            yield Finding(module.path, node.lineno, "high", "assert-tuple", text)
        elif isinstance(node, ast.Raise) and _is_not_implemented(node.exc):
            text = "NotImplemented is no exception; NotImplementedError is"
            yield Finding(module.path, node.lineno, "high", "raise-notimplemented", text)
        elif isinstance(node, ast.Try | ast.TryStar):
            for leaving in _leaving(node.finalbody):
                text = "leaving `finally` this way hides any exception in flight"
                yield Finding(module.path, leaving.lineno, "high", "return-in-finally", text)
        yield from _unreachable(module, node)


def _is_not_implemented(raised: ast.expr | None) -> bool:
    name = raised.func if isinstance(raised, ast.Call) else raised
    return isinstance(name, ast.Name) and name.id == "NotImplemented"


def _leaving(body: list[ast.stmt]) -> Iterator[ast.stmt]:
    """`return`, and the `break` or `continue` of a loop outside, in the statements of a `finally`."""
    waiting: list[tuple[ast.AST, bool]] = [(statement, False) for statement in body]
    while waiting:
        node, is_in_loop = waiting.pop()
        if isinstance(node, ast.Return) or (isinstance(node, ast.Break | ast.Continue) and not is_in_loop):
            yield node
        elif not isinstance(node, _SCOPES):
            inside = is_in_loop or isinstance(node, _LOOPS)
            waiting += [(inner, inside) for inner in ast.iter_child_nodes(node)]


def _unreachable(module: Module, node: ast.AST) -> Iterator[Finding]:
    for name in ("body", "orelse", "finalbody"):
        body = getattr(node, name, None)
        for statement, after in pairwise(body if isinstance(body, list) else ()):
            if isinstance(statement, _JUMPS):
                if not _is_yield(after):  # `return` before `yield` makes an empty generator, on purpose
                    text = "nothing can reach this statement"
                    yield Finding(module.path, after.lineno, "medium", "unreachable", text)
                break


def _is_yield(statement: ast.stmt) -> bool:
    return isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Yield | ast.YieldFrom)


RULES = (swallowed_exceptions, mutable_defaults, wrong_comparisons, dead_ends)


def _inside(body: list[ast.stmt]) -> Iterator[ast.AST]:
    """Every node of the statements, but not of functions and classes in them."""
    waiting: list[ast.AST] = [*body]
    while waiting:
        node = waiting.pop()
        yield node
        if not isinstance(node, _SCOPES):
            waiting += ast.iter_child_nodes(node)


def _calls(node: ast.expr, names: set[str]) -> bool:
    return isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in names
