from __future__ import annotations

from textwrap import dedent

import pytest

from runkon.language.formatter import LINE_WIDTH, format_source
from runkon.language.parser import parse
from runkon.language.source import SourceFile


def fmt(text: str) -> str:
    result, found = format_source(SourceFile("t.wf", text))
    assert result is not None, found
    again, _ = format_source(SourceFile("t.wf", result))
    assert again == result
    assert parse(SourceFile("t.wf", result)).workflows == parse(SourceFile("t.wf", text)).workflows
    return result


def body(text: str) -> str:
    """A formatted workflow body, without the two spaces in front."""
    lines = fmt("workflow w {\n" + dedent(text) + "\n}\n").splitlines()
    return "\n".join(line.removeprefix("  ") for line in lines[1:-1])


def lines(text: str) -> str:
    return dedent(text).strip("\n")


# ── layout ────────────────────────────────────────────────────────────────────────────────────────
@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ("call   a", "call a"),
        ("call a {}", "call a"),
        ("gate human_review {}", "gate human_review {}"),
        ("call a { retries=2,timeout=5m; }", "call a { retries = 2 timeout = 5m }"),
        ("call a\n{ retries = 2 }", "call a { retries = 2 }"),
        ("call a { retries = 2\n}", "call a {\n  retries = 2\n}"),
        ("call 'x'".replace("'", '"'), 'call "x"'),
        ("call a call b", "call a\ncall b"),
        ("if a.b { call c }", "if a.b {\n  call c\n}"),
        ("if a.b { }", "if a.b {}"),
        ("if a.b { } else { }", "if a.b {} else {}"),
        ("unless a.b { call c } else if (d.e) { call f }", "unless a.b {\n  call c\n} else if d.e {\n  call f\n}"),
        ("always { }", "always {}"),
        ("do { call a } while a.b { max_iterations = 1 }", "do {\n  call a\n}\nwhile a.b { max_iterations = 1 }"),
        ("do { max_iterations = 1 call a } while a.b", "do {\n  max_iterations = 1\n  call a\n} while a.b"),
        ("do x { call a }", "do x {\n  call a\n}"),
        ("parallel x { call a }", "parallel x {\n  call a\n}"),
        ("foreach f in a.b { call c }", "foreach f in a.b {\n  call c\n}"),
        ("foreach f in [1,2] { call c }", "foreach f in [1, 2] {\n  call c\n}"),
        ("foreach f in [1,\n2] { call c }", "foreach f in [\n  1,\n  2,\n] {\n  call c\n}"),
        ("inputs { a b }", "inputs { a, b }"),
        ("inputs { a, number b }", "inputs { a, number, b }"),
        ("inputs {\na, number b\n}", "inputs {\n  a,\n  number\n  b\n}"),
        ("outputs { a = b.c }", "outputs { a = b.c }"),
        ("meta {}", "meta {}"),
    ],
)
def test_layout(written: str, expected: str) -> None:
    prefix = "call a call d\n"
    assert body(prefix + written).removeprefix("call a\ncall d\n") == expected


def test_one_blank_line_at_most_is_kept_between_statements_and_none_at_the_edges() -> None:
    assert body("\n\n\ncall a\n\n\n\ncall b\ncall c\n \t\n") == "call a\n\ncall b\ncall c"


def test_a_blank_line_between_options_and_statements_is_kept() -> None:
    assert body("parallel {\n\n  fail_fast = false\n\n  call a }") == "parallel {\n  fail_fast = false\n\n  call a\n}"


def test_workflows_are_one_blank_line_apart() -> None:
    assert fmt("workflow a {} workflow b {}\n\n\n\n// c\nworkflow c {}") == (
        "workflow a {}\n\nworkflow b {}\n\n// c\nworkflow c {}\n"
    )


def test_sections_stay_where_they_are() -> None:
    text = "workflow w {\n  call a\n  meta { title = T }\n  always {\n    call b\n  }\n  inputs { x }\n}\n"
    assert fmt(text) == text


def test_a_block_on_one_line_that_does_not_fit_is_opened() -> None:
    run = "x" * (LINE_WIDTH - 30)
    assert body(f'script s {{ run = "{run}" }}') == f'script s {{ run = "{run}" }}'
    run = "x" * LINE_WIDTH
    assert body(f'script s {{ run = "{run}" env = {{ A = "1" }} }}') == (
        f'script s {{\n  run = "{run}"\n  env = {{ A = "1" }}\n}}'
    )


def test_a_list_that_does_not_fit_is_opened_one_element_to_a_line() -> None:
    names = [f'"{letter * 30}"' for letter in "abcd"]
    elements = "".join(f"    {name},\n" for name in names)
    assert body(f"call a {{\nwith = [{' '.join(names)}]\n}}") == f"call a {{\n  with = [\n{elements}  ]\n}}"


def test_a_map_over_several_lines_stays_open() -> None:
    assert body('script s {\nrun = x env = { A = "1"\nB = two } }') == (
        'script s {\n  run = x\n  env = {\n    A = "1"\n    B = two\n  }\n}'
    )


def test_both_forms_of_inputs_stay_as_they_are() -> None:
    text = lines("""
        call workflow k { inputs { a = "x" n = 3 } retries = 1 }
        call workflow k { inputs = { a = "x" } }
        call workflow k {
          inputs {
            a = "x"  // the = sign is in the comment
          }
        }
    """)
    assert body(text) == text


def test_a_byte_order_mark_and_carriage_returns_disappear() -> None:
    assert fmt("\ufeffworkflow w {\r\n  call a // c\r\n}\r\n") == "workflow w {\n  call a  // c\n}\n"


# ── values and conditions ─────────────────────────────────────────────────────────────────────────
@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ('"a\\qb"', '"aqb"'),
        ('"a\\"b\\\\c\\n\\t"', '"a\\"b\\\\c\\n\\t"'),
        ('"two\nlines"', '"two\nlines"'),
        ('"tab\there"', '"tab\there"'),
        ('"// no # comment"', '"// no # comment"'),
        ("word", "word"),
        ("a . b", "a.b"),
        ("007", "7"),
        ("-1.50", "-1.5"),
        ("1h030m", "1h30m"),
        ("[]", "[]"),
        ("[ a b, c; ]", "[a, b, c]"),
        ("{}", "{}"),
        ("{ a=1,b=[2];c={d=3} }", "{ a = 1 b = [2] c = { d = 3 } }"),
    ],
)
def test_values(written: str, expected: str) -> None:
    assert body(f"outputs {{\nx = {written}\n}}") == f"outputs {{\n  x = {expected}\n}}"


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ("(a.b)", "a.b"),
        ("a.b and (c.d and e.f)", "a.b and c.d and e.f"),
        ("a.b and (c.d or e.f)", "a.b and (c.d or e.f)"),
        ("(a.b and c.d) or e.f", "a.b and c.d or e.f"),
        ("not (a.b == 3)", "not a.b == 3"),
        ("(not a.b) == true", "(not a.b) == true"),
        ("not not a.b", "not not a.b"),
        ('a.b in ["x",3,5m]', 'a.b in ["x", 3, 5m]'),
        ('a.b=="q\\q"', 'a.b == "qq"'),
        ("a.n >= -1.50", "a.n >= -1.5"),
    ],
)
def test_conditions(written: str, expected: str) -> None:
    assert body(f"if {written} {{ call x }}") == f"if {expected} {{\n  call x\n}}"


def test_a_condition_in_quotes_becomes_bare() -> None:
    assert body('call a { if = "d.m" }') == "call a { if = d.m }"


def test_long_strings_follow_the_indentation_of_their_option() -> None:
    assert body('gate human_review {\nprompt = """\n        Ship\n\n          it?\n"""\n}') == lines("""
        gate human_review {
          prompt = \"""
            Ship

              it?
          \"""
        }
    """)


@pytest.mark.parametrize(
    "written",
    ['"""text at once\n   and more"""', '"""\n  \\n escaped\n\t tab"""', '"""one line"""', '"""\n"""', '"""\n\n  x"""'],
)
def test_long_strings_keep_what_they_say(written: str) -> None:
    assert '"""' in body(f"gate human_review {{ prompt = {written} }}")  # `fmt` compares the texts


# ── declarations ──────────────────────────────────────────────────────────────────────────────────
@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ("a description=x default = 1 required number", 'a number required default = 1 description = "x"'),
        ('a one_of ["x" y]', 'a one_of ["x", "y"]'),
        ('a boolean boolean required description = "say \\"hi\\""', 'a boolean required description = "say \\"hi\\""'),
        ('a description = "two\nlines"', 'a description = "two\nlines"'),
        ('a description = "one" number description = two', 'a number description = "two"'),
        ("a list default = [1 2]", "a list default = [1, 2]"),
    ],
)
def test_declarations(written: str, expected: str) -> None:
    assert body(f"inputs {{\n{written}\n}}") == f"inputs {{\n  {expected}\n}}"


# ── comments ──────────────────────────────────────────────────────────────────────────────────────
COMMENTED = lines("""
    // at the start
    # of the file

    // of the workflow
    workflow w {  // behind a brace
      // first in a block

      // before a section
      meta {
        // before an option
        title = "T"  // behind an option
        // between options

        targets = [  // behind a bracket
          // before an element
          "worktree",  // behind an element
          // last in a list
        ]
        // last in a section
      }
      inputs {
        // before a declaration
        x boolean,  # behind a declaration and its comma
        number
      }

      call a { retries = 1 }  // behind a block
      // before `if`
      if a.b {
        call c  // behind a statement
        // last in a block
      } else {
        // opens the other block
        call d
      }
      script s {
        env = {
          A = "1"  // in a map
        }
        run = "x"
      }
      do {
        max_iterations = 2
        call a
        // before the end of a loop
      } while a.b  // behind a loop
      always {
        // alone
      }
      // last
    }  // behind the workflow
    // at the end
""")


def test_comments_that_stand_well_stay_there() -> None:
    assert fmt(COMMENTED + "\n") == COMMENTED + "\n"


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ("call // x\n a", "// x\ncall a"),
        ("call a // x\n { retries = 1 }", "// x\ncall a { retries = 1 }"),
        ("call a { retries = // x\n 1 }", "call a {\n  // x\n  retries = 1\n}"),
        ("call a { // x\n }", "call a {  // x\n}"),
        ("call a { retries = 1 // x\n }", "call a {\n  retries = 1  // x\n}"),
        ("if a.b // x\n and c.d // y\n { call e }", "// x\n// y\nif a.b and c.d {\n  call e\n}"),
        ("if a.b { call c } // x\n else { call d }", "if a.b {\n  call c\n} else {\n  // x\n  call d\n}"),
        ("if a.b { }\n// x\nelse // y\n if c.d { // z\n }", "if a.b {} else if c.d {\n  // x\n  // y\n  // z\n}"),
        (
            "do { max_iterations = 1 call c } // x\n while // y\n a.b // z",
            "do {\n  max_iterations = 1\n  call c\n  // x\n  // y\n} while a.b  // z",
        ),
        ("foreach f in a.b // x\n { call c }", "foreach f in a.b {\n  // x\n  call c\n}"),
        ("foreach f in [1] { // x\n call c }", "foreach f in [1] {  // x\n  call c\n}"),
        ("inputs { x default // x\n = 1 y }", "inputs {\n  // x\n  x default = 1\n  y\n}"),
        ("call a // x {", "call a  // x {"),
        ("call a {} // x\n// y\ncall b", "call a  // x\n// y\ncall b"),
        ("call a //x   \n", "call a  //x"),
        ("outputs { x = // c\n [1] }", "outputs {\n  // c\n  x = [1]\n}"),
    ],
)
def test_comments_in_odd_places_move_to_the_next_good_one(written: str, expected: str) -> None:
    prefix = "call a call c\n"
    assert body(prefix + written).removeprefix("call a\ncall c\n") == expected


def test_a_file_of_comments_around_an_empty_workflow() -> None:
    assert fmt("// a\n\n\n\n// b\nworkflow w {}\n\n\n// c") == "// a\n\n// b\nworkflow w {}\n\n// c\n"


# ── files with errors ─────────────────────────────────────────────────────────────────────────────
@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("workflow w { call a { retries = x } }", "invalid-value"),
        ("workflow w { call a { colour = x } }", "unknown-option"),
    ],
)
def test_a_file_with_errors_is_not_formatted(text: str, code: str) -> None:
    result, found = format_source(SourceFile("t.wf", text))
    assert result is None
    assert [d.code for d in found] == [code]


@pytest.mark.parametrize(
    "text", ["", "workflow", "workflow w {", "// only a comment", "workflow w { call a { } } }", "\x00"]
)
def test_text_that_does_not_parse_is_not_formatted(text: str) -> None:
    result, found = format_source(SourceFile("t.wf", text))
    assert result is None
    assert found


def test_warnings_do_not_stop_the_formatter() -> None:
    text, found = format_source(SourceFile("t.wf", "workflow w { meta { trigger = pr } }"))
    assert text is not None
    assert [d.code for d in found] == ["inactive-trigger"]


def test_a_result_that_is_there_is_not_parsed_again() -> None:
    source = SourceFile("t.wf", "workflow w {   }")
    assert format_source(source, parsed=parse(source))[0] == "workflow w {}\n"


def test_deep_nesting_is_formatted() -> None:
    depth = 90
    text = fmt("workflow w { call a " + "if a.b { " * depth + "call c" + " }" * depth + " }")
    assert "  " * (depth + 1) + "call c\n" in text


def test_a_type_written_twice_stands_once() -> None:
    assert body("inputs { a boolean required boolean }") == "inputs { a boolean required }"
