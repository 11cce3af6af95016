"""Plain lines of events."""

from __future__ import annotations

import pytest

from runkon.model import events as ev
from runkon.model.ids import StepPath
from runkon.model.output import Output
from runkon.model.records import StepError, StepInfo
from runkon.views.lines import Lines, first_line, line_of, result_text

PATH = StepPath("checks/lint")
INFO = StepInfo("script", "lint", "lint", "a1", 0, "x.wf", 3, 5)
ERROR = StepError("exit", "it broke\nbadly")


@pytest.mark.parametrize(
    ("event", "line"),
    [
        (ev.RunResumed(owner="me", reused=1, rerun=2), "resumed     1 step kept, 2 to run again"),
        (ev.AttemptStarted(path=PATH, number=0, info=INFO, executor="script"), "started     checks/lint"),
        (ev.AttemptStarted(path=PATH, number=2, info=INFO, executor="script"), "started     checks/lint  attempt 3"),
        (ev.AttemptFailed(path=PATH, number=0, error=ERROR), "failed      checks/lint  it broke …"),
        (ev.AttemptTimedOut(path=PATH, number=1, error=ERROR), "timed out   checks/lint  attempt 2: it broke …"),
        (
            ev.AttemptCutOff(path=PATH, number=0, certainty="unknown", cause="process_lost"),
            "cut off     checks/lint  attempt 1: process lost",
        ),
        (
            ev.StepCompleted(path=PATH, output=Output(markers=frozenset({"b", "a"}), context="c")),
            "completed   checks/lint  a, b",
        ),
        (
            ev.StepCompleted(path=PATH, output=Output(context="c"), info=INFO, cached_from="R/checks/lint"),
            "kept        checks/lint  c",
        ),
        (
            ev.StepFailed(path=PATH, error=ERROR, handled="continue"),
            "failed      checks/lint  it broke … (handled: continue)",
        ),
        (ev.StepSkipped(path=PATH, reason="condition"), "skipped     checks/lint  its condition is false"),
        (ev.StepCancelled(path=PATH, reason="a sibling failed"), "cancelled   checks/lint  a sibling failed"),
        (ev.StepHandled(path=PATH, handled="min_success"), "handled     checks/lint  min success"),
        (ev.Note(level="warning", code="x", text="mind the gap"), "warning     mind the gap"),
    ],
)
def test_what_happened_and_where(event: ev.Event, line: str) -> None:
    assert str(line_of(event)) == line


@pytest.mark.parametrize(
    "event",
    [
        ev.RunStarted(owner="me"),
        ev.RunCompleted(outputs={}),
        ev.ChoiceMade(path=PATH, construct="if", text="a.b", operands={}, result=True),
        ev.Note(level="info", code="x", text="y"),
        ev.RetryScheduled(path=PATH, due_at=0, delay_ms=0, retries_left=1),
    ],
)
def test_what_nobody_needs_to_see(event: ev.Event) -> None:
    assert line_of(event) is None


def test_choices_and_notes_for_those_who_ask() -> None:
    choice = ev.ChoiceMade(path=PATH, construct="if", text="a.b", operands={}, result=True)
    assert str(line_of(choice, is_verbose=True)) == "choice      checks/lint  if a.b is true"
    assert str(line_of(ev.Note(level="info", code="x", text="y"), is_verbose=True)) == "note        y"


def test_a_failure_told_by_its_last_attempt_is_not_told_twice() -> None:
    lines = Lines(is_verbose=False)
    assert lines.of(ev.AttemptFailed(path=PATH, number=0, error=ERROR)) is not None
    assert lines.of(ev.StepFailed(path=PATH, error=ERROR)) is None
    assert lines.of(ev.StepFailed(path=StepPath("other"), error=ERROR)) is not None


def test_a_handled_failure_is_told_although_its_attempt_was() -> None:
    lines = Lines(is_verbose=False)
    lines.of(ev.AttemptFailed(path=PATH, number=0, error=ERROR))
    assert lines.of(ev.StepFailed(path=PATH, error=ERROR, handled="continue")) is not None


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("", ""),
        ("one", "one"),
        ("  one  \n", "one"),
        ("one\ntwo", "one …"),
        ("\n\none\n\n", "one"),
        ("x" * 1000, "x" * 199 + "…"),
        ("a\n" + "b" * 1_000_000, "a …"),
    ],
)
def test_the_first_line(text: str, shown: str) -> None:
    assert first_line(text) == shown


def test_what_a_result_is_called() -> None:
    assert result_text(Output(text="a sentence", context="more")) == "a sentence"
    assert result_text(Output(context="first\nsecond", degraded=True)) == "degraded  first …"
