"""An event missing, doubled or out of its place is refused by the fold, wherever it is."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from runkon.engine.config import RunConfig
from runkon.errors import UserError
from runkon.model.events import ChoiceMade, Envelope, ItemsCollected, Note, StateSet, WorktreeChanged
from runkon.model.fold import RunState, fold

from .generated_runs import runnable
from .test_prefixes import whole_run

REPLACED = {  # what later events say anew: only the count in the run's row tells that one of these is gone
    *("run_started", "run_resumed", "run_interrupted", "run_waiting"),
    *("retry_scheduled", "process_started", "attempt_failed", "attempt_timed_out", "attempt_cancelled"),
}


def streams(folder: Path, seeds: range) -> Iterator[list[Envelope]]:
    """What engines recorded: runs that were interrupted and resumed."""
    config = RunConfig(working_dir=folder)
    for one in runnable(seeds):
        store, run = whole_run(one, config, stop=1 + one.seed % 3)
        yield list(store.events(run))


def refused(envelopes: list[Envelope]) -> bool:
    """True if the fold refuses them with its own error; any other error fails the test."""
    try:
        fold(envelopes)
    except UserError as error:
        return error.code == "corrupt-run"
    return False


def numbered(envelopes: list[Envelope]) -> list[Envelope]:
    """The same events with dense numbers: what somebody leaves who hides his traces."""
    return [envelope._replace(seq=number) for number, envelope in enumerate(envelopes, 1)]


@pytest.mark.parametrize("damage", ["missing", "doubled", "swapped"])
def test_an_event_missing_doubled_or_swapped_is_refused(damage: str, tmp_path: Path) -> None:
    tried = 0
    for events in streams(tmp_path, range(900)):
        for at in range(len(events) - 1):  # a missing last event leaves a shorter run, which is told by its row
            damaged = {
                "missing": events[:at] + events[at + 1 :],
                "doubled": events[: at + 1] + events[at:],
                "swapped": [*events[:at], events[at + 1], events[at], *events[at + 2 :]],
            }[damage]
            assert refused(damaged), f"event {at + 1} {damage} in {[e.event.kind for e in events]}"
            tried += 1
    assert tried > 150, tried


def told(state: RunState) -> object:
    """Everything a record shows, but for the number of events."""
    return replace(state.run, seq=0, leg=0, fence=0, holder=None), state.in_order(), state.gates


def test_a_doubled_event_is_refused_or_changes_nothing_even_with_new_numbers(tmp_path: Path) -> None:
    refusals = 0
    for events in streams(tmp_path, range(900)):
        whole = fold(events)
        for at, envelope in enumerate(events):
            damaged = numbered(events[: at + 1] + events[at:])
            if refused(damaged):
                refusals += 1
            else:
                assert told(fold(damaged)) == told(whole), f"`{envelope.event.kind}` twice, as {at + 1} and {at + 2}"
    assert refusals > 150, refusals


def test_a_missing_event_is_refused_or_seen_even_with_new_numbers(tmp_path: Path) -> None:
    refusals = 0
    for events in streams(tmp_path, range(900)):
        whole = fold(events)
        for at, envelope in enumerate(events):
            damaged = numbered(events[:at] + events[at + 1 :])
            if refused(damaged):
                refusals += 1
            elif isinstance(envelope.event, ChoiceMade | ItemsCollected | StateSet | WorktreeChanged | Note):
                assert told(fold(damaged)) == told(whole)
            elif envelope.event.kind not in REPLACED:
                assert told(fold(damaged)) != told(whole), f"`{envelope.event.kind}` at {at + 1}"
    assert refusals > 100, refusals
