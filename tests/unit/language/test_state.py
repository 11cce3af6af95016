"""`state` and `set`: read, written, kept in the cache, and checked."""

from __future__ import annotations

import json

import pytest

from runkon.language import nodes as n
from runkon.language.channel_types import constant
from runkon.language.codec import decode, encode
from runkon.language.formatter import format_source
from runkon.language.parser import parse
from runkon.language.source import SourceFile

TEXT = """workflow w {
  // before
  state {
    findings list reduce = append // behind
    // between
    score number = 0 reduce = max
    facts map = { a = 1 b = ["x"] }
    summary text
  }
  call a
  set { summary = "{{a.text}}" } // one line
  set {
    findings = [
      "x" // first
    ]
    score = 3
    // last
  }
}
"""


def workflow(text: str) -> n.Workflow:
    result = parse(SourceFile("w.wf", text))
    assert result.diagnostics == ()
    return result.workflows[0]


def test_channels_have_a_type_a_first_value_and_a_reducer() -> None:
    found = [
        (one.name, one.type, None if one.initial is None else constant(one.initial), one.reducer)
        for one in workflow(TEXT).state
    ]
    assert found == [
        ("findings", "list", None, "append"),
        ("score", "number", 0, "max"),
        ("facts", "map", {"a": 1, "b": ["x"]}, "replace"),
        ("summary", "text", None, "replace"),
    ]


def test_the_updates_of_set_are_in_the_order_written() -> None:
    last = workflow(TEXT).body[-1]
    assert isinstance(last, n.SetStatement)
    assert [(one.name, constant(one.value)) for one in last.updates] == [("findings", ["x"]), ("score", 3)]


@pytest.mark.parametrize("word", ["state", "set", "reduce", "text", "number", "list", "map"])
def test_words_of_a_channel_name_channels_too(word: str) -> None:
    found = workflow(f"workflow w {{ state {{ {word} text a list, {word}2 map }} set {{ {word} = 1 }} call {word} }}")
    assert [(one.name, one.type) for one in found.state] == [(word, "text"), ("a", "list"), (f"{word}2", "map")]


def test_formatting_keeps_comments_and_meaning() -> None:
    source = SourceFile("w.wf", TEXT)
    text, found = format_source(source)
    assert found == ()
    assert text is not None
    assert workflow(text) == workflow(TEXT)
    assert all(f"// {word}" in text for word in ("before", "behind", "between", "one line", "first", "last"))
    assert format_source(SourceFile("w.wf", text))[0] == text


def test_a_section_on_one_line_stays_there() -> None:
    text = "workflow w {\n  state { log list = [0] reduce = append, score number }\n  set { score = 3 }\n}\n"
    assert format_source(SourceFile("w.wf", text))[0] == text


def test_the_cache_gives_the_same_tree() -> None:
    tree = workflow(TEXT)
    assert decode(json.loads(json.dumps(encode(tree))), "w.wf") == tree


@pytest.mark.parametrize(
    "body",
    [
        'state { k text } call a if state.k == "x" and state.k { call b } set { k = null }',
        "state { m map } call a { inputs = { x = state.m.deep.er } }",
        "state { k text } call state if state.k { call b }",
        "call state if state.ok { call b }",
        "state { n number } call a set { n = a.count }",
        "state { n integer = 1 reduce = sum } while state.n < 3 { max_iterations = 3 set { n = 1 } }",
        'state { k text } call a always { set { k = "{{state.k}}" } }',
        "state { k text } call a parallel { until = state.k call b call c }",
    ],
)
def test_what_is_declared_may_be_read_and_written(codes, body: str) -> None:
    assert codes(f"workflow w {{ {body} }}") == []


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ("state { k text } call a if state.x { call b }", ["unknown-channel"]),
        ("state { k text } call a set { k = state.x }", ["unknown-channel"]),
        ('state { k text } call a set { k = "{{state.x}}" }', ["unknown-channel"]),
        ("state { k text } call a outputs { x = state.x }", ["unknown-channel"]),
        ("call a set { k = 1 }", ["unknown-channel"]),
        ("state { k text } set { k = a.text } call a", ["later-step"]),
        ("state { k text k list } call a", ["duplicate-channel"]),
        ("state { k text = 3 } call a", ["invalid-value"]),
        ("state { k number } call a set { k = [1] }", ["invalid-value"]),
        ("state { k text reduce = sum } call a", ["reducer-type"]),
        ("state { k text reduce = somewhat } call a", ["unknown-reducer"]),
    ],
)
def test_what_is_wrong_with_channels_is_said(codes, body: str, expected: list[str]) -> None:
    assert codes(f"workflow w {{ {body} }}") == expected
