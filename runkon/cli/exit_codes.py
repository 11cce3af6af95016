"""How a run ended, as the exit code of the command that ran it."""

from __future__ import annotations

from runkon import errors
from runkon.model.records import RunRecord
from runkon.model.status import RunStatus

_FAILED = {"run_timeout": errors.EXIT_TIMEOUT, "budget": errors.EXIT_BUDGET}
_INTERRUPTED = {
    "until": errors.EXIT_OK,
    "interrupt": errors.EXIT_INTERRUPTED,
    "sigterm": errors.EXIT_TERMINATED,
    "sighup": errors.EXIT_HANGUP,
    "replay": errors.EXIT_NOT_FOUND,
}


def exit_code(run: RunRecord) -> int:
    """0 for a run that did what was asked, else why it did not."""
    match run.status:
        case RunStatus.COMPLETED:
            return errors.EXIT_OK
        case RunStatus.FAILED:
            return _FAILED.get(run.reason or "", errors.EXIT_FAILED)
        case RunStatus.CANCELLED:
            return errors.EXIT_FAILED
        case RunStatus.WAITING:
            return errors.EXIT_WAITING
        case RunStatus.INTERRUPTED:
            return _INTERRUPTED.get(run.reason or "", errors.EXIT_ENVIRONMENT)
        case _:  # a leg ended without saying how: the store could not be written
            return errors.EXIT_ENVIRONMENT
