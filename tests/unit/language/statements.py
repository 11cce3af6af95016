"""Single statements, parsed inside a workflow of their own."""

from __future__ import annotations

from runkon.language import nodes
from runkon.language.diagnostics import Diagnostic
from runkon.language.parser import parse
from runkon.language.source import SourceFile


def read(statement: str) -> tuple[nodes.Statement, tuple[Diagnostic, ...]]:
    """The last statement of a workflow, with what was found."""
    result = parse(SourceFile("t.wf", f"workflow w {{ {statement} }}"))
    return result.workflows[0].body[-1], result.diagnostics


def good(statement: str) -> nodes.Statement:
    node, found = read(statement)
    assert found == ()
    return node


def bad(statement: str) -> list[tuple[str, str]]:
    result = parse(SourceFile("t.wf", f"workflow w {{ {statement} }}"))
    return [(d.code, d.message) for d in result.diagnostics]
