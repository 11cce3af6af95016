"""What an earlier leg left: steps by path, attempts nobody saw the end of, and whether the run may go on at all.

Nothing here drives a resume. A leg begins the same way every time; steps are answered from `recorded` where they are
settled, and everything else runs.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import TYPE_CHECKING

from runkon.errors import EXIT_NOT_FOUND, UserError
from runkon.frozen import replace
from runkon.language.nodes import StepOptions
from runkon.model.events import AttemptCutOff, Event
from runkon.model.ids import RunID, StepPath
from runkon.model.records import RunRecord, StepError, StepRecord
from runkon.model.status import RunStatus, StepStatus
from runkon.named import NamedTuple

if TYPE_CHECKING:
    from runkon.engine.call_retries import Made
    from runkon.engine.choices import Choices
    from runkon.engine.item_sources import ItemSources
    from runkon.engine.ledger import Ledger
    from runkon.language.program import CheckedWorkflow
    from runkon.model.output import JsonValue
    from runkon.model.ports import RunStore

CRASH_LIMIT = 3
FORK = "fork"  # the setting that keeps how a fork was asked for, until its first leg has begun


class Known(NamedTuple):
    """The records of a run as they were read when its last event was `seq`: good as long as it still is."""

    seq: int
    steps: Sequence[StepRecord]


class Resumption(NamedTuple):
    """How a later leg, or the first one of a fork, was asked for. `mode` is `normal`, `only-failed` or `restart`;
    `step` what `--from` names; `before` the workflow that the records were made with, where the leg has an edited one;
    `inputs` all inputs from now on, None if they stay; `notes` are warnings for whoever reads the plan; `known` spares
    reading records again."""

    mode: str = "normal"
    step: str | None = None
    before: CheckedWorkflow | None = None
    inputs: Mapping[str, JsonValue] | None = None
    notes: tuple[str, ...] = ()
    known: Known | None = None

    @property
    def is_normal(self) -> bool:
        """True if nothing but what is unfinished is to run."""
        return self.mode == "normal" and self.step is None and self.before is None and self.inputs is None

    @property
    def takes_edits(self) -> bool:
        """True if texts or inputs are not what the records were made with."""
        return self.before is not None or self.inputs is not None

    @property
    def name(self) -> str:
        """The mode as the record has it."""
        return self.mode if self.step is None else "from"


NORMAL_RESUME = Resumption()
_LOST = "process_lost"  # why a step found running is interrupted: a pause is no crash


class Beginning(NamedTuple):
    """What a leg begins with. `recorded` holds the record of each step as the leg takes it, `steps` as they were found.
    `closed` come before the event that says it has begun, `changed` after it. With `looks_again` settled steps are
    compared with what they would see now, with `takes_edits` also the files of scripts. `choices` are those of earlier
    legs, where there are conditions; `failed_before` counts failed attempts that count against the retries of this leg;
    `unconfirmed` are steps of which something may still be running, and what is known of that; `items` is where a
    `foreach` gets its list, `past` where `cache` finds results of other runs; `retried` are retries of called workflows
    that are used up."""

    recorded: dict[StepPath, StepRecord]
    steps: Sequence[StepRecord] = ()
    closed: tuple[Event, ...] = ()
    changed: tuple[Event, ...] = ()
    reused: int = 0
    rerun: int = 0
    asked: int = 0
    looks_again: bool = False
    takes_edits: bool = False
    choices: Choices | None = None
    crashed: bool = False
    failed_before: Mapping[StepPath, int] = MappingProxyType({})
    unconfirmed: Mapping[StepPath, str] = MappingProxyType({})
    items: ItemSources | None = None
    ledger: Ledger | None = None
    past: RunStore | None = None
    retried: Mapping[StepPath, Made] = MappingProxyType({})


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
            help="`--fork` makes a new run that keeps what this one has finished",
            next=f"runkon resume {run} --fork",
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


def sources_of(program: CheckedWorkflow) -> dict[str, str]:
    """The text of every file the run needs, the entry file first."""
    sources = {program.source.path: program.source.text}
    for child in program.children.values():
        for path, text in sources_of(child).items():
            sources.setdefault(path, text)
    return sources
