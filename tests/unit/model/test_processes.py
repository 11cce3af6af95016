"""Processes are found by their marks and ended; strangers never are."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from runkon.model import processes
from runkon.model.processes import Found, Owner

RUN = f"01TESTRUNOFPROCESS{os.getpid():08d}"  # tests of other workers run at the same time
INNER, ANOTHER = f"INNER{os.getpid()}", f"01ANOTHERRUN{os.getpid()}"
Spawn = Callable[..., "subprocess.Popen[str]"]


@pytest.fixture
def spawn() -> Iterator[Spawn]:
    """`spawn(command, owner)`: a shell in a session of its own that has printed its first line."""
    children: list[subprocess.Popen[str]] = []

    def start(command: str, owner: Owner | None = None) -> subprocess.Popen[str]:
        marks = processes.marks_of(processes.mark_of_leg(owner.run, owner.fence), owner.number) if owner else {}
        child = subprocess.Popen(
            ["/bin/sh", "-c", command],
            env={**os.environ, **marks},
            start_new_session=True,
            stdout=subprocess.PIPE,
            text=True,
        )
        children.append(child)
        assert child.stdout is not None
        child.first = child.stdout.readline().strip()  # type: ignore[attr-defined]
        return child

    yield start
    everything = [one for run in (RUN, INNER, ANOTHER) for one in processes.of_leg(run)]
    for one in everything:
        processes.send(one, signal.SIGKILL)
    for child in children:
        child.kill()
        child.wait()
        assert child.stdout is not None
        child.stdout.close()


def pids(found: list[Found]) -> set[int]:
    return {one.pid for one in found}


def test_marks_are_a_chain_with_the_own_link_last(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(processes.OWNERS, raising=False)
    outer = processes.marks_of(processes.mark_of_leg("A", 1), 0)
    assert outer == {"RUNKON_OWNERS": "A/1/0"}
    monkeypatch.setenv(processes.OWNERS, outer["RUNKON_OWNERS"])
    inner = processes.marks_of(processes.mark_of_leg("B", 2), 5)
    assert inner == {"RUNKON_OWNERS": "A/1/0;B/2/5"}
    assert processes.last_owner(inner) == Owner("B", 2, 5)
    assert processes.last_owner({}) is None
    assert (processes.is_inside("A"), processes.is_inside("B")) == (True, False)


def test_a_process_that_works_for_one_leg_marks_what_it_starts_but_not_itself(
    spawn: Spawn, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(processes.OWNERS, "A/1/0")
    with processes.marked(RUN, 3):
        child = spawn("echo $RUNKON_OWNERS; exec sleep 60")
        assert processes.marks_of(processes.mark_of_leg(RUN, 3), 7) == {"RUNKON_OWNERS": f"A/1/0;{RUN}/3/7"}
        assert processes.is_inside("A")
        assert not processes.is_inside(RUN)
    assert os.environ[processes.OWNERS] == "A/1/0"
    assert child.first == f"A/1/0;{RUN}/3/p{os.getpid()}"  # type: ignore[attr-defined]
    assert pids(processes.of_leg(RUN, first=3, last=3)) == {child.pid}
    assert processes.of_leg(RUN, first=4) == []
    assert processes.of_leg(RUN, of_attempts=True) == []


def test_a_broken_chain_names_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(processes.OWNERS, ";;A;A/;/x;B/c/d")
    assert not processes.is_inside("A")
    assert not processes.is_inside("B")


def test_a_leg_is_found_by_its_fences(spawn: Spawn) -> None:
    old = spawn("echo up; exec sleep 300", Owner(RUN, 1, 0))
    new = spawn("echo up; exec sleep 300", Owner(RUN, 2, 0))
    spawn("echo up; exec sleep 300", Owner(ANOTHER, 1, 0))
    assert pids(processes.of_leg(RUN)) == {old.pid, new.pid}
    assert pids(processes.of_leg(RUN, last=1)) == {old.pid}
    assert pids(processes.of_leg(RUN, first=2)) == {new.pid}


def test_what_lost_its_mark_is_found_by_its_parent_or_session(spawn: Spawn) -> None:
    child = spawn("env -i /bin/sh -c 'sleep 300 & env -i setsid sleep 300 & echo up; wait' & wait", Owner(RUN, 1, 0))
    found = processes.of_leg(RUN)
    assert child.pid in pids(found)
    assert [one.owners for one in found] == [f"{RUN}/1/0"] * 4


def test_what_an_inner_run_started_is_nested(spawn: Spawn, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(processes.OWNERS, f"{RUN}/1/0")
    child = spawn("echo up; exec sleep 300", Owner(INNER, 4, 0))
    found = processes.of_leg(RUN)
    assert [(one.pid, one.is_nested) for one in found] == [(child.pid, True)]
    assert [one.is_nested for one in processes.of_leg(INNER)] == [False]


def test_this_process_and_its_ancestors_are_never_found() -> None:
    """A process whose own environment carries the mark looks for it: it finds neither itself nor its parent."""
    code = (
        "import subprocess, sys\n"
        "from runkon.model import processes\n"
        f"print([one.pid for one in processes.of_leg({RUN!r})])"
    )
    marks = processes.marks_of(processes.mark_of_leg(RUN, 1), 0)
    words = ["/bin/sh", "-c", f'"{sys.executable}" -c "$CODE"; :']
    out = subprocess.run(
        words, env={**os.environ, **marks, "CODE": code}, start_new_session=True, capture_output=True, text=True
    )
    assert (out.stdout, out.stderr) == ("[]\n", "")


def test_what_is_marked_is_found_in_this_group_too_and_what_is_not_marked_is_spared() -> None:
    marks = processes.marks_of(processes.mark_of_leg(RUN, 1), 0)
    command = ["/bin/sh", "-c", "env -u RUNKON_OWNERS /bin/sh -c 'echo up; exec sleep 300 >&-' & wait"]
    child = subprocess.Popen(command, env={**os.environ, **marks}, stdout=subprocess.PIPE, text=True)
    assert child.stdout is not None
    assert child.stdout.readline() == "up\n"
    try:
        assert os.getpgid(child.pid) == os.getpgrp()
        assert pids(processes.of_leg(RUN)) == {child.pid}
    finally:
        for one in processes._everybody():
            if one.parent == child.pid:
                processes.send(one, signal.SIGKILL)
        child.kill()
        child.wait()
        child.stdout.close()


def test_end_asks_first(spawn: Spawn, tmp_path: Path) -> None:
    child = spawn(f"trap 'echo asked > {tmp_path}/asked; exit 0' TERM; echo up; while :; do sleep 0.02; done",
                  Owner(RUN, 1, 0))  # fmt: skip
    ended = processes.end(lambda: processes.of_leg(RUN), 30)
    assert (tmp_path / "asked").exists()
    assert child.pid in pids(list(ended.found))
    assert ended.left == ()
    assert child.wait(30) == 0


def test_end_kills_what_does_not_listen_and_what_it_starts_meanwhile(spawn: Spawn) -> None:
    child = spawn("trap '' TERM; echo up; while :; do setsid sleep 300 & sleep 0.01; done", Owner(RUN, 1, 0))
    ended = processes.end(lambda: processes.of_leg(RUN), 0.05)
    assert ended.left == []
    assert processes.of_leg(RUN) == []
    assert child.wait(30) == -signal.SIGKILL


def test_a_child_that_lost_its_mark_with_its_parent_is_still_killed(spawn: Spawn) -> None:
    deaf = "trap '' TERM; echo $$; while :; do sleep 0.02; done"
    child = spawn(f"env -i setsid /bin/sh -c \"{deaf.replace('$$', chr(92) + '$' + chr(92) + '$')}\" & wait",
                  Owner(RUN, 1, 0))  # fmt: skip
    orphan = int(child.first)  # type: ignore[attr-defined]
    ended = processes.end(lambda: processes.of_leg(RUN), 0.1)
    assert orphan in pids(list(ended.found))
    assert ended.left == []
    assert not any(one.pid == orphan and processes.is_alive(one) for one in ended.found)


def test_a_stranger_with_the_number_of_a_dead_process_is_not_signalled(spawn: Spawn) -> None:
    child = spawn("echo up; exec sleep 300")
    began = processes.began(child.pid)
    assert began is not None
    stranger = Found(child.pid, str(int(began) - 1), 1, child.pid, child.pid, "sleep", is_dead=False, owners="")
    assert not processes.is_alive(stranger)
    processes.send(stranger, signal.SIGKILL)
    assert processes.of_leaders([(child.pid, str(int(began) - 1))]) == ([], [])
    assert child.poll() is None
    sure, doubtful = processes.of_leaders([(child.pid, began)])
    assert (pids(sure), doubtful) == ({child.pid}, [])


def test_members_of_a_session_whose_leader_is_gone_are_told_but_not_taken(spawn: Spawn) -> None:
    child = spawn("env -i sleep 300 >&- & echo $!; exit 0")
    child.wait(30)
    member = int(child.first)  # type: ignore[attr-defined]
    try:
        sure, doubtful = processes.of_leaders([(child.pid, "1")])
        assert (sure, pids(doubtful)) == ([], {member})
    finally:
        os.kill(member, signal.SIGKILL)


@pytest.mark.parametrize("which", ["0", "1", "own"])
def test_the_first_processes_and_this_one_are_never_signalled(which: str, monkeypatch: pytest.MonkeyPatch) -> None:
    sent: list[object] = []
    monkeypatch.setattr(os, "kill", lambda *given: sent.append(given))
    monkeypatch.setattr(signal, "pidfd_send_signal", lambda *given: sent.append(given), raising=False)
    pid = os.getpid() if which == "own" else int(which)
    began = processes.began(pid) or "0"
    processes.send(Found(pid, began, 0, 0, 0, "x", is_dead=False, owners=""), signal.SIGTERM)
    assert sent == []


@pytest.mark.parametrize("error", [errno.ENOSYS, errno.EPERM, errno.EMFILE])
def test_without_handles_a_process_is_signalled_by_its_number(
    spawn: Spawn, monkeypatch: pytest.MonkeyPatch, error: int
) -> None:
    child = spawn("echo up; exec sleep 300", Owner(RUN, 1, 0))

    def refused(pid: int) -> int:
        raise OSError(error, os.strerror(error))

    monkeypatch.setattr(os, "pidfd_open", refused)
    assert not processes.end(lambda: processes.of_leg(RUN), 0).left
    assert child.wait(30) == -signal.SIGKILL


def test_nothing_is_waited_for_at_a_process_without_an_environment_or_whose_own_may_not_be_read(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    waits: list[float] = []
    monkeypatch.setattr(processes.time, "sleep", waits.append)  # type: ignore[attr-defined]
    with subprocess.Popen(
        ["/bin/sh", "-c", "echo; read line"], env={}, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as bare:
        assert bare.stdout is not None
        bare.stdout.readline()  # it has changed its program by now
        assert processes._chain(bare.pid) == ""
        assert bare.stdin is not None
        bare.stdin.close()
    monkeypatch.setattr(processes, "_read", lambda path: None)
    assert processes._chain(os.getpid()) == ""
    assert waits == []


def test_a_process_that_changes_its_program_is_looked_at_again(monkeypatch: pytest.MonkeyPatch) -> None:
    looks = [b"", b"", b"A=1\0RUNKON_OWNERS=RUN/1/0\0"]
    changing = b"7 (a b) R " + b"0 " * 60
    monkeypatch.setattr(processes, "_read", lambda path: changing if path.endswith("stat") else looks.pop(0))
    assert processes._chain(7) == "RUN/1/0"
    assert looks == []
