"""What runkon is compared with: the least that anything which does the same must spend."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from benchmarks.measure import stopwatch

STEPS = 1_000
LAUNCHES = 7


def raw_sqlite(folder: Path, *, synchronous: str) -> float:
    """1,000 steps by hand: insert *running* and commit, update *done* and commit, in a write-ahead log."""
    db = sqlite3.connect(folder / "raw.db", isolation_level=None)
    db.execute("PRAGMA journal_mode = WAL")
    db.execute(f"PRAGMA synchronous = {synchronous}")
    db.execute(
        "CREATE TABLE steps (run TEXT, path TEXT, status TEXT, output TEXT, at INTEGER, PRIMARY KEY (run, path))"
    )
    with stopwatch() as took:
        for number in range(STEPS):
            at = time.time_ns()
            db.execute("BEGIN IMMEDIATE")
            db.execute("INSERT INTO steps VALUES (?, ?, 'running', NULL, ?)", ("run", f"step{number}", at))
            db.execute("COMMIT")
            db.execute("BEGIN IMMEDIATE")
            db.execute(
                "UPDATE steps SET status = 'done', output = ? WHERE run = ? AND path = ?",
                ('{"markers": []}', "run", f"step{number}"),
            )
            db.execute("COMMIT")
    db.close()
    return took[0]


raw_normal = partial(raw_sqlite, synchronous="NORMAL")
raw_full = partial(raw_sqlite, synchronous="FULL")


def ideal_sleep(_: Path, *, seconds: float, workers: int) -> float:
    """The wall time of bare threads that all sleep at once."""
    threads = [threading.Thread(target=time.sleep, args=(seconds,)) for _ in range(workers)]
    with stopwatch() as took:
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    return took[0]


def launch(command: Sequence[str], folder: Path) -> float:
    """The shortest time from starting a process to its end, of a few launches: whatever disturbs one adds to it."""
    return min(launch_once(command, folder) for _ in range(LAUNCHES))


def launch_once(command: Sequence[str], folder: Path) -> float:
    with stopwatch() as took:
        done = subprocess.run(command, cwd=folder, env=clean_environment(), capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise RuntimeError(f"{command} ended with code {done.returncode}: {done.stderr}")
    return took[0]


def clean_environment() -> dict[str, str]:
    """As on a reader's machine: compiled modules are kept, and no setting of the measuring process leaks in."""
    return {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "RUNKON"))}


def bare_python(folder: Path) -> float:
    """A Python process that does nothing."""
    return launch([sys.executable, "-c", "pass"], folder)


def megabyte(_: Path) -> float:
    """The yardstick of amounts that are no ratio."""
    return 1.0
