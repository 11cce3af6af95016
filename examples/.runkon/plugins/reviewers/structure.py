"""Code that is hard to read: long functions, many branches, deep nesting, long files."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from .findings import FUNCTIONS, Finding, Module

LONG_FUNCTION, VERY_LONG_FUNCTION = 80, 200
MANY_BRANCHES, TOO_MANY_BRANCHES = 20, 50
DEEP_NESTING = 6
LONG_FILE = 1500

_LOOPS = (ast.For, ast.AsyncFor, ast.While)
_BRANCH = (ast.If, *_LOOPS, ast.ExceptHandler, ast.IfExp, ast.BoolOp, ast.match_case)
_NEST = (ast.If, *_LOOPS, ast.Try, ast.TryStar, ast.With, ast.AsyncWith, ast.Match)


def long_functions(module: Module) -> Iterator[Finding]:
    """Functions of many lines or many branches; those of functions inside count for these alone."""
    for node in ast.walk(module.tree):
        if not isinstance(node, FUNCTIONS):
            continue
        length = (node.end_lineno or node.lineno) - node.lineno + 1
        branches = _branches(node)
        if length > LONG_FUNCTION:
            severity = "high" if length > VERY_LONG_FUNCTION else "medium"
            yield Finding(module.path, node.lineno, severity, "long-function", f"`{node.name}` has {length} lines")
        if branches > MANY_BRANCHES:
            severity = "high" if branches > TOO_MANY_BRANCHES else "medium"
            yield Finding(module.path, node.lineno, severity, "many-branches", f"`{node.name}` has {branches} branches")


def _branches(function: ast.AST) -> int:
    found = 0
    waiting = [*ast.iter_child_nodes(function)]
    while waiting:
        node = waiting.pop()
        found += isinstance(node, _BRANCH)
        if not isinstance(node, FUNCTIONS):
            waiting += ast.iter_child_nodes(node)
    return found


def deep_nesting(module: Module) -> Iterator[Finding]:
    """Statements inside more than six others, each function counted on its own."""
    waiting: list[tuple[ast.AST, int]] = [(module.tree, 0)]
    while waiting:
        node, depth = waiting.pop()
        for inner in ast.iter_child_nodes(node):
            if isinstance(inner, FUNCTIONS):
                waiting.append((inner, 0))
            elif isinstance(inner, _NEST) and not _is_elif(node, inner):
                if depth == DEEP_NESTING:
                    yield Finding(module.path, inner.lineno, "medium", "deep-nesting", f"{depth + 1} levels deep")
                waiting.append((inner, depth + 1))
            else:
                waiting.append((inner, depth))


def _is_elif(parent: ast.AST, node: ast.AST) -> bool:
    return isinstance(parent, ast.If) and isinstance(node, ast.If) and parent.orelse == [node]


def long_files(module: Module) -> Iterator[Finding]:
    """Files of many lines."""
    lines = len(module.lines) - module.text.endswith("\n")
    if lines > LONG_FILE:
        yield Finding(module.path, 1, "medium", "long-file", f"{lines} lines in one file")


RULES = (long_functions, deep_nesting, long_files)
