"""What a run did not have to pay: kept steps and results from the cache, at the price they had."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from runkon.app import App
from runkon.model.ids import RunID
from runkon.model.records import RunRecord, StepRecord
from runkon.model.status import StepStatus
from runkon.views.ending import Ending
from runkon.views.status import BLOCKS, is_reused
from runkon.views.times import money


def with_savings(app: App, run: RunRecord, steps: Sequence[StepRecord], end: Ending) -> Ending:
    """The ending with what was saved, if anything was."""
    done = [step for step in steps if step.status is StepStatus.COMPLETED]
    cached = [step for step in done if step.cached_from is not None and _origin(step)[0] != run.forked_from]
    mine = [step for step in done if step.cached_from is not None or is_reused(step, run.leg)]
    kept = _cost(step for step in mine if step not in cached)
    found = sum(_cost(_steps_at(app, *_origin(step))) for step in cached)
    parts = [f"{money(one)} {how}" for one, how in ((kept, "kept"), (found, "from the cache")) if one]
    return end._replace(headline=f"{end.headline} · saved: {', '.join(parts)}") if parts else end


def _origin(step: StepRecord) -> tuple[RunID, str]:
    run, _, path = (step.cached_from or "").partition("/")
    return RunID(run), path


def _steps_at(app: App, run: RunID, path: str) -> Iterable[StepRecord]:
    """The step at a path of another run, or those of the workflow that was called there."""
    return [step for step in app.store.steps(run) if step.path == path or step.path.startswith(f"{path}/")]


def _cost(steps: Iterable[StepRecord]) -> float:
    usages = (step.output.usage for step in steps if step.info.kind not in BLOCKS)
    return round(sum(usage.cost_usd for usage in usages if usage is not None and usage.cost_usd is not None), 6)
