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


@pytest.mark.parametrize(
    "text",
    [
        'W{ script s { run = "make x" } unless s.completed { call a } }',
        'W{ script s { run = "make x" on_fail = continue } if s.failed { call a } }',
        'W{ script s { run = "make x" on_fail = continue } if not s.timed_out and s.ok { call a } }',
        'W{ script s { run = "make x" if = inputs.go } if s.skipped { call a } inputs { go boolean } }',
    ],
)
def test_a_status_asked_for_as_a_marker_of_a_script_is_a_warning(only, text: str) -> None:
    found = only(text)
    assert (found.code, found.severity) == ("marker-not-status", Severity.WARNING)
    assert '.status == "' in (found.help or "")


@pytest.mark.parametrize(
    "text",
    [
        "W{ call a { on_fail = continue } if a.failed or a.completed or a.skipped { call b } }",  # any marker it likes
        'W{ script s { run = "check.sh" on_fail = continue } if s.failed { call a } }',  # a file, which may print one
        "W{ script s { run = \"{{x ?? 'y'}}\" on_fail = continue } if s.failed { call a } }",
        "W{ script s { run = \"echo '<<<FLOW_OUTPUT>>>'\" } if s.completed { call a } }",
        'W{ script s { run = "python check.py" } if s.failed or s.skipped { call a } }',  # never seen as a status
        'W{ script s { run = "make x" } if s.status == "completed" { call a } }',
        'W{ script s { run = "make x" } if s.completed == true { call a } }',
        'W{ inputs { f boolean } if f { script s { run = "x" } } else { call s } if s.completed { call a } }',
        "W{ parallel p { call a call b } if p.failed { call c } }",
    ],
)
def test_a_word_that_may_be_a_marker_or_a_field_is_left_alone(codes, text: str) -> None:
    assert codes(text) == []
