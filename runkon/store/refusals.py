"""What stores refuse, worded once, and the lease arithmetic they share."""

from __future__ import annotations

import time
from collections.abc import Sequence

from runkon.errors import EXIT_ENVIRONMENT, EXIT_NOT_FOUND, UserError
from runkon.model.ids import RunID
from runkon.model.records import GateAnswer, GateRecord

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


def already_ended(run: RunID, status: str) -> UserError:
    return UserError(
        "already-ended", f"run `{run}` is {status}, so there is nothing to cancel", next=f"runkon show {run}",
        exit_code=EXIT_NOT_FOUND,
    )  # fmt: skip


def check_undecided(answer: GateAnswer, gate: GateRecord | None, before: Sequence[GateAnswer]) -> None:
    """Raises UserError `gate-decided` if the gate has its decision, or another answer came first."""
    if gate is not None and gate.decision is not None:
        raise _decided(answer, gate.decision, gate.by or "?", gate.via or "?", gate.decided_at or 0)
    if before:
        raise _decided(answer, before[0].choice, before[0].by, before[0].via, before[0].at)


def _decided(answer: GateAnswer, choice: str, by: str, via: str, at: int) -> UserError:
    when = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(at / 1000))
    return UserError(
        "gate-decided",
        f"gate `{answer.gate}` has its decision already: `{choice}` by {by} ({via}, {when})",
        help="the first decision of a gate stands",
        next=f"runkon show {answer.run}",
        exit_code=EXIT_NOT_FOUND,
    )
