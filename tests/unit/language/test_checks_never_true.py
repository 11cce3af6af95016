from __future__ import annotations

import pytest

from runkon.language.diagnostics import Severity


@pytest.mark.parametrize(
    "text",
    [
        "W{ gate human_review { } if human_review.ok { call a } }",
        'W{ inputs { d default = 1 } call a if a.status == "complete" { call b } }',
        'W{ call a if "done" == a.status { call b } }',
        'W{ inputs { size one_of ["s", "m"] } if size == "l" { call a } }',
        'W{ inputs { size one_of ["s", "m"] } if inputs.size == "l" { call a } }',
        "W{ call s foreach f in s.files { call a } if f.done { call b } }",
    ],
)
def test_a_test_that_cannot_succeed_is_a_warning(only, text: str) -> None:
    found = only(text)
    assert found.code == "never-true"
    assert found.severity is Severity.WARNING


@pytest.mark.parametrize(
    "text",
    [
        "W{ gate human_review { } if human_review.approved { call a } }",
        'W{ gate human_review { form = "f" } if human_review.severity == "high" { call a } }',
        "W{ call rt gate quality_gate { source = rt threshold = 1 } if quality_gate.passed { call a } }",
        'W{ call a if a.status == "timed_out" { call b } }',
        'W{ call a if a.status != "complete" { call b } }',
        'W{ inputs { size one_of ["s", "m"] } if size == "m" { call a } }',
        "W{ call human_review gate human_review { } if human_review.ok { call a } }",
        "W{ parallel p { call a call b } if p.any_marker { call c } }",
    ],
)
def test_a_test_that_may_succeed_is_left_alone(codes, text: str) -> None:
    assert codes(text) == []


def test_a_close_word_is_suggested(only) -> None:
    assert only("W{ gate human_review { } if human_review.aproved { call a } }").help == (
        "did you mean `human_review.approved`?"
    )
    assert only('W{ call a if a.status == "complete" { call b } }').help == "did you mean `completed`?"
