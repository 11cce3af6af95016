from __future__ import annotations

import pytest

from runkon.language.checks.unsupported import unsupported
from runkon.language.parser import parse
from runkon.language.source import SourceFile
from runkon.testing import check_text


def codes_of(text: str) -> list[tuple[str, int]]:
    parsed = parse(SourceFile("w.wf", text))
    assert parsed.ok, parsed.diagnostics
    return [(found.code, found.span.line) for found in unsupported(parsed.workflows[0])]


@pytest.mark.parametrize(
    "option",
    ["stream = lines", "stream = jsonl"],
)
def test_options_that_are_not_honoured_are_named(option: str) -> None:
    assert codes_of(f'workflow w {{\n  script a {{ run = "x"\n    {option}\n  }}\n}}') == [("unsupported-option", 3)]


@pytest.mark.parametrize("option", ["idle_timeout = 5s", "max_turns = 1"])
def test_options_of_a_call_of_a_workflow_that_are_not_honoured_are_named(option: str) -> None:
    assert codes_of(f"workflow w {{\n  call workflow k {{\n    {option}\n  }}\n}}") == [("unsupported-option", 3)]


def test_what_children_hold_is_found_where_they_are_called() -> None:
    kid = 'workflow kid {\n  script a { run = "x" stream = lines }\n}'
    program = check_text(
        "workflow w {\n  call workflow kid\n  call workflow own\n}\n"
        'workflow own { script b { run = "x" stream = lines } call workflow kid }',
        workflows={"kid": kid},
    )
    found = unsupported(program.workflow, program.children)
    assert [(one.span.file, one.span.line) for one in found] == [("test.wf", 2), ("test.wf", 5), ("test.wf", 5)]
    assert found[0].message == "`stream (kid.wf:2)` can't be executed by this version of runkon yet"


def test_limits_of_a_child_are_fine() -> None:
    program = check_text("workflow w { call workflow k }\nworkflow k { meta { max_calls = 2 } call a }")
    assert unsupported(program.workflow, program.children) == ()


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
