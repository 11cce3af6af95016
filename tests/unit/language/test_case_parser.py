"""Files of tests: what is read, what is reported, and how they are laid out."""

from __future__ import annotations

import pytest

from runkon.language.case_parser import parse_cases
from runkon.language.formatter import format_cases
from runkon.language.parser import parse
from runkon.language.render import render_all
from runkon.language.source import SourceFile

WHOLE = """\
// about all of them
test "ships when clean" {
  workflow = "review"  // as `run` finds it
  inputs { scope = "full" }

  answer lint { markers = ["clean"] }
  answer checks/security { error = "rate limit" kind = transient }
  answer "while[1]/fix" {}
  answer default { expect = 1 decide = 2 that = x }
  answer test
  default { context = "x" }
  decide human_review { approve = true after = 48h by = "kim" }
  expect {
    status = completed
    ran = ["lint", "ship"]
    outputs { verdict = "ok" }
    that = lint.attempts == 2 and not a.b
    that = c.d
  }
}

test "another" { workflow = x }
"""


def read(text):
    return parse_cases(SourceFile("a.wftest", text))


def codes(text):
    return [(d.code, d.span.line, d.span.column) for d in read(text).diagnostics]


def test_the_tree_of_a_whole_file():
    parsed = read(WHOLE)
    first, second = parsed.cases
    assert parsed.diagnostics == ()
    assert [first.name.text, second.name.text] == ["ships when clean", "another"]
    assert [block.name for block in first.blocks("answer")] == [
        "lint", "checks/security", "while[1]/fix", "default", "test",
    ]  # fmt: skip
    assert [block.name for block in first.blocks("decide")] == ["human_review"]
    expected = next(first.blocks("expect"))
    assert [entry.name for entry in expected.written] == ["status", "ran", "outputs", "that", "that"]
    assert expected.entry("that").value.kind == "and"


def test_the_canonical_text_is_a_fixed_point():
    assert format_cases(read(WHOLE)) == WHOLE
    squeezed = WHOLE.replace("\n  ", "\n").replace("{ m", "{m")
    assert format_cases(read(squeezed)) == WHOLE


def test_the_words_of_tests_are_names_in_workflows():
    text = "workflow test { call answer call default { id = expect } if decide.that { call test } }"
    found = parse(SourceFile("a.wf", text)).diagnostics
    assert found == ()


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ('test "a" { }', [("missing-option", 1, 6)]),
        ('test "a" { workflow = x speed = 1 }', [("unknown-option", 1, 25)]),
        ('test "a" { workflow = x expect { stats = done } }', [("unknown-option", 1, 34)]),
        ('test "a" { workflow = x expect { status = a status = b } }', [("duplicate-option", 1, 45)]),
        ('test "a" { workflow = x expect { } expect { } }', [("duplicate-option", 1, 36)]),
        ('test "a" { workflow = x answer y { b = 1 b = 2 } }', [("duplicate-key", 1, 42)]),
        ('test "a" { workflow = x answer }', [("unexpected-token", 1, 32)]),
        ('test "a" { workflow = x expcet { } }', [("unexpected-token", 1, 25)]),
        ('test "a" { workflow = x', [("unclosed-block", 1, 1)]),
        ('test "a { workflow = x }', [("unterminated-string", 1, 6)]),
        ('test "a" { workflow = x expect { that = "a b" } }', [("invalid-condition", 1, 41)]),
        ("workflow a { call b }", [("unexpected-token", 1, 1)]),
        ("", [("unexpected-token", 1, 1)]),
        ('test "a" { workflow = x answer y { z = 5x } }', [("unexpected-token", 1, 40)]),
        ('test "a" { workflow = x inputs { a = ' + "[" * 120 + " } }", [("nesting-too-deep", 1, 136)]),
    ],
)
def test_a_mistake_is_reported_at_its_place(text, found):
    assert codes(text) == found


def test_a_mistake_in_one_test_leaves_the_others():
    parsed = read('test "a" { workflow = }\ntest "b" { workflow = x }\ntest "c" { workflow = x answer { } }\n')
    assert [case.name.text for case in parsed.cases] == ["b"]
    assert [d.span.line for d in parsed.diagnostics] == [1, 3]


def test_a_name_without_quotes_is_told_and_leaves_the_others():
    parsed = read('test "a" { workflow = x }\ntest b { workflow = x }\ntest "c" { workflow = x }\n')
    assert [case.name.text for case in parsed.cases] == ["a", "c"]
    assert render_all(parsed.diagnostics, parsed.source).split("\n\n")[0] == (
        "error[unexpected-token]: unexpected `b`\n"
        "  ┌─ a.wftest:2:6\n"
        "2 │ test b { workflow = x }\n"
        "  │      ^ expected the name of the test in quotes\n"
        '  = help: write `test "b" {`'
    )


def test_a_misspelt_block_is_told_the_word():
    parsed = read('test "a" { workflow = x expcet { } }\n')
    assert render_all(parsed.diagnostics, parsed.source).split("\n\n")[0] == (
        "error[unexpected-token]: unexpected `expcet`\n"
        "  ┌─ a.wftest:1:25\n"
        '1 │ test "a" { workflow = x expcet { } }\n'
        "  │                         ^^^^^^ expected `=`\n"
        "  = help: did you mean `expect`?"
    )


@pytest.mark.parametrize("cut", range(0, len(WHOLE), 7))
def test_half_a_file_never_raises(cut):
    parsed = read(WHOLE[:cut])
    assert parsed.ok is (not parsed.diagnostics)
    assert format_cases(parsed) is None or parsed.ok
