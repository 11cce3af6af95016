"""JSON as it is stored: exact round trips, and refusals that name the place."""

from __future__ import annotations

import math
import struct
from collections import OrderedDict
from types import MappingProxyType

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runkon.model.json_text import MAX_DEPTH, canonical, check_json, dumps, loads

TEXT = st.text(st.characters(exclude_categories=["Cs"]))
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | TEXT,
    lambda inner: st.lists(inner) | st.dictionaries(TEXT, inner),
    max_leaves=20,
)


@given(VALUES)
def test_values_come_back_as_they_are(value: object) -> None:
    assert repr(loads(dumps(value))) == repr(value)
    assert repr(check_json(value)) == repr(value)


def test_text_that_is_nested_without_end_is_no_value() -> None:
    with pytest.raises(ValueError, match="it is nested too deep"):
        loads("[" * 100_000)


def test_text_is_compact_and_keeps_the_order_of_keys() -> None:
    assert dumps({"b": 1, "a": [1.0, "ü"]}) == '{"b":1,"a":[1.0,"ü"]}'


def test_canonical_text_is_equal_for_equal_values() -> None:
    assert canonical({"b": 1, "a": {"d": 2, "c": 3}}) == canonical({"a": {"c": 3, "d": 2}, "b": 1})
    assert canonical({"a": [1.0, -0.0, (), {}]}) == canonical({"a": [1, 0, [], MappingProxyType({})]})


def test_canonical_text_of_the_example_of_the_standard() -> None:
    given_value = {
        "numbers": [333333333.33333329, 1e30, 4.50, 2e-3, 0.000000000000000000000000001],
        "string": "\u20ac$\u000f\u000aA'\u0042\u0022\u005c\\\"/",
        "literals": [None, True, False],
    }
    assert canonical(given_value) == (
        '{"literals":[null,true,false],"numbers":[333333333.3333333,1e+30,4.5,0.002,1e-27],'
        '"string":"€$\\u000f\\nA\'B\\"\\\\\\\\\\"/"}'
    )


def test_canonical_keys_are_in_the_order_of_their_utf16_units() -> None:
    names = ["\u20ac", "\r", "\ufb33", "1", "\U0001f600", "\u0080", "\u00f6"]
    found = list(loads(canonical(dict.fromkeys(names, 0))))
    assert found == ["\r", "1", "\u0080", "\u00f6", "\u20ac", "\U0001f600", "\ufb33"]


@pytest.mark.parametrize(
    ("bits", "text"),
    [
        ("0000000000000000", "0"),
        ("8000000000000000", "0"),
        ("0000000000000001", "5e-324"),
        ("8000000000000001", "-5e-324"),
        ("7fefffffffffffff", "1.7976931348623157e+308"),
        ("ffefffffffffffff", "-1.7976931348623157e+308"),
        ("4340000000000000", "9007199254740992"),
        ("c340000000000000", "-9007199254740992"),
        ("4430000000000000", "295147905179352830000"),
        ("44b52d02c7e14af5", "9.999999999999997e+22"),
        ("44b52d02c7e14af6", "1e+23"),
        ("44b52d02c7e14af7", "1.0000000000000001e+23"),
        ("444b1ae4d6e2ef4e", "999999999999999700000"),
        ("444b1ae4d6e2ef4f", "999999999999999900000"),
        ("444b1ae4d6e2ef50", "1e+21"),
        ("3eb0c6f7a0b5ed8c", "9.999999999999997e-7"),
        ("3eb0c6f7a0b5ed8d", "0.000001"),
        ("41b3de4355555553", "333333333.3333332"),
        ("41b3de4355555554", "333333333.33333325"),
        ("41b3de4355555555", "333333333.3333333"),
        ("41b3de4355555556", "333333333.3333334"),
        ("41b3de4355555557", "333333333.33333343"),
        ("becbf647612f3696", "-0.0000033333333333333333"),
        ("43143ff3c1cb0959", "1424953923781206.2"),
    ],
)
def test_canonical_numbers_of_the_standard(bits: str, text: str) -> None:
    (number,) = struct.unpack(">d", bytes.fromhex(bits))
    assert canonical(number) == text


def test_whole_numbers_keep_all_their_digits() -> None:
    assert canonical([9007199254740993, -(10**30)]) == "[9007199254740993,-1000000000000000000000000000000]"
    assert canonical({"x": 1.5, "n": 1e21, "i": 9007199254740993}) == '{"i":9007199254740993,"n":1e+21,"x":1.5}'


@given(VALUES)
def test_canonical_text_stays_the_same_once_read_back(value: object) -> None:
    assert canonical(loads(canonical(value))) == canonical(value)


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_a_canonical_number_is_the_same_number(number: float) -> None:
    assert float(canonical(number)) == number


@pytest.mark.parametrize(
    ("value", "place"),
    [
        (math.nan, "$ is nan"),
        ({"a": [0, math.inf]}, "$.a[1] is inf"),
        ({"a": {1: 2}}, "a key of $.a is 1"),
        ({"a": object()}, "$.a is of type object"),
        ({"a": b"bytes"}, "$.a is of type bytes"),
        ({"a": {"x"}}, "$.a is of type set"),
        (["\ud800"], "$[0] holds half a character"),
        ({"\udfff": 1}, "a key of $ holds half a character"),
    ],
)
def test_what_cannot_be_stored_is_refused_by_place(value: object, place: str) -> None:
    with pytest.raises(ValueError, match=r"JSON|text|character") as caught:
        check_json(value)
    assert place in str(caught.value)
    with pytest.raises(ValueError, match=r"JSON|text|character") as caught:
        canonical(value)
    assert place in str(caught.value)


def test_nesting_without_end_is_refused() -> None:
    deep: list[object] = []
    for _ in range(MAX_DEPTH - 1):
        deep = [deep]
    assert check_json(deep) == deep
    for refuse in (check_json, canonical):
        with pytest.raises(ValueError, match="deep"):
            refuse([deep])
    endless: list[object] = []
    endless.append(endless)
    with pytest.raises(ValueError, match="deep"):
        check_json(endless)


def test_what_reads_back_differently_is_given_as_it_will_read_back() -> None:
    class Name(str):
        __slots__ = ()

    given_value = {"t": (1, 2), "m": MappingProxyType({"k": 1}), "o": OrderedDict(z=1), Name("n"): Name("v")}
    checked = check_json(given_value)
    assert checked == {"t": [1, 2], "m": {"k": 1}, "o": {"z": 1}, "n": "v"}
    assert repr(loads(dumps(checked))) == repr(checked)


def test_what_was_checked_is_a_copy() -> None:
    inner = [1]
    checked = check_json({"a": inner})
    inner.append(2)
    assert checked == {"a": [1]}
