"""Failures of a step that carry their kind, so that `retry_on` and the records can tell them apart."""

from __future__ import annotations

from runkon.errors import EXIT_FAILED, RunkonError, UserError

REFUSALS = frozenset({"schema", "value"})  # kinds in which an answer was there and not accepted
UNSTORABLE = "the output can't be stored"  # so begins a failure of kind `value` that lies in what an executor gave


class StepFailure(RunkonError):
    """An ordinary failure of one attempt. `kind` is a word of `StepError.kind` (`exit schema value …`); `message` is
    one paragraph for people, safe to print."""

    def __init__(self, kind: str, message: str) -> None:
        super().__init__(message)
        self.kind = kind
        self.message = message


class ValueFailure(StepFailure, UserError):
    """A value that a step needs can't be used: unknown variable, unsafe shell text. A step failure of kind `value`
    that also carries a code and a help text."""

    def __init__(self, code: str, message: str, *, help: str | None = None) -> None:
        UserError.__init__(self, code, message, help=help, exit_code=EXIT_FAILED)
        self.kind = "value"
