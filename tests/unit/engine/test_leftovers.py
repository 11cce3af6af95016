"""What a run leaves behind in its process: nothing but its record."""

from __future__ import annotations

import gc
import os
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

from runkon.store.sqlite import SqliteRunStore

Make = Callable[[str], Any]
RUNS = 20


def open_files() -> int:
    gc.collect()
    return len(os.listdir("/proc/self/fd"))


def test_twenty_short_runs_leave_no_thread_no_file_and_no_lease(flow: Make, tmp_path: Path) -> None:
    case = flow("meta { timeout = 1h } call a { timeout = 1h } parallel { call b call c } always { call z }")
    case.answers({})
    case.store = SqliteRunStore(tmp_path / "runkon.db", durability="normal")
    assert case.start().status == "completed"  # what a process keeps is made with the first: the timer, a connection
    threads, files = {thread.name for thread in threading.enumerate()}, open_files()
    for _ in range(RUNS):
        record = case.start()
        assert (record.status, record.holder) == ("completed", None)
    for thread in threading.enumerate():
        if thread.name not in threads:
            thread.join(30)
    assert {thread.name for thread in threading.enumerate()} <= threads
    assert open_files() <= files
    case.store.close()
    assert sorted(path.name for path in tmp_path.glob("runkon.db*")) == ["runkon.db"]
