"""The most calls and money that a run may use, as is known before it begins."""

from __future__ import annotations

from collections.abc import Mapping

from runkon.language.checks.facts import calls_bound
from runkon.language.program import CheckedWorkflow
from runkon.views.costs import Bounds


def bounds_of(
    program: CheckedWorkflow, given: Mapping[str, object], again: Mapping[str, object] | None = None
) -> Bounds:
    """The lower of what the text comes to and of what was `given` as `budget_usd` and `max_calls`; what a resume was
    given `again` takes the place of the limits before."""
    meta, new = program.workflow.meta, again or {}

    def lowest(name: str, *others: float | None) -> float | None:
        limits = [getattr(meta, name), given.get(name)] if new.get(name) is None else [new[name]]
        return min((one for one in (*limits, *others) if isinstance(one, int | float)), default=None)

    static = calls_bound(program)
    if new.get("max_calls") is not None and static == meta.max_calls:
        static = None  # which was no bound but that limit
    calls = lowest("max_calls", static)
    return Bounds(None if calls is None else int(calls), lowest("budget_usd"))
