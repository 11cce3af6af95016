"""Holders: a process is judged by boot, id and start time, never by its id alone."""

from __future__ import annotations

import os
import subprocess
import sys

from runkon.model import holder
from runkon.model.holder import describe, is_alive, this_holder


def parts() -> list[str]:
    return this_holder().split(" ")


def test_this_process_is_alive_and_every_holder_differs() -> None:
    assert is_alive(this_holder()) is True
    assert this_holder() != this_holder()
    assert describe(this_holder()).startswith(f"process {os.getpid()} on ")


def test_a_process_that_ended_is_proved_dead() -> None:
    code = "from runkon.model.holder import this_holder; print(this_holder())"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert is_alive(done.stdout.strip()) is False


def test_a_process_that_waits_to_be_reaped_is_dead() -> None:
    code = "from runkon.model.holder import this_holder; print(this_holder())"
    process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    holder = process.stdout.read().strip()  # its end of the pipe is closed: it has exited or is about to
    os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
    assert is_alive(holder) is False
    process.stdout.close()
    process.wait()


def test_a_reused_process_id_is_another_process() -> None:
    host, boot, pid, started, rest = parts()
    assert is_alive(" ".join((host, boot, pid, str(int(started) - 1), rest))) is False


def test_another_boot_of_this_host_is_over() -> None:
    host, _, pid, started, rest = parts()
    assert is_alive(" ".join((host, "another-boot", pid, started, rest))) is False


def test_what_cannot_be_judged_from_here_is_left_open() -> None:
    host, boot, pid, started, rest = parts()
    assert is_alive(" ".join(("elsewhere", boot, pid, started, rest))) is None
    assert is_alive(" ".join((host, "?", pid, started, rest))) is None
    assert is_alive(" ".join((host, boot, pid, "?", rest))) is None
    assert is_alive("somebody") is None
    assert is_alive("a b c d e") is None
    assert describe("somebody") == "`somebody`"


def test_a_process_this_user_may_not_look_at_is_not_called_dead(monkeypatch) -> None:
    other = parts()
    monkeypatch.setattr(holder, "_started", lambda _: None)  # as where `/proc` shows one's own processes only
    assert is_alive(" ".join(other)) is False  # our own would have been shown

    def refuse(_pid: int, _signal: int) -> None:
        raise PermissionError

    monkeypatch.setattr(os, "kill", refuse)
    assert is_alive(" ".join(other)) is None


def test_a_process_of_another_container_is_not_judged() -> None:
    host, boot, pid, started, rest = parts()
    name, _, namespace = host.partition("/")
    assert namespace
    assert is_alive(" ".join((f"{name}/1", boot, pid, started, rest))) is None
    assert describe(" ".join((f"{name}/1", boot, pid, started, rest))) == f"process {pid} on {name}"
