"""What an earlier leg left: steps by path, attempts nobody saw the end of, and whether the run may go on at all.

Nothing here drives a resume. A leg begins the same way every time; steps are answered from `recorded` where they are
settled, and everything else runs.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from runkon.errors import EXIT_NOT_FOUND, UserError
from runkon.language.nodes import StepOptions
from runkon.model.events import AttemptCutOff
from runkon.model.ids import RunID, StepPath
from runkon.model.records import RunRecord, StepError, StepRecord
from runkon.model.status import RunStatus, StepStatus

CRASH_LIMIT = 3
_LOST = "process_lost"  # why a step found running is interrupted: a pause is no crash


def refuse_unless_resumable(run: RunID, record: RunRecord | None) -> RunRecord:
    """The run's record if a leg may begin. Raises UserError `run-not-found` or `not-resumable` (exit code 6)."""
    if record is None:
        raise UserError(
            "run-not-found", f"no run `{run}` is recorded here", next="runkon runs", exit_code=EXIT_NOT_FOUND
        )
    if record.status is RunStatus.CANCELLED:
        raise UserError(
            "not-resumable",
            f"run `{run}` was cancelled, which is final",
            help="start the workflow again for a new run",
            exit_code=EXIT_NOT_FOUND,
        )
    return record


def recorded_by_path(steps: Sequence[StepRecord]) -> dict[StepPath, StepRecord]:
    """The current record of every step; an open attempt counts as cut off from here on."""
    return {step.path: _closed(step) if step.status is StepStatus.RUNNING else step for step in steps}


def _closed(step: StepRecord) -> StepRecord:
    return replace(step, status=StepStatus.INTERRUPTED, cut_offs=step.cut_offs + 1, skip_reason=_LOST)


def cut_offs(steps: Sequence[StepRecord]) -> list[AttemptCutOff]:
    """The events that close what an earlier leg left open: nobody saw how those attempts ended."""
    return [
        AttemptCutOff(
            path=step.path, number=step.attempts - 1, certainty="unknown", cause="process_lost", epoch=step.epoch
        )
        for step in steps
        if step.status is StepStatus.RUNNING
    ]


def crash_failure(record: StepRecord, options: StepOptions) -> StepError | None:
    """The failure of a step that must not be tried again now, because it keeps ending the process it runs in. Resumed
    after that failure, it is granted as many again."""
    if record.skip_reason == _LOST and record.cut_offs % max(CRASH_LIMIT, options.retries + 1) == 0:
        return StepError("crash_limit", f"its process was lost {record.cut_offs} times while it ran")
    return None
