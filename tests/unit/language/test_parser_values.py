"""Strings, numbers, durations, words, conditions and input declarations."""

from __future__ import annotations

import pytest

from runkon.language import nodes
from runkon.language.condition_text import condition_text
from runkon.language.parser import parse
from runkon.language.source import SourceFile


def codes(inside: str) -> list[str]:
    return [d.code for d in parse(SourceFile("a.wf", f"workflow w {{ {inside} }}")).diagnostics]


def value(text: str) -> nodes.Value:
    result = parse(SourceFile("a.wf", f"workflow w {{ outputs {{ v = {text} }} }}"))
    assert result.diagnostics == ()
    return result.workflows[0].outputs[0].value


def condition(text: str) -> nodes.Condition:
    result = parse(SourceFile("a.wf", f"workflow w {{ if {text} {{ call a }} }}"))
    assert result.diagnostics == ()
    return result.workflows[0].body[0].arms[0].condition


def inputs(text: str) -> tuple[nodes.InputDecl, ...]:
    result = parse(SourceFile("a.wf", f"workflow w {{ inputs {{ {text} }} }}"))
    assert result.diagnostics == ()
    return result.workflows[0].inputs


# ── strings ─────────────────────────────────────────────────────────────────────────────────────
@pytest.mark.parametrize(
    ("written", "text"),
    [
        (r'"a\tb\"c\\d\qe\nf"', 'a\tb"c\\dqe\nf'),
        ('"two\nlines\t"', "two\nlines\t"),
        ('"see //x # y"', "see //x # y"),
        ('""', ""),
        ('"back\\\nslash"', "back\nslash"),
        ('"\\u0041\\r"', "u0041r"),
    ],
)
def test_strings_decode_their_escapes(written: str, text: str) -> None:
    found = value(written)
    assert (found.text, found.multiline) == (text, False)


@pytest.mark.parametrize(
    ("written", "text"),
    [
        ('"""\n    a\n      b\n\n    c\n    """', "a\n  b\n\nc\n"),
        ('"""\n  a\n  b"""', "a\nb"),
        ('"""one"""', "one"),
        ('"""one\n  two"""', "one\n  two"),
        ('""""quoted" text"""', '"quoted" text'),
        ('"""\n  a\\n b\\""""', 'a\n b"'),
        ('"""\r\n  a\r\n  b"""', "a\r\nb"),
        ('"""\n\ta\n  b"""', "\ta\n  b"),
        ('""""""', ""),
        ('"""\n"""', ""),
    ],
)
def test_multiline_strings_lose_first_newline_and_common_indentation(written: str, text: str) -> None:
    found = value(written)
    assert (found.text, found.multiline) == (text, True)


# ── numbers and durations ───────────────────────────────────────────────────────────────────────
@pytest.mark.parametrize(
    ("written", "text"),
    [
        ("007", "7"),
        ("-1.50", "-1.5"),
        ("0", "0"),
        ("-0", "0"),
        ("1.0", "1"),
        ("4294967296", "4294967296"),
        ("-3", "-3"),
    ],
)
def test_numbers_are_kept_canonically(written: str, text: str) -> None:
    assert value(written) == nodes.Number(span=value(written).span, text=text)


@pytest.mark.parametrize(
    ("written", "milliseconds"),
    [("500ms", 500), ("45s", 45_000), ("1h30m", 5_400_000), ("2d", 172_800_000), ("1d2h3m4s5ms", 93_784_005)],
)
def test_durations_are_milliseconds(written: str, milliseconds: int) -> None:
    found = value(written)
    assert (found.kind, found.text, found.milliseconds) == ("duration", written, milliseconds)


@pytest.mark.parametrize("written", ["5x", "1.5h", "1m2h", "2H", "1_000", "1.2.3", "5m3", "0x1f", "9" * 200, "1."])
def test_a_number_glued_to_something_is_an_invalid_value(written: str) -> None:
    assert codes(f"outputs {{ v = {written} }}") == ["invalid-value"]


# ── lists, maps, words ──────────────────────────────────────────────────────────────────────────
def test_lists_take_commas_semicolons_or_nothing() -> None:
    assert value('["a" "b", c; 4,]').items == value('["a", "b", c, 4]').items
    assert value("[]").items == ()


@pytest.mark.parametrize("written", ['["a",,"b"]', "[,]", "[;a]", '{ a = "x",, b = y }'])
def test_doubled_and_leading_separators_are_errors(written: str) -> None:
    assert codes(f"outputs {{ v = {written} }}") == ["unexpected-token"]


def test_values_nest() -> None:
    found = value("{ a = [1, { b = c.d.e }] }")
    assert found.entries[0].value.items[1].entries[0].value.text == "c.d.e"


def test_a_name_may_end_in_a_hyphen() -> None:
    assert value("a--b-").text == "a--b-"


# ── conditions ──────────────────────────────────────────────────────────────────────────────────
@pytest.mark.parametrize(
    ("written", "canonical"),
    [
        ("a", "a"),
        ("a.b.c", "a.b.c"),
        ("not a or b and c", "not a or b and c"),
        ("(a or b) and c", "(a or b) and c"),
        ("(a and b) and (c and d)", "a and b and c and d"),
        ("a or (b or c)", "a or b or c"),
        ("not (a and b)", "not (a and b)"),
        ("not not a", "not not a"),
        ("a.x==3", "a.x == 3"),
        ("a.x<=-1.50", "a.x <= -1.5"),
        ('a.x!="y\\"z"', 'a.x != "y\\"z"'),
        ('a.x in [1, b.c, "d"]', 'a.x in [1, b.c, "d"]'),
        ("a.t > 1m30s", "a.t > 1m30s"),
        ("((a))", "a"),
        ("not.ok and in.x", "not.ok and in.x"),
        ("(a.b == 1) == true", "(a.b == 1) == true"),
        ("a>b", "a > b"),
    ],
)
def test_conditions_bind_as_they_should(written: str, canonical: str) -> None:
    assert condition_text(condition(written)) == canonical


def test_and_binds_tighter_than_or_and_not_tightest() -> None:
    found = condition("not a or b and c")
    assert isinstance(found, nodes.Or)
    assert [type(operand) for operand in found.operands] == [nodes.Not, nodes.And]


def test_literals_of_conditions() -> None:
    found = condition("a.b in [true, null, 2, -1.5, 90s, 1500ms]")
    constants = [getattr(item, "value", item) for item in found.right.items]
    assert [condition("true").value, condition("false").value, condition("null").value] == [True, False, None]
    assert constants[2:] == [2, -1.5, 90, 1.5]


@pytest.mark.parametrize("written", ['"a.b"', "3", "[a]", 'not "x"', "a.b and 3", "5m", '(a or "b")'])
def test_text_numbers_and_lists_are_no_tests(written: str) -> None:
    assert codes(f"if {written} {{ call a }}") == ["invalid-value"]


@pytest.mark.parametrize("word", ["if", "until"])
def test_a_quoted_condition_is_the_condition_itself(word: str) -> None:
    call = f"parallel {{ {word} = %s call b }}" if word == "until" else f"call a {{ {word} = %s }}"
    bare = parse(SourceFile("a.wf", f"workflow w {{ {call % 'x.y and not z.u == 3'} }}"))
    quoted = parse(SourceFile("a.wf", "workflow w { " + call.replace("%s", '"x.y and not z.u == 3"') + " }"))
    assert quoted.diagnostics == ()
    assert quoted.workflows == bare.workflows


def test_positions_inside_a_quoted_condition_are_those_of_the_file() -> None:
    text = 'workflow w {\n  call a { if = "x.y and\n   z.u" }\n}'
    found = parse(SourceFile("a.wf", text)).workflows[0].body[0].options.condition
    assert [text[o.span.start : o.span.end] for o in found.operands] == ["x.y", "z.u"]
    assert [(o.span.line, o.span.column) for o in found.operands] == [(2, 18), (3, 4)]


@pytest.mark.parametrize(
    ("written", "column"), [('"a b"', 27), ('"("', 24), ('""', 24), ('"a.b ="', 29), ('"a\\tb ="', 24), ('"a @"', 27)]
)
def test_quoted_text_that_is_no_condition_is_reported_where_it_goes_wrong(written: str, column: int) -> None:
    result = parse(SourceFile("a.wf", f"workflow w {{ call a {{ if={written} }} }}"))
    assert [(d.code, d.span.column) for d in result.diagnostics] == [("invalid-condition", column + 2)]


# ── inputs ──────────────────────────────────────────────────────────────────────────────────────
@pytest.mark.parametrize(
    ("written", "type_", "required", "default"),
    [
        ("x", "string", True, None),
        ("x required", "string", True, None),
        ("x default = 5", "string", False, "5"),
        ('x required default = "v"', "string", True, "v"),
        ('x description = "D"', "string", True, None),
        ("x boolean", "boolean", False, None),
        ("x boolean required", "boolean", False, None),
        ("x boolean default = true", "boolean", False, "true"),
        ("x number default = -1.5", "number", False, "-1.5"),
        ("x default = a.b integer", "integer", False, "a.b"),
        ("x secret", "secret", True, None),
        ("x list", "list", True, None),
    ],
)
def test_a_declaration(written: str, type_: str, required: bool, default: str | None) -> None:
    (found,) = inputs(written)
    assert (found.name, found.type, found.required) == ("x", type_, required)
    assert (found.default.text if found.default else None) == default


def test_one_of_lists_its_choices() -> None:
    (found,) = inputs('x one_of ["a", b, 3] default = a description = "d"')
    assert (found.type, found.choices, found.description, found.required) == ("one_of", ("a", "b", "3"), "d", False)


@pytest.mark.parametrize(
    ("written", "names"),
    [
        ("required required y", ["required", "y"]),
        ("x, number; list", ["x", "number", "list"]),
        ("x number y", ["x", "y"]),
        ("boolean boolean", ["boolean"]),
        ('default default = "x" gate', ["default", "gate"]),
        ("x required, required", ["x", "required"]),
        ("call script workflow", ["call", "script", "workflow"]),
        ("one_of, x", ["one_of", "x"]),
    ],
)
def test_names_that_are_words_of_declarations(written: str, names: list[str]) -> None:
    assert [declared.name for declared in inputs(written)] == names


@pytest.mark.parametrize(
    "written", ["x = 3", ", x", "x,, y", "x one_of y", 'x ["a"]', "x default = [a] default", "x one_of [[a]]"]
)
def test_stray_parts_of_declarations_are_reported(written: str) -> None:
    assert codes(f"inputs {{ {written} }}") == ["invalid-declaration"]


@pytest.mark.parametrize(
    ("written", "word", "meant"),
    [
        ("n int default = 3", "int", "write `n integer`"),
        ("a boolean n required int", "int", "write `n integer`"),
        ("n default = 3 Integer", "Integer", "write `n integer`"),
        ("fast bool", "bool", "write `fast boolean`"),
        ("n interger", "interger", "write `n integer`"),
        ("one oneof", "oneof", "write `one one_of`"),
        ("name string", "string", "text needs no type"),
    ],
)
def test_a_word_like_a_type_behind_a_name_is_a_warning(written: str, word: str, meant: str) -> None:
    found = parse(SourceFile("a.wf", f"workflow w {{ inputs {{ {written} }} }}"))
    assert found.ok
    assert [(each.code, each.message.split("`")[1], (each.help or "").split(";")[0]) for each in found.diagnostics] == [
        ("type-as-input", word, meant)
    ]


@pytest.mark.parametrize(
    "written",
    [
        "n, int",
        "n\nint",
        "n; string",
        "int",
        "title text body",
        "test lint",
        "env secrets",
        "member numbers",
        "n integer int",
    ],
)
def test_a_word_that_may_be_an_input_is_left_alone(written: str) -> None:
    assert parse(SourceFile("a.wf", f"workflow w {{ inputs {{ {written} }} }}")).diagnostics == ()
