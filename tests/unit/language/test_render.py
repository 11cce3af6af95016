from __future__ import annotations

import unicodedata

import pytest

from runkon.language.diagnostics import Diagnostic, Related, Severity
from runkon.language.render import render, render_all, render_runtime
from runkon.language.source import SourceFile, Span

REVIEW = SourceFile(
    "review.wf",
    "\n" * 10
    + '  call plan { output = "task-plan" }\n'
    + "  parralel {\n"
    + "  }\n"
    + "    call review-security { retries = 1 }\n",
)


def finding(source: SourceFile, word: str, **fields: object) -> Diagnostic:
    start = source.text.index(word)
    given = {"code": "some-code", "severity": Severity.ERROR, "message": "what is wrong"} | fields
    return Diagnostic(span=source.span(start, start + len(word)), **given)  # type: ignore[arg-type]


def drawn(text: str, word: str, **fields: object) -> list[str]:
    source = SourceFile("x.wf", text)
    return render(finding(source, word, **fields), source).split("\n")


def test_a_finding_with_everything() -> None:
    found = finding(
        REVIEW,
        "parralel",
        code="unknown-statement",
        message="unknown statement `parralel`",
        label="expected a statement, `always`, or `}`",
        help="did you mean `parallel`?",
    )
    assert render(found, REVIEW) == (
        "error[unknown-statement]: unknown statement `parralel`\n"
        "  ┌─ review.wf:12:3\n"
        '11 │   call plan { output = "task-plan" }\n'
        "12 │   parralel {\n"
        "   │   ^^^^^^^^ expected a statement, `always`, or `}`\n"
        "   = help: did you mean `parallel`?"
    )


def test_a_word_inside_a_line_needs_no_line_before() -> None:
    assert drawn("workflow w {\n  if biuld.failed {\n", "biuld", help="did you mean `build` (line 3)?") == [
        "error[some-code]: what is wrong",
        "  ┌─ x.wf:2:6",
        "2 │   if biuld.failed {",
        "  │      ^^^^^",
        "  = help: did you mean `build` (line 3)?",
    ]


def test_a_failure_of_a_run() -> None:
    text = render_runtime(
        "step-failed",
        "`review-security` failed after 2 attempts: output does not match schema `review-findings`",
        file="review.wf",
        line=14,
        column=5,
        run="01JD8Q4T",
        step="checks/review-security",
        source=REVIEW,
        cause='$.findings[2].severity: "huge" is not one of low, medium, high',
        seen='…"severity": "huge"…',
        next="runkon resume 01JD8Q",
        keeps="keeps 3 finished steps",
    )
    assert text == (
        "error[step-failed]: `review-security` failed after 2 attempts: "
        "output does not match schema `review-findings`\n"
        "  ┌─ review.wf:14:5                                    run 01JD8Q4T · step checks/review-security\n"
        "14 │     call review-security { retries = 1 }\n"
        '   │     ^^^^ $.findings[2].severity: "huge" is not one of low, medium, high\n'
        '   = seen: …"severity": "huge"…\n'
        "   = next: runkon resume 01JD8Q        (keeps 3 finished steps)"
    )


def test_a_failure_whose_source_is_gone_keeps_its_cause() -> None:
    text = render_runtime(
        "step-failed", "`a` failed", file="a.wf", line=3, column=5, run="01", step="a", cause="exit code 1", next="x"
    )
    assert text.split("\n")[1:] == [
        "  ┌─ a.wf:3:5" + " " * 42 + "run 01 · step a",
        "  = cause: exit code 1",
        "  = next: x",
    ]


def test_without_a_source_there_is_only_the_place() -> None:
    found = finding(REVIEW, "parralel", help="do this")
    assert render(found, None) == "error[some-code]: what is wrong\n  ┌─ review.wf:12:3\n  = help: do this"


def test_a_source_of_another_file_is_not_drawn() -> None:
    found = finding(REVIEW, "parralel")
    assert render(found, SourceFile("other.wf", "x\n" * 20)) == render(found, None)


# ── second places ─────────────────────────────────────────────────────────────────────────────────
def test_a_second_place_is_shown_in_line_order() -> None:
    source = SourceFile("x.wf", "workflow w {\n  one\n\n\n  two\n}")
    first = source.span(15, 18)
    found = finding(source, "two", label="again", related=(Related(first, "first defined here"),))
    assert render(found, source).split("\n")[1:] == [
        "  ┌─ x.wf:5:3",
        "2 │   one",
        "  │   --- first defined here",
        "  ·",
        "5 │   two",
        "  │   ^^^ again",
    ]


def test_a_second_place_on_the_same_line() -> None:
    source = SourceFile("x.wf", "a = 1 a = 2")
    found = Diagnostic(
        "c", Severity.ERROR, "m", source.span(6, 7), "again", None, (Related(source.span(0, 1), "first"),)
    )
    assert render(found, source).split("\n")[2:] == ["1 │ a = 1 a = 2", "  │       ^ again", "  │ - first"]


def test_a_second_place_in_another_file_is_named() -> None:
    source = SourceFile("x.wf", "call k")
    found = finding(source, "k", related=(Related(Span("k.wf", 9, 10, 2, 3), "declared here"),))
    assert render(found, source).split("\n")[-1] == "  ┌─ k.wf:2:3 declared here"


# ── columns ───────────────────────────────────────────────────────────────────────────────────────
@pytest.mark.parametrize(
    "before", ["\t", "日本 ", "e\u0301 ", "\t\t日", "a\tb ", "\x1b[31m ", "\u202e ", "\U0001f680 "]
)
def test_carets_stand_under_the_word_as_people_see_it(before: str) -> None:
    _, place, line, carets = drawn(f"{before}word rest", "word", label="")
    shown = line.split("│ ", 1)[1]
    columns = width_of(shown[: shown.index("word")])
    assert carets == "  │ " + " " * columns + "^^^^"
    assert place == f"  ┌─ x.wf:1:{columns + 1}"


def width_of(text: str) -> int:
    wide = sum(unicodedata.east_asian_width(char) in "WF" for char in text)
    return len(text) + wide - sum(unicodedata.combining(char) > 0 for char in text)


def test_wide_characters_get_two_carets_each() -> None:
    assert drawn("x 日本 y", "日本")[-1] == "  │   ^^^^"


@pytest.mark.parametrize("char", ["\x1b", "\x07", "\x00", "\r", "\x7f", "\x9b", "\u202e", "\u2066", "\ud800", "\u2028"])
def test_nothing_that_moves_the_cursor_or_hides_gets_through(char: str) -> None:
    source = SourceFile(f"x{char}.wf", f'call "a{char}b" word\n')
    found = finding(source, "word", message=f"m{char}", label=f"l{char}", help=f"h{char}")
    text = render(found, source)
    assert char not in text
    text.encode("utf-8")


def test_help_may_have_several_lines() -> None:
    assert drawn("word", "word", help="one\ntwo")[-2:] == ["  = help: one", "          two"]


# ── unusual spans ─────────────────────────────────────────────────────────────────────────────────
def test_a_span_over_several_lines_marks_the_first() -> None:
    assert drawn("  if a {\n  call b\n}", "if a {\n  call b\n}")[2:] == ["1 │   if a {", "  │   ^^^^^^"]


def test_the_end_of_the_file_gets_one_caret() -> None:
    source = SourceFile("x.wf", "workflow w {\n  call a\n")
    end = len(source.text)
    found = Diagnostic("unclosed", Severity.ERROR, "m", source.span(end, end), "expected `}`")
    assert render(found, source).split("\n")[1:] == [
        "  ┌─ x.wf:3:1",
        "2 │   call a",
        "3 │",
        "  │ ^ expected `}`",
    ]


def test_an_empty_file() -> None:
    source = SourceFile("x.wf", "")
    found = Diagnostic("empty", Severity.ERROR, "m", source.span(0, 0))
    assert render(found, source).split("\n")[1:] == ["  ┌─ x.wf:1:1", "1 │", "  │ ^"]


def test_a_line_end_of_another_system_is_not_shown() -> None:
    assert drawn("call a\r\ncall b\r\n", "b")[2:] == ["2 │ call b", "  │      ^"]


@pytest.mark.parametrize("left", [0, 30, 90, 200, 3_000, 20_000])
@pytest.mark.parametrize("right", [0, 50, 3_000])
def test_a_long_line_is_cut_around_the_word(left: int, right: int) -> None:
    _, _, line, carets = drawn("x" * left + " WORD " + "y" * right, "WORD")
    shown = line.split("│ ", 1)[1]
    assert len(shown) <= 102
    at = shown.index("WORD")
    assert carets == "  │ " + " " * at + "^^^^"
    assert shown.startswith("…") == (left > 40 and left + right > 94)
    assert shown.endswith("…") == (left + right > 94 and right > 60)


def test_a_very_long_line_is_drawn_at_once() -> None:
    source = SourceFile("x.wf", "x" * 8_000_000 + " WORD " + "y" * 8_000_000)
    found = finding(source, "WORD")
    text = render(found, source)
    assert len(text) < 500


# ── lists and colours ─────────────────────────────────────────────────────────────────────────────
def test_all_findings_by_position_and_a_count() -> None:
    source = SourceFile("x.wf", "one two three")
    found = [
        finding(source, "three", severity=Severity.WARNING),
        finding(source, "one"),
        finding(source, "two"),
    ]
    text = render_all(found, source)
    assert [line.split(":")[-1] for line in text.split("\n") if "┌─" in line] == ["1", "5", "9"]
    assert text.split("\n")[-1] == "2 errors, 1 warning in x.wf"
    assert text.count("\n\n") == 3
    assert render_all(found[:1], source).endswith("\n\n1 warning in x.wf")
    assert render_all([], source) == ""


def test_colours_only_on_request_and_always_closed() -> None:
    found = finding(REVIEW, "parralel", label="here", help="do this")
    plain, coloured = render(found, REVIEW), render(found, REVIEW, color=True)
    assert "\x1b" not in plain
    assert coloured.count("\x1b[0m") == coloured.count("\x1b[") / 2
    stripped = coloured
    for code in ("\x1b[1;31m", "\x1b[1m", "\x1b[34m", "\x1b[0m"):
        stripped = stripped.replace(code, "")
    assert stripped == plain
