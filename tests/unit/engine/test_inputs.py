from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import pytest

from runkon.engine.inputs import BoundInputs, bind_inputs
from runkon.errors import UserError
from runkon.language.nodes import Entry, InputDecl, ListValue, MapValue, Number, Text, Value, Word
from runkon.language.source import Span
from runkon.model.output import JsonValue

SPAN = Span("t.wf", 0, 0, 1, 1)


def declare(
    name: str, type_: Any = "string", *, default: Value | None = None, required: bool | None = None, **more: Any
) -> InputDecl:
    needed = (default is None and type_ != "boolean") if required is None else required
    return InputDecl(span=SPAN, name=name, type=type_, default=default, required=needed, **more)


def text(value: str) -> Text:
    return Text(span=SPAN, text=value)


def bound(declaration: InputDecl, value: JsonValue) -> JsonValue:
    return bind_inputs([declaration], {declaration.name: value})[declaration.name]


def refused(*declared: InputDecl, strict: bool = True, **given: JsonValue) -> UserError:
    with pytest.raises(UserError) as caught:
        bind_inputs(declared, given, strict=strict)
    assert caught.value.exit_code == 2
    return caught.value


@pytest.mark.parametrize(
    ("type_", "given", "value"),
    [
        ("string", "x", "x"),
        ("string", "", ""),
        ("string", ["kept"], ["kept"]),
        ("boolean", "true", True),
        ("boolean", " FALSE ", False),
        ("boolean", True, True),
        ("number", "3", 3),
        ("number", "-1.5", -1.5),
        ("number", " 2e3 ", 2000.0),
        ("number", 4, 4),
        ("number", 10**400, 10**400),
        ("integer", "3", 3),
        ("integer", "-7", -7),
        ("integer", 2.0, 2),
        ("integer", "9" * 400, int("9" * 400)),
        ("list", '["a", 1, {"b": null}]', ["a", 1, {"b": None}]),
        ("list", [1], [1]),
        ("list", "[]", []),
    ],
)
def test_text_from_outside_becomes_the_declared_type(type_: str, given: JsonValue, value: JsonValue) -> None:
    result = bound(declare("x", type_), given)
    assert result == value
    assert type(result) is type(value)


@pytest.mark.parametrize(
    ("type_", "given", "expected"),
    [
        ("boolean", "yes", "must be `true` or `false`, not `yes`"),
        ("boolean", 1, "must be `true` or `false`, not `1`"),
        ("number", "three", "must be a number, not `three`"),
        ("number", "1_000", "must be a number"),
        ("number", "٣", "must be a number"),
        ("number", "nan", "must be a number"),
        ("number", "1e999", "must be a number"),
        ("number", "9" * 5000, "must be a number"),
        ("number", True, "must be a number, not `true`"),
        ("number", float("inf"), "must be a number"),
        ("integer", "1.5", "must be a whole number, not `1.5`"),
        ("integer", "x", "must be a whole number, not `x`"),
        ("list", "a,b", "must be a list in JSON"),
        ("list", '{"a": 1}', "must be a list in JSON"),
        ("list", "[" * 100_000, "must be a list in JSON"),
        ("list", 3, "must be a list in JSON"),
    ],
)
def test_what_does_not_fit_is_refused_with_what_was_expected(type_: str, given: JsonValue, expected: str) -> None:
    error = refused(declare("x", type_), x=given)
    assert error.code == "invalid-input"
    assert f"input `x` {expected}" in error.message
    assert len(error.message) < 200


def test_one_of_takes_its_choices_only() -> None:
    size = declare("size", "one_of", choices=("small", "3"))
    assert bound(size, "small") == "small"
    assert bound(size, 3) == "3"
    assert refused(size, size="big").message == "input `size` must be one of `small`, `3`, not `big`"


def test_a_missing_input_takes_its_default_and_the_default_is_converted() -> None:
    declared = [
        declare("a", default=text("x")),
        declare("b", "boolean", default=Word(span=SPAN, text="true")),
        declare("c", "number", default=Number(span=SPAN, text="1.5")),
        declare("d", "list", default=ListValue(span=SPAN, items=(text("p"), Number(span=SPAN, text="2")))),
        declare("e", "integer", default=text("7")),
        declare(
            "m", default=MapValue(span=SPAN, entries=(Entry(span=SPAN, name="k", name_span=SPAN, value=text("v")),))
        ),
    ]
    assert dict(bind_inputs(declared, {})) == {"a": "x", "b": True, "c": 1.5, "d": ["p", 2], "e": 7, "m": {"k": "v"}}


def test_an_absent_boolean_is_false() -> None:
    assert dict(bind_inputs([declare("x", "boolean")], {})) == {"x": False}


def test_null_counts_as_not_given() -> None:
    assert dict(bind_inputs([declare("x", default=text("d"))], {"x": None})) == {"x": "d"}
    assert refused(declare("x"), x=None).code == "missing-input"


def test_a_required_input_is_missing_even_if_it_has_a_default() -> None:
    error = refused(declare("x", default=text("d"), required=True))
    assert (error.code, error.message) == ("missing-input", "input `x` is required and was not given")


def test_all_problems_are_told_at_once() -> None:
    error = refused(declare("a"), declare("n", "number"), n="x", amount="1")
    assert error.code == "missing-input"
    assert error.message == (
        "input `a` is required and was not given; input `n` must be a number, not `x`; input `amount` is unknown"
    )
    assert error.help == "inputs of this workflow: `a`, `n`; give them with `-i name=value`"


def test_an_unknown_input_names_the_closest_one() -> None:
    error = refused(declare("scope", default=text("x")), scoep="full")
    assert (error.code, error.message) == ("unknown-input", "input `scoep` is unknown, did you mean `scope`?")


def test_names_that_hosts_supply_need_no_declaration() -> None:
    given: Mapping[str, JsonValue] = {"ticket_id": "T-1", "pr_number": "7", "repo_path": "/r"}
    assert dict(bind_inputs([], given)) == given


def test_a_calling_workflow_may_pass_more_than_is_declared() -> None:
    assert dict(bind_inputs([declare("a")], {"item.id": "1", "a": "x"}, strict=False)) == {"a": "x", "item.id": "1"}


# ── secrets ───────────────────────────────────────────────────────────────────────────────────────
def test_a_secret_stands_in_the_inputs_by_name_only() -> None:
    inputs = bind_inputs([declare("token", "secret")], {"token": "s3cret"})
    assert isinstance(inputs, BoundInputs)
    assert dict(inputs) == {"token": {"$secret": "token"}}
    assert inputs.secrets == {"token": "s3cret"}
    assert "s3cret" not in json.dumps(dict(inputs))
    assert "s3cret" not in repr(inputs)


def test_a_recorded_secret_has_to_be_given_again() -> None:
    error = refused(declare("token", "secret"), token={"$secret": "token"})
    assert error.code == "missing-secret"
    assert "has to be given again" in error.message


@pytest.mark.parametrize("value", ["", "a", "abcde", 5])
def test_a_secret_too_short_to_be_told_from_other_text_is_refused(value: Any) -> None:
    error = refused(declare("token", "secret"), token=value)
    assert (error.code, error.exit_code) == ("invalid-input", 2)
    assert "fewer than 6 characters" in error.message
    assert bind_inputs([declare("token", "secret")], {"token": 123456}).secrets == {"token": "123456"}


def test_a_short_secret_is_refused_when_it_is_given_again_too() -> None:
    with pytest.raises(UserError) as raised:
        bind_inputs([declare("token", "secret")], {"token": {"$secret": "token"}}, secrets={"token": "abc"})
    assert raised.value.code == "invalid-input"


def test_a_secret_passed_on_keeps_its_first_name() -> None:
    inputs = bind_inputs(
        [declare("password", "secret")], {"password": {"$secret": "token"}}, strict=False, secrets={"token": "s3cret"}
    )
    assert dict(inputs) == {"password": {"$secret": "token"}}
    assert inputs.secrets == {"token": "s3cret"}


def test_a_secret_may_be_left_out_if_it_is_not_required() -> None:
    inputs = bind_inputs([declare("token", "secret", required=False)], {})
    assert (dict(inputs), inputs.secrets, len(inputs)) == ({}, {}, 0)


@pytest.mark.parametrize(
    "value",
    [10**5000, "half \ud800", {"a": float("nan")}, {1: 2}, object(), ["a", {"b": {3}}]],
    ids=["long number", "half a character", "not a number", "key that is no text", "object", "set inside"],
)
@pytest.mark.parametrize("type_", ["string", "list", "secret", "number"])
def test_what_no_record_can_hold_is_refused_before_the_run(value: Any, type_: str) -> None:
    error = refused(declare("n", type_), n=value)
    assert error.code == "invalid-input"


def test_a_list_given_as_text_is_judged_as_what_it_says() -> None:
    assert refused(declare("n", "list"), n="[1e999]").code == "invalid-input"


def test_undeclared_inputs_that_are_let_in_are_judged_too() -> None:
    assert refused(n={1: 2}, strict=False).code == "invalid-input"


def test_a_secret_that_is_missing_on_resume_is_asked_for_by_its_option() -> None:
    error = refused(declare("token", "secret"), token={"$secret": "token"})
    assert error.code == "missing-secret"
    assert "-i name=value" in str(error.help)
