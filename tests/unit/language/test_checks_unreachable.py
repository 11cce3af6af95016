"""Statements that no run comes to, and those that only look like it."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from runkon.language.diagnostics import Diagnostic


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("if false { call x call y }", "`false` is always false"),
        ("if true { call a } else { call x }", "`true` is always true"),
        ("call b if true { call a } else if b.ok { call x }", "`true` is always true"),
        ("call a if a.ok { call a } else if true { call a } else { call x }", "`true` is always true"),
        ("unless true { call x }", "`true` is always true"),
        ("unless false { call a } else { call x }", "`false` is always false"),
        ("call a if a.ok and not true { call x }", "`a.ok and not true` is always false"),
        ('if 1 > 2 or "a" == "b" { call x }', "is always false"),
        ("call a if a.ok { call a } else if a.ok { call x }", "`a.ok` was asked before, and false"),
        ("call a while a.ok { max_iterations = 0 call x }", "the loop has `max_iterations = 0`"),
        ("do { max_iterations = 0 call x } while x.ok", "the loop has `max_iterations = 0`"),
        ("while false { max_iterations = 3 call x }", "`false` is always false"),
        ("foreach i in [] { call x }", "there are no items"),
        ("call a foreach i in a.files { max_items = 0 call x }", "there are no items"),
        ("call x { if = false }", "`false` is always false"),
    ],
)
def test_what_never_runs_is_told_once(only: Callable[..., Diagnostic], text: str, says: str) -> None:
    found = only(f"W{{ {text} }}")
    assert found.code == "unreachable"
    assert says in found.message


@pytest.mark.parametrize(
    "text",
    [
        "call a if a.ok { call b }",
        "call a if a.ok or false { call b } else { call c }",
        "call a unless a.ok { call b } else if a.ok { call c }",
        "call a if a.ok { call b } else if a.other { call c } else { call d }",
        "while true { max_iterations = 3 call a }",
        "if true { call a }",
        "call a foreach i in a.files { call b }",
        'if "1" == 1 or 1 < "2" { call b }',
    ],
)
def test_what_may_run_is_left_alone(codes: Callable[..., list[str]], text: str) -> None:
    assert codes(f"W{{ {text} }}") == []
