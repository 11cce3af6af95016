"""`runkon recover`: runs whose process died go on by themselves, but not forever, and nobody else's are touched."""

from __future__ import annotations

import json
import re
import signal
from pathlib import Path

import pytest

from tests.cli.processes import PATIENCE, Place, wait_for

ONCE = 'script s{0} {{ run = "test -e f{0} || {{ touch f{0}; kill -9 $PPID; }}" effect = "read" }}'
DIES = "workflow dies {\n" + "".join(f"  {ONCE.format(number)}\n" for number in range(5)) + "}\n"


@pytest.fixture
def place(tmp_path: Path):
    place = Place(tmp_path)
    yield place
    place.close()


def die(place: Place) -> str:
    """A run whose process is killed in its first step; its id."""
    owner = place.held()
    owner.kill()
    owner.wait()
    (place.folder / "calls").unlink()
    return place.runs()[0]["run_id"]


def test_dead_runs_go_on_the_oldest_first_one_line_each(place):
    first, second = die(place), die(place)
    stopped = place.held()
    stopped.send_signal(signal.SIGTERM)
    assert stopped.wait(PATIENCE) == 143
    place.go()
    done = place.run("recover")
    assert done.returncode == 0, done.stderr
    lines = [line.split() for line in done.stdout.splitlines()]
    assert [(first.startswith(lines[0][0])), second.startswith(lines[1][0])] == [True, True]
    assert [line[1:] for line in lines] == [["completed", "holds"], ["completed", "holds"]]
    assert [run["status"] for run in place.runs()] == ["interrupted", "completed", "completed"]
    events = [json.loads(line) for line in place.run("events", first).stdout.splitlines()]
    assert [event["data"]["automatic"] for event in events if event["type"] == "run_resumed"] == [True]


def test_without_a_dead_run_there_is_nothing_to_do(place):
    done = place.run("recover")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "no run to recover\n")
    owner = place.held()
    done = place.run("recover", "--json")
    assert (done.returncode, json.loads(done.stdout)) == (0, {"schema": "runkon.recover/1", "recover": []})
    place.go()
    assert owner.wait(PATIENCE) == 0


def test_after_three_recoveries_a_run_is_left_alone_and_a_person_may_go_on(place):
    place.write("dies.wf", DIES)
    assert place.run("run", "dies.wf").returncode == -9
    for _ in range(3):
        assert place.run("recover").returncode == -9  # the workflow kills whoever advances it
    before = place.events()
    done = place.run("recover")
    assert done.returncode == 1
    assert re.fullmatch(
        r"(\w+)  left alone  dies  it died again after 3 recoveries; next: runkon resume \1\n", done.stdout
    ), done.stdout
    assert place.events() == before
    assert place.run("resume", "@last").returncode == -9  # its last step
    assert place.run("resume", "@last").returncode == 0
    resumed = [event["data"].get("automatic", False) for event in place.events() if event["type"] == "run_resumed"]
    assert resumed == [True, True, True, False, False]


def test_a_run_that_fails_is_said_and_is_not_taken_again(place):
    place.write("x.wf", (place.folder / "x.wf").read_text().replace("echo after;", "exit 3;"))
    die(place)
    place.go()
    done = place.run("recover")
    assert done.returncode == 1
    assert re.fullmatch(r"(\w+)  failed  holds  next: runkon show \1\n", done.stdout), done.stdout
    assert place.run("recover").stderr == "no run to recover\n"


def test_a_signal_pauses_the_run_in_hand_and_ends_the_command(place):
    die(place)
    recovering = place.start("recover")
    wait_for(lambda: place.calls() == ["once"])
    recovering.send_signal(signal.SIGINT)
    out, _ = recovering.communicate(timeout=PATIENCE)
    assert recovering.returncode == 130
    assert out.split()[1:3] == ["interrupted", "holds"]
    assert place.run("recover").stderr == "no run to recover\n"  # somebody stopped it


def test_a_watchman_takes_what_dies_while_it_looks(place):
    watchman = place.start("recover", "--every", "0.1s")
    die(place)
    place.go()
    assert watchman.stdout.readline().split()[1:] == ["completed", "holds"]
