"""Processes of attempts: none is left behind by a leg, and those of a lost leg are gone before its steps run again."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from runkon.engine.cancellation import RunControl
from runkon.engine.orphans import end_lost
from runkon.errors import UserError
from runkon.executors.script import ScriptExecutor
from runkon.model import processes
from runkon.model.events import AttemptCutOff, Note, ProcessStarted
from runkon.model.holder import this_holder
from runkon.model.ids import StepPath
from runkon.model.records import Lease
from runkon.plugin.registry import Registry
from runkon.store.memory import MemoryRunStore
from runkon.testing import Hold, ScriptedExecutor
from runkon.testing.store_story import Story, started

Make = Callable[..., Any]
PATIENCE = 30.0


def scripts(case: Any) -> Any:
    registry = Registry()
    registry.register_executor(ScriptExecutor(), "test")
    case.executor = registry
    return case


def wait_for(file: Path) -> str:
    deadline = time.monotonic() + PATIENCE
    while not (file.exists() and file.read_text().strip()):
        assert time.monotonic() < deadline, f"nobody wrote {file.name}"
        time.sleep(0.01)
    return file.read_text().strip()


def has_ended(pid: int, began: str | None) -> bool:
    now = processes.began(pid)
    alive = [one for one in processes._everybody() if one.pid == pid and not one.is_dead]
    return now is None or now != began or not alive


def notes(case: Any) -> list[str]:
    return [event.code for event in case.events if isinstance(event, Note)]


# ── a leg that ends ───────────────────────────────────────────────────────────────────────────────
def test_a_daemon_that_a_completed_script_left_ends_with_the_run(flow: Make, tmp_path: Path) -> None:
    text = "setsid sh -c 'echo $$ > pid; exec sleep 300' >&- 2>&- & while ! [ -s pid ]; do sleep 0.01; done"
    case = scripts(flow(f'script a {{ run = "{text}" }}'))
    assert case.start().status == "completed"
    assert "left-running" in notes(case)
    assert processes.of_leg(case.run_id) == []
    assert has_ended(int((tmp_path / "pid").read_text()), None)


@pytest.mark.parametrize("how", ["cancel", "interrupt", "kill"])
def test_nothing_lives_on_after_a_stop(flow: Make, tmp_path: Path, how: str) -> None:
    deaf = "trap '' TERM; while :; do sleep 0.1; done"
    (tmp_path / "a.sh").write_text(f'setsid sh -c "{deaf}" & sleep 300 & echo up > up; {deaf}\n')
    case = scripts(flow('script a { run = "sh ./a.sh" }'))
    control = RunControl()
    end = case.begin(control)
    wait_for(tmp_path / "up")
    if how == "cancel":
        control.cancel("ann", "enough")
    else:
        control.interrupt()
    if how == "kill":
        control.kill()
    assert end().status == ("cancelled" if how == "cancel" else "interrupted")
    assert processes.of_leg(case.run_id) == []


def test_twenty_short_runs_leave_nothing(flow: Make) -> None:
    body = 'script a { run = "sleep 0 & echo hi" } parallel { script b { run = "true" } script c { run = "true" } }'
    case = scripts(flow(body))
    case.start()  # what is made once per process is made here
    before, descriptors = {one.name for one in threading.enumerate()}, len(os.listdir("/proc/self/fd"))
    for _ in range(20):
        assert case.start().status == "completed"
        assert case.record.holder is None
        assert processes.of_leg(case.run_id) == []
    assert {one.name for one in threading.enumerate()} == before
    assert len(os.listdir("/proc/self/fd")) <= descriptors


class Both:
    """Scripts are run, everything else is answered."""

    def __init__(self, scripted: ScriptedExecutor) -> None:
        self._script, self._scripted = ScriptExecutor(), scripted

    def find(self, name: str) -> Any:
        return self._script if name == "script" else self._scripted

    def names(self) -> list[str]:
        return ["script"]


def test_a_stolen_lease_ends_the_processes_and_writes_nothing(flow: Make, tmp_path: Path) -> None:
    (tmp_path / "a.sh").write_text("echo up > up; trap '' TERM; while :; do sleep 0.1; done\n")
    case = flow('parallel { script a { run = "sh ./a.sh" } call b } always { script bye { run = "touch bye" } }')
    hold = Hold()
    case.executor = Both(ScriptedExecutor({"b": hold}))
    errors: list[UserError] = []

    def run() -> None:
        try:
            case.start()
        except UserError as error:
            errors.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    wait_for(tmp_path / "up")
    hold.wait_begun()
    assert processes.of_leg(case.run_id)
    later = case.record.lease_until + 60_000
    assert case.store.acquire(case.run_id, "somebody else", later, 60_000) is not None
    before = case.events
    hold.release("done")  # whose end the old engine can't write any more
    thread.join(PATIENCE)
    assert [(one.code, one.exit_code) for one in errors] == [("already-active", 8)]
    assert processes.of_leg(case.run_id) == []
    assert not (tmp_path / "bye").exists()
    assert (case.events, case.record.holder) == (before, "somebody else")


# ── a leg that was lost ───────────────────────────────────────────────────────────────────────────
class Lost:
    """A run whose engine died while `a` ran, on `held`."""

    def __init__(self, held: str | None = None) -> None:
        self.held = held or this_holder()
        self.story = Story(MemoryRunStore())
        self.lease = self.story.begin(self.held)
        self.story.write(started("a", kind="script"))
        self.children: list[subprocess.Popen[bytes]] = []

    def child(self, command: str, *, marked: bool, recorded: bool = False, began: str | None = None) -> int:
        marks = processes.marks_of(processes.mark_of_leg(self.story.run, self.lease.fence), 0) if marked else {}
        child = subprocess.Popen(["/bin/sh", "-c", command], env={**os.environ, **marks}, start_new_session=True)
        self.children.append(child)
        if recorded:
            since = began or processes.began(child.pid) or "?"
            self.story.write(ProcessStarted(path=StepPath("a"), number=0, pid=child.pid, began=since))
        return child.pid

    def end(self, grace: float = 0.2) -> Any:
        lease = Lease(self.story.run, this_holder(), self.lease.fence + 1, 2, 0)
        return end_lost(self.story.store, lease, self.held, self.story.store.steps(self.story.run), grace)


@pytest.fixture
def lost() -> Iterator[Callable[..., Lost]]:
    made: list[Lost] = []

    def make(*args: Any) -> Lost:
        made.append(Lost(*args))
        return made[-1]

    yield make
    for one in made:
        for child in one.children:
            child.kill()
            child.wait()


def test_marked_ones_and_recorded_leaders_are_ended(lost: Callable[..., Lost]) -> None:
    case = lost()
    marked = case.child("setsid sleep 300 & exec sleep 300", marked=True)
    cleared = case.child("exec env -i sleep 300", marked=False, recorded=True)
    result = case.end()
    assert result.evidence == {}
    assert [note.code for note in result.notes] == ["orphans-ended"]
    assert f"({marked})" in result.notes[0].text
    assert f"({cleared})" in result.notes[0].text
    assert [child.wait(PATIENCE) < 0 for child in case.children] == [True, True]
    assert processes.of_leg(case.story.run) == []


def test_a_stranger_with_the_recorded_number_is_left_alone(lost: Callable[..., Lost]) -> None:
    case = lost()
    case.child("exec sleep 300", marked=False, recorded=True, began="1")
    result = case.end()
    assert result == ({}, ())
    assert case.children[0].poll() is None


def test_another_attempt_or_leg_is_left_alone(lost: Callable[..., Lost]) -> None:
    case, other = lost(), lost()
    other.child("exec sleep 300", marked=True)
    assert case.end() == ({}, ())
    assert other.children[0].poll() is None


def test_processes_of_another_host_can_not_be_seen(lost: Callable[..., Lost]) -> None:
    case = lost("elsewhere/1 boot 1 1 00")
    case.child("exec sleep 300", marked=False, recorded=True)
    result = case.end()
    assert result.evidence == {"a": "it started processes on elsewhere, which can't be seen from here"}
    assert case.children[0].poll() is None


def test_numbers_from_before_a_restart_of_the_host_mean_nothing(lost: Callable[..., Lost]) -> None:
    parts = this_holder().split(" ")
    case = lost(" ".join([parts[0], "an-older-boot", *parts[2:]]))
    case.child("exec sleep 300", marked=False, recorded=True)
    assert case.end() == ({}, ())
    assert case.children[0].poll() is None


def test_a_session_whose_leader_is_gone_is_evidence(lost: Callable[..., Lost], tmp_path: Path) -> None:
    case = lost()
    case.child(f"env -i sleep 300 & echo $! > {tmp_path}/pid; read x < {tmp_path}/go", marked=False, recorded=True)
    member = int(wait_for(tmp_path / "pid"))
    case.children[0].kill()
    case.children[0].wait()
    try:
        assert case.end().evidence == {"a": f"process {member} (sleep) of its session still runs"}
        assert not has_ended(member, processes.began(member))
    finally:
        os.kill(member, 9)


KILLED = """
import os, sys
from pathlib import Path
from runkon.app import App, RunOptions
from runkon.settings import load_settings
app = App(load_settings(Path.cwd(), {}, {}))
app.start(app.check_file(Path("x.wf")).results[0].checked, {}, RunOptions())
"""


def test_after_kill_9_nothing_of_the_lost_leg_lives_when_its_step_runs_again(tmp_path: Path) -> None:
    """The rerun of the step itself looks for the processes of the first attempt."""
    (tmp_path / ".runkon").mkdir()
    (tmp_path / "x.wf").write_text(
        'workflow w {\n  script a {\n    on_unknown = rerun\n    run = "sh ./a.sh"\n  }\n}\n'
    )
    (tmp_path / "a.sh").write_text(
        "if [ -e pids ]; then\n"
        "  for p in $(cat pids); do\n"
        "    grep '^State' /proc/$p/status 2>/dev/null | grep -v zombie | sed 's/^/alive /'\n"
        "  done\n"
        "  exit 0\n"
        "fi\n"
        "sleep 300 & one=$!\n"
        "setsid sleep 300 & two=$!\n"
        "env -i setsid sh -c 'trap \"\" TERM; while :; do sleep 0.1; done' & three=$!\n"
        "echo $one $two $three > pids.new; mv pids.new pids\n"
        "exec env -i sleep 300\n"
    )
    engine = subprocess.Popen([sys.executable, "-c", KILLED], cwd=tmp_path)
    wait_for(tmp_path / "pids")
    engine.kill()
    engine.wait()
    done = subprocess.run(
        [sys.executable, "-m", "runkon", "resume"], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "alive" not in done.stderr
    assert "was still running and was ended" in done.stderr


def test_evidence_stands_in_the_event_that_closes_the_attempt() -> None:
    from runkon.engine.orphans import with_evidence

    closed = [AttemptCutOff(path=StepPath(path), number=0, certainty="unknown", cause="process_lost") for path in "ab"]
    assert [one.evidence for one in with_evidence(closed, {StepPath("b"): "it runs"})] == [None, "it runs"]  # type: ignore[union-attr]
