"""What of an exported run is of this machine only."""

from __future__ import annotations

import pytest

from runkon.model import events as ev
from runkon.model.events import Envelope
from runkon.model.ids import RunID
from runkon.store.care.capsule import without_places


@pytest.mark.parametrize(
    ("folder", "text", "expected"),
    [
        ("/place/project", "in /place/project/x.wf", "in ./x.wf"),
        ("/place/project", "in /place/project", "in ."),
        ("/place/project", "in /place/project-2/x.wf", "in /place/project-2/x.wf"),
        ("/", "in /etc/x.wf", "in /etc/x.wf"),
    ],
)
def test_only_the_folder_of_the_project_is_taken_out_of_texts(folder: str, text: str, expected: str) -> None:
    created = ev.RunCreated(workflow="w", sources={}, inputs={}, config={"working_dir": folder}, dry=False)
    note = ev.Note(level="warning", code="x", text=text)
    events = [Envelope(RunID("r"), seq, 0, 1, 1, event) for seq, event in enumerate((created, note), 1)]
    assert [one.event.text for one in without_places(events) if isinstance(one.event, ev.Note)] == [expected]
