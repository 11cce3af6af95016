"""What a run left, in a form in which a resumed run equals one that nobody killed; and whether its record is sound."""

from __future__ import annotations

import contextlib
import hashlib
import re
import sqlite3
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from runkon.engine.call_retries import RETRY
from runkon.errors import RunkonError
from runkon.model.events import ChoiceMade, Envelope, StateSet
from runkon.model.fold import RunState, fold
from runkon.model.ids import RunID
from runkon.model.output import JsonValue, Output
from runkon.model.ports import RunStore
from runkon.model.records import RunRecord, StepRecord
from runkon.model.status import TERMINAL_RUN, StepStatus

from .cast import bare

_ATTEMPTS = re.compile(r" after \d+ attempts")
_SHOWN = ("status", "reason", "error", "outputs", "calls", "cost_usd", "cost_known", "seq", "waiting_on", "ended_at")
_STAYS = [  # what may be beside a database once its runs have ended
    re.compile(pattern)
    for pattern in (
        r"[^/]+\.db(-wal|-shm)?",
        r"\.gitignore",
        r"[^/]+\.db-blobs(/\.gitignore|/[0-9a-f]{2}(/[0-9a-f]{64}(\.[0-9-]+\.part)?)?)?",  # a torn one is for `db gc`
        r"logs(/.*)?",
    )
]
MOST = 5  # differences told of one comparison


# ── the end of a run ──────────────────────────────────────────────────────────────────────────────
def picture(store: RunStore, run: RunID) -> dict[str, Any]:
    """Everything about the end of `run` that must not depend on kills, as JSON."""
    record, steps, events = store.run(run), store.steps(run), list(store.events(run))
    assert record is not None
    last = max((_always_leg(str(step.path)) for step in steps), default=0)
    kept = [step for step in steps if _always_leg(str(step.path)) in (0, last)]
    return {
        "run": [str(record.status), record.reason, _plain(record.error), _short(record.outputs)],
        "steps": {_place(str(step.path)): _step(step) for step in kept},
        "order": [_place(str(step.path)) for step in kept],
        "choices": _choices(events, last),
        "state": next((_short(one.event.updates) for one in reversed(events) if _is_state(one)), None),
    }


def _is_state(envelope: Envelope) -> bool:
    return isinstance(envelope.event, StateSet) and envelope.event.path is None


def _always_leg(path: str) -> int:
    return int(path.partition("/")[0].partition("#")[2]) if path.startswith("always#") else 0


def _place(path: str) -> str:
    return f"always/{bare(path)}" if path.startswith("always#") else path


def _step(step: StepRecord) -> dict[str, Any]:
    info = step.info
    error = None if step.error is None else [step.error.kind, _plain(step.error.message)]
    return {
        "status": str(step.status),
        "handled": step.handled,
        "error": error if step.status is not StepStatus.COMPLETED else None,
        "skipped": step.skip_reason if step.status is StepStatus.SKIPPED else None,
        "output": _output(step.output),
        "info": [info.kind, info.name, info.key, info.iteration, info.file, info.line, info.column],
    }


def _output(output: Output) -> list[Any]:
    return [sorted(output.markers), _short(output.context), _short(output.values), output.degraded, output.text]


def _choices(events: list[Envelope], last: int) -> list[Any]:
    """Each choice once: a later leg looks at conditions again and may write them down again. Not that a called workflow
    is tried again: a leg that goes on with what failed in it needs no retry."""
    found = {}
    for envelope in events:
        event = envelope.event
        if isinstance(event, ChoiceMade) and event.construct != RETRY and _always_leg(str(event.path)) in (0, last):
            key = [_place(str(event.path)), event.construct, event.text, event.result, _short(dict(event.operands))]
            found[repr(key)] = key
    return [found[key] for key in sorted(found)]


def _plain(text: str | None) -> str | None:
    """An error without the number of attempts, which a kill in between starts anew."""
    return None if text is None else _ATTEMPTS.sub("", text)


def _short(value: Any) -> Any:
    match value:
        case str() if len(value) > 200:
            return f"{value[:60]}… {len(value)} {hashlib.sha256(value.encode()).hexdigest()}"
        case Mapping():
            return {key: _short(item) for key, item in value.items()}
        case list() | tuple():
            return [_short(item) for item in value]
        case _:
            return value


def differences(expected: Any, found: Any, at: str = "") -> list[str]:
    """Where two pictures differ, in words."""
    if isinstance(expected, dict) and isinstance(found, dict):
        told = []
        for key in sorted({*expected, *found}):
            if key not in found:
                told.append(f"{at}/{key} is missing")
            elif key not in expected:
                told.append(f"{at}/{key} should not be there: {found[key]!r:.200}")
            else:
                told += differences(expected[key], found[key], f"{at}/{key}")
        return told[:MOST]
    return [] if expected == found else [f"{at} is {found!r:.300}, not {expected!r:.300}"]


# ── the record ────────────────────────────────────────────────────────────────────────────────────
def record_findings(store: RunStore, file: Path, run: RunID) -> list[str]:
    """What is wrong with the record of `run`: the file itself, the events, or rows that are not what they say."""
    with contextlib.closing(sqlite3.connect(f"file:{file}?mode=ro", uri=True)) as connection:
        sound = connection.execute("PRAGMA quick_check").fetchone()[0]
    if sound != "ok":
        return [f"the file is damaged: {sound}"]
    try:
        state = fold(store.events(run))
    except RunkonError as error:
        return [f"the events do not fold: {error}"]
    return rows_against(store, state)


def rows_against(store: RunStore, state: RunState) -> list[str]:
    """Rows of `store` that differ from what the events say."""
    run = state.run.id
    told = []
    rows, folded = {step.path: step for step in store.steps(run)}, {step.path: step for step in state.in_order()}
    for path in sorted({*rows, *folded}):
        if rows.get(path) != folded.get(path):
            told.append(f"row of step `{path}` is {rows.get(path)!r:.400}, its events say {folded.get(path)!r:.400}")
    record = store.run(run)
    if record is None:
        return [*told, "the run has no row"]
    told += [
        f"the run's {name} is {getattr(record, name)!r:.200}, its events say {getattr(state.run, name)!r:.200}"
        for name in _SHOWN
        if getattr(record, name) != getattr(state.run, name)
    ]
    gates = {(gate.name, gate.occurrence): gate for gate in store.gates(run)}
    if gates != state.gates:
        told.append(f"the gates are {gates!r:.300}, their events say {state.gates!r:.300}")
    return told


def end_findings(record: RunRecord, steps: list[StepRecord], state_folder: Path) -> list[str]:
    """What an ended run must not leave behind in its record and in the folder of the database."""
    told = []
    if record.status not in TERMINAL_RUN:
        told.append(f"the run is {record.status} at the end")
    if record.holder is not None:
        told.append(f"the run is still held by `{record.holder}`")
    told += [f"an attempt of `{step.path}` is open at the end" for step in steps if step.status is StepStatus.RUNNING]
    for entry in sorted(state_folder.rglob("*")):
        inside = entry.relative_to(state_folder).as_posix()
        if not any(pattern.fullmatch(inside) for pattern in _STAYS):
            told.append(f"`{inside}` was left behind")
    return told


def open_paths(steps: list[StepRecord]) -> list[str]:
    """The paths whose attempt has begun and not ended on record."""
    return [str(step.path) for step in steps if step.status is StepStatus.RUNNING]


def as_json(value: Any) -> JsonValue:
    """A picture as it comes back from a file."""
    import json

    result: JsonValue = json.loads(json.dumps(value, sort_keys=True))
    return result
