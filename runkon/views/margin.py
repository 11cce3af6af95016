"""A workflow's text with the results of a run in the margin: what each line did, as often as it ran."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from runkon.model.records import StepRecord
from runkon.views.lines import first_line
from runkon.views.status import SIGNS
from runkon.views.times import elapsed

MARGIN = 26


def margin_lines(text: str, file: str, steps: Sequence[StepRecord]) -> Iterator[str]:
    """Each line of the text behind the newest result of the step that stands there."""
    by_line: dict[int, list[StepRecord]] = {}
    for step in steps:
        if step.info.file == file:
            by_line.setdefault(step.info.line, []).append(step)
    for number, line in enumerate(text.rstrip("\n").split("\n"), start=1):
        note = _note(by_line.get(number, []))
        yield f"{note:<{MARGIN}.{MARGIN}} {number:>4} │ {line.rstrip(chr(13))}"


def _note(steps: Sequence[StepRecord]) -> str:
    """The sign, how often it ran, how long the last time took, and its markers."""
    if not steps:
        return ""
    last = steps[-1]
    parts = [SIGNS[last.status]]
    if len(steps) > 1:
        parts.append(f"{len(steps)}×")
    if last.started_at is not None and last.ended_at is not None:
        parts.append(elapsed(last.ended_at - last.started_at))
    parts.append(", ".join(sorted(last.output.markers)) or ("" if last.error is None else last.error.kind))
    return first_line(" ".join(filter(None, parts)), MARGIN)
