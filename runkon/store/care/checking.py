"""Is what is recorded true? Pages, events, payloads, the rows that follow from them, and values that are kept apart.

Nothing is changed and nothing is assumed: the events of a run are folded again by the one state machine, and played
again into an empty database, whose rows are then compared with those that are there, column by column.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from pathlib import Path

from runkon.errors import UserError
from runkon.model.damage import CorruptRun
from runkon.model.events import Envelope
from runkon.model.fold import RunState
from runkon.model.ids import RunID
from runkon.model.json_text import loads
from runkon.named import NamedTuple
from runkon.store import artifacts, codec, connections, reading
from runkon.store import statements as sql
from runkon.store.blobs import folder_of
from runkon.store.care.replaying import Difference, Rows, differences, lean, played, rows_of
from runkon.store.record_check import check_log
from runkon.store.refusals import unknown_run

_PAGES_NAMED = 20  # of the damaged ones
_AT_ONCE = 256  # events
_REFERRING = (  # the events from which something may be kept apart
    f"SELECT e.place & {sql.PLACES - 1}, e.path, e.payload FROM runs r JOIN events e "
    f"ON e.place > r.number * {sql.PLACES} AND e.place < (r.number + 1) * {sql.PLACES} "
    "WHERE r.id = ? AND typeof(e.payload) = 'text' AND instr(e.payload, ?) ORDER BY e.place"
)


class Problem(NamedTuple):
    """One thing that is not as it should be. `rule` is one of `model/fold.py` (E1, …), `I6` for a row that its events
    do not say, `I7` for a value kept apart, `pages` for the file itself; `next` is what can be done."""

    rule: str
    found: str
    expected: str
    next: str
    run: RunID | None = None
    event: int | None = None
    path: str | None = None


class Report(NamedTuple):
    """What was looked at, and what was found."""

    runs: int
    events: int
    artifacts: int
    problems: tuple[Problem, ...]


def check(path: Path, run: RunID | None = None) -> Report:
    """Look at the whole database, or at one run. Raises UserError `run-not-found`, and those of a file that can't be
    read at all."""
    with connections.reading(path) as connection:
        if connection is None:
            if run is not None:
                raise unknown_run(run)
            return Report(0, 0, 0, ())
        problems = list(_pages(connection, path)) if run is None else []
        runs = [RunID(row[0]) for row in connection.execute("SELECT id FROM runs ORDER BY number")]
        if run is not None and run not in runs:
            raise unknown_run(run)
        events = kept = 0
        for one in runs if run is None else [run]:
            found = _Run(connection, path, one)
            problems += found.problems()
            events += found.events
            kept += found.artifacts
        return Report(1 if run else len(runs), events, kept, tuple(problems))


def _pages(connection: sqlite3.Connection, path: Path) -> Iterator[Problem]:
    recover = f"sqlite3 {path} .recover | sqlite3 recovered.db"
    for (text,) in connection.execute(f"PRAGMA integrity_check({_PAGES_NAMED})"):
        if text != "ok":
            yield Problem("pages", str(text), "a sound file", recover)
    for row in connection.execute("PRAGMA foreign_key_check"):
        yield Problem("pages", f"a row of `{row[0]}` that belongs to none of `{row[2]}`", "a sound file", recover)


class _Run:
    """The check of one run; counts what it looks at."""

    def __init__(self, connection: sqlite3.Connection, path: Path, run: RunID) -> None:
        self._connection = connection
        self._path = path
        self._run = run
        self.events = 0
        self.artifacts = 0

    def problems(self) -> list[Problem]:
        found: list[Problem] = []
        envelopes = self._envelopes(found)
        if not found:
            found += self._folded(envelopes)
        if not found:
            found += self._rows(envelopes)
        return [*found, *self._kept_apart()]

    def _envelopes(self, found: list[Problem]) -> list[Envelope]:
        """Every event, without its large values; what does not read back is put into `found`."""
        try:
            check_log(self._connection, self._run)
        except CorruptRun as error:
            if error.rule != "I6":
                found.append(_problem(error, self._start_again()))
        envelopes = []
        rows = self._event_rows()
        while page := rows.fetchmany(_AT_ONCE):
            for row, payload in reading.with_payloads(page):
                self.events += 1
                try:
                    envelopes.append(lean(reading.envelope(self._connection, self._run, row, payload)))
                except CorruptRun as error:
                    found.append(_problem(error, self._start_again()))
        if not envelopes and not found:
            found.append(Problem("E2", "no event", "`run_created` first", self._start_again(), self._run, 1))
        return envelopes

    def _event_rows(self) -> sqlite3.Cursor:
        row = self._connection.execute(sql.SELECT_LAST, (self._run,)).fetchone()
        return self._connection.execute(sql.SELECT_EVENTS, (row[0], 0, -1))

    def _folded(self, envelopes: Sequence[Envelope]) -> Iterator[Problem]:
        state = RunState()
        try:
            for envelope in envelopes:
                state.apply(envelope)
        except CorruptRun as error:
            yield _problem(error, self._start_again())

    def _rows(self, envelopes: Sequence[Envelope]) -> Iterator[Problem]:
        try:
            expected = played(envelopes)
        except CorruptRun as error:
            yield _problem(error, self._start_again())
            return
        there: Rows = rows_of(self._connection, self._run)
        for one in differences(there, expected):
            yield self._difference(one)

    def _difference(self, one: Difference) -> Problem:
        rebuild = f"runkon db rebuild {self._run}"
        return Problem("I6", one.found, one.expected, rebuild, self._run, one.event, one.path)

    def _kept_apart(self) -> Iterator[Problem]:
        """Every value that an event refers to is there, true, and known to be used by this run."""
        uses = dict.fromkeys(
            row[0]
            for row in self._connection.execute(
                "SELECT artifact FROM artifact_refs WHERE run = (SELECT number FROM runs WHERE id = ?)", (self._run,)
            )
        )
        for seq, path, text in self._connection.execute(_REFERRING, (self._run, codec.MARK)):
            for id in _traces(text):
                self.artifacts += 1
                if id not in uses:
                    found = f"artifact `{id[:12]}…`, of which no row says that this run uses it"
                    rebuild = f"runkon db rebuild {self._run}"
                    yield Problem("I7", found, "a row for each use", rebuild, self._run, seq, path)
                yield from self._proved(id, seq, path)

    def _proved(self, id: str, seq: int, path: str | None) -> Iterator[Problem]:
        row = self._connection.execute("SELECT size, place, bytes FROM artifacts WHERE id = ?", (id,)).fetchone()
        try:
            if row is None:
                raise artifacts.Damage(id, "is missing: the database has no row of it")
            artifacts.proved(id, row[0], row[1], row[2], folder_of(self._path))
        except artifacts.Damage as damage:
            again = f"runkon resume {self._run}" if path else self._start_again()
            yield Problem("I7", str(damage), "the bytes that its id names", again, self._run, seq, path)

    def _start_again(self) -> str:
        row = self._connection.execute("SELECT file FROM runs WHERE id = ?", (self._run,)).fetchone()
        return f"runkon run {row[0]}" if row else "runkon runs"


def _traces(text: str) -> list[str]:
    try:
        payload = loads(text)
    except ValueError:
        return []  # told by the check of events
    return artifacts.traces(payload) if isinstance(payload, dict) else []


def _problem(error: CorruptRun, step: str) -> Problem:
    return Problem(error.rule, error.found, error.expected, step, error.run, error.seq, error.path)


def refuse_damaged(path: Path, run: RunID) -> None:
    """Raises UserError unless the events of `run` are whole, whatever its rows say."""
    for problem in check(path, run).problems:
        if problem.rule not in ("I6", "I7"):
            raise UserError(
                "corrupt-run",
                f"the rows of run `{run}` can't be made from its events: rule {problem.rule} at event {problem.event}: "
                f"found {problem.found}, expected {problem.expected}",
                help="nothing was changed; restore a copy of the database, or start the workflow again",
                next=problem.next,
            )
