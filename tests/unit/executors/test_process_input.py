"""A child that is written to, and one that is ended because its time is up."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import psutil
import pytest

from runkon.executors.process import ChildProcess
from runkon.model import processes

ENDLESS = 300.0


class Heard:
    def __init__(self) -> None:
        self.text = b""

    def receive(self, stream: str, piece: bytes) -> None:
        self.text += piece


def start(command: str, folder: Path, *, marks: dict[str, str] | None = None) -> ChildProcess:
    marks = marks or {}
    return ChildProcess(
        ["/bin/sh", "-c", command],
        folder=folder,
        environment={**os.environ, **marks},
        owner=processes.last_owner(marks),
        has_input=True,
    )


@pytest.fixture(autouse=True)
def nothing_is_left_open():
    before = psutil.Process().num_fds()
    yield
    assert psutil.Process().num_fds() <= before


def test_megabytes_go_in_while_megabytes_come_out(tmp_path):
    child, heard = start("cat", tmp_path), Heard()
    child.send(b"x" * 5_000_000)
    child.send(b"y")
    child.end_input()
    assert child.run(heard.receive, kill_grace=5.0) == 0
    assert (len(heard.text), heard.text[-1:]) == (5_000_001, b"y")


def test_what_is_sent_while_it_runs_arrives_too(tmp_path):
    child, heard = start("echo ask; read answer; echo got $answer", tmp_path), Heard()

    def receive(stream: str, piece: bytes) -> None:
        heard.receive(stream, piece)
        if piece == b"ask\n":
            child.send(b"this\n")

    assert child.run(receive, kill_grace=5.0) == 0
    assert heard.text == b"ask\ngot this\n"


@pytest.mark.parametrize("command", ["exec <&-; echo no; exit 3", "exit 3"])
def test_a_child_that_takes_no_input_ends_as_it_likes(tmp_path, command):
    child, heard = start(command, tmp_path), Heard()
    child.send(b"x" * 5_000_000)
    child.end_input()
    assert child.run(heard.receive, kill_grace=5.0) == 3
    child.send(b"too late")
    child.end_input()


def test_a_silent_child_is_ended(tmp_path):
    child = start("exec sleep 300", tmp_path)
    assert child.run(Heard().receive, kill_grace=5.0, silence=0.05) == -15
    assert (child.ran_out, child.was_stopped) == ("silence", True)


def test_the_first_limit_that_is_reached_is_named(tmp_path):
    child = start("while :; do echo busy; sleep 0.01; done", tmp_path)
    child.end_within(ENDLESS, "never")
    child.end_within(0.1, "soon")
    child.run(Heard().receive, kill_grace=5.0, silence=ENDLESS)
    assert child.ran_out == "soon"


def test_a_limit_that_was_not_reached_is_not_named(tmp_path):
    child = start("echo done", tmp_path)
    child.end_within(ENDLESS, "never")
    assert child.run(Heard().receive, kill_grace=5.0, silence=ENDLESS) == 0
    assert (child.ran_out, child.was_stopped) == (None, False)


def test_what_left_the_session_of_a_child_that_ended_well_can_be_ended_too(tmp_path):
    marks = processes.marks_of(processes.mark_of_leg("RUN", 1), 7)
    program = (
        "import subprocess\n"
        "p = subprocess.Popen(['sleep', '300'], start_new_session=True, stdout=-3, stderr=-3)\n"
        "print(p.pid)\n"
    )
    (tmp_path / "p.py").write_text(program)
    child, heard = start(f'"{sys.executable}" p.py', tmp_path, marks=marks), Heard()
    assert child.run(heard.receive, kill_grace=5.0, leaves_nothing=True) == 0
    left = int(heard.text)
    assert not psutil.pid_exists(left) or psutil.Process(left).status() == psutil.STATUS_ZOMBIE
