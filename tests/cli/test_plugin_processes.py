"""Processes that an executor starts without a word about marks: no kill, no ^C, no cancel leaves one of them behind."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest

from runkon.model import processes

from .processes import Place, wait_for

PLUGIN = """\
import subprocess

from runkon import executor


@executor("outside")
def outside(request):
    subprocess.run(["sh", "-c", "echo $$ >> calls; while ! test -e go; do sleep 0.05; done"])
    return "done"
"""


SLOW = """\
import os
import subprocess
from pathlib import Path

from runkon import executor
from runkon.model import processes


@executor("slow")
def slow(request):
    found = {one.pid for one in processes.of_leg(request.run_id)}
    calls = Path("calls")
    before = calls.read_text().split() if calls.exists() else []
    with open("seen", "a") as seen:
        seen.write(f"{len([pid for pid in before if int(pid) in found])}\\n")
    waits = ["sh", "-c", "while ! test -e go; do sleep 0.05; done"]
    child = subprocess.Popen(waits, env={**os.environ, **request.marks})
    with calls.open("a") as file:
        file.write(f"{child.pid}\\n")
    child.wait()
"""


@pytest.fixture
def place(tmp_path: Path):
    place = Place(tmp_path)
    (tmp_path / ".runkon" / "plugins").mkdir()
    place.write(".runkon/plugins/outside.py", PLUGIN)
    place.write("runkon.toml", 'kill_grace = "200ms"\n')
    place.write("y.wf", "workflow y { call outside }\n")
    yield place
    place.close()


def test_after_a_kill_they_end_before_the_step_runs_again(place: Place) -> None:
    first = place.start("run", "y.wf")
    wait_for(lambda: len(place.calls()) == 1)
    first.kill()
    first.wait()
    assert alive(place) == [True]
    second = place.start("resume")
    wait_for(lambda: len(place.calls()) == 2)
    assert alive(place) == [False, True]
    place.go()
    assert second.wait() == 0
    assert [event["data"]["code"] for event in place.events() if event["type"] == "note"] == ["orphans-ended"]


def test_a_call_that_is_given_up_leaves_none(place: Place) -> None:
    process = place.start("run", "y.wf")
    wait_for(lambda: len(place.calls()) == 1)
    process.send_signal(signal.SIGINT)
    assert process.wait() == 130
    assert alive(place) == [False]


def test_a_cancelled_run_leaves_none(place: Place) -> None:
    process = place.start("run", "y.wf")
    wait_for(lambda: len(place.calls()) == 1)
    assert place.run("cancel", "@last").returncode == 0
    assert process.wait() == 1
    assert alive(place) == [False]


def alive(place: Place) -> list[bool]:
    """Whether the process of each call still runs."""
    found = {one.pid for run in place.runs() for one in processes.of_leg(run["run_id"])}
    return [int(pid) in found for pid in place.calls()]


def test_a_call_that_took_too_long_is_not_beside_the_next_one(place: Place) -> None:
    place.write(".runkon/plugins/slow.py", SLOW)
    place.write("z.wf", "workflow z { call slow { timeout = 1s retries = 1 on_fail = continue } }\n")
    assert place.run("run", "z.wf").returncode == 0
    assert (place.folder / "seen").read_text().split() == ["0", "0"]  # processes of earlier calls when one begins
    assert alive(place) == [False, False]


def test_what_a_call_that_was_given_up_started_ends_with_the_run(place: Place) -> None:
    place.write(".runkon/plugins/slow.py", SLOW.replace("**request.marks", ""))
    place.write("z.wf", "workflow z { call slow { timeout = 1s on_fail = continue } }\n")
    assert place.run("run", "z.wf").returncode == 0
    assert alive(place) == [False]
