"""Processes that an executor starts without a word about marks: no kill, no ^C, no cancel leaves one of them behind."""

from __future__ import annotations

import os
import signal
import subprocess
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


def test_a_question_names_the_process_that_may_still_do_the_work(place: Place) -> None:
    """One without a mark, in a session whose leader is gone: nobody can prove whose it is, so it is not signalled."""
    run = "env -i sleep 300 >/dev/null 2>&1 & echo $! >kid; echo $$ >calls; wait"
    place.write("v.wf", f'workflow v {{ script lost {{ effect = read run = "{run}" }} }}\n')
    first = place.start("run", "v.wf")
    wait_for(lambda: bool(place.calls()))
    kid = (place.folder / "kid").read_text().strip()
    wait_for(lambda: place.events()[-1]["type"] == "process_started")
    wait_for(lambda: arguments(kid).startswith("sleep"))
    try:
        first.kill()
        first.wait()
        os.kill(int(place.calls()[0]), signal.SIGKILL)
        wait_for(lambda: processes.began(int(place.calls()[0])) is None)
        resumed = place.run("resume")
        assert resumed.returncode == 4
        assert f"a part of it, or none; process {kid} (sleep) of its session still runs\n" in resumed.stderr
    finally:
        os.kill(int(kid), signal.SIGKILL)


def arguments(pid: str) -> str:
    return subprocess.run(["ps", "-o", "args=", "-p", pid], capture_output=True, text=True, check=False).stdout


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
