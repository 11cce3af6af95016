"""Several processes on one database file, and processes that are killed while they write."""

from __future__ import annotations

import signal
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from runkon.model.events import RunCompleted
from runkon.model.fold import fold
from runkon.model.holder import this_holder
from runkon.model.ids import RunID
from runkon.model.status import RunStatus, StepStatus
from runkon.store.sqlite import SqliteRunStore
from runkon.testing.store_story import START_MS, TTL_MS, Story, completed, started

PROCESSES, RUNS, STEPS = 4, 4, 25
THREADS, COMMITS = 24, 60

WRITE_RUNS = f"""
import sys
import tempfile
from pathlib import Path
from runkon.model.events import RunCompleted
from runkon.store.sqlite import SqliteRunStore
from runkon.testing.store_story import Story, completed, started

store = SqliteRunStore(Path(sys.argv[1]), durability="normal")
for _ in range({RUNS}):
    story = Story(store)
    story.begin()
    for number in range({STEPS}):
        story.write(started(f"s#{{number}}", order=number))
        story.write(completed(f"s#{{number}}"))
    story.write(RunCompleted(outputs={{}}), release=True)
    print(story.run)
store.close()
"""

EXECUTE_RUNS = f"""
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from runkon.store.sqlite import SqliteRunStore
from runkon.testing import ScriptedExecutor, run_text

store = SqliteRunStore(Path(sys.argv[1]), durability="normal")
executor = ScriptedExecutor(default="done")
TEXT = "workflow w {{ call a parallel p {{ call b call c call d }} call e }}"
with ThreadPoolExecutor({RUNS}) as pool:
    ends = list(pool.map(lambda _: run_text(TEXT, executor, store=store).record.status, range({RUNS})))
assert ends == ["completed"] * {RUNS}, ends
print(len(executor.calls))
store.close()
"""

WRITE_FOREVER = """
import itertools, sys
from pathlib import Path
from runkon.model.holder import this_holder
from runkon.store.sqlite import SqliteRunStore
from runkon.testing.store_story import Story, completed, started

store = SqliteRunStore(Path(sys.argv[1]), durability="normal")
story = Story(store)
story.begin(this_holder())
print(story.run, flush=True)
for number in itertools.count():
    story.write(started(f"s#{number}", order=number))
    story.write(completed(f"s#{number}"))
    print(number, flush=True)
"""


def start(code: str, path: Path) -> subprocess.Popen[str]:
    command = [sys.executable, "-W", "error", "-c", code, str(path)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def test_processes_share_one_file_without_a_lock_error(tmp_path: Path) -> None:
    path = tmp_path / "fresh" / "runs.db"
    processes = [start(WRITE_RUNS, path) for _ in range(PROCESSES)]
    written: list[str] = []
    for process in processes:
        out, err = process.communicate()
        assert (process.returncode, err) == (0, "")
        written += out.split()
    store = SqliteRunStore(path)
    assert sorted(run.id for run in store.runs()) == sorted(written)
    assert len(written) == PROCESSES * RUNS
    for run in store.runs(status="completed"):
        assert list(store.steps(run.id)) == fold(store.events(run.id)).in_order()
        assert (run.seq, run.calls) == (3 + 2 * STEPS, STEPS)
    store.close()


def test_threads_share_one_file_without_a_lock_error(tmp_path: Path) -> None:
    store = SqliteRunStore(tmp_path / "runs.db", durability="normal")

    def write(_: int) -> RunID:
        story = Story(store)
        story.begin(this_holder())
        for number in range(COMMITS // 2 - 1):
            story.write(started(f"s#{number}", order=number))
            story.write(completed(f"s#{number}"))
        story.write(RunCompleted(outputs={}), release=True)
        return story.run

    with ThreadPoolExecutor(THREADS) as pool:
        written = list(pool.map(write, range(THREADS)))
    assert sorted(run.id for run in store.runs(status="completed")) == sorted(written)
    for run in written:
        state = fold(store.events(run))
        assert list(store.steps(run)) == state.in_order()
        assert state.run.seq == COMMITS + 1
    store.close()


def test_engines_of_several_processes_complete_all_their_runs(tmp_path: Path) -> None:
    path = tmp_path / "runs.db"
    processes = [start(EXECUTE_RUNS, path) for _ in range(PROCESSES)]
    calls = 0
    for process in processes:
        out, err = process.communicate()
        assert (process.returncode, err) == (0, "")
        calls += int(out)
    store = SqliteRunStore(path)
    assert len(store.runs(status="completed")) == PROCESSES * RUNS
    assert calls == PROCESSES * RUNS * 5
    for run in store.runs():
        assert run.holder is None
        assert list(store.steps(run.id)) == fold(store.events(run.id)).in_order()
    store.close()


def test_a_killed_writer_leaves_a_dense_record_that_goes_on(tmp_path: Path) -> None:
    path = tmp_path / "runs.db"
    with start(WRITE_FOREVER, path) as process:
        assert process.stdout is not None
        run = RunID(process.stdout.readline().strip())
        for _ in range(20):
            acknowledged = int(process.stdout.readline())
        process.send_signal(signal.SIGKILL)
        process.wait()
        rest = [int(line) for line in process.stdout.read().split()]
    acknowledged = max([acknowledged, *rest])
    store = SqliteRunStore(path)
    state = fold(store.events(run))
    assert list(store.steps(run)) == state.in_order()
    done = [step for step in state.in_order() if step.status is StepStatus.COMPLETED]
    assert len(done) >= acknowledged + 1
    record = store.run(run)
    assert record is not None
    assert (record.status, record.seq) == (RunStatus.RUNNING, state.run.seq)
    lease = store.acquire(run, "next", START_MS, TTL_MS)
    assert lease is not None, "the killed process still holds the run"
    store.close()


def test_a_forked_child_may_not_use_its_parents_store(tmp_path: Path) -> None:
    code = """
import os, sys
from pathlib import Path
from runkon.errors import StoreUnavailable
from runkon.store.sqlite import SqliteRunStore
from runkon.testing.store_story import Story

store = SqliteRunStore(Path(sys.argv[1]))
Story(store)
child = os.fork()
if child == 0:
    try:
        Story(store)
    except StoreUnavailable as error:
        print(error.message, flush=True)
        os._exit(0)
    os._exit(1)
_, status = os.waitpid(child, 0)
Story(store)
print(len(store.runs()))
store.close()
sys.exit(os.waitstatus_to_exitcode(status))
"""
    with start(code, tmp_path / "runs.db") as process:
        out, err = process.communicate()
    assert (process.returncode, err) == (0, "")
    message, count = out.splitlines()
    assert "forked" in message
    assert count == "2"


def test_a_user_without_the_right_to_write_can_read_and_is_told_before_a_run_begins() -> None:
    code = """
import os, sys
from pathlib import Path
from runkon.errors import UserError
from runkon.store.sqlite import SqliteRunStore
from runkon.testing.store_story import Story

path = Path(sys.argv[1])
store = SqliteRunStore(path)
story = Story(store)
story.begin()
store.close()
path.chmod(0o444)
path.parent.chmod(0o555)
if os.geteuid() == 0:
    os.setgid(65534)
    os.setuid(65534)
store = SqliteRunStore(path, patience=0.0)
assert list(store.events(story.run)) == story.envelopes
for place in (path, path.parent / "deeper" / "runs.db"):
    try:
        Story(SqliteRunStore(place, patience=0.0))
    except UserError as error:
        print(error.code)
"""
    with tempfile.TemporaryDirectory() as folder:  # not `tmp_path`, which only its owner may enter
        state = Path(folder, "state")
        Path(folder).chmod(0o755)
        with start(code, state / "runs.db") as process:
            out, err = process.communicate()
        state.chmod(0o755)
    assert (process.returncode, err) == (0, "")
    assert out.split() == ["store-read-only", "store-unavailable"]
