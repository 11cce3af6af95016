"""JSON as it is stored: exact round trips, and refusals that name the place."""

from __future__ import annotations

import math
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


def test_text_is_compact_and_keeps_the_order_of_keys() -> None:
    assert dumps({"b": 1, "a": [1.0, "ü"]}) == '{"b":1,"a":[1.0,"ü"]}'


def test_canonical_text_is_equal_for_equal_values() -> None:
    assert canonical({"b": 1, "a": {"d": 2, "c": 3}}) == canonical({"a": {"c": 3, "d": 2}, "b": 1})


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


def test_nesting_without_end_is_refused() -> None:
    deep: list[object] = []
    for _ in range(MAX_DEPTH - 1):
        deep = [deep]
    assert check_json(deep) == deep
    with pytest.raises(ValueError, match="deep"):
        check_json([deep])
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
