"""Code that is hard to read: long functions, many branches, deep nesting, long files."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from .findings import Finding, Module

LONG_FUNCTION, VERY_LONG_FUNCTION = 80, 200
MANY_BRANCHES, TOO_MANY_BRANCHES = 20, 50
DEEP_NESTING = 6
LONG_FILE = 1500

_BRANCH = (ast.If, ast.For, ast.While, ast.Try, ast.ExceptHandler, ast.With, ast.IfExp, ast.BoolOp, ast.match_case)
_NEST = (ast.If, ast.For, ast.While, ast.Try, ast.With, ast.Match)
_FUNCTION = (ast.FunctionDef, ast.AsyncFunctionDef)


def long_functions(module: Module) -> Iterator[Finding]:
    for node in ast.walk(module.tree):
        if not isinstance(node, _FUNCTION):
            continue
        length = (node.end_lineno or node.lineno) - node.lineno + 1
        branches = sum(isinstance(inner, _BRANCH) for inner in ast.walk(node))
        if length > LONG_FUNCTION:
            severity = "high" if length > VERY_LONG_FUNCTION else "medium"
            yield Finding(module.path, node.lineno, severity, "long-function", f"`{node.name}` has {length} lines")
        if branches > MANY_BRANCHES:
            severity = "high" if branches > TOO_MANY_BRANCHES else "medium"
            yield Finding(module.path, node.lineno, severity, "many-branches", f"`{node.name}` has {branches} branches")


def deep_nesting(module: Module) -> Iterator[Finding]:
    """Statements inside more than six others, each function counted on its own."""
    waiting: list[tuple[ast.AST, int]] = [(module.tree, 0)]
    while waiting:
        node, depth = waiting.pop()
        for inner in ast.iter_child_nodes(node):
            if isinstance(inner, _FUNCTION):
                waiting.append((inner, 0))
            elif isinstance(inner, _NEST) and not _is_elif(node, inner):
                if depth + 1 == DEEP_NESTING + 1:
                    yield Finding(module.path, inner.lineno, "medium", "deep-nesting", f"{depth + 1} levels deep")
                waiting.append((inner, depth + 1))
            else:
                waiting.append((inner, depth))


def long_files(module: Module) -> Iterator[Finding]:
    lines = module.text.count("\n") + 1
    if lines > LONG_FILE:
        yield Finding(module.path, 1, "medium", "long-file", f"{lines} lines in one file")


RULES = (long_functions, deep_nesting, long_files)


def _is_elif(parent: ast.AST, node: ast.AST) -> bool:
    return isinstance(parent, ast.If) and isinstance(node, ast.If) and parent.orelse == [node]
