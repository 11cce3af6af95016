"""What is wrong with a schema file, and where."""

from __future__ import annotations

from runkon.errors import RunkonError


class SchemaProblem(RunkonError):
    """A schema file that can't be used. `line` and `column` count from 1, in characters; `help` says what to write."""

    def __init__(self, message: str, line: int = 1, column: int = 1, *, help: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.line = line
        self.column = column
        self.help = help
