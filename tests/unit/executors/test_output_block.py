from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runkon.executors.output_block import END, SLIP, START, locate_block, read_output_block
from runkon.model.output import Output


def block(text: str) -> str:
    return f"{START}\n{text}\n{END}"


def read(text: str) -> Output:
    reading = read_output_block(text)
    assert reading.output is not None, reading.problem
    return reading.output


def test_markers_context_and_fields_are_read() -> None:
    output = read("noise\n" + block('{"markers": ["a", "b"], "context": "c", "score": 3}') + "\nmore")
    assert output == Output(frozenset({"a", "b"}), "c", {"score": 3})


def test_missing_markers_and_context_are_empty() -> None:
    assert read(block("{}")) == Output()


def test_the_last_of_several_blocks_counts() -> None:
    assert read("\n".join(block(json.dumps({"context": word})) for word in ("one", "two", "three"))).context == "three"


def test_a_start_that_no_json_follows_is_prose() -> None:
    assert read(block('{"context": "real"}') + f"\nI printed {START} as asked").context == "real"


def test_a_start_inside_the_context_is_text() -> None:
    assert read(block(json.dumps({"context": f"use {START} here"}))).context == f"use {START} here"


@pytest.mark.parametrize("fence", ["```json\n{}\n```", "```\n{}\n```", "```JSON5\n\n{}\n\n```\n", "```{}```"])
def test_a_code_fence_is_dropped(fence: str) -> None:
    assert read(block(fence.replace("{}", '{"context": "c"}'))).context == "c"


def test_trailing_commas_and_single_backslashes_are_repaired() -> None:
    output = read(block('{"markers": ["a",], "context": "C:\\path and \\\\ and \\n",\n}'))
    assert output == Output(frozenset({"a"}), "C:\\path and \\ and \n")


def test_a_valid_block_is_not_repaired() -> None:
    assert read(block('{"context": "keep ,] and ,}"}')).context == "keep ,] and ,}"


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (block("{markers: []}"), "not valid JSON"),
        (block('{"markers": "a"}'), "`markers` of the output is not a list of texts"),
        (block('{"markers": [1]}'), "`markers` of the output is not a list of texts"),
        (block('{"context": 3}'), "`context` of the output is not text"),
        (block("[1]"), "not a JSON object"),
        (block('{"n": NaN}'), "NaN is not a JSON number"),
        (block("[" * 100_000), "not valid JSON"),
        (block('{"n": ' + "9" * 10_000 + "}"), "not valid JSON"),
    ],
)
def test_a_block_that_can_not_be_used_is_none_and_says_why(text: str, problem: str) -> None:
    reading = read_output_block(text)
    assert reading.output is None
    assert problem in (reading.problem or "")


@pytest.mark.parametrize("text", ["", "plain", f"{START} prose {END}", f'{START}\n{{"context": "open"}}', END, START])
def test_no_block_is_no_problem(text: str) -> None:
    assert read_output_block(text) == (None, None)


def test_a_later_start_without_end_hides_the_earlier_block() -> None:
    assert locate_block(block("{}") + f"\n{START}\n{{") is None


def test_half_characters_become_replacement_characters() -> None:
    output = read(block('{"context": "\\ud800", "l": ["\\uDFFF"], "k\\ud801": {"x": 1}}'))
    assert output == Output(context="\ufffd", values={"l": ["\ufffd"], "k\ufffd": {"x": 1}})
    assert read(block('{"context": "\\ud83d\\ude00"}')).context == "😀"


json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**9), 10**9) | st.text(max_size=10),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)


@given(st.dictionaries(st.text(max_size=8), json_values, max_size=4), st.lists(st.text(max_size=8), max_size=3))
def test_what_json_writes_is_read_back(values: dict[str, object], markers: list[str]) -> None:
    values = {name: value for name, value in values.items() if name not in ("markers", "context")}
    output = read("log line\n" + block(json.dumps({**values, "markers": markers, "context": "c"})))
    assert (output.values, output.markers, output.context) == (values, frozenset(markers), "c")


@given(st.text(alphabet='<>FLOWEND_UPT`{}[]",:\\\n a1', max_size=200) | st.text(max_size=60))
def test_no_text_breaks_the_reader(text: str) -> None:
    reading = read_output_block(f"{START}\n{text}{END}")
    assert reading.output is None or isinstance(reading.output, Output)


def test_commas_inside_of_texts_are_kept() -> None:
    assert dict(read(block('{"code": "f(a,\\n)", "more": "[1, ]", "list": [1, 2,],}')).values) == {
        "code": "f(a,\n)",
        "more": "[1, ]",
        "list": [1, 2],
    }


def test_text_in_quotes_that_stays_open_is_read_to_the_end_once() -> None:
    """Trying every quote in turn as a beginning takes time with the square of the text."""
    for text in ('{"a": "' + '\\"' * 50, '{"a": "' + '\\"' * 50 + "\\"):
        assert len(SLIP.findall(text)) == 2
        assert read_output_block(block(text)).output is None
    assert read_output_block(block('{"a": ' + '"\\' * 200_000 + "}")).output is None
