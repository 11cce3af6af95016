"""Schema files and what follows from them: the cases of `schemas/*.toml`."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from runkon.schemas.checking import violation
from runkon.schemas.deriving import context_of, holds, markers_of
from runkon.schemas.fields import FieldShape, SchemaField
from runkon.schemas.problems import SchemaProblem
from runkon.schemas.reading import read_schema


def load(name: str) -> dict[str, Any]:
    return tomllib.loads((Path(__file__).parent / "schemas" / f"{name}.toml").read_text("utf-8"))


READING, CHECKING, DERIVING = load("reading"), load("checking"), load("deriving")
REVIEW = read_schema("review", CHECKING["schema"][0]["text"])


def written(field: SchemaField) -> str:
    return f"{field.name}{'' if field.is_required else '?'}: {shape(field.shape)}"


def shape(of: FieldShape) -> str:
    match of.type:
        case "enum":
            return f"enum({', '.join(of.variants)})"
        case "array" if of.item is not None:
            return f"array of {shape(of.item)}"
        case "object" if of.fields is not None:
            return f"{{{', '.join(map(written, of.fields))}}}"
        case _:
            return of.type


@pytest.mark.parametrize("case", READING["case"], ids=lambda case: case["id"])
def test_a_schema_file_means_what_the_case_says(case: Mapping[str, Any]) -> None:
    if "error" not in case:
        schema = read_schema("s", case["text"])
        assert [written(field) for field in schema.fields] == case["fields"]
        if "markers" in case:
            assert schema.markers == (None if case["markers"] == "the usual" else case["markers"])
        return
    with pytest.raises(SchemaProblem) as caught:
        read_schema("s", case["text"])
    problem, error = caught.value, case["error"]
    assert error["says"] in problem.message
    assert (problem.line, problem.column) == (error["line"], error["column"])
    assert error.get("help", "") in (problem.help or "")


@pytest.mark.parametrize("case", CHECKING["case"], ids=lambda case: case["id"])
def test_an_answer_is_checked(case: Mapping[str, Any]) -> None:
    found = violation(REVIEW, json.loads(case["value"]))
    assert (found and (found.text, found.seen)) == ((case["says"], case["seen"]) if "says" in case else None)


@pytest.mark.parametrize(
    ("rule", "value", "expected"),
    [
        (rule, case["value"], expected)
        for case in DERIVING["rules"]
        for name, expected in (("holds", True), ("fails", False))
        for rule in case[name]
    ],
)
def test_a_marker_rule_holds_or_not(rule: str, value: str, expected: bool) -> None:
    assert holds(rule, json.loads(value)) is expected


@pytest.mark.parametrize("case", DERIVING["markers"], ids=lambda case: case["id"])
def test_markers_of_an_answer(case: Mapping[str, Any]) -> None:
    found = markers_of(read_schema("s", case["schema"]), json.loads(case["value"]))
    assert sorted(found) == case["markers"]


@pytest.mark.parametrize(
    ("schema", "case"),
    [(group["schema"], case) for group in DERIVING["context"] for case in group["cases"]],
)
def test_the_context_of_an_answer(schema: str, case: Mapping[str, Any]) -> None:
    assert context_of(read_schema("s", schema), json.loads(case["value"])) == case["context"]
