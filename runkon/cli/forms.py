"""Forms of the gates of a run: what an answer on the command line has to have."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from runkon.language.gate_forms import checked_values as checked_values
from runkon.language.gate_forms import form_in

if TYPE_CHECKING:
    from runkon.app import App
    from runkon.language.nodes import GateStep
    from runkon.model.records import RunRecord
    from runkon.schemas.fields import Schema


def form_of(app: App, run: RunRecord, node: GateStep) -> Schema | None:
    """The schema of the values that go with an approval of a gate. Raises UserError (`unknown-schema`,
    `invalid-schema`)."""
    if node.form is None:
        return None
    stored = run.config.get("roots")
    places = stored if isinstance(stored, list) and stored else [run.config.get("working_dir", ".")]
    return form_in([Path(str(place)) for place in places], node, app.stored_program(run.id))
