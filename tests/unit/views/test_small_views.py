"""Times, ids, statuses, endings, margins: the small things that every view shares."""

from __future__ import annotations

from dataclasses import replace

import pytest

from runkon.model.ids import RunID, StepPath
from runkon.model.output import Output
from runkon.model.records import RunRecord, StepError, StepInfo, StepRecord
from runkon.model.status import RunStatus, StepStatus
from runkon.views.ending import ending
from runkon.views.margin import margin_lines
from runkon.views.outline import overlay_of, static_path
from runkon.views.short_ids import shortened
from runkon.views.status import root_failures, shown_status
from runkon.views.times import ago, clock, elapsed, iso, money

RUN = RunRecord(id=RunID("01ABC"), workflow="w", file="w.wf", status=RunStatus.FAILED)


def step(path: str, status: StepStatus = StepStatus.COMPLETED, kind: str = "script", **fields: object) -> StepRecord:
    info = StepInfo(kind, path, path, path, 0, "w.wf", 2, 1)
    return StepRecord(RunID("01ABC"), StepPath(path), info, status, **fields)


@pytest.mark.parametrize(
    ("milliseconds", "text"),
    [(0, "0.0s"), (400, "0.4s"), (9_949, "9.9s"), (9_950, "10s"), (58_000, "58s"), (59_600, "1m00s"),
     (118_000, "1m58s"), (7_500_000, "2h05m"), (273_600_000, "3d04h"), (-5, "0.0s")],
)  # fmt: skip
def test_durations_in_two_units(milliseconds: int, text: str) -> None:
    assert elapsed(milliseconds) == text


def test_instants_and_clocks() -> None:
    assert iso(None) is None
    assert iso(1_767_225_600_007) == "2026-01-01T00:00:00.007Z"
    assert clock(192_000) == "00:03:12"
    assert [ago(0), ago(3_000), ago(7_200_000), ago(200_000_000)] == ["just now", "3s ago", "2h ago", "2d ago"]
    assert [money(0.41), money(0.0023), money(0.5, known=False)] == ["$0.41", "$0.0023", "≥$0.50"]


def test_ids_are_as_short_as_they_stay_unique() -> None:
    ids = ["01ARZ3NDEKTSV4RRFFQ69G5FAV", "01ARZ3NDEKTSV4RRFFQ69G5FAX", "01BX5ZZKBKACTAV9WEVGEMMVRY"]
    short = shortened(ids)
    assert short[ids[2]] == "01BX5ZZKBK"
    assert short[ids[0]] == ids[0]
    assert all(sum(other.startswith(prefix) for other in ids) == 1 for prefix in short.values())


def test_a_run_that_nobody_holds_is_interrupted() -> None:
    for status in (RunStatus.RUNNING, RunStatus.CANCELLING):
        run = replace(RUN, status=status)
        assert shown_status(run, is_held=False) is RunStatus.INTERRUPTED
        assert shown_status(run, is_held=True) is status
    assert shown_status(replace(RUN, status=RunStatus.WAITING), is_held=False) is RunStatus.WAITING


def test_a_block_that_failed_by_its_steps_is_no_failure_of_its_own() -> None:
    inside = step("checks/a", StepStatus.FAILED)
    block = step("checks", StepStatus.FAILED, kind="parallel")
    handled = step("b", StepStatus.FAILED, handled="continue")
    assert root_failures([block, inside, handled]) == [inside]
    assert root_failures([block, handled]) == [block]


def test_the_ending_counts_and_names_the_next_command() -> None:
    steps = [step("a"), step("b", StepStatus.FAILED), step("c", StepStatus.SKIPPED), step("p", kind="parallel")]
    run = replace(RUN, calls=2, cost_usd=0.5, cost_known=False, unpriced=1, started_at=0, ended_at=61_000)
    end = ending(run, steps, "01A", RunStatus.FAILED, with_time=True)
    assert end.headline == "failed · 3 steps · 1 failed · 1 skipped · 2 calls · ≥ $0.50 (1 unpriced) · 1m01s"
    assert (end.next, end.why) == ("runkon resume 01A", "keeps 2 finished steps")
    assert ending(RUN, [], "01A", RunStatus.COMPLETED, with_time=False).next == "runkon show 01A"


def test_rounds_share_a_place() -> None:
    assert static_path("while[2]/review#2") == "while/review#2"
    assert static_path("tickets[a%2Fb]/fix") == "tickets/fix"
    assert static_path("always#3/bye") == "always/bye"
    steps = [
        step("while[0]/a", started_at=0, ended_at=5),
        step("while[1]/a", StepStatus.FAILED, started_at=9, ended_at=16),
    ]
    assert overlay_of(steps)["while/a"].text == "failed 0.0s, 2 rounds"


def test_results_in_the_margin() -> None:
    steps = [
        step("a", started_at=0, ended_at=100, output=Output(markers=frozenset({"ok"}))),
        step("a#2", StepStatus.FAILED, error=StepError("exit", "x")),
    ]
    lines = list(margin_lines("one\ntwo\r\n", "w.wf", steps))
    assert lines == [f"{'':<26}    1 │ one", f"{'✗ 2× exit':<26}    2 │ two"]
    assert list(margin_lines("one\n", "other.wf", steps)) == [f"{'':<26}    1 │ one"]


def test_failures_of_always_blocks_that_ran_anew_are_not_told_again() -> None:
    first, second = step("always#1/clean", StepStatus.FAILED), step("always#2/clean", StepStatus.FAILED)
    assert root_failures([first]) == [first]
    assert root_failures([first, second]) == [second]
    assert root_failures([first, step("always#2/clean")]) == []
