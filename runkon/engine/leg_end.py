"""How a leg ends: the event that says so, what the always block is told, and what is raised once that is on record."""

from __future__ import annotations

from runkon.engine.cancellation import CancelReason
from runkon.errors import LeaseLost, RunkonError, StoreUnavailable
from runkon.model.events import RunCancelled, RunEvent, RunFailed, RunInterrupted
from runkon.model.output import JsonValue
from runkon.model.secrets import secret_mark, secret_name
from runkon.named import NamedTuple


class End(NamedTuple):
    """How a leg ends. `status` is what the always block is told, None where it does not run; `error` is raised once
    the event is on record."""

    event: RunEvent
    status: str | None = None
    error: RunkonError | None = None


def shown(value: JsonValue) -> JsonValue:
    """An output as it is given out: a secret is named as it is inside text."""
    name = secret_name(value)
    return value if name is None else secret_mark(name)


def stopped_end(reason: CancelReason) -> End:
    """The end of a leg whose body was told to stop."""
    match reason.kind:
        case "user":
            return End(RunCancelled(reason="user", by=reason.by), "cancelled")
        case "run_timeout":
            return End(RunFailed(reason="run_timeout", error=str(reason)), "failed")
        case "budget":
            return End(RunFailed(reason="budget", error=str(reason)), "failed")
        case "lease_lost":
            raise LeaseLost(str(reason))
        case "store":
            raise StoreUnavailable(str(reason))
        case "until" | "replay" | "internal":
            return End(RunInterrupted(cause=reason.kind))
        case _:
            return End(RunInterrupted(cause=reason.kind, error=str(reason)), "cancelled")
