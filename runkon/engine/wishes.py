"""That somebody wants the run given up: kept as soon as it is known, recorded once the leg has begun and before it
ends, and what it makes of the leg's end.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping

from runkon.errors import RunkonError
from runkon.model.events import Event, RunCancelRequested, RunFailed, RunInterrupted, RunWaiting, StepCancelled
from runkon.model.gates import UNDECIDED, is_undecided
from runkon.model.ids import StepPath
from runkon.model.ports import Recorder
from runkon.model.records import CancelRequest, StepRecord
from runkon.model.status import StepStatus

_PAUSES = frozenset({"interrupt", "sigterm", "sighup", "until"})


class Wishes:
    """The wish that a leg's run be given up; the first one counts."""

    def __init__(self, recorder: Recorder) -> None:
        self._recorder = recorder
        self._lock = threading.RLock()
        self._is_open = self._is_recorded = False
        self.first: CancelRequest | None = None

    def keep(self, wish: CancelRequest) -> None:
        """Safe in a signal handler: nothing is recorded yet."""
        if self.first is None:
            self.first = wish

    def open(self) -> None:
        """The leg has begun: from here on wishes are recorded."""
        with self._lock:
            self._is_open = True
            self.record()

    def record(self) -> None:
        """Put the wish on record, once, while the leg is under way. What can't be recorded is still obeyed."""
        with self._lock:
            if self.first is None or self._is_recorded or not self._is_open:
                return
            self._is_recorded = True
            try:
                self._recorder.append(_requested(self.first))
            except RunkonError:
                return

    def close(self) -> tuple[CancelRequest | None, list[Event]]:
        """The leg is about to end: the wish, and what is still to be recorded of it. Later ones are for others."""
        with self._lock:
            self._is_open = False
            first = self.first
            if first is None or self._is_recorded:
                return first, []
            self._is_recorded = True
            return first, [_requested(first)]


def _requested(wish: CancelRequest) -> RunCancelRequested:
    return RunCancelRequested(by=wish.by, via=wish.via, reason=wish.reason, kill=wish.kill)


def is_beaten(end: Event) -> bool:
    """True for an end that a wish beats: a failure, a pause, a leg that waits. What was completed stays so."""
    return isinstance(end, RunFailed | RunWaiting) or (isinstance(end, RunInterrupted) and end.cause in _PAUSES)


def not_taken_up(recorded: Mapping[StepPath, StepRecord]) -> list[Event]:
    """The end of steps that earlier legs left in the middle, in a run that is given up without going on with them."""
    return [
        StepCancelled(path=path, reason=UNDECIDED if is_undecided(step) else "user", epoch=step.epoch)
        for path, step in recorded.items()
        if step.status in (StepStatus.INTERRUPTED, StepStatus.BACKOFF)
    ]
