"""What a run has cost and may cost, in words."""

from __future__ import annotations

import pytest

from runkon.cli.bounds import bounds_of
from runkon.model.ids import RunID
from runkon.model.records import RunRecord
from runkon.model.status import RunStatus
from runkon.testing import check_text
from runkon.views.costs import Bounds, before, so_far, spent


def run(calls: int = 0, cost: float = 0.0, unpriced: int = 0) -> RunRecord:
    return RunRecord(
        id=RunID("r"),
        workflow="w",
        file="w.wf",
        status=RunStatus.RUNNING,
        calls=calls,
        cost_usd=cost,
        cost_known=not unpriced,
        unpriced=unpriced,
    )


def test_what_is_not_known_is_counted() -> None:
    assert [spent(run(cost=0.41)), spent(run(cost=0.41, unpriced=2)), spent(run(unpriced=1))] == [
        "$0.41",
        "≥ $0.41 (2 unpriced)",
        "≥ $0.00 (1 unpriced)",
    ]


@pytest.mark.parametrize(
    ("bounds", "text"),
    [
        (Bounds(23), "≤ 23 calls"),
        (Bounds(1, 2.0), "≤ 1 call · budget $2.00"),
        (Bounds(None, 0.5), "calls: no bound · budget $0.50"),
    ],
)
def test_what_is_said_before_the_first_call(bounds: Bounds, text: str) -> None:
    assert before(bounds) == text


@pytest.mark.parametrize(
    ("bounds", "record", "parts"),
    [
        (Bounds(23, 2.0), run(11, 0.41), ["11 of ≤23 calls", "$0.41 of $2.00"]),
        (Bounds(23, 2.0), run(11, 0.41, 1), ["11 of ≤23 calls", "≥ $0.41 (1 unpriced) of $2.00"]),
        (Bounds(None), run(11, 0.41), ["11 calls, no bound", "$0.41"]),
        (Bounds(0), run(), []),
        (None, run(2), ["2 calls"]),
    ],
)
def test_what_is_said_while_it_goes(bounds: Bounds | None, record: RunRecord, parts: list[str]) -> None:
    assert so_far(record, bounds) == parts


def test_the_lowest_limit_counts_and_a_resume_replaces_it() -> None:
    text = """workflow w { meta { max_calls = 9 budget_usd = 2 }
      call a { retries = 2 } while a.more { max_iterations = 4 call workflow k } }
    workflow k { call b fallback_less }""".replace(" fallback_less", "")
    program = check_text(text)
    assert bounds_of(program, {}) == Bounds(7, 2.0)
    assert bounds_of(program, {"max_calls": 5, "budget_usd": 3.0}) == Bounds(5, 2.0)
    assert bounds_of(program, {"max_calls": 5}, {"max_calls": 6, "budget_usd": 4.0}) == Bounds(6, 4.0)
    endless = check_text("workflow w { inputs { l list } foreach x in inputs.l { call a } }")
    assert bounds_of(endless, {}) == Bounds(None, None)
    assert bounds_of(endless, {"max_calls": 3}) == Bounds(3, None)
