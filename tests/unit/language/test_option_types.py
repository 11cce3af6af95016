from __future__ import annotations

import pytest

from runkon.language import option_types as types
from runkon.language.nodes import Constant, ListValue, MapValue, Number, Text, Value, Word
from runkon.language.option_types import BadValue, in_words, parse_duration, scalar_text
from runkon.language.source import Span

HERE = Span("t.wf", 0, 1, 1, 1)
LIST = ListValue(span=HERE, items=())
MAP = MapValue(span=HERE, entries=())


@pytest.mark.parametrize(
    ("text", "milliseconds"),
    [
        ("500ms", 500),
        ("45s", 45_000),
        ("5m", 300_000),
        ("2h", 7_200_000),
        ("2d", 172_800_000),
        ("1h30m", 5_400_000),
        ("1d2h3m4s5ms", 93_784_005),
        ("5m500ms", 300_500),
        ("90", 90_000),
        ("+90", 90_000),
        ("0", 0),
        ("007s", 7_000),
        ("18446744073709551615", 18_446_744_073_709_551_615_000),
    ],
)
def test_durations(text: str, milliseconds: int) -> None:
    assert parse_duration(text) == milliseconds


@pytest.mark.parametrize(
    "text",
    [
        "",
        "h",
        "1.5h",
        "5 m",
        " 5m",
        "5m ",
        "-5m",
        "30m1h",
        "5m5m",
        "5M",
        "5min",
        "1w",
        "٥m",
        "18446744073709551616",
        "9" * 99,
    ],
)
def test_texts_that_are_no_durations(text: str) -> None:
    assert parse_duration(text) is None


@pytest.mark.parametrize("value", [LIST, MAP, Constant(span=HERE, value=True, text="true")])
def test_only_scalars_have_a_text(value: Value) -> None:
    with pytest.raises(BadValue):
        scalar_text(value)


@pytest.mark.parametrize(("text", "number"), [("0", 0), ("+5", 5), ("00004294967295", 4_294_967_295)])
def test_whole_numbers(text: str, number: int) -> None:
    assert types.U32.convert(Text(span=HERE, text=text)) == number
    assert types.U32.convert(Word(span=HERE, text=text)) == number


def test_a_range_says_what_it_expects() -> None:
    assert types.whole(0, 100).expected == "a whole number, 0-100"
    assert types.whole(2).expected == "a whole number of at least 2"
    with pytest.raises(BadValue):
        types.whole(2).convert(Number(span=HERE, text="1"))
    assert types.whole(0, 100).convert(Number(span=HERE, text="100")) == 100


def test_words_are_joined_as_people_do() -> None:
    assert in_words(("a",)) == "`a`"
    assert in_words(("a", "b", "c")) == "`a`, `b` or `c`"
