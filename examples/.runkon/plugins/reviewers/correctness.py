"""Mistakes that Python accepts without a word."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from itertools import pairwise

from .findings import Finding, Module


def swallowed_exceptions(module: Module) -> Iterator[Finding]:
    """`except` blocks that catch everything and say nothing."""
    for node in ast.walk(module.tree):
        if not isinstance(node, ast.ExceptHandler):
            continue
        silent = all(
            isinstance(statement, ast.Pass | ast.Continue) or _is_ellipsis(statement) for statement in node.body
        )
        if node.type is None and not _raises(node):
            yield Finding(
                module.path,
                node.lineno,
                "high",
                "bare-except",
                "catches every exception, even ^C, and does not raise again",
            )
        elif _is_broad(node.type) and silent:
            yield Finding(module.path, node.lineno, "high", "silent-except", "swallows every exception without a word")


_CHANGES = {"add", "append", "clear", "extend", "insert", "pop", "popitem", "remove", "setdefault", "sort", "update"}


def mutable_defaults(module: Module) -> Iterator[Finding]:
    """Default values that all calls share; they block where the function changes them."""
    for node in ast.walk(module.tree):
        if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            continue
        positional = [*node.args.posonlyargs, *node.args.args]
        pairs = [*zip(reversed(positional), reversed(node.args.defaults), strict=False)]
        pairs += [(a, d) for a, d in zip(node.args.kwonlyargs, node.args.kw_defaults, strict=True) if d is not None]
        for argument, default in pairs:
            if isinstance(default, ast.List | ast.Dict | ast.Set) or _calls(default, {"list", "dict", "set"}):
                severity = "high" if _changes(node, argument.arg) else "low"
                text = f"all calls share the default of `{argument.arg}`"
                yield Finding(module.path, default.lineno, severity, "mutable-default", text)


def _changes(function: ast.AST, name: str) -> bool:
    for node in ast.walk(function):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in _CHANGES:
            owner: ast.expr = node.func.value
        elif isinstance(node, ast.Subscript) and isinstance(node.ctx, ast.Store | ast.Del):
            owner = node.value
        elif isinstance(node, ast.AugAssign | ast.Return) and node.value is not None:
            owner = node.target if isinstance(node, ast.AugAssign) else node.value
        else:
            continue
        if isinstance(owner, ast.Name) and owner.id == name:
            return True
    return False


def wrong_comparisons(module: Module) -> Iterator[Finding]:
    """`is` with a literal, `==` with None."""
    for node in ast.walk(module.tree):
        if not isinstance(node, ast.Compare):
            continue
        for op, right in zip(node.ops, node.comparators, strict=True):
            literal = isinstance(right, ast.Constant) and isinstance(right.value, str | int | bytes)
            if isinstance(op, ast.Is | ast.IsNot) and literal and not isinstance(right.value, bool):  # type: ignore[union-attr]
                yield Finding(module.path, node.lineno, "high", "is-literal", "`is` compares identity, not value")
            if isinstance(op, ast.Eq | ast.NotEq) and isinstance(right, ast.Constant) and right.value is None:
                yield Finding(module.path, node.lineno, "low", "equals-none", "compare with None by `is`")


def dead_ends(module: Module) -> Iterator[Finding]:
    """Asserted tuples, `raise NotImplemented`, `return` in `finally`, statements nothing can reach."""
    for node in ast.walk(module.tree):
        if isinstance(node, ast.Assert) and isinstance(node.test, ast.Tuple) and node.test.elts:
            yield Finding(
                module.path, node.lineno, "high", "assert-tuple", "a tuple is always true: this asserts nothing"
            )
        if isinstance(node, ast.Raise) and isinstance(node.exc, ast.Name) and node.exc.id == "NotImplemented":
            yield Finding(
                module.path,
                node.lineno,
                "high",
                "raise-notimplemented",
                "NotImplemented is no exception; NotImplementedError is",
            )
        if isinstance(node, ast.Try):
            for inner in node.finalbody:
                if isinstance(inner, ast.Return):
                    yield Finding(
                        module.path, inner.lineno, "high", "return-in-finally", "hides any exception in flight"
                    )
        yield from _unreachable(module, node)


def _unreachable(module: Module, node: ast.AST) -> Iterator[Finding]:
    for name in ("body", "orelse", "finalbody"):
        body = getattr(node, name, None)
        if not isinstance(body, list):
            continue
        for statement, after in pairwise(body):
            if isinstance(statement, ast.Return | ast.Raise | ast.Break | ast.Continue):
                if not _is_bare_yield(after):  # `return` before `yield` makes an empty generator, on purpose
                    yield Finding(
                        module.path, after.lineno, "medium", "unreachable", "nothing can reach this statement"
                    )
                break


RULES = (swallowed_exceptions, mutable_defaults, wrong_comparisons, dead_ends)


def _is_bare_yield(statement: ast.stmt) -> bool:
    return isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Yield | ast.YieldFrom)


def _is_ellipsis(statement: ast.stmt) -> bool:
    return (
        isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant) and statement.value.value is ...
    )


def _is_broad(kind: ast.expr | None) -> bool:
    return isinstance(kind, ast.Name) and kind.id in ("Exception", "BaseException")


def _raises(handler: ast.ExceptHandler) -> bool:
    return any(isinstance(node, ast.Raise) for node in ast.walk(handler))


def _calls(node: ast.expr, names: set[str]) -> bool:
    return isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in names
