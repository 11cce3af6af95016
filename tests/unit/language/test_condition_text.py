from __future__ import annotations

import pytest

from runkon.language.condition_text import condition_text
from runkon.language.nodes import Condition, IfBlock
from runkon.language.parser import parse
from runkon.language.source import SourceFile


def condition(text: str) -> Condition:
    parsed = parse(SourceFile("t.wf", f"workflow w {{ if {text} {{ call a }} }}"))
    assert parsed.ok, parsed.diagnostics
    block = parsed.workflows[0].body[0]
    assert isinstance(block, IfBlock)
    return block.arms[0].condition


@pytest.mark.parametrize(
    ("written", "canonical"),
    [
        ("a.b", "a.b"),
        ("((a.b))", "a.b"),
        ("not   a.b", "not a.b"),
        ("a.b and b.c or c.d", "a.b and b.c or c.d"),
        ("a.b and (b.c or c.d)", "a.b and (b.c or c.d)"),
        ("(a.b and b.c) or c.d", "a.b and b.c or c.d"),
        ("not (a.b or b.c)", "not (a.b or b.c)"),
        ("not (a.n == 3)", "not a.n == 3"),
        ("(not x) == true", "(not x) == true"),
        ("(a.n < 3) == (b.n > 4)", "(a.n < 3) == (b.n > 4)"),
        ('a.s in ["x" , 3,true]', 'a.s in ["x", 3, true]'),
        ("a.t > 90m", "a.t > 90m"),
        ("-1.50 < a.n", "-1.5 < a.n"),
        ('a.s == "say \\"hi\\""', 'a.s == "say \\"hi\\""'),
    ],
)
def test_a_condition_is_written_with_the_parentheses_it_needs(written: str, canonical: str) -> None:
    assert condition_text(condition(written)) == canonical
    assert condition(canonical) == condition(written)
