"""What recovery promises on any text: no exception, bounded work, bounded reports, and the sound parts kept."""

from __future__ import annotations

import sys
from types import FrameType

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runkon.language.diagnostics import CATALOGUE, Diagnostic, Severity
from runkon.language.parser import parse
from runkon.language.recovery import MOST_REPORTS, Recovery
from runkon.language.source import SourceFile
from runkon.language.table import parse_table
from runkon.language.tokens import tokenize

GOOD = """\
workflow w {
  meta { title = "t" targets = ["a", "b"] }
  inputs { x required y boolean default = true }
  call plan { output = "o" with = ["a" "b",] retries = 2 }
  if plan.ok and not (x.y == "z" or inputs.x in [1, 2]) {
    script s { run = "echo" env = { A = "1" } timeout = 5m }
  } else {
    gate human_review { prompt = \"\"\"
      Ship?
    \"\"\" }
  }
  do { max_iterations = 3 call f } while f.again
  foreach f in plan.files { call g { inputs = { p = "{{f}}" } } }
  outputs { v = plan.v }
}
workflow k { call inner }
"""
PIECES = [
    "{",
    "}",
    "[",
    "]",
    "(",
    ")",
    '"',
    '"""',
    "=",
    "==",
    ".",
    ",",
    ";",
    "\\",
    "'",
    "\n",
    " ",
    "#",
    "//",
    "-",
    "->",
]
PIECES += [
    "workflow ",
    "call ",
    "if ",
    "else ",
    "while ",
    "do ",
    "inputs ",
    "meta ",
    "graph ",
    "not ",
    "in ",
    "5x",
    "5m",
]
PIECES += ["\x00", "\ud800", "\ufeff", "é", "\x1c", "\r"]


def only(text: str) -> Diagnostic:
    (found,) = parse(SourceFile("a.wf", text)).diagnostics
    return found


def check_result(text: str) -> None:
    """Parsing ended, and what it says about the text can be shown."""
    result = parse(SourceFile("a.wf", text))
    lines = text.count("\n") + 1
    assert result.workflows or not result.ok
    for found in result.diagnostics:
        assert found.code in CATALOGUE
        assert 0 <= found.span.start <= found.span.end <= len(text)
        assert 1 <= found.span.line <= lines
        assert found.message
        assert "\n" not in found.message + found.label
        assert not found.message.endswith(".")
    assert list(result.diagnostics) == sorted(result.diagnostics, key=lambda d: d.span.start)


@settings(max_examples=300, deadline=None)
@given(st.text(st.characters(codec=None, exclude_categories=()), max_size=60))
def test_any_text_gives_diagnostics_and_no_exception(text: str) -> None:
    check_result(text)


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=80), st.sampled_from(["latin-1", "utf-16-le", "utf-8"]))
def test_any_bytes_give_diagnostics_and_no_exception(data: bytes, encoding: str) -> None:
    check_result(data.decode(encoding, "surrogateescape" if encoding == "utf-8" else "replace"))


@settings(max_examples=300, deadline=None)
@given(st.lists(st.sampled_from(PIECES), max_size=30))
def test_any_heap_of_pieces_gives_diagnostics_and_no_exception(pieces: list[str]) -> None:
    check_result("".join(pieces))
    check_result("workflow w { " + "".join(pieces) + " }")


@settings(max_examples=400, deadline=None)
@given(st.data())
def test_any_damage_to_a_good_file_gives_diagnostics_and_no_exception(data: st.DataObject) -> None:
    text = GOOD
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(text)))
        gone = data.draw(st.integers(0, 40))
        text = text[:at] + data.draw(st.sampled_from(["", *PIECES])) + text[at + gone :]
    check_result(text)


def test_a_sign_left_out_of_a_good_file_is_one_report_as_a_rule() -> None:
    counts = []
    for at, sign in enumerate(GOOD):
        if sign in '{}[]()"=.,':
            found = parse(SourceFile("a.wf", GOOD[:at] + GOOD[at + 1 :])).diagnostics
            counts.append(sum(1 for d in found if d.severity is Severity.ERROR))
    assert sum(1 for count in counts if count <= 1) / len(counts) > 0.85
    assert max(counts) <= 4


# ── work and reports are bounded ────────────────────────────────────────────────────────────────
BROKEN_STEPS = [
    "call a { retries 2 }\n",
    "parralel { call a }\n",
    "call a {\n",
    "foo bar\n",
    "call {\n }\n",
    'with = "x\n',
    "}\n",
]


def probes(text: str) -> tuple[int, int]:
    """Tokens looked at, and tokens there are."""
    source = SourceFile("a.wf", text)
    recovery = Recovery(source, parse_table(), tokenize(source, parse_table()))
    recovery.run()
    return recovery.probes, len(tokenize(source, parse_table()))


@pytest.mark.parametrize("step", BROKEN_STEPS)
def test_work_grows_with_the_text(step: str) -> None:
    good = "call a { retries = 2 }\n"
    small, tokens = probes(f"workflow w {{\n{step * 20}{good * 200}}}")
    large, more = probes(f"workflow w {{\n{step * 200}{good * 2000}}}")
    assert large / more <= 4 * (small / tokens) + 10


LONG_LINES = [
    ("if a", "@.b", ") {"),
    ("", "do a.b . . ", ""),
    ("", "do a.b ", ""),
    ("call a ", "else if a ", "}"),
    ("call a } ", "workflow a { do { workflow b { call x } } } ", "workflow w {"),
]


@pytest.mark.parametrize(("before", "again", "after"), LONG_LINES)
def test_work_grows_with_the_length_of_a_line(before: str, again: str, after: str) -> None:
    good = "call a { retries = 2 }\n"
    small = lines_run(f"workflow w {{\n{good * 5}{before}{again * 60}{after} }}")
    large = lines_run(f"workflow w {{\n{good * 40}{before}{again * 480}{after} }}")
    assert large <= 11 * small


def lines_run(text: str) -> int:
    """Lines of Python that parsing a text takes, a measure of work that no other process disturbs."""
    count = 0

    def trace(frame: FrameType, event: str, argument: object) -> object:
        nonlocal count
        count += event == "line"
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        parse(SourceFile("a.wf", text))
    finally:
        sys.settrace(before)
    return count


def test_reports_end_at_a_limit() -> None:
    found = parse(SourceFile("a.wf", "workflow w {\n" + "call a { retries 2 }\n" * 500 + "}")).diagnostics
    assert len(found) == MOST_REPORTS + 1
    assert (found[-1].code, found[-2].span.line) == ("too-many-errors", 101)


def test_the_larger_a_file_the_less_often_it_is_scanned_again() -> None:
    """Each string that is not closed turns the quotes behind it around, so that all of them are read anew."""
    small, large = ("workflow w {\n" + 'call a { output = "x\n}\n' * times + "}" for times in (200, 12_000))
    found = [parse(SourceFile("a.wf", text)).diagnostics for text in (small, large)]
    assert [len(found[0]) > 15, len(found[1]) < 12] == [True, True]
    assert {each[-1].code for each in found} == {"too-many-errors"}


def test_one_report_per_line() -> None:
    text = "workflow w {\n call a { retries 2 output = } call gate\n call b { retries 3 }\n}"
    assert [d.span.line for d in parse(SourceFile("a.wf", text)).diagnostics] == [2, 3]


# ── what is kept ────────────────────────────────────────────────────────────────────────────────
def test_a_workflow_whose_text_is_complete_is_kept_with_its_other_findings() -> None:
    text = "workflow w {\n call a { retries 2 }\n call b { retrys = 2 }\n}"
    result = parse(SourceFile("a.wf", text))
    assert [d.code for d in result.diagnostics] == ["missing-equals", "unknown-option"]
    assert [step.agent.text for step in result.workflows[0].body] == ["a", "b"]
    assert result.workflows[0].body[0].options.retries == 2


def test_a_workflow_that_lost_something_is_left_out_and_the_others_stay() -> None:
    result = parse(SourceFile("a.wf", "workflow a { call b } workflow c {\n foo bar\n}\nworkflow d { call e }"))
    assert [w.name for w in result.workflows] == ["a", "d"]
    assert not result.ok


def test_a_lost_option_is_not_also_a_missing_option() -> None:
    found = only("workflow w {\n  while a.b {\n    max_iterations = = = ] 3\n    call c\n  }\n}")
    assert found.code == "unexpected-token"


# ── wording ─────────────────────────────────────────────────────────────────────────────────────
@pytest.mark.parametrize(
    ("text", "label", "help_text"),
    [
        ("workflow w { parralel { call a } }", "expected a statement, `always`, or `}`", "did you mean `parallel`?"),
        ("workflow w { retry { call a } }", "expected a statement, `always`, or `}`", None),
        ("workflow w { call a { ) } }", "expected an option or `}`", None),
        ("workflow w { call 5 }", "expected an agent name, a quoted path, or `workflow`", None),
        ("workflow w { do a.b { call c } }", "expected `{`", "write `do { … } while step.marker`"),
        ("workflow w { if a = b { call c } }", "expected `in`, `and`, `or`, a comparison, or `{`", "compare with `==`"),
        ("workflow w { script s { run = ./x.sh } }", "", 'quote it: `"./x.sh"`'),
        ("workflow w { script s { run = 'a b' } }", "", 'text stands in double quotes: `"a b"`'),
        ("workflow w { call a { retries: 2 } }", "", "write `=` instead"),
        ("workflow w { if a { } call b } elif", "expected another `workflow` or the end of the file", None),
        ("workflow w { graph g { call a } }", "not available yet", None),
    ],
)
def test_labels_and_help_speak_the_readers_words(text: str, label: str, help_text: str | None) -> None:
    found = only(text)
    assert (found.label, found.help) == (label, help_text)


def test_an_unclosed_block_names_its_line_and_where_the_file_ended() -> None:
    found = only("workflow w {\n  call a\n  parallel {\n    call b\n}\n")
    assert (found.code, found.message, found.span.line) == (
        "unclosed-block",
        "the block of `parallel` is never closed",
        3,
    )
    assert [related.span.line for related in found.related] == [5]


def test_what_a_sentence_repeats_is_one_short_line() -> None:
    found = parse(SourceFile("a.wf", '1{{}call"""\n"""{b=//\nh')).diagnostics
    assert found
    assert [d.code for d in found if "\n" in d.message + d.label] == []
    assert len(only("workflow w { call a { " + "x" * 5000 + " = 1 } }").message) < 400


def test_control_characters_are_spelled_out() -> None:
    assert only("workflow w { \x1b }").message == "unexpected character `U+001B`"
    assert only("workflow w { \ud800 }").message == "unexpected character `U+D800`"


def test_parsing_needs_no_state_between_calls() -> None:
    broken = [d.message for d in parse(SourceFile("a.wf", "workflow w { foo }")).diagnostics]
    assert parse(SourceFile("a.wf", GOOD)).ok
    assert [d.message for d in parse(SourceFile("a.wf", "workflow w { foo }")).diagnostics] == broken
