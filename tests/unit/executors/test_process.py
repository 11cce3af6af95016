from __future__ import annotations

import errno
import os
import select
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from runkon.executors import process
from runkon.executors.process import ChildProcess
from runkon.model import processes

PATIENCE = 30.0


class Heard:
    """What a child printed, and a way to wait for a word of it."""

    def __init__(self) -> None:
        self.pieces: dict[str, bytes] = {"stdout": b"", "stderr": b""}
        self.ready = threading.Event()

    def receive(self, stream: str, piece: bytes) -> None:
        self.pieces[stream] += piece
        if b"ready" in self.pieces[stream]:
            self.ready.set()


def start(command: str, folder: Path) -> ChildProcess:
    return ChildProcess(["/bin/sh", "-c", command], folder=folder, environment=dict(os.environ))


def run(command: str, folder: Path) -> tuple[int, Heard]:
    heard = Heard()
    return start(command, folder).run(heard.receive, kill_grace=5.0), heard


def is_gone(pid: int) -> bool:
    """True once no such process is alive: it was killed, but the system may need a moment for it."""
    try:
        handle = os.pidfd_open(pid)
    except ProcessLookupError:
        return True
    try:
        waiting = select.poll()
        waiting.register(handle, select.POLLIN)
        return bool(waiting.poll(1000 * PATIENCE))
    finally:
        os.close(handle)


@pytest.fixture(autouse=True)
def nothing_is_left_open() -> Iterator[None]:
    before = psutil.Process().num_fds()
    yield
    assert psutil.Process().num_fds() <= before


def test_both_streams_and_the_exit_code_are_given(tmp_path: Path) -> None:
    code, heard = run("echo out; echo err >&2; exit 7", tmp_path)
    assert (code, heard.pieces) == (7, {"stdout": b"out\n", "stderr": b"err\n"})


def test_what_can_not_be_watched_is_not_started(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full() -> tuple[int, int]:
        raise OSError(errno.EMFILE, "too many open files")

    monkeypatch.setattr(os, "pipe", full)
    started = []
    monkeypatch.setattr(subprocess, "Popen", lambda *_, **__: started.append(1))
    with pytest.raises(OSError, match="too many"):
        start("true", tmp_path)
    assert started == []


def test_what_can_not_be_started_leaves_nothing_open(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="No such file"):
        ChildProcess([str(tmp_path / "none")], folder=tmp_path, environment={})


def test_a_death_by_signal_is_a_negative_code(tmp_path: Path) -> None:
    assert run("kill -KILL $$", tmp_path)[0] == -9


def test_it_runs_in_its_folder_in_its_own_session_without_input(tmp_path: Path) -> None:
    code, heard = run('pwd; cat; ps -o pid=,pgid=,sid= -p $$ || echo "$$ $$ $$"', tmp_path)
    lines = heard.pieces["stdout"].decode().splitlines()
    assert code == 0
    assert lines[0] == str(tmp_path.resolve())
    assert len(set(lines[1].split())) == 1


def test_megabytes_on_both_streams_do_not_block(tmp_path: Path) -> None:
    command = "head -c 3000000 /dev/zero; head -c 3000000 /dev/zero >&2; head -c 3000000 /dev/zero"
    code, heard = run(command, tmp_path)
    assert (code, len(heard.pieces["stdout"]), len(heard.pieces["stderr"])) == (0, 6_000_000, 3_000_000)


def test_a_process_that_closes_its_streams_is_still_waited_for(tmp_path: Path) -> None:
    code, _ = run("exec >&- 2>&-; ( : ) ; exit 4", tmp_path)
    assert code == 4


def test_what_it_left_running_is_ended_with_it(tmp_path: Path) -> None:
    code, heard = run("sleep 300 & echo $!", tmp_path)
    assert code == 0
    assert is_gone(int(heard.pieces["stdout"]))


def test_what_it_left_running_without_the_pipes_is_ended_too(tmp_path: Path) -> None:
    code, heard = run("sleep 300 >/dev/null 2>&1 & echo $!", tmp_path)
    assert code == 0
    assert is_gone(int(heard.pieces["stdout"]))


def test_who_left_the_group_with_a_pipe_in_hand_is_not_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(process, "LINGER", 0.01)
    monkeypatch.setattr(process, "DRAIN", 0.01)
    escape = "import os, time; os.setsid(); print(os.getpid(), flush=True); open('left', 'w').close(); time.sleep(300)"
    code, heard = run(f'mkfifo left; "{sys.executable}" -c "{escape}" & read line < left; exit 0', tmp_path)
    escaped = int(heard.pieces["stdout"])
    try:
        assert code == 0
        assert os.getsid(escaped) == escaped
    finally:
        os.kill(escaped, signal.SIGKILL)


def test_late_output_of_a_helper_is_still_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`exec > >(tee log)` makes a helper that goes on writing when the script has ended."""
    monkeypatch.setattr(process, "LINGER", PATIENCE)
    code, heard = run("mkfifo f; (cat < f; echo late) & exec 3> f; echo early >&3; exit 0", tmp_path)
    assert (code, heard.pieces["stdout"]) == (0, b"early\nlate\n")


def stop_while_running(command: str, folder: Path, *, grace: float) -> tuple[int, Heard, ChildProcess]:
    """Run until it prints `ready`, then terminate it from another thread."""
    heard, codes = Heard(), []
    child = start(command, folder)
    runner = threading.Thread(target=lambda: codes.append(child.run(heard.receive, kill_grace=grace)))
    runner.start()
    assert heard.ready.wait(PATIENCE)
    child.terminate()
    runner.join(PATIENCE)
    assert codes, "it did not end"
    return codes[0], heard, child


def test_a_stop_ends_the_whole_group_politely(tmp_path: Path) -> None:
    command = "trap 'echo bye; exit 3' TERM; sh -c 'echo $$ ready; exec sleep 300' & wait"
    code, heard, child = stop_while_running(command, tmp_path, grace=PATIENCE)
    assert code == 3
    assert child.was_stopped
    assert heard.pieces["stdout"].endswith(b"bye\n")
    assert is_gone(int(heard.pieces["stdout"].split()[0]))


def test_a_group_member_may_clean_up_after_its_leader_died(tmp_path: Path) -> None:
    inner = 'trap "echo cleaned > done; exit 0" TERM; echo ready; while :; do sleep 0.05; done'
    stop_while_running(f"sh -c '{inner}' & wait", tmp_path, grace=PATIENCE)
    assert (tmp_path / "done").read_text() == "cleaned\n"


def test_who_ignores_the_stop_is_killed_after_the_grace(tmp_path: Path) -> None:
    command = "trap '' TERM; (trap '' TERM; echo $(exec sh -c 'echo $PPID') ready; while :; do sleep 0.05; done) & wait"
    code, heard, _ = stop_while_running(command, tmp_path, grace=0.2)
    assert code == -9
    assert is_gone(int(heard.pieces["stdout"].split()[0]))


def test_a_kill_does_not_wait_for_the_grace(tmp_path: Path) -> None:
    heard, codes = Heard(), []
    child = start("trap '' TERM; echo ready; while :; do sleep 0.05; done", tmp_path)
    runner = threading.Thread(target=lambda: codes.append(child.run(heard.receive, kill_grace=100 * PATIENCE)))
    runner.start()
    assert heard.ready.wait(PATIENCE)
    child.terminate()
    child.kill()
    runner.join(PATIENCE)
    assert codes == [-9]


def test_a_stop_after_the_end_does_nothing(tmp_path: Path) -> None:
    child = start("exit 0", tmp_path)
    assert child.run(Heard().receive, kill_grace=1.0) == 0
    child.terminate()
    child.kill()
    assert not child.was_stopped


def test_a_stop_before_the_reading_begins_is_not_lost(tmp_path: Path) -> None:
    child = start("sleep 300", tmp_path)
    child.terminate()
    assert child.run(Heard().receive, kill_grace=5.0) == -15


def test_an_error_of_the_receiver_leaves_no_process_behind(tmp_path: Path) -> None:
    child = start("echo x; sleep 300", tmp_path)

    def refuse(stream: str, piece: bytes) -> None:
        raise RuntimeError("full")

    with pytest.raises(RuntimeError, match="full"):
        child.run(refuse, kill_grace=5.0)
    assert is_gone(child.pid)


def test_a_missing_program_is_an_os_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        ChildProcess([str(tmp_path / "nope")], folder=tmp_path, environment={})


def a_stopped_attempt(command: str, folder: Path, grace: float) -> list[str]:
    """Stop a marked child once its escaped descendants have said that they are there; the words it printed."""
    owner = processes.Owner("RUN", 1, 0)
    environment = {**os.environ, **processes.marks_of(processes.mark_of_leg(owner.run, owner.fence), owner.number)}
    heard, codes = Heard(), []
    child = ChildProcess(["/bin/sh", "-c", command], folder=folder, environment=environment, owner=owner)
    runner = threading.Thread(target=lambda: codes.append(child.run(heard.receive, kill_grace=grace)))
    runner.start()
    assert heard.ready.wait(PATIENCE)
    child.terminate()
    runner.join(PATIENCE)
    assert codes, "it did not end"
    return heard.pieces["stdout"].decode().split()


ESCAPES = {
    "setsid": "setsid sh -c 'echo $$; exec sleep 300' & ",
    "without-pipes": "setsid sh -c 'echo $$; exec sleep 300 >&- 2>&- <&-' & ",
    "double-fork": "(setsid sh -c 'sh -c \"echo \\$\\$; exec sleep 300\" & wait' &); ",
    "own-group": "bash -c 'set -m; sleep 300 & echo $!; wait' & ",
    "deaf": "setsid sh -c 'trap \"\" TERM; echo $$; while :; do sleep 1; done' & ",
}


@pytest.mark.parametrize("escape", ESCAPES.values(), ids=ESCAPES)
def test_a_stop_ends_what_left_the_group_too(tmp_path: Path, escape: str) -> None:
    words = a_stopped_attempt(f"mkfifo never; {{ {escape} }} | tee out & "
                              "while ! grep -q . out; do sleep 0.02; done; echo ready; read x < never",
                              tmp_path, grace=0.5)  # fmt: skip
    assert "ready" in words
    assert is_gone(int((tmp_path / "out").read_text()))


def test_a_stop_spares_what_another_attempt_started(tmp_path: Path) -> None:
    other = {**os.environ, **processes.marks_of(processes.mark_of_leg("RUN", 1), 1)}
    bystander = subprocess.Popen(["sleep", "300"], env=other, start_new_session=True)
    try:
        a_stopped_attempt("echo ready; exec sleep 300", tmp_path, grace=PATIENCE)
        assert bystander.poll() is None
    finally:
        bystander.kill()
        bystander.wait()


def test_a_program_that_takes_a_second_sigterm_for_something_else_gets_one(tmp_path: Path) -> None:
    program = (
        "import os, signal, sys, time\n"
        "signal.signal(signal.SIGTERM, lambda *_: (os.write(1, b'told\\n'), time.sleep(0.3), sys.exit(0)))\n"
        "os.write(1, b'ready\\n')\n"
        "while True: time.sleep(1)"
    )
    (tmp_path / "p.py").write_text(program)
    assert a_stopped_attempt(f'"{sys.executable}" p.py', tmp_path, grace=PATIENCE) == ["ready", "told"]


def test_one_that_nobody_can_watch_is_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    child = start("sleep 1000", tmp_path)
    with monkeypatch.context() as patched:
        patched.setattr(threading.Thread, "start", refuse)
        with pytest.raises(RuntimeError, match="can't start new thread"):
            child.run(lambda *_: None, kill_grace=5.0)
    assert is_gone(child.pid)
