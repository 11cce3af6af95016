"""What a step costs in the database, counted: neither the machine nor its load changes these numbers."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from runkon.model.ids import RunID
from runkon.store.sqlite import SqliteRunStore

from .conftest import Flow

Make = Callable[[str], Flow]
STEPS = 100


class Counted:
    """One run of `STEPS` equal steps on a file, with what SQLite was told meanwhile."""

    def __init__(self, flow: Flow, path: Path) -> None:
        self.store = flow.store = SqliteRunStore(path, durability="full")
        self.path = path
        flow.answers({})
        runner = flow.runner()
        flow.run_id = runner.create(flow.program, flow.inputs, flow.config)
        connection = self.store._writer._connection
        assert connection is not None
        self.connection = connection
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        self.size = path.stat().st_size
        self.said: list[str] = []
        connection.set_trace_callback(self.said.append)
        self.status = runner.execute(flow.run_id, flow.program, flow.config).status
        connection.set_trace_callback(None)
        self.frames = connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()[1]
        self.run: RunID = flow.run_id

    def count(self, verb: str) -> int:
        return sum(statement.startswith(verb) for statement in self.said)

    def rows(self, table: str) -> int:
        found: int = self.connection.execute(f"SELECT count(*) FROM {table}").fetchone()[0]
        return found


@pytest.fixture
def chain(flow: Make, tmp_path: Path) -> Counted:
    return Counted(flow("\n".join(f"call s{number}" for number in range(STEPS))), tmp_path / "runs.db")


def test_a_chain_commits_once_per_step_and_each_commit_waits_for_the_disk_once(chain: Counted) -> None:
    assert chain.status == "completed"
    assert chain.connection.execute("PRAGMA synchronous").fetchone() == (2,)  # one sync of the log per commit
    assert chain.count("COMMIT") <= 1.05 * STEPS
    assert chain.count("BEGIN") == chain.count("COMMIT")


def test_a_step_of_a_chain_takes_few_statements_and_reads_nothing(chain: Counted) -> None:
    beyond = 20  # the lease, the beginning and the end of the run
    assert len(chain.said) <= 8 * STEPS + beyond
    assert chain.count("SELECT") <= 2


def test_a_step_of_a_chain_leaves_two_events_and_one_row(chain: Counted) -> None:
    assert chain.rows("events") == 3 + 2 * STEPS
    assert chain.rows("steps") == STEPS


def test_a_step_of_a_chain_keeps_its_bytes_few(chain: Counted) -> None:
    assert chain.frames <= 8 * chain.count("COMMIT")
    chain.connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    assert chain.path.stat().st_size - chain.size <= 2048 * STEPS


def test_branches_that_begin_together_share_their_commits(flow: Make, tmp_path: Path) -> None:
    branches = 32
    body = "\n".join(f"call s{number}" for number in range(branches))
    case = flow(f"parallel {{\n{body}\n}}").configure(max_parallel=branches)
    begun = Counted(case, tmp_path / "runs.db")
    kinds = [envelope.event.kind for envelope in begun.store.events(begun.run)]
    first_end = kinds.index("step_completed")
    assert kinds[:first_end].count("attempt_started") == branches
    assert begun.rows("events") == len(kinds)
