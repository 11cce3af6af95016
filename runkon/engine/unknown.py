"""Says, once per place and leg, that a placeholder had no value: what stands in its stead may be a surprise."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

from runkon.engine.results import RESERVED_NAMES
from runkon.errors import RunkonError
from runkon.model.events import Note

if TYPE_CHECKING:
    from runkon.language.template import Placeholder
    from runkon.model.ids import StepPath
    from runkon.model.ports import Recorder

CODE = "unknown-variable"
SOMETIMES = RESERVED_NAMES | {"feature_base_branch", "worktree_branch", "pr_number"}


class UnknownNames:
    """Safe for concurrent calls."""

    def __init__(self, recorder: Recorder) -> None:
        self._recorder = recorder
        self._told: set[tuple[str, StepPath]] = set()

    def tell(self, piece: Placeholder, place: StepPath, *, is_kept: bool) -> None:
        """`piece`, written at `place`, has no value; it was kept as it is, or left out. What only some runs have, like
        `ticket_id` or `gate_feedback`, is expected to be missing."""
        raw = piece.raw
        if (raw, place) in self._told or piece.name in SOMETIMES:
            return
        self._told.add((raw, place))
        end = "it stays as it is written" if is_kept else "it was left out"
        with suppress(RunkonError):  # the leg that can't write any more says so itself
            text = f"nothing gives `{raw}` a value here: {end}"
            self._recorder.append(Note(level="warning", code=CODE, text=text, path=place or None))
