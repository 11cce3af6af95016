from __future__ import annotations

from runkon.model.ids import StepPath
from runkon.model.plans import PlanLine, ResumePlan, TextChange
from runkon.views.plan_lines import change_lines, plan_object, plan_rows, plan_summary


def line(path: str, decision: str = "reuse", reason: str = "completed", **facts: object) -> PlanLine:
    return PlanLine(StepPath(path), decision, reason, **facts)  # type: ignore[arg-type]


def plan(*lines: PlanLine, changes: tuple[TextChange, ...] = ()) -> ResumePlan:
    return ResumePlan("normal", 7, lines, changes)


def test_a_short_plan_has_a_row_per_step() -> None:
    rows = plan_rows(
        plan(
            line("a", age_ms=7_200_000, cost_usd=0.5),
            line("b", "rerun", "failed: first\nsecond", age_ms=1),
            line("c", unless=("b.x", "*")),
            line("d", "new", "not reached yet"),
        )
    )
    assert rows == [
        ("reuse", "a", "completed 2h ago, $0.50"),
        ("rerun", "b", "failed: first …"),
        ("reuse", "c", "completed; runs again if {{b.x}} comes out differently"),
        ("new", "d", "not reached yet"),
    ]


def test_a_long_plan_puts_neighbours_together_and_stays_short() -> None:
    steps = [line(f"s{number}", cost_usd=0.01) for number in range(900)]
    steps += [line("s900", "rerun", "cut off: process lost, effect read")]
    steps += [line(f"s{number}", "new", "not reached yet") for number in range(901, 1000)]
    assert plan_rows(plan(*steps)) == [
        ("reuse", "s0 … s899", "900 steps: completed, $9.00"),
        ("rerun", "s900", "cut off: process lost, effect read"),
        ("new", "s901 … s999", "99 steps: not reached yet"),
    ]


def test_the_sums_in_words() -> None:
    whole = plan(
        line("a", cost_usd=1.0),
        line("b", "rerun", cost_usd=0.25),
        line("c", "ask"),
        line("d", "new"),
        line("e", unless=("b.x",), cost_usd=0.5),
    )
    assert plan_summary(whole) == (
        "2 steps kept, 1 to run again, 1 to be asked about, 1 not reached yet, 1 of the kept only if what they read "
        "stays the same, $1.00 kept, $0.75 may be paid again"
    )
    assert plan_summary(plan(line("a"))) == "1 step kept, 0 to run again"


def test_what_counts_as_failed_is_not_told_as_run_again() -> None:
    assert plan_summary(plan(line("a", "fail"))) == "0 steps kept, 0 to run again, 1 to count as failed"


def test_changes_show_only_lines_that_differ() -> None:
    changes = (TextChange("a", "text changed: line 3", "call a\n  x = 1\n  y = 1", "call a\n  x = 2\n  y = 1"),)
    assert list(change_lines(changes)) == ["a: text changed: line 3", "  -   x = 1", "  +   x = 2"]


def test_the_object_has_every_field() -> None:
    found = plan_object(plan(line("a", age_ms=5, cost_usd=0.1, unless=("x",))), "R", "failed")
    assert found["resume"] == [
        {
            "path": "a",
            "decision": "reuse",
            "reason": "completed",
            "age_ms": 5,
            "cost_usd": 0.1,
            "unless_changed": ["x"],
        }
    ]
    assert {key: found[key] for key in ("schema", "run_id", "status", "mode", "seq")} == {
        "schema": "runkon.resume/1",
        "run_id": "R",
        "status": "failed",
        "mode": "normal",
        "seq": 7,
    }
