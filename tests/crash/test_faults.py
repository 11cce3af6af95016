"""A store that can't be written: for a moment, for longer than anybody waits, or never again."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from runkon.engine.config import RunConfig
from runkon.engine.runner import Runner
from runkon.errors import RunkonError, StoreUnavailable, UserError
from runkon.failpoints import react
from runkon.model.ids import RunID
from runkon.model.status import RunStatus
from runkon.store.sqlite import SqliteRunStore
from runkon.testing import ScriptedExecutor, check_text
from runkon.testing.failpoints import arm

from .life import Life
from .picture import record_findings

CHAIN = check_text("workflow w { call a call b call c outputs { x = c.context } }")
PARALLEL = check_text("workflow w { call a parallel p { call b call c do d { call e call f } } call g }")
PROGRAMS = {"chain": CHAIN, "parallel": PARALLEL}
CODES = {"FULL": sqlite3.SQLITE_FULL, "LOCKED": sqlite3.SQLITE_BUSY, "IOERR": sqlite3.SQLITE_IOERR}


def _nobody(holder: str) -> bool:
    """Every leg before counts as one of a process that has ended, as it has after such an error."""
    return False


class Place:
    """A database file with the runs of one program; `calls` counts what was really called."""

    def __init__(self, folder: Path, program: str, patience: float) -> None:
        self.file = folder / "state" / "runs.db"
        self.config = RunConfig(working_dir=folder)
        self.program = PROGRAMS[program]
        self.executor = ScriptedExecutor(default=lambda request: f"did {request.path}")
        self.store = SqliteRunStore(self.file, durability="normal", patience=patience, is_alive=_nobody)

    @property
    def calls(self) -> Counter[str]:
        return Counter(str(path) for path in self.executor.paths)

    def create(self) -> RunID:
        return Runner(self.store, self.executor).create(self.program, {}, self.config)

    def go_on(self, run: RunID) -> RunStatus:
        return Runner(self.store, self.executor).execute(run, self.program, self.config).status

    def assert_whole(self, run: RunID) -> None:
        """The run ended well, nothing was called twice, and nothing lies about."""
        record = self.store.run(run)
        assert record is not None
        assert (record.status, record.holder) == (RunStatus.COMPLETED, None)
        assert record_findings(self.store, self.file, run) == []
        assert set(self.calls.values()) == {1}, self.calls
        assert [path.name for path in (self.file.parent / "rescue").glob("*")] == []


@contextmanager
def broken_from(hit: int, name: str, point: str = "before_commit") -> Iterator[list[int]]:
    """From the `hit`-th passing of `point` on, every transaction fails as SQLite would; gives the count of passings."""
    passed = [0]

    def reaction(place: str, path: str | None, number: int | None) -> None:
        if place == point:
            passed[0] += 1
            if passed[0] >= hit:
                error = sqlite3.OperationalError(f"the test says {name}")
                error.sqlite_errorcode = CODES[name]
                error.sqlite_errorname = f"SQLITE_{name}"
                raise error

    react(reaction)
    try:
        yield passed
    finally:
        react(None)


def commits_of(program: str, folder: Path) -> int:
    """How many transactions a leg of `program` makes, its creation not counted."""
    place = Place(folder, program, 1.0)
    run = place.create()
    with arm("") as armed:
        place.go_on(run)
    place.store.close()
    return armed.passed["before_commit"]


@pytest.mark.parametrize("name", ["FULL", "LOCKED"])
@pytest.mark.parametrize("program", sorted(PROGRAMS))
def test_a_fault_that_passes_in_time_is_waited_out(program: str, name: str, tmp_path: Path) -> None:
    for hit in range(1, commits_of(program, tmp_path / "first") + 1):
        place = Place(tmp_path / f"{hit}", program, 20.0)
        run = place.create()
        with arm(f"before_commit:hit={hit}:do=sql({name})"):
            assert place.go_on(run) is RunStatus.COMPLETED
        place.assert_whole(run)
        place.store.close()


def ended_by(place: Place, run: RunID) -> RunkonError | None:
    """What ended a leg early; None if it came to its end."""
    try:
        place.go_on(run)
    except RunkonError as error:
        return error
    return None


@pytest.mark.parametrize("name", sorted(CODES))
@pytest.mark.parametrize("program", sorted(PROGRAMS))
def test_results_that_could_not_be_written_are_kept_and_taken_over(program: str, name: str, tmp_path: Path) -> None:
    rescued = 0
    for hit in range(1, commits_of(program, tmp_path / "first") + 1):
        place = Place(tmp_path / f"{hit}", program, 0.0)
        run = place.create()
        with broken_from(hit, name) as passed:
            error = ended_by(place, run)
        if passed[0] < hit:  # branches that ended together shared a transaction, so this leg made fewer
            assert error is None
            place.assert_whole(run)
            place.store.close()
            continue
        assert isinstance(error, StoreUnavailable | UserError)
        assert error.exit_code == 5
        kept = list((place.file.parent / "rescue").glob("*.jsonl"))
        rescued += bool(kept)
        before = place.calls
        assert record_findings(place.store, place.file, run) == []
        status = place.go_on(run)
        assert status is RunStatus.COMPLETED, f"hit {hit}, called {before}"
        place.assert_whole(run)
        place.store.close()
    assert rescued >= 2, rescued


def test_a_kept_result_that_was_changed_is_told_of_and_not_taken(tmp_path: Path) -> None:
    place = Place(tmp_path, "chain", 0.0)
    run = place.create()
    with broken_from(3, "FULL"), pytest.raises(StoreUnavailable):
        place.go_on(run)
    (kept,) = (place.file.parent / "rescue").glob("*.jsonl")
    damaged = bytearray(kept.read_bytes())
    damaged[len(damaged) // 2] ^= 1
    kept.write_bytes(damaged)
    assert place.go_on(run) is RunStatus.COMPLETED
    assert kept.read_bytes() == damaged
    notes = [one.event for one in place.store.events(run) if one.event.kind == "note"]
    assert any(kept.name in note.text for note in notes), notes
    assert max(place.calls.values()) == 2
    assert record_findings(place.store, place.file, run) == []
    place.store.close()


def test_a_locked_file_is_waited_for(tmp_path: Path) -> None:
    place = Place(tmp_path, "chain", 30.0)
    run = place.create()
    other = sqlite3.connect(place.file, isolation_level=None, check_same_thread=False)
    other.execute("BEGIN IMMEDIATE")
    waiting = threading.Event()
    react(lambda point, path, number: waiting.set() if point == "before_batch" else None)
    try:
        ended: list[RunStatus] = []
        thread = threading.Thread(target=lambda: ended.append(place.go_on(run)))
        thread.start()
        assert waiting.wait(30)
        other.execute("ROLLBACK")
        thread.join(30)
    finally:
        react(None)
        other.close()
    assert ended == [RunStatus.COMPLETED]
    place.assert_whole(run)
    place.store.close()


@pytest.mark.parametrize(
    "place", ["before_start:path=b", "in_attempt:path=b", "after_return:path=b", "before_finish:path=c", "before_end"]
)
def test_an_engine_whose_run_was_taken_writes_nothing_more(place: str, tmp_path: Path) -> None:
    own, thief = Place(tmp_path, "chain", 1.0), SqliteRunStore(tmp_path / "state" / "runs.db", is_alive=_nobody)
    run = own.create()
    rows: list[object] = []

    def steal() -> None:
        assert thief.acquire(run, "thief", 0, 1 << 40) is not None
        rows.append((thief.run(run), list(thief.steps(run)), list(thief.events(run))))

    with arm(f"{place}:do=steal", steal=steal), pytest.raises(UserError) as caught:
        own.go_on(run)
    assert (caught.value.code, caught.value.exit_code) == ("already-active", 8)
    assert rows == [(own.store.run(run), list(own.store.steps(run)), list(own.store.events(run)))]
    assert own.go_on(run) is RunStatus.COMPLETED
    assert max(own.calls.values()) <= 2
    assert record_findings(own.store, own.file, run) == []
    own.store.close()
    thief.close()


OVERWRITE = """
import sqlite3, sys
connection = sqlite3.connect(sys.argv[1])
connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
connection.close()
with open(sys.argv[1], "r+b") as file:
    size = file.seek(0, 2)
    for at in range(4096, size, 4096):
        file.seek(at)
        file.write(b"\\xff" * 64)
"""


def test_a_damaged_file_is_named_and_left_as_it_is(tmp_path: Path) -> None:
    life = Life(tmp_path, "workflow x { call a call b }").killed("before_dispatch:path=b")
    subprocess.run([sys.executable, "-c", OVERWRITE, str(life.file)], check=True)
    before = subprocess.run(["sha256sum", str(life.file)], capture_output=True, check=True).stdout
    life.do("resume", "@last", exits=5)
    assert "store-corrupt" in life.err
    assert subprocess.run(["sha256sum", str(life.file)], capture_output=True, check=True).stdout == before
    assert life.calls == {"a": 1}


FULL_FROM_HERE = ";".join(f"before_commit:hit={hit}:do=sql(FULL)" for hit in range(5, 60))
THREE = "workflow x { call a call b call c outputs { x = c.context } }"


def _without_patience(folder: Path) -> Life:
    life = Life(folder, THREE)
    (folder / "runkon.toml").write_text('store_patience = "0s"\n', "utf-8")
    return life


def test_a_full_disk_is_told_with_what_was_kept_and_the_next_command_finishes_the_run(tmp_path: Path) -> None:
    life = _without_patience(tmp_path).do("run", "x.wf", fail=FULL_FROM_HERE, exits=5)
    (kept,) = (tmp_path / ".runkon" / "rescue").glob("*.jsonl")
    assert "error[store-" in life.err
    assert kept.name in life.err
    assert "runkon resume" in life.err
    life.resumed()
    assert (life.out, set(life.calls.values())) == ("x = did c\n", {1})
    assert not kept.exists()
    life.assert_sound()


def test_a_process_that_dies_while_it_keeps_results_leaves_nothing_false(tmp_path: Path) -> None:
    life = _without_patience(tmp_path).killed(f"rescue_half:do=torn;{FULL_FROM_HERE}", "run", "x.wf")
    life.resumed()
    assert life.out == "x = did c\n"
    assert max(life.calls.values()) <= 2
    life.assert_sound()
