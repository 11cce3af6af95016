"""Failures of a step that carry their kind, so that `retry_on` and the records can tell them apart."""

from __future__ import annotations

from runkon.errors import RunkonError


class StepFailure(RunkonError):
    """An ordinary failure of one attempt. `kind` is a word of `StepError.kind` (`exit schema value …`); `message` is
    one paragraph for people, safe to print."""

    def __init__(self, kind: str, message: str) -> None:
        super().__init__(message)
        self.kind = kind
        self.message = message
