"""The choices earlier legs made, to notice one that comes out differently without a reason to.

Conditions are evaluated again over restored values. Where every operand is what it was and the result is not, the
record and this version of runkon do not agree, and nothing more may be built on it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

from runkon.errors import EXIT_ENVIRONMENT, UserError
from runkon.model.events import ChoiceMade, Envelope
from runkon.model.json_text import canonical
from runkon.model.output import JsonValue

if TYPE_CHECKING:
    from runkon.engine.conditions import Choice
    from runkon.model.ids import StepPath

_SHOWN = 400  # a text of more characters stands cut in the record


class Choices:
    """The latest recorded choice at each place. Safe for concurrent reading."""

    def __init__(self, envelopes: Iterable[Envelope]) -> None:
        self._made: dict[tuple[str, str, str], ChoiceMade] = {}
        for envelope in envelopes:
            event = envelope.event
            if isinstance(event, ChoiceMade):
                self._made[event.path, event.construct, event.text] = event

    def __bool__(self) -> bool:
        return bool(self._made)

    def check(self, path: StepPath, construct: str, choice: Choice, *, result: bool) -> None:
        """Raises UserError `replay-mismatch` if the same operands gave another result before."""
        before = self._made.get((path, construct, choice.text))
        if before is None or before.result == result or not _are_whole(choice.operands):
            return
        if canonical(dict(before.operands)) == canonical(dict(choice.operands)):
            raise UserError(
                "replay-mismatch",
                f"at `{path}` the record has `{choice.text}` as {_word(before.result)}, now the same values make it "
                f"{_word(result)}",
                help="continue with the version of runkon the run was started with, or start a new run",
                exit_code=EXIT_ENVIRONMENT,
            )


def _are_whole(operands: Mapping[str, JsonValue]) -> bool:
    """False if a value stands cut, or by its size only, so that others look like it."""
    texts = [value for value in operands.values() if isinstance(value, str)]
    return all(len(text) < _SHOWN and text[-1:] not in ("]", "}") for text in texts)


def _word(result: object) -> str:
    return "true" if result else "false"
