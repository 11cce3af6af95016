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
