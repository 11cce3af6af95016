"""What a status is called, which sign it has, and how a run whose process died is shown."""

from __future__ import annotations

from collections.abc import Sequence

from runkon.model.ids import is_in_always
from runkon.model.records import RunRecord, StepRecord
from runkon.model.status import RunStatus, StepStatus

SIGNS = {
    StepStatus.PENDING: "○",
    StepStatus.RUNNING: "●",
    StepStatus.WAITING: "⏸",
    StepStatus.BACKOFF: "↻",
    StepStatus.COMPLETED: "✓",
    StepStatus.FAILED: "✗",
    StepStatus.SKIPPED: "◌",
    StepStatus.TIMED_OUT: "✗",
    StepStatus.CANCELLED: "⊘",
    StepStatus.INTERRUPTED: "⊘",
}
OPEN_STEP = frozenset({StepStatus.RUNNING, StepStatus.WAITING, StepStatus.BACKOFF})
BLOCKS = frozenset({"parallel", "foreach", "item", "graph", "call_workflow"})  # kinds whose work is done below them
BAD_STEP = frozenset({StepStatus.FAILED, StepStatus.TIMED_OUT})


def shown_status(run: RunRecord, *, is_held: bool) -> RunStatus:
    """The status to show: a run that nobody holds any more is interrupted, whatever its row still says."""
    if run.status in (RunStatus.RUNNING, RunStatus.CANCELLING) and not is_held:
        return RunStatus.INTERRUPTED
    return run.status


def is_reused(step: StepRecord, leg: int) -> bool:
    """True if the latest leg answered the step from its record instead of running it."""
    return step.is_settled and step.leg < leg and not is_in_always(step.path)


def is_unhandled_failure(step: StepRecord) -> bool:
    return step.status in BAD_STEP and step.handled is None


def root_failures(steps: Sequence[StepRecord]) -> list[StepRecord]:
    """The steps whose failure nothing took, without the blocks that failed because of them, and without those of
    always blocks that a later leg has run anew."""
    latest = max((_always_leg(step) for step in steps), default=0)
    failed = [step for step in steps if is_unhandled_failure(step) and _always_leg(step) in (0, latest)]
    paths = [step.path for step in failed]
    return [
        step
        for step in failed
        if step.info.kind not in BLOCKS
        or not any(path.startswith((f"{step.path}/", f"{step.path}[")) for path in paths)
    ]


def _always_leg(step: StepRecord) -> int:
    """The leg whose always block the step belongs to, 0 outside of them."""
    if not is_in_always(step.path):
        return 0
    return int(step.path.partition("/")[0].partition("#")[2])
