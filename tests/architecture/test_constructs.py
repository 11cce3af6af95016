"""Every statement of the language is whole: keyword, tree, formatter, engine, and a case that shows what it does.

A new construct fails here until each piece is there; the failure names the missing one."""

from __future__ import annotations

import re
from functools import cache
from typing import get_args

import pytest

from runkon.engine.constructs import constructs
from runkon.language import nodes
from runkon.language.checks.unsupported import unsupported
from runkon.language.formatter import format_source
from runkon.language.keys import all_statements
from runkon.language.parser import parse
from runkon.language.source import SourceFile

from .tree import ROOT

KEYWORDS = {"call_workflow": ("call", "workflow"), "do_while": ("do", "while"), "if": ("if", "unless", "else")}
CASES = ROOT / "tests" / "conformance"
CLASSES = [
    getattr(nodes, name if isinstance(name, str) else name.__forward_arg__)
    for name in get_args(nodes.Statement.__origin__)
]


def kind_of(cls: type) -> str:
    return next(field.default for name, field in cls.__dataclass_fields__.items() if name == "kind")


@cache
def cases() -> dict[type, list[tuple[SourceFile, nodes.Workflow]]]:
    """Every workflow of the conformance cases that holds a statement of a class, by class."""
    found: dict[type, list[tuple[SourceFile, nodes.Workflow]]] = {cls: [] for cls in CLASSES}
    for file in sorted(CASES.rglob("*.wf")):
        source = SourceFile(file.name, file.read_bytes().decode("utf-8", "replace"))
        parsed = parse(source)
        for workflow in parsed.workflows if parsed.ok else ():
            for cls in {type(statement) for statement in all_statements(workflow)}:
                found[cls].append((source, workflow))
    return found


def test_the_union_is_read_as_it_stands():
    assert nodes.CallStep in CLASSES
    assert len(CLASSES) == len(set(CLASSES)) >= 11


@pytest.mark.parametrize("cls", CLASSES, ids=kind_of)
def test_its_keywords_stand_in_the_grammar(cls):
    grammar = (ROOT / "grammar" / "runkon.lark").read_text("utf-8")
    missing = [word for word in KEYWORDS.get(kind_of(cls), (kind_of(cls),)) if f'"{word}"' not in grammar]
    assert missing == [], f"the grammar has no terminal for {missing}"


@pytest.mark.parametrize("cls", CLASSES, ids=kind_of)
def test_a_conformance_case_holds_it(cls):
    assert cases()[cls], f"no case below tests/conformance has a {cls.__name__}"


@pytest.mark.parametrize("cls", CLASSES, ids=kind_of)
def test_the_formatter_writes_it(cls):
    assert cases()[cls], f"no case below tests/conformance has a {cls.__name__}"
    for source, workflow in cases()[cls]:
        text, diagnostics = format_source(source)
        assert text is not None, f"{source.path}: {diagnostics}"
        again = parse(SourceFile(source.path, text)).workflows
        assert workflow in again, f"{source.path}: formatting changed what it says"


@pytest.mark.parametrize("cls", CLASSES, ids=kind_of)
def test_the_engine_runs_it_or_refuses_it_by_name(cls):
    if cls in constructs():
        return
    assert cases()[cls], f"no case below tests/conformance has a {cls.__name__}"
    for source, workflow in cases()[cls]:
        codes = {finding.code for finding in unsupported(workflow)}
        assert "unsupported-construct" in codes, f"{source.path}: neither `constructs` nor `unsupported` knows {cls}"


@pytest.mark.parametrize("cls", CLASSES, ids=kind_of)
def test_the_readme_of_the_grammar_names_it(cls):
    text = (ROOT / "grammar" / "README.md").read_text("utf-8")
    words = KEYWORDS.get(kind_of(cls), (kind_of(cls),))
    assert [word for word in words if not re.search(rf"\b{word}\b", text)] == []
