"""What people bring along from other languages: comments, and quotes inside quotes."""

from __future__ import annotations

import pytest

from runkon.language.parser import parse
from runkon.language.source import SourceFile


def found(text: str) -> list[str]:
    return [f"{d.span.line}:{d.span.column} {d.code}" for d in parse(SourceFile("a.wf", text)).diagnostics]


@pytest.mark.parametrize(
    "comment",
    [
        "-- what it does\n",
        '-- the "first" one\n',
        "--\n",
        "/* what it does */",
        "/**/",
        "/* two\nlines */",
        "/* don't */",
        '/* a "b" // c */',
        "/* # x */",
        '/*\n * script s { run = "x" }\n */',
    ],
)
@pytest.mark.parametrize("after", ["call b ", "meta { title = t } ", 'script s { run = "x" } ', ""])
def test_a_comment_of_another_language_is_one_finding_and_the_rest_is_read(comment: str, after: str) -> None:
    text = f"workflow w {{ call a {comment} {after}}}"
    assert found(text) == ["1:21 unexpected-character"]
    assert len(parse(SourceFile("a.wf", text)).workflows) == 1


@pytest.mark.parametrize("comment", ["-- what it does\n", "/* what\nit does */"])
def test_a_comment_of_another_language_in_front_of_everything(comment: str) -> None:
    (finding,) = parse(SourceFile("a.wf", f"{comment} workflow w {{ call a }}")).diagnostics
    assert finding.code == "unexpected-character"
    assert "`//` or `#`" in (finding.help or "")


@pytest.mark.parametrize("text", ["run = --fast", "run = a /b*/c", "/* never closed"])
def test_what_only_looks_like_a_comment_is_not_taken_for_one(text: str) -> None:
    findings = parse(SourceFile("a.wf", f"workflow w {{ script s {{ {text} }} }}")).diagnostics
    assert findings
    assert all("comment" not in (each.help or "") for each in findings)


def test_the_mistake_behind_a_comment_of_another_language_is_reported() -> None:
    assert found("workflow w {\n/* x */\ncall a { retries 3 } -- y\n scrpt b { }\n}") == [
        "2:1 unexpected-character",
        "3:18 missing-equals",
        "4:2 unknown-statement",
    ]


@pytest.mark.parametrize(
    "string",
    [
        '"{{t ?? "none"}}"',
        '"a {{t ?? "none at all, really"}} b"',
        '"{{t ?? ""}}"',
        '"{{t??"3"}}"',
        '"{{t ?? "x.y"}} and {{u ?? "//"}}"',
        '"one\n{{t ?? "none"}}\nthree"',
        '"say \\"hi\\" {{t ?? "none"}} \\"bye\\""',
    ],
)
@pytest.mark.parametrize(
    "frame", ["script s { run = %s }", "outputs { a = %s b = 2 }", "call a { inputs = { a = %s } }"]
)
def test_a_default_in_double_quotes_inside_a_string_is_one_finding_that_says_so(string: str, frame: str) -> None:
    text = f"workflow w {{ {frame % string}\n scrpt b {{ }}\n}}"
    first, second = parse(SourceFile("a.wf", text)).diagnostics
    assert (first.code, second.code) == ("unescaped-default", "unknown-statement")
    assert text[first.span.start] == text[first.span.end - 1] == '"'
    assert "?? '" in (first.help or "")


@pytest.mark.parametrize(
    "string", ['"{{t ?? \\"none\\"}}"', "\"{{t ?? 'none'}}\"", '"""{{t ?? "none"}}"""', '"{{t}} ?? " ']
)
def test_a_default_that_leaves_the_string_whole_is_no_mistake(string: str) -> None:
    assert found(f"workflow w {{ call a {{ inputs = {{ a = {string} }} }} }}") == []


@pytest.mark.parametrize(
    "section",
    ["inputs { x }", "inputs { x, y }", "inputs { x integer default = 3 }", 'inputs { x one_of ["a", "b"] y required }',
     "inputs {\n  x boolean\n  y\n}", "inputs { a = 1 x }"],
)  # fmt: skip
@pytest.mark.parametrize("frame", ["if a.b { %s", "parallel { %s", "do { %s", "always { %s", "if a.b { if c.d { %s } "])
def test_declarations_inside_a_block_are_misplaced_and_the_rest_is_read(section: str, frame: str) -> None:
    lines = f"workflow w {{ {frame % section}\n call c {{ retries 3 }} }}\n scrpt b {{ }}\n}}"
    codes = [each.code for each in parse(SourceFile("a.wf", lines)).diagnostics]
    assert codes == ["misplaced-section", "missing-equals", "unknown-statement"]


@pytest.mark.parametrize("step", ["call a", "script s", "call workflow k"])
def test_declarations_in_a_step_lack_their_values(step: str) -> None:
    codes = found(f'workflow w {{ {step} {{ run = "x" inputs {{ x }} }} }}')
    assert any("missing-value" in code for code in codes)
    assert not any("misplaced-section" in code for code in codes)
