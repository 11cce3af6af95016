"""What a run has cost and may cost, in the words of every view."""

from __future__ import annotations

from runkon.model.records import RunRecord
from runkon.named import NamedTuple
from runkon.views.times import counted, money


class Bounds(NamedTuple):
    """The most a run may use: calls, None where nothing bounds them, and dollars, None where nobody said."""

    calls: int | None = None
    cost_usd: float | None = None


def spent(run: RunRecord) -> str:
    """`$0.41`; where the price of calls is not known `≥ $0.41 (2 unpriced)`."""
    text = money(run.cost_usd)
    return text if run.cost_known else f"≥ {text} ({run.unpriced} unpriced)"


def before(bounds: Bounds) -> str:
    """What can be said before the first call: `≤ 23 calls`, or that there is no bound; the budget, if there is one."""
    calls = "calls: no bound" if bounds.calls is None else f"≤ {counted(bounds.calls, 'call')}"
    return calls if bounds.cost_usd is None else f"{calls} · budget {money(bounds.cost_usd)}"


def so_far(run: RunRecord, bounds: Bounds | None) -> list[str]:
    """The same while it goes: `11 of ≤23 calls`, `$0.41 of $2.00`."""
    parts = []
    if bounds is not None and bounds.calls is None:
        parts.append(f"{counted(run.calls, 'call')}, no bound")
    elif bounds is not None and bounds.calls:
        parts.append(f"{run.calls} of ≤{counted(bounds.calls, 'call')}")
    elif run.calls:
        parts.append(counted(run.calls, "call"))
    budget = None if bounds is None else bounds.cost_usd
    if budget is not None:
        parts.append(f"{spent(run)} of {money(budget)}")
    elif run.cost_usd or not run.cost_known:
        parts.append(spent(run))
    return parts
