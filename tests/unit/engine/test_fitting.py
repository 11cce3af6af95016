"""What follows from an answer that matches its schema, and what a person may say in place of one."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from runkon.engine.answers import Failed
from runkon.engine.config import RunConfig
from runkon.engine.fitting import as_told, fitted, made_up
from runkon.model.output import Output, Usage
from runkon.schemas.reading import read_schema

SCHEMA = read_schema("s", "fields: {approved: boolean, note?: string}")


def test_what_an_answer_has_cost_is_kept_when_it_does_not_match():
    usage = Usage(cost_usd=0.5)
    answer = fitted(Output(values={"approved": "no"}, usage=usage), SCHEMA)
    assert isinstance(answer, Failed)
    assert (answer.error.kind, answer.usage) == ("schema", usage)
    lines = ["output does not match schema `s`", '$.approved: "no" is not true or false', '"approved": "no"']
    assert answer.error.message.split("\n") == lines


def test_a_failure_stays_what_it_is():
    failure = fitted(Output(values={}), SCHEMA)
    assert fitted(failure, SCHEMA) is failure


def test_an_answer_that_was_checked_is_not_changed_by_checking_it_again():
    first = fitted(Output(frozenset({"own"}), values={"approved": False, "note": "text"}), SCHEMA)
    assert isinstance(first, Output)
    assert (first.markers, first.context) == (frozenset({"own", "not_approved"}), "text")
    assert fitted(first, SCHEMA) == first


def test_an_answer_that_is_made_up_says_so():
    made = made_up(SCHEMA, Output(text="dry run: `a` was not called"))
    assert made.text == "dry run: `a` was not called; its answer is made up from schema `s`"
    assert made.values == {"approved": True, "note": "note"}


@pytest.mark.parametrize(
    ("values", "name", "markers"),
    [
        ({"approved": False}, "s", {"not_approved"}),
        ({"approved": "perhaps"}, "s", set()),
        ({"approved": False}, "gone", set()),
    ],
)
def test_what_a_person_says_is_kept_and_completed_where_it_matches(tmp_path, values, name, markers):
    (tmp_path / ".runkon" / "schemas").mkdir(parents=True)
    (tmp_path / ".runkon" / "schemas" / "s.yaml").write_text("fields: {approved: boolean}")
    facts = SimpleNamespace(workflow="w")
    scope: Any = SimpleNamespace(
        leg=SimpleNamespace(config=RunConfig(working_dir=tmp_path)), env=SimpleNamespace(facts=facts)
    )
    told = as_told(Output(values=values), name, scope)
    assert (told.values, told.markers) == (values, markers)
