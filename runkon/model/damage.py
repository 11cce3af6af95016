"""The error for a run whose record can't be right."""

from __future__ import annotations

from runkon.errors import UserError
from runkon.model.ids import RunID, StepPath


class CorruptRun(UserError):
    """A recorded run breaks a rule: which, at which event and step, what is there and what should be."""

    def __init__(self, run: RunID, seq: int, rule: str, found: str, expected: str, path: StepPath | None) -> None:
        where = f"event {seq}, step `{path}`" if path else f"event {seq}"
        super().__init__(
            "corrupt-run",
            f"the record of run `{run}` breaks rule {rule} at {where}: found {found}, expected {expected}",
            help="nothing was changed and other runs are not affected; restore a copy of the database, or start the "
            "workflow again",
            next=f"runkon db check {run}",
        )
        self.run = run
        self.seq = seq
        self.rule = rule
        self.found = found
        self.expected = expected
        self.path = path


def corrupt(run: RunID, seq: int, rule: str, *, found: str, expected: str, path: StepPath | None = None) -> CorruptRun:
    """The error for a damaged run: it is left untouched, and no shorter prefix of it is used instead."""
    return CorruptRun(run, seq, rule, found, expected, path)
