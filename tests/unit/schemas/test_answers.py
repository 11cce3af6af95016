"""What is made from a schema: instructions, an example, JSON Schema, and a short word on what does not fit."""

from __future__ import annotations

import json

import pytest

from runkon.executors.output_block import END, START, read_output_block
from runkon.schemas.checking import described, shown, violation
from runkon.schemas.deriving import markers_of
from runkon.schemas.examples import example_value
from runkon.schemas.fields import USUAL_MARKERS, Schema
from runkon.schemas.instructions import output_instructions
from runkon.schemas.json_schema import as_json_schema
from runkon.schemas.reading import read_schema

REVIEW = """
fields:
  approved: {type: boolean, desc: false if anything is left to fix}
  findings:
    type: array
    items: {severity: "enum(low, high)", file: {type: string, desc: its path, examples: [a.py, b.py]}, line?: number}
  labels: {type: array, items: string}
  meta: {type: object, fields: {level: "enum(one, two)"}}
  more: object
  others: array
  score: {type: number, desc: from 0 to 10, examples: ["7"]}
  summary?: string
markers:
  bad: score < 5
  blocked: findings.length > 0
"""


def schema(text: str = REVIEW) -> Schema:
    return read_schema("review", text)


def test_the_instructions_hold_an_example_and_a_hint_for_each_field():
    assert (
        output_instructions(schema())
        == f"""\
When you are finished, end your answer with this block, exactly once.
It holds one JSON object of the form `review`:

{START}
{{
  "approved": true,
  "findings": [
    {{
      "file": "its path",
      "line": 0,
      "severity": "low|high"
    }}
  ],
  "labels": [
    "...",
    "..."
  ],
  "meta": {{
    "level": "one|two"
  }},
  "more": {{}},
  "others": [],
  "score": 0,
  "summary": "..."
}}
{END}

The fields:
- `approved`: boolean. false if anything is left to fix
- `findings`: list, each element an object
- `findings[].file`: text. its path. For example: a.py, b.py
- `findings[].line`: number (optional)
- `findings[].severity`: one of low, high
- `labels`: list, each element text
- `meta`: object
- `meta.level`: one of one, two
- `more`: object
- `others`: list
- `score`: number. from 0 to 10. For example: 7
- `summary`: text (optional)

Write valid JSON between the two lines and nothing after the block.
Never write `null`: leave out an optional field that has no value.
"""
    )


def test_without_a_schema_the_instructions_are_about_markers_and_context():
    text = output_instructions(None)
    output = read_output_block(text).output
    assert output is not None
    assert (output.markers, output.context) == (frozenset(), "one or two sentences for the next step")
    assert "`markers`" in text
    assert "`context`" in text


def test_a_schema_without_fields_has_instructions_too():
    assert "The fields" not in output_instructions(schema("fields: {}"))


def test_the_example_of_deep_fields_stops_somewhere():
    deep = "fields: {a: " + "{type: object, fields: {a: " * 60 + "string" + "}}" * 60 + "}"
    assert len(output_instructions(schema(deep))) < 20_000


@pytest.mark.parametrize(
    "text",
    [
        REVIEW,
        "fields: {}",
        "fields: {a: 'enum(x, y)', b: array, c: {type: array, items: {d: number, e: 'enum(z)'}}}",
        "fields: {n: {type: number, examples: [nan, inf, 1e999, 2.5]}}",
        "fields: {approved: boolean, findings: {type: array, items: {severity: 'enum(critical, low)'}}}",
    ],
)
def test_an_example_is_always_accepted_and_always_the_same(text):
    made = example_value(schema(text))
    assert violation(schema(text), made) is None
    assert json.dumps(made) == json.dumps(example_value(schema(text)))


def test_an_example_is_quiet():
    made = example_value(schema())
    assert made["findings"] == []
    assert made["score"] == 7
    assert markers_of(schema(), made) == frozenset()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("fields: {state: 'enum(open, done)'}\nmarkers: {again: state == open}", {"state": "done"}),
        ("fields: {pct: number}\nmarkers: {low: pct < 80}", {"pct": 100}),
        (
            "fields: {has_issues: boolean, needs_work: boolean, ok: boolean}",
            {"has_issues": False, "needs_work": False, "ok": True},
        ),
        (
            "fields: {approved: boolean, findings: array, n: {type: array, items: number}}",
            {"approved": True, "findings": [], "n": [0]},
        ),
        (
            "fields: {a: {type: string, desc: what}, b: {type: string, examples: [x, y]}, c: string}",
            {"a": "what", "b": "x", "c": "c"},
        ),
        ("fields: {n: {type: number, examples: [inf, 2.5]}, m: {type: number, examples: ['3']}}", {"m": 3, "n": 2.5}),
    ],
)
def test_what_an_example_holds(text, expected):
    assert example_value(schema(text)) == expected


def test_the_json_schema_says_the_same():
    made = as_json_schema(schema())
    assert made["title"] == "review"
    assert made["required"] == ["approved", "findings", "labels", "meta", "more", "others", "score"]
    properties = made["properties"]
    assert isinstance(properties, dict)
    assert properties["approved"] == {"type": "boolean", "description": "false if anything is left to fix"}
    assert properties["findings"] == {
        "type": "array",
        "items": {
            "type": "object",
            "properties": {
                "file": {"type": "string", "description": "its path. For example: a.py, b.py"},
                "line": {"type": "number"},
                "severity": {"type": "string", "enum": ["low", "high"]},
            },
            "required": ["file", "severity"],
        },
    }
    assert properties["labels"] == {"type": "array", "items": {"type": "string"}}
    assert properties["others"] == {"type": "array"}
    assert properties["more"] == {"type": "object"}
    assert properties["score"]["description"] == "from 0 to 10. For example: 7"
    assert json.loads(json.dumps(made)) == made


def test_a_long_value_is_cut_and_a_huge_one_is_not_written_out():
    assert shown({"a": "x" * 100}) == '{"a": "' + "x" * 52 + "…"
    assert len(shown(["x" * 50_000_000] * 3)) == 60
    assert len(shown({str(n): n for n in range(100_000)})) == 60
    assert described({"a": 1}) == "an object"
    assert described("a\nb") == '"a\\nb"'


def test_a_long_list_of_variants_is_cut():
    many = schema(f"fields: {{a: 'enum({', '.join(f'v{n}' for n in range(20))})'}}")
    found = violation(many, {"a": "x"})
    assert found is not None
    assert found.message.endswith("v10, v11 and 8 more")


def test_the_usual_markers_are_those_that_the_checks_know():
    worst = {"approved": False, "findings": [{"severity": "critical"}, {"severity": "high"}]}
    assert sorted(markers_of(schema("fields: {findings: array}"), worst)) == list(USUAL_MARKERS)
