from __future__ import annotations

import json
from collections.abc import Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runkon.engine.conditions import Choice, compare, is_true, same, shown
from runkon.engine.environment import Environment, RunFacts
from runkon.engine.results import Results, StepResult
from runkon.language.condition_text import condition_text
from runkon.language.nodes import (
    And,
    Compare,
    Condition,
    Constant,
    IfBlock,
    ListLiteral,
    Not,
    Or,
    Reference,
)
from runkon.language.parser import parse
from runkon.language.source import SourceFile, Span
from runkon.model.output import JsonValue, Output
from runkon.model.records import StepError
from runkon.model.status import StepStatus

SPAN = Span("t.wf", 0, 0, 1, 1)


def condition(text: str) -> Condition:
    parsed = parse(SourceFile("t.wf", f"workflow w {{ if {text} {{ call a }} }}"))
    assert parsed.ok, parsed.diagnostics
    block = parsed.workflows[0].body[0]
    assert isinstance(block, IfBlock)
    return block.arms[0].condition


def environment(
    *steps: StepResult, inputs: Mapping[str, JsonValue] = {}, extras: Mapping[str, JsonValue] = {}
) -> Environment:
    results = Results()
    for step in steps:
        results.put(step.key, step)
    facts = RunFacts(run_id="01J", workflow="review", host_environment={"CI": "1"})
    return Environment(facts, inputs, results, extras)


SCAN = StepResult(
    "scan",
    StepStatus.COMPLETED,
    Output(
        frozenset({"has_issues", "deep.marker"}),
        "three findings",
        {"score": 3, "title": "beta", "ok": True, "off": False, "files": ["a", "b"], "top": {"n": 1.5}, "none": None},
    ),
    attempts=2,
)
BROKEN = StepResult("broken", StepStatus.FAILED, error=StepError("exit", "exit 3"))
ENV = environment(
    SCAN,
    BROKEN,
    inputs={"yes": "TRUE", "no": "no", "flag": False, "n": 2, "name": "kim", "list": ["x"], "item.id": "7"},
    extras={"file": {"path": "a.py", "lines": 10}},
)


def decide(text: str, env: Environment = ENV) -> bool:
    return env.evaluate(condition(text)).result


@pytest.mark.parametrize(
    "text",
    [
        "scan.has_issues",
        "scan.deep.marker",
        "scan.ok",
        "scan.files",
        "not scan.off",
        "not scan.missing",
        "not scan.none",
        "not never.ran",
        "yes",
        "inputs.yes",
        "not no",
        "not inputs.name",
        "not flag",
        "n",
        "list",
        "file.path",
        "scan.has_issues and yes",
        "scan.missing or yes",
        "not (scan.missing or flag)",
        "broken.error",
        "not scan.error",
        "true",
        "not false",
        "not null",
    ],
)
def test_tests_that_hold(text: str) -> None:
    assert decide(text)
    assert not decide(f"not ({text})")


@pytest.mark.parametrize(
    "text",
    [
        "scan.score == 3",
        "scan.score != 4",
        "scan.score >= 3 and scan.score <= 3 and scan.score > 2 and scan.score < 3.5",
        "scan.top.n == 1.5",
        'scan.title == "beta"',
        'scan.title > "alpha"',
        'scan.status == "completed"',
        'broken.status == "failed"',
        'broken.error == "exit 3"',
        "scan.error == null",
        'scan.context == "three findings"',
        "scan.attempts == 2",
        "scan.output.score == 3",
        'scan.files == ["a", "b"]',
        '"a" in scan.files',
        'not "c" in scan.files',
        '"find" in scan.context',
        '"top" in scan.output',
        'scan.title in ["alpha", "beta"]',
        "scan.missing == null",
        "never.ran == null",
        "inputs.n == 2",
        'inputs.name == "kim"',
        'name != "lee"',
        "file.lines == 10",
        'item.id == "7"',
        'workflow.name == "review"',
        'workflow.run_id == "01J"',
        'workflow.status == "running"',
        'env.CI == "1"',
        "env.HOME == null",
        "scan.score < 1m",
        "2m == 120",
        "(scan.ok and yes) == true",
        "scan.ok == true",
    ],
)
def test_comparisons_that_hold(text: str) -> None:
    assert decide(text)


@pytest.mark.parametrize(
    "text",
    [
        'scan.score == "3"',
        'scan.score < "4"',
        "scan.title > 1",
        "scan.missing < 1",
        "scan.missing >= null",
        "scan.ok == 1",
        "scan.ok > false",
        "scan.has_issues == true",  # a marker is no field
        '"a" in scan.missing',
        "1 in scan.title",
        'inputs.n == "2"',
    ],
)
def test_comparisons_across_types_are_false(text: str) -> None:
    assert not decide(text)


def test_a_marker_comes_before_a_field_of_the_same_name() -> None:
    env = environment(StepResult("a", StepStatus.COMPLETED, Output(frozenset({"done"}), "", {"done": False})))
    assert decide("a.done", env)
    assert decide("a.done == false", env)


def test_markers_and_fields_may_bear_the_names_of_facts() -> None:
    env = environment(StepResult("a", StepStatus.COMPLETED, Output(frozenset({"error"}), "", {"status": ""})))
    assert decide("a.error", env)
    assert not decide("a.status", env)
    assert decide('a.status == "completed"', env)


def test_the_status_of_the_run_is_known_in_always() -> None:
    env = ENV.with_inputs({"workflow_status": "failed"})
    assert decide('workflow.status == "failed" and workflow_status == "failed"', env)


def test_a_choice_records_what_it_saw_and_its_text() -> None:
    choice = ENV.evaluate(condition("scan.has_issues and (scan.score > 5 or scan.nope) and not yes"))
    assert choice == Choice(
        False,
        {"scan.has_issues": True, "scan.score": 3, "scan.nope": False, "yes": "TRUE"},
        "scan.has_issues and (scan.score > 5 or scan.nope) and not yes",
    )


def test_a_step_that_never_ran_is_recorded_as_null() -> None:
    assert ENV.evaluate(condition("ghost.ok")).operands == {"ghost.ok": None}


def test_long_operands_are_cut_in_the_record() -> None:
    env = environment(StepResult("a", StepStatus.COMPLETED, Output(context="x" * 5000, values={"l": list(range(900))})))
    choice = env.evaluate(condition('a.context == "x" or a.l == []'))
    assert choice.operands["a.context"] == "x" * 400 + "…"
    assert choice.operands["a.l"] == "[900 elements]"
    assert shown({str(n): n for n in range(200)}) == "{200 fields}"


def test_a_secret_is_recorded_by_name() -> None:
    env = environment(inputs={"token": {"$secret": "token"}})
    assert env.evaluate(condition('inputs.token == "s3cret"')) == (
        False,
        {"inputs.token": {"$secret": "token"}},
        'inputs.token == "s3cret"',
    )


def test_values_nested_beyond_reason_still_come_to_a_decision() -> None:
    deep: JsonValue = []
    for _ in range(5000):
        deep = [deep]
    env = environment(StepResult("a", StepStatus.COMPLETED, Output(values={"l": deep, "m": deep})))
    choice = env.evaluate(condition("a.l == a.m"))
    assert (choice.result, choice.operands["a.l"]) == (False, "[1 elements]")
    assert decide("a.l != a.m and a.l", env)


@pytest.mark.parametrize("value", [False, None, 0, 0.0, "", [], {}])
def test_empty_values_are_false(value: JsonValue) -> None:
    assert not is_true(value)


@pytest.mark.parametrize("value", [True, 1, -0.5, "false", "0", [None], {"a": None}])
def test_all_other_values_are_true(value: JsonValue) -> None:
    assert is_true(value)


@pytest.mark.parametrize(
    ("left", "right", "equal"),
    [
        (1, 1.0, True),
        (1, True, False),
        (0, False, False),
        ("1", 1, False),
        ([1, [2]], [1.0, [2]], True),
        ([1], [True], False),
        ({"a": [1]}, {"a": [1]}, True),
        ({"a": 1}, {"a": 1, "b": 2}, False),
        (None, None, True),
        (None, False, False),
        ([], {}, False),
    ],
)
def test_equality_minds_types(left: JsonValue, right: JsonValue, equal: bool) -> None:
    assert same(left, right) is equal
    assert same(right, left) is equal
    assert compare("!=", left, right) is not equal


# ── any condition over any world ──────────────────────────────────────────────────────────────────
scalars = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5)
json_values = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["a", "b"]), inner, max_size=2),
    max_leaves=6,
)
names = st.sampled_from(["a", "b", "inputs", "workflow", "env", "state", "item", "status", "error", "output", "ok"])
references = st.lists(names, min_size=1, max_size=4).map(lambda parts: Reference(span=SPAN, parts=tuple(parts)))
constants = scalars.map(lambda value: Constant(span=SPAN, value=value, text=json.dumps(value)))
operators = st.sampled_from(["==", "!=", "<", "<=", ">", ">=", "in"])
conditions: st.SearchStrategy[Condition] = st.recursive(
    references | constants,
    lambda inner: st.one_of(
        inner.map(lambda operand: Not(span=SPAN, operand=operand)),
        st.lists(inner, min_size=2, max_size=3).map(lambda parts: And(span=SPAN, operands=tuple(parts))),
        st.lists(inner, min_size=2, max_size=3).map(lambda parts: Or(span=SPAN, operands=tuple(parts))),
        st.lists(inner, max_size=3).map(lambda parts: ListLiteral(span=SPAN, items=tuple(parts))),
        st.builds(lambda left, op, right: Compare(span=SPAN, left=left, op=op, right=right), inner, operators, inner),
    ),
    max_leaves=8,
)
worlds = st.builds(
    lambda values, markers, inputs, extras, status: environment(
        StepResult("a", status, Output(frozenset(markers), "ctx", values)), inputs=inputs, extras=extras
    ),
    st.dictionaries(st.sampled_from(["ok", "status", "b", "error"]), json_values, max_size=3),
    st.lists(st.sampled_from(["ok", "b", "output"]), max_size=2),
    st.dictionaries(st.sampled_from(["a", "b", "item.ok"]), json_values, max_size=3),
    st.dictionaries(st.sampled_from(["item", "b"]), json_values, max_size=2),
    st.sampled_from(list(StepStatus)),
)


@given(conditions, worlds)
def test_every_condition_comes_to_a_decision_that_can_be_recorded(tested: Condition, env: Environment) -> None:
    choice = env.evaluate(tested)
    assert isinstance(choice.result, bool)
    assert json.loads(json.dumps(choice.operands)) == choice.operands
    assert choice.text == condition_text(tested)
    assert env.evaluate(Not(span=SPAN, operand=tested)).result is not choice.result


@given(json_values, json_values)
def test_order_and_equality_agree(left: JsonValue, right: JsonValue) -> None:
    less, more = compare("<", left, right), compare(">", left, right)
    assert not (less and more)
    assert not ((less or more) and same(left, right))
    assert compare("<=", left, right) == compare(">=", right, left)
