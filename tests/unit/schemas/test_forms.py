"""What is typed into a form, and the value it stands for."""

from __future__ import annotations

import re

import pytest

from runkon.model.gates import needed_values, with_fields
from runkon.schemas.forms import field_lines, fill_in, value_of
from runkon.schemas.reading import read_schema


def shape(text):
    return read_schema("s", f"fields: {{f: {text}}}").fields[0].shape


@pytest.mark.parametrize(
    ("type", "text", "value"),
    [
        ("string", " as it is ", " as it is "),
        ("string", '"quoted"', '"quoted"'),
        ("string", "5", "5"),
        ("number", " 5 ", 5),
        ("number", "-2.5e3", -2500.0),
        ("boolean", "TRUE", True),
        ("boolean", "no", False),
        ("'enum(a b, c)'", " a b ", "a b"),
        ("array", "a, b,,c", ["a", "b", "c"]),
        ("array", "", []),
        ("array", '[1, "x"]', [1, "x"]),
        ("{type: array, items: number}", "1, 2.5", [1, 2.5]),
        ("{type: array, items: boolean}", "yes, false", [True, False]),
        ("{type: array, items: {n: number}}", '[{"n": 1}]', [{"n": 1}]),
        ("object", '{"a": null}', {"a": None}),
    ],
)
def test_a_text_that_fits(type, text, value):
    found = value_of(shape(type), text)
    assert found == value
    assert found.__class__ is value.__class__


@pytest.mark.parametrize(
    ("type", "text", "why"),
    [
        ("number", "five", '"five" is not a number'),
        ("number", "true", "true is not a number"),
        ("number", "NaN", '"NaN" is not a number'),
        ("number", "1e999", '"1e999" is not a number'),
        ("number", "", '"" is not a number'),
        ("boolean", "1", '"1" is not true or false'),
        ("'enum(low, high)'", "Low", '"Low" is not one of low, high'),
        ("{type: array, items: number}", "1, x", '"x" is not a number'),
        ("{type: array, items: number}", '[1, "x"]', '[1] "x" is not a number'),
        ("{type: array, items: {n: number}}", "n=1", '"n=1" is not a list'),
        ("{type: array, items: {n: number}}", '[{"n": "1"}]', '[0].n "1" is not a number'),
        ("array", "[1, 2", '"[1, 2" is not a list'),
        ("object", "a: 1", '"a: 1" is not an object'),
        ("object", "[" * 100_000, f'"{"[" * 58}… is not an object'),
    ],
)
def test_a_text_that_does_not_fit(type, text, why):
    with pytest.raises(ValueError, match=f"^{re.escape(why)}$"):
        value_of(shape(type), text)


def test_everything_that_is_wrong_is_told():
    schema = read_schema("s", "fields: {n: number, t: string, o?: boolean}")
    filled = fill_in(schema, {"n": "x", "o": "y", "z": "1"})
    assert filled.values == {"o": True}
    assert filled.problems == ('`n`: "x" is not a number', "there is no field `z`", "`t` is missing")
    assert fill_in(schema, {}, is_complete=False).problems == ()


def test_a_prompt_lists_the_fields_and_tells_which_are_needed():
    schema = read_schema(
        "s", 'fields: {n: {type: number, desc: "how\n  many"}, t?: string, l: {type: array, items: "enum(a, b)"}}'
    )
    prompt = with_fields("Ship?", field_lines(schema))
    assert prompt == (
        "Ship?\nwith these values:\n- l (a list of one of a, b)\n- n (a number): how many\n- t (text, optional)"
    )
    assert needed_values(prompt) == ["l", "n"]
    assert needed_values("with these values:\n- a (text)") == []
