"""What stores refuse, worded once, and the lease arithmetic they share."""

from __future__ import annotations

from runkon.errors import EXIT_ENVIRONMENT, EXIT_NOT_FOUND, UserError
from runkon.model.ids import RunID

RENEWAL_SHARE = 3  # a lease is renewed after this part of its time; a living holder is granted as much on top


def is_free(*, alive: bool | None, until: int, now: int, ttl_ms: int) -> bool:
    """True if a held run may be taken: its holder is proved dead, or its time has run out. A holder proved alive may
    only be slow and gets one more renewal's time; the fence makes it harmless either way."""
    if alive is False:
        return True
    return until + (ttl_ms // RENEWAL_SHARE if alive else 0) < now


def unknown_run(run: RunID) -> UserError:
    return UserError("run-not-found", f"no run `{run}` is recorded here", next="runkon runs", exit_code=EXIT_NOT_FOUND)


def duplicate_run(run: RunID) -> UserError:
    return UserError("duplicate-run", f"run `{run}` is recorded already", exit_code=EXIT_ENVIRONMENT)
