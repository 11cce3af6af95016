"""Disks that fill up, locks that stay and files that can't be written, under commands in processes of their own: a
named error, nothing failed, nothing lost, and a resume that pays for nothing twice."""

from __future__ import annotations

import os
import re
import resource
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

STEPS = 16


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / ".runkon").mkdir()
    steps = "\n".join(f'  script s{number} {{ run = "echo s{number} >> calls" }}' for number in range(STEPS))
    (tmp_path / "x.wf").write_text(f"workflow x {{\n{steps}\n}}\n")
    return tmp_path


def runkon(
    folder: Path, *words: str, limit: Callable[[], None] | None = None, **variables: str
) -> subprocess.CompletedProcess[str]:
    clean = {name: value for name, value in os.environ.items() if not name.startswith("RUNKON_")}
    return subprocess.run(
        [sys.executable, "-m", "runkon", *words],
        cwd=folder,
        env={**clean, "RUNKON_STORE_PATIENCE": "1s", **variables},
        capture_output=True,
        text=True,
        check=False,
        timeout=100,
        preexec_fn=limit,
    )


def calls(folder: Path) -> list[str]:
    return (folder / "calls").read_text().split()


def resumed(folder: Path, said: str) -> None:
    """The command that was proposed ends the run as if nothing had been."""
    found = re.search(r"next: (runkon resume (\w+))", said)
    assert found is not None, said
    statuses = rows(folder, "SELECT DISTINCT status FROM steps")
    assert statuses in ([("completed",)], [("completed",), ("running",)])
    done = runkon(folder, "resume", found[2])
    assert done.returncode == 0, done.stderr
    assert calls(folder) == [f"s{number}" for number in range(STEPS)]
    assert rows(folder, "SELECT DISTINCT status FROM steps") == [("completed",)]
    assert rows(folder, "SELECT status FROM runs") == [("completed",)]
    rescue = folder / ".runkon" / "rescue"
    assert not rescue.exists() or list(rescue.iterdir()) == []


def rows(folder: Path, statement: str) -> list[tuple[str, ...]]:
    connection = sqlite3.connect(folder / ".runkon" / "runkon.db")
    try:
        return sorted(connection.execute(statement).fetchall())
    finally:
        connection.close()


def test_a_file_that_may_not_grow_any_more(folder: Path) -> None:
    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (250_000, resource.RLIM_INFINITY))

    done = runkon(folder, "run", "x.wf", limit=limit)
    assert done.returncode == 5, done.stderr
    database = folder / ".runkon" / "runkon.db"
    assert re.search(
        rf"error\[store-unavailable\]: `{database}` can't be used: disk I/O error \(\d+ KiB free\)\n"
        r"  = help: check the disk and the folder it lies in, then continue the run; what could not be written is kept "
        rf"in `{database.parent}/rescue/\w{{26}}-1\.jsonl`\n  = next: runkon resume \w{{26}}\n",
        done.stderr,
    )
    assert 0 < len(calls(folder)) < STEPS
    resumed(folder, done.stderr)


def test_a_lock_that_another_process_keeps(folder: Path) -> None:
    """The step that runs locks the database with a program of its own, which stays until it is told to go."""
    holder = """
import os, sqlite3, time
connection = sqlite3.connect(".runkon/runkon.db", isolation_level=None)
connection.execute("BEGIN IMMEDIATE")
open("locked", "w").close()
while not os.path.exists("go"):
    time.sleep(0.01)
"""
    (folder / "hold.py").write_text(holder)
    (folder / "waits.sh").write_text("while ! test -e locked; do sleep 0.01; done\n")
    text = (folder / "x.wf").read_text()
    (folder / "x.wf").write_text(text.replace("echo s3 >>", "touch lock; sh waits.sh; echo s3 >>"))
    (folder / "start.sh").write_text(f"while ! test -e lock; do sleep 0.01; done\nexec {sys.executable} hold.py\n")
    process = subprocess.Popen(["sh", "start.sh"], cwd=folder)
    try:
        done = runkon(folder, "run", "x.wf")
        assert done.returncode == 5, done.stderr
        assert re.search(
            rf"error\[store-unavailable\]: process {process.pid} \(`python[\d.]*`\) has kept `.*` locked for too long",
            done.stderr,
        )
        assert calls(folder)[-1] == "s3"
    finally:
        (folder / "go").touch()
        process.wait(60)
    resumed(folder, done.stderr)


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        ("FULL", r"no space is left for `.*` \(\d+ KiB free\)"),
        ("READONLY", r"`.*` can't be written any more"),
        ("LOCKED", r"another process has kept `.*` locked for too long"),
    ],
)
def test_every_fault_has_its_own_words(folder: Path, fault: str, message: str) -> None:
    spec = ";".join(f"before_commit:hit={hit}:do=sql({fault})" for hit in range(7, 200))
    done = runkon(folder, "run", "x.wf", RUNKON_FAILPOINTS=spec, RUNKON_TESTING="1")
    assert done.returncode == 5, done.stderr
    assert re.search(rf"error\[store-unavailable\]: {message}\n", done.stderr), done.stderr
    resumed(folder, done.stderr)


def test_a_store_that_can_not_be_written_begins_no_run(folder: Path) -> None:
    assert runkon(folder, "run", "x.wf").returncode == 0
    before = rows(folder, "SELECT id FROM runs")
    spec = "after_begin_immediate:do=sql(READONLY)"
    done = runkon(folder, "run", "x.wf", RUNKON_FAILPOINTS=spec, RUNKON_TESTING="1")
    assert done.returncode == 5
    assert "error[store-read-only]: " in done.stderr
    assert rows(folder, "SELECT id FROM runs") == before
    assert len(calls(folder)) == STEPS


def test_a_bug_of_ours_is_told_as_one_and_the_run_goes_on_later(folder: Path) -> None:
    spec = "after_insert:hit=5:do=raise(value)"
    done = runkon(folder, "run", "x.wf", RUNKON_FAILPOINTS=spec, RUNKON_TESTING="1")
    assert done.returncode == 70, done.stderr
    assert "raised at failpoint after_insert" in done.stderr
    assert rows(folder, "SELECT DISTINCT status FROM steps") == [("completed",), ("running",)]
    done = runkon(folder, "resume", "@last")
    assert done.returncode == 0, done.stderr
    again = calls(folder)  # the step that ran just then was stopped, perhaps after it had written its line
    assert list(dict.fromkeys(again)) == [f"s{number}" for number in range(STEPS)]
    assert len(again) <= STEPS + 1
