"""The failures runkon reports to people, and what executors may raise.

`UserError` is something the reader can act on: it is printed without a traceback, with its code, one sentence and
the next command. `InternalError` is our bug and says so. Exit codes are those of the command line.
"""

from __future__ import annotations

EXIT_OK = 0
EXIT_FAILED = 1
EXIT_USAGE = 2
EXIT_INVALID = 3
EXIT_WAITING = 4
EXIT_ENVIRONMENT = 5
EXIT_NOT_FOUND = 6
EXIT_BUDGET = 7
EXIT_HELD = 8
EXIT_INTERNAL = 70
EXIT_TIMEOUT = 124
EXIT_HANGUP = 129
EXIT_INTERRUPTED = 130
EXIT_TERMINATED = 143


class RunkonError(Exception):
    """Base of everything runkon raises on purpose."""


class UserError(RunkonError):
    """A condition the user can change. `code` is a stable slug; `help` says what to do, `next` is a command to type."""

    def __init__(
        self,
        code: str,
        message: str,
        *,
        help: str | None = None,
        next: str | None = None,
        exit_code: int = EXIT_ENVIRONMENT,
    ) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.help = help
        self.next = next
        self.exit_code = exit_code


class InternalError(RunkonError):
    """A bug in runkon itself: exit code 70, with a hint how to report it."""


class LeaseLost(RunkonError):
    """Another engine owns the run now; this one writes nothing more."""


class StoreUnavailable(UserError):
    """The store cannot be written or read: disk full, removed, read-only, locked beyond patience."""

    def __init__(self, message: str, *, help: str | None = None, next: str | None = None) -> None:
        super().__init__("store-unavailable", message, help=help, next=next, exit_code=EXIT_ENVIRONMENT)


class Transient(RunkonError):
    """Raised by an executor: worth another try. `retry_after` (seconds) raises the wait before it, never lowers it."""

    def __init__(self, message: str = "", *, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class Fatal(RunkonError):
    """Raised by an executor: no retry can help (bad credentials, no quota left)."""


class Cancelled(RunkonError):
    """Raised by an executor that stopped because its token was cancelled."""
