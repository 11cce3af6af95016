"""How the end of a walk travels up to whoever waits for it.

A step that fails ends its walk by `BodyFailed` where the run stops at the first failure. `Stopped` unwinds work whose
token was cancelled. `Waits` ends a walk that can't go on without a decision. `GivenUp` unwinds a thread that nobody
waits for any more, without a trace.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from runkon.named import NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable

    from runkon.engine.cancellation import CancelReason
    from runkon.model.ids import StepPath
    from runkon.model.output import Usage


_REASONS = {"value": "invalid_value", "crash_limit": "crash_limit", "state-conflict": "state_conflict"}


def reason_for(kind: str) -> str:
    """The word of `RunFailed` for a run that fails because of an error of that kind."""
    return _REASONS.get(kind, "step_failed")


class Failure(NamedTuple):
    """Why a walk ended badly. `reason` is a word of `RunFailed`; `paths` are the failed steps whose failure nobody
    took yet, `path` is the one to show."""

    path: StepPath
    message: str
    reason: str = "step_failed"
    paths: tuple[StepPath, ...] = ()


class BodyFailed(Exception):
    """A walk ends here, badly."""

    def __init__(self, failure: Failure) -> None:
        super().__init__(failure.message)
        self.failure = failure


class Stopped(Exception):
    """The work's token was cancelled. `is_recorded` once the step it stopped has its end on record; `usage` is what the
    stopped attempt said it had cost; `is_untouched` if nothing was begun there and nothing is to be left."""

    def __init__(self, reason: CancelReason) -> None:
        super().__init__(str(reason))
        self.reason = reason
        self.is_recorded = False
        self.is_untouched = False
        self.usage: Usage | None = None


class Waits(Exception):
    """Nothing more can be done here before somebody decides about the steps at `paths`: no failure, and no stop.
    `leave` says, for each statement it came through, what follows if that is stopped for good later."""

    def __init__(self, paths: frozenset[StepPath]) -> None:
        super().__init__(", ".join(sorted(paths)))
        self.paths = paths
        self.leave: list[Callable[[CancelReason], None]] = []


class GivenUp(BaseException):
    """This thread came back too late: what it did has been refused, and it must record nothing more."""
