"""Runs in one SQLite file, shared by any number of processes of one host.

One connection per process writes, under a lock, with constant statements; every append first moves the run's row on,
which works only while fence, owner and event number are the expected ones: who lost the run changes nothing. Reads
have short transactions of their own. Nothing is opened or created before it is needed.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from runkon.errors import StoreUnavailable, UserError
from runkon.model import holder as holders
from runkon.model.events import Envelope, Note, RunCreated
from runkon.model.ids import RunID
from runkon.model.json_text import dumps
from runkon.model.ports import RunStore
from runkon.model.records import CancelRequest, GateAnswer, GateRecord, Lease, RunRecord, StepRecord
from runkon.model.start_key import key_of
from runkon.store import codec, reading, rows
from runkon.store import statements as sql
from runkon.store.appending import give_back, is_written
from runkon.store.appending import write as write_batch
from runkon.store.batch import Batch
from runkon.store.readers import Readers
from runkon.store.refusals import already_ended, check_undecided, duplicate_run, is_free, unknown_run
from runkon.store.writer import Writer

if TYPE_CHECKING:
    from runkon.store.artifacts import Artifact
    from runkon.store.rescue import Past

PATIENCE = 60.0  # seconds a full disk or a lock is waited for
PAGE = 256  # events read at once


class SqliteRunStore(RunStore):
    """Keeps runs in the SQLite file `path`, made by the first write.

    With durability `full` a write that returned survives a power failure; with `normal` it survives the death of the
    process. A lock held by others or a full disk is waited out for `patience` seconds, then StoreUnavailable is
    raised and nothing was written. Usable from any thread, not across a fork.
    """

    def __init__(
        self,
        path: Path,
        *,
        durability: Literal["full", "normal"] = "full",
        patience: float = PATIENCE,
        is_alive: Callable[[str], bool | None] = holders.is_alive,
    ) -> None:
        self._path = path
        self._writer = Writer(path, durability, patience)
        self._readers = Readers(path, lambda: self._writer.is_open)
        self._durability = durability
        self._is_alive = is_alive
        self._numbers: dict[RunID, int] = {}  # of the runs this process writes

    # ── writing ───────────────────────────────────────────────────────────────────────────────────
    def create(self, run: RunID, created: RunCreated, at: int) -> RunID:
        ids = {file: codec.text_id(text) for file, text in created.sources.items()}
        payload, apart = self._without_large(codec.run_created(created, ids))
        file = next(iter(created.sources), "")
        proof, mode, key = codec.proof(payload), "dry" if created.dry else "live", key_of(created)

        def write(cursor: sqlite3.Cursor) -> int | RunID:
            there = None if key is None else cursor.execute(sql.SELECT_KEY, (created.workflow, key)).fetchone()
            if there is not None:
                return RunID(there[0])
            cursor.execute(sql.INSERT_RUN, (run, created.workflow, file, "pending", mode, 1, at, created.forked_from))
            if not cursor.rowcount:
                raise duplicate_run(run)
            number = int(cursor.lastrowid or 0)
            if key is not None:
                cursor.execute(sql.INSERT_KEY, (created.workflow, key, number))
            for name, text in created.sources.items():
                cursor.execute(sql.INSERT_SOURCE, (ids[name], text))
            cursor.execute(
                sql.INSERT_EVENT, (number * sql.PLACES + 1, at, 0, 0, created.kind, None, None, None, payload, proof)
            )
            self._refer(cursor, number, apart, at)
            return number

        number = self._writer.transaction(write)
        if isinstance(number, str):
            return number
        self._numbers[run] = number
        return run

    def acquire(self, run: RunID, holder: str, now: int, ttl_ms: int) -> Lease | None:
        until = now + ttl_ms

        def take(cursor: sqlite3.Cursor) -> Lease | None:
            row = cursor.execute(sql.RUN_LEASE, (run,)).fetchone()
            if row is None:
                raise unknown_run(run)
            number, fence, leg, _, owner, lease_until, _ = row
            self._numbers[run] = number
            if owner == holder:
                cursor.execute(sql.EXTEND, (until, run, fence, holder))
                return Lease(run, holder, fence, leg, until)
            if owner is not None:
                alive = self._is_alive(owner)
                if not is_free(alive=alive, until=lease_until or 0, now=now):
                    return None
            cursor.execute(sql.TAKE, (holder, until, number))
            return Lease(run, holder, fence + 1, leg + 1, until)

        return self._writer.transaction(take)

    def extend(self, lease: Lease, now: int, ttl_ms: int) -> Lease | None:
        until = now + ttl_ms

        def move(cursor: sqlite3.Cursor) -> bool:
            return cursor.execute(sql.EXTEND, (until, lease.run, lease.fence, lease.holder)).rowcount == 1

        kept = self._writer.transaction(move, patience=0.0)  # whoever renews tries again by itself
        return Lease(lease.run, lease.holder, lease.fence, lease.leg, until) if kept else None

    def append(self, lease: Lease, envelopes: Sequence[Envelope], *, release: bool = False) -> None:
        if not envelopes:
            if release:
                self._writer.transaction(lambda cursor: give_back(cursor, lease))
            return
        self._record(lease, lease, envelopes, release=release)

    def _record(self, lease: Lease, author: Lease, envelopes: Sequence[Envelope], *, release: bool) -> None:
        """Write events of `author`, which is `lease` but for those of an earlier leg."""
        number = self._numbers.get(lease.run)
        if number is None:
            number = self._number(lease.run)
        batch = self._batch(number, author, envelopes)
        if batch.artifacts:
            self._keep(batch.artifacts, self._writer.patience)
        tried = False

        def write(cursor: sqlite3.Cursor) -> None:
            nonlocal tried
            if tried and is_written(cursor, lease, batch, release=release):
                return
            tried = True
            write_batch(cursor, lease, batch, release=release)
            if batch.artifacts:
                self._refer(cursor, number, batch.artifacts, envelopes[0].at)

        try:
            self._writer.transaction(write)
        except StoreUnavailable:  # a commit may be there that seemed to have failed
            with suppress(UserError), self._readers.reading() as connection:
                if connection and tried and is_written(connection.cursor(), lease, batch, release=release):
                    return
            raise

    def _batch(self, number: int, author: Lease, envelopes: Sequence[Envelope]) -> Batch:
        return rows.build(number, author, envelopes)

    def rescue(self, lease: Lease, requests: Sequence[Sequence[Envelope]], *, is_fenced: bool) -> str:
        from runkon.store import rescue  # late: only when nothing can be written

        return rescue.keep(self._path, lease, requests, is_fenced=is_fenced)

    def hurry(self) -> None:
        self._writer.hurry()

    def rescued(self, lease: Lease) -> Sequence[Note]:
        if lease.leg < 2:
            return ()
        from runkon.store import rescue  # late: a first leg takes nothing over

        def write(envelopes: Sequence[Envelope]) -> None:
            author = replace(lease, fence=envelopes[0].fence, leg=envelopes[0].leg)
            self._record(lease, author, envelopes, release=False)

        files = rescue.files_of(self._path, lease.run)
        return rescue.Takeover(self, lease, self._past(lease.run), write).run(files) if files else ()

    def rescuable(self, run: RunID) -> Sequence[Envelope]:
        from runkon.store import rescue  # late: for a look at a run whose last leg did not end well

        files = rescue.files_of(self._path, run)
        return rescue.preview(self, run, self._past(run), files) if files else ()

    def _past(self, run: RunID) -> Past:
        from runkon.store.rescue import Past

        with self._readers.reading() as connection:
            found = connection.execute(sql.LAST_EVENT, (run,)).fetchone() if connection else None
        if found is None:
            raise unknown_run(run)
        return Past(*found)

    # ── large values ──────────────────────────────────────────────────────────────────────────────
    def _without_large(self, payload: str) -> tuple[str, Sequence[Artifact]]:
        """The text of an event without its large values, which are kept by then as far as files hold them."""
        if not codec.is_large(payload):
            return payload, ()
        from runkon.store.artifacts import spill  # late: most runs have none

        payload, apart = spill(payload)
        self._keep(apart, self._writer.patience)
        return payload, apart

    def _keep(self, apart: Sequence[Artifact], patience: float) -> None:
        """The files of `apart`, before the transaction that names them."""
        from runkon.store.artifacts import IN_ROW
        from runkon.store.blobs import Blobs

        synced, writer = self._durability == "full", self._writer
        blobs = Blobs(self._path, synced=synced, patience=patience, hurried=writer.hurried)
        try:
            for artifact in apart:
                if len(artifact.content) > IN_ROW:
                    blobs.keep(artifact.id, artifact.content)
        except StoreUnavailable:
            writer.exhaust()
            raise

    def _refer(self, cursor: sqlite3.Cursor, number: int, apart: Sequence[Artifact], at: int) -> None:
        """The rows of `apart`. Nobody can remove a file any more while this transaction lasts, so one that somebody
        took for waste just before is written again."""
        if not apart:
            return
        from runkon.store import artifacts

        self._keep(apart, 0)
        for artifact in apart:
            artifacts.refer(cursor, number, artifact, at)

    def _number(self, run: RunID) -> int:
        """Of a run whose lease was not taken through this object."""
        with self._readers.reading() as connection:
            row = connection.execute(sql.SELECT_LAST, (run,)).fetchone() if connection else None
        if row is None:
            raise unknown_run(run)
        return self._numbers.setdefault(run, int(row[0]))

    # ── reading ───────────────────────────────────────────────────────────────────────────────────
    def run(self, run: RunID) -> RunRecord | None:
        with self._readers.reading() as connection:
            row = connection.execute(sql.SELECT_RUN, (run,)).fetchone() if connection else None
            return reading.run_record(connection, row) if connection and row else None

    def find(self, prefix: str) -> Sequence[RunID]:
        first = prefix.upper()
        with self._readers.reading() as connection:
            found = connection.execute(sql.SELECT_FIND, (first, first + "\x7f")).fetchall() if connection else []
        return [RunID(row[0]) for row in found]

    def runs(
        self,
        *,
        status: str | None = None,
        workflow: str | None = None,
        since: int | None = None,
        limit: int | None = None,
    ) -> Sequence[RunRecord]:
        chosen = (status, workflow, since, -1 if limit is None else limit)
        with self._readers.reading() as connection:
            if connection is None:
                return []
            return [reading.listed_run(connection, row) for row in connection.execute(sql.SELECT_RUNS, chosen)]

    def steps(self, run: RunID) -> Sequence[StepRecord]:
        from runkon.store.reading_steps import step_records  # late: a run that begins has none

        with self._readers.reading() as connection:
            if connection is None:
                return []
            return step_records(connection, run, connection.execute(sql.SELECT_STEPS, (run,)).fetchall())

    def put_aside(self, run: RunID) -> Sequence[StepRecord]:
        with self._readers.reading() as connection:
            found = connection.execute(sql.SELECT_PUT_ASIDE, (run,)).fetchall() if connection else []
        return [reading.fresh_step(run, row) for row in found]

    def events(self, run: RunID, after: int = 0) -> Iterator[Envelope]:
        following, after = True, max(after, 0)
        while following:  # page by page: no read stays open while the caller looks at an event
            with self._readers.reading() as connection:
                page = reading.page(connection, run, after, PAGE) if connection else []
            yield from page
            after += len(page)
            following = len(page) == PAGE

    def events_of(self, run: RunID, kinds: Collection[str]) -> Sequence[Envelope]:
        with self._readers.reading() as connection:
            return reading.events_of(connection, run, kinds) if connection else []

    def runs_asked(self, request: Mapping[str, object], limit: int = 20) -> Sequence[RunID]:
        with self._readers.reading() as connection:
            return reading.runs_asked(connection, request, limit) if connection else []

    def check_log(self, run: RunID) -> None:
        from runkon.store.record_check import check_log  # late: a first leg relies on no record

        with self._readers.reading() as connection:
            if connection is None or not check_log(connection, run):
                raise unknown_run(run)

    def sources(self, run: RunID) -> Mapping[str, str]:
        with self._readers.reading() as connection:
            return reading.sources(connection, run) if connection else {}

    # ── what others want of a run ─────────────────────────────────────────────────────────────────
    def ask_to_cancel(self, run: RunID, wish: CancelRequest, *, within: float | None = None) -> RunRecord:
        def write(cursor: sqlite3.Cursor) -> RunRecord:
            _, status = _number_and_status(cursor, run)
            if status in ("completed", "failed"):
                raise already_ended(run, status)
            cursor.execute(sql.ASK_TO_CANCEL, (wish.at, wish.by, wish.reason, wish.via, wish.kill, run))
            return reading.run_record(cursor.connection, cursor.execute(sql.SELECT_RUN, (run,)).fetchone())

        return self._writer.transaction(write) if within is None else self._writer.within(within, write)

    def cancel_wishes(self, runs: Sequence[RunID]) -> Mapping[RunID, CancelRequest]:
        with self._readers.reading() as connection:
            found = connection.execute(sql.SELECT_WISHES, (dumps(list(runs)),)).fetchall() if connection else []
        return {RunID(row[0]): reading.wish(row[1:]) for row in found}

    def answer_gate(self, answer: GateAnswer) -> GateAnswer:
        form = dumps(dict(answer.form)) if answer.form else None
        said = (answer.choice, answer.by, answer.via, answer.at, answer.reason or None, form)

        def write(cursor: sqlite3.Cursor) -> int:
            number, _ = _number_and_status(cursor, answer.run)
            key = (number, answer.gate, answer.occurrence)
            row = cursor.execute(sql.SELECT_GATE, key).fetchone()
            before = [reading.gate_answer(answer.run, one) for one in cursor.execute(sql.SELECT_ANSWERS_OF, key)]
            check_undecided(answer, reading.gate_record(answer.run, row) if row else None, before)
            cursor.execute(sql.INSERT_ANSWER, (*key, len(before) + 1, *said))
            return len(before) + 1

        return answer._replace(ordinal=self._writer.transaction(write))

    def gates(self, run: RunID) -> Sequence[GateRecord]:
        with self._readers.reading() as connection:
            found = connection.execute(sql.SELECT_GATES, (run,)).fetchall() if connection else []
        return [reading.gate_record(run, row) for row in found]

    def gate_answers(self, run: RunID) -> Sequence[GateAnswer]:
        with self._readers.reading() as connection:
            found = connection.execute(sql.SELECT_ANSWERS, (run,)).fetchall() if connection else []
        return [reading.gate_answer(run, row) for row in found]

    def together(self) -> AbstractContextManager[None]:
        return self._readers.together()

    def close(self) -> None:
        """Give the file back. Runs that were recorded stay in it."""
        self._readers.close()  # the last to go puts the log away, which a reader can't
        self._writer.close()


# ── inside the write transaction ──────────────────────────────────────────────────────────────────
def _number_and_status(cursor: sqlite3.Cursor, run: RunID) -> tuple[int, str]:
    row = cursor.execute(sql.SELECT_STATUS, (run,)).fetchone()
    if row is None:
        raise unknown_run(run)
    return row[0], row[1]
