"""Is the record of one run whole? Asked before a leg relies on it, by the rules of `log_check.py`.

No payload is read but those of gates and of failed steps, whose rows hold what no column of an event says; `runkon db
check` compares everything. Most steps are *plain*: attempted once and completed by the very next event, as their row
says. SQLite tells those apart in a quarter of the time that a look at each of their events takes.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from runkon.errors import UserError
from runkon.model.fold import corrupt
from runkon.model.ids import RunID, StepPath
from runkon.model.json_text import dumps
from runkon.store import statements as sql
from runkon.store.log_check import Head, LogCheck, Row
from runkon.store.reading import read_payload


def check_log(connection: sqlite3.Connection, run: RunID) -> bool:
    """Raises UserError `corrupt-run` if the record of `run` is damaged; false if there is no such run."""
    found = connection.execute(sql.SELECT_HEAD, (run,)).fetchone()
    if found is None:
        return False
    number, head = found[0], Head(*found[1:])
    check = _without_plain_steps(connection, run, number, head) or _with_all_steps(connection, run, number, head)
    if check.of_gates:
        _check_gates(connection, run, number, check.of_gates)
    if check.handled:
        _check_failures(connection, run, number, check.handled)
    return True


def _with_all_steps(connection: sqlite3.Connection, run: RunID, number: int, head: Head) -> LogCheck:
    check = LogCheck(run)
    try:
        check.events(connection.execute(sql.SELECT_LOG, (number,)))
        check.head(head)
        check.steps(connection.execute(sql.SELECT_STEP_STATES, (number,)))
    except TypeError as error:
        what = f"a column of another type ({error})"
        raise corrupt(run, check.reached, "I6", found=what, expected="what runkon writes there") from error
    return check


def _without_plain_steps(connection: sqlite3.Connection, run: RunID, number: int, head: Head) -> LogCheck | None:
    """The check of what is left without plain steps; None if most are not, or anything is wrong, for which all events
    are needed to say what it is."""
    events, last, steps = connection.execute(sql.SELECT_SIZE, (number,)).fetchone()
    if not events == last == head.seq:
        return None  # a number is missing, or one too many
    others = connection.execute(sql.SELECT_STATES_OF_OTHERS, (number,)).fetchall()
    plain = steps - len(others)
    if plain < len(others):
        return None
    check = LogCheck(run)
    try:
        paths = dumps([row[0] for row in others])
        rows = connection.execute(sql.SELECT_LOG_OF_OTHERS, (number, paths)).fetchall()
        if len(rows) + 2 * plain != events:
            return None  # a plain step has an event too many
        for row in rows:
            if row[0] > check.seq + 1:
                check.plain_steps(row[0] - 1)
            check.events((row,))
        if head.seq > check.seq:
            check.plain_steps(head.seq)
        check.head(head)
        check.steps(others)
    except (UserError, TypeError):
        return None
    return check


def _payloads(connection: sqlite3.Connection, run: RunID, number: int, wanted: Iterable[int]) -> Iterator[Row]:
    """Number, path and payload of the events with these numbers, in their order."""
    for seq, path, text, crc in connection.execute(sql.SELECT_PAYLOADS, (number, dumps(sorted(wanted)))):
        try:
            payload = read_payload(text, crc)
        except (ValueError, TypeError) as error:
            found = f"a payload that does not read back ({type(error).__name__}: {error})"
            raise corrupt(run, seq, "E2", found=found, expected="an event of a known kind", path=path) from error
        yield seq, path, payload


def _check_gates(connection: sqlite3.Connection, run: RunID, number: int, wanted: Iterable[int]) -> None:
    """A decision in the row of a gate is the one of its event."""
    told: dict[tuple[Any, Any], Row] = {}
    for seq, path, payload in _payloads(connection, run, number, wanted):
        key = (payload.get("name"), payload.get("occurrence"))
        if "decision" in payload:
            opened = told.get(key, (None, None))
            told[key] = (*opened[:2], payload["decision"], payload.get("by"), seq)
        else:
            told[key] = (path, seq, None, None, seq)
    for name, occurrence, path, first, decision, by in connection.execute(sql.SELECT_GATE_STATES, (number,)):
        expected = told.get((name, occurrence), (None, None, None, None, first))
        if (path, first, decision, by) != expected[:4]:
            found = f"gate `{name}` {_decision(decision, by)}"
            known = f"it {_decision(*expected[2:4])}" if expected[0] else "no such gate"
            raise corrupt(run, expected[4], "I6", found=found, expected=known, path=StepPath(path))


def _decision(decision: str | None, by: str | None) -> str:
    return f"decided `{decision}` by {by}" if decision is not None else "undecided"


def _check_failures(
    connection: sqlite3.Connection, run: RunID, number: int, told: Mapping[int, tuple[str, str | None]]
) -> None:
    """Only a failure that something took counts as settled, so the row may not say it without its event."""
    for seq, _, payload in _payloads(connection, run, number, told):
        path, handled = told[seq]
        if payload.get("handled") != handled:
            found, expected = (
                f"a failure handled by {what or 'nothing'}" for what in (handled, payload.get("handled"))
            )
            raise corrupt(run, seq, "I6", found=found, expected=expected, path=StepPath(path))
