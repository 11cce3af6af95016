from __future__ import annotations

import pytest

from runkon.language.checks.unsupported import unsupported
from runkon.language.parser import parse
from runkon.language.source import SourceFile


def codes_of(text: str) -> list[tuple[str, int]]:
    parsed = parse(SourceFile("w.wf", text))
    assert parsed.ok, parsed.diagnostics
    return [(found.code, found.span.line) for found in unsupported(parsed.workflows[0])]


@pytest.mark.parametrize(
    "statement",
    [
        "gate human_review { }",
        "call workflow k",
        "foreach f { over = runs max_parallel = 1 workflow = k }",
        "foreach f in a.files { call b }",
        "if a.x { gate human_review { } }",
        "always { gate human_review { } }",
        "parallel { call b gate human_review { } }",
    ],
)
def test_constructs_that_cannot_run_are_named(statement: str) -> None:
    assert codes_of(f"workflow w {{\n  call a\n  {statement}\n}}") == [("unsupported-construct", 3)]


@pytest.mark.parametrize(
    "option",
    ["cache = true", "isolation = worktree", "merge = auto"],
)
def test_options_that_are_not_honoured_are_named(option: str) -> None:
    assert codes_of(f"workflow w {{\n  call a {{\n    {option}\n  }}\n}}") == [("unsupported-option", 3)]


def test_metadata_is_fine() -> None:
    text = """workflow w { meta { title = "T" group = g targets = ["repo"] max_parallel = 2 strict = true timeout = 5m
             budget_usd = 2 max_calls = 3 max_tokens = 4 } }"""
    assert codes_of(text) == []


def test_what_runs_is_fine() -> None:
    text = """workflow w {
      inputs { f boolean }
      call a { retries = 1 delay = 1s timeout = 5s idle_timeout = 2s on_fail = continue
             effect = write on_unknown = fail }
      parallel p { fail_fast = false min_success = 1 until = b.ok call b script s { run = "echo" env = { A = "1" } } }
      while a.more { max_iterations = 2 call a }
      if f { call c } else { do { call d } }
      always { call z }
      outputs { v = a.v }
    }"""
    assert codes_of(text) == []
