"""What somebody says that a call has cost, where nobody else knows. It is kept like an answer to a gate, so that it can
be said at any time, by anybody, once; the next leg counts with it."""

from __future__ import annotations

from collections.abc import Iterable

from runkon.model.ids import RunID
from runkon.model.records import GateAnswer

_PREFIX = "cost:"


def cost_said(run: RunID, entry: int, dollars: float, by: str, at: int, reason: str = "") -> GateAnswer:
    """What to keep: `entry` is the number of the event that began the call."""
    return GateAnswer(run, f"{_PREFIX}{entry}", "said", by, "cli", at, reason=reason, form={"cost_usd": dollars})


def is_cost(answer: GateAnswer) -> bool:
    """True for what is no answer to a gate."""
    return answer.gate.startswith(_PREFIX)


def costs_said(answers: Iterable[GateAnswer]) -> dict[int, float]:
    """What was said, in dollars by entry."""
    found = {}
    for answer in answers:
        dollars = answer.form.get("cost_usd")
        if is_cost(answer) and isinstance(dollars, int | float):
            found[int(answer.gate.removeprefix(_PREFIX))] = float(dollars)
    return found
