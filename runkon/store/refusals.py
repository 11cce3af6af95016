"""What stores refuse, worded once, and the lease arithmetic they share."""

from __future__ import annotations

import time
from collections.abc import Sequence

from runkon.errors import EXIT_ENVIRONMENT, EXIT_NOT_FOUND, UserError
from runkon.model.gates import ANY
from runkon.model.ids import RunID
from runkon.model.records import GateAnswer, GateRecord


def is_free(*, alive: bool | None, until: int, now: int) -> bool:
    """True if a held run may be taken: its holder is proved dead, or its time has run out. Whether one that lives but
    is late gets more time is decided by who takes; the fence makes it harmless either way."""
    return alive is False or until < now


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
    """Raises UserError `gate-decided` if the gate has its decision, or another answer decides it already, and
    `already-voted` for a second approval by the same person. Of answers that stand for every occurrence the newest
    counts, so another may always follow."""
    if gate is not None and gate.decision is not None:
        raise _decided(answer, gate.decision, gate.by or "?", gate.via or "?", gate.decided_at or 0)
    if answer.occurrence == ANY:
        return
    from runkon.model.decisions import deciding  # late: only where somebody decides

    first = deciding(before)
    if first is not None:
        raise _decided(answer, first.choice, first.by, first.via, first.at)
    if any((one.by, one.choice) == (answer.by, answer.choice) for one in before):
        raise UserError(
            "already-voted",
            f"`{answer.by}` has approved gate `{answer.gate}` already",
            help="it waits for the approval of somebody else",
            next=f"runkon show {answer.run}",
            exit_code=EXIT_NOT_FOUND,
        )


def _decided(answer: GateAnswer, choice: str, by: str, via: str, at: int) -> UserError:
    when = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(at / 1000))
    return UserError(
        "gate-decided",
        f"gate `{answer.gate}` has its decision already: `{choice}` by {by} ({via}, {when})",
        help="the first decision of a gate stands",
        next=f"runkon show {answer.run}",
        exit_code=EXIT_NOT_FOUND,
    )
