"""`run --detach`: what is printed is true, and what was started goes on."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli.processes import Place, environment, wait_for


@pytest.fixture
def place(tmp_path: Path):
    place = Place(tmp_path)
    yield place
    place.close()


def worker(place: Place) -> int:
    """The process that advances the newest run."""
    event = next(event for event in place.events() if event["type"] == "run_started")
    return int(event["data"]["owner"].split(" ")[2])


def is_gone(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return True
    return state in "ZX"


def test_it_returns_with_the_id_of_a_run_that_has_begun(place):
    done = place.run("run", "x.wf", "--detach")
    assert done.returncode == 0, done.stderr
    (run,) = place.runs()
    assert done.stdout == f"{run['run_id']}\n"
    assert run["status"] == "running"
    assert f"follow: runkon events -f {run['run_id'][:10]}" in done.stderr
    assert f"end: runkon cancel {run['run_id'][:10]}" in done.stderr
    place.go()
    wait_for(lambda: place.status() == "completed")
    said = (place.folder / ".runkon" / "logs" / run["run_id"] / "detached.txt").read_text()
    assert "completed   after  after\n" in said
    assert place.calls() == ["once", "after"]


def test_the_run_has_no_terminal_and_a_session_of_its_own(place):
    assert place.run("run", "x.wf", "--detach").returncode == 0
    pid = worker(place)
    assert os.getsid(pid) == pid != os.getsid(0)
    assert os.readlink(f"/proc/{pid}/fd/0") == os.devnull
    assert os.readlink(f"/proc/{pid}/fd/1").endswith("/detached.txt")
    assert os.readlink(f"/proc/{pid}/fd/2").endswith("/detached.txt")
    os.kill(pid, signal.SIGHUP)  # as a terminal that closes
    place.go()
    wait_for(lambda: place.status() == "completed")
    wait_for(lambda: is_gone(pid))


def test_it_is_no_child_of_the_step_that_started_it(place):
    assert place.run("run", "x.wf", "--detach", RUNKON_OWNERS="01OUTER/7").returncode == 0
    owners = [
        word
        for word in Path(f"/proc/{worker(place)}/environ").read_bytes().split(b"\0")
        if word.startswith(b"RUNKON_OWNERS=")
    ]
    assert owners == []


@pytest.mark.parametrize("end", ["completed", "cancelled"])
def test_a_run_that_a_step_started_outlives_the_run_of_that_step(place, end):
    stays = "" if end == "completed" else "; sleep 600"
    command = f"{sys.executable} -m runkon run x.wf --detach{stays}"
    place.write("outer.wf", f'workflow outer {{\n  script s {{ run = "{command}" }}\n}}\n')
    outer = place.start("run", "outer.wf")
    wait_for(lambda: place.calls() == ["once"])
    if end == "cancelled":
        run = next(run["run_id"] for run in place.runs() if run["workflow"] == "outer")
        assert place.run("cancel", run).returncode == 0
    outer.wait(60)
    assert {run["workflow"]: run["status"] for run in place.runs()} == {"outer": end, "holds": "running"}
    place.go()
    wait_for(lambda: "running" not in [run["status"] for run in place.runs()])
    assert place.calls() == ["once", "after"]


def test_a_step_does_not_learn_of_the_way_it_was_started(place):
    place.write("env.wf", 'workflow e {\n  script s { run = "env | grep -c RUNKON_DETACHED > seen; touch done" }\n}\n')
    assert place.run("run", "env.wf", "--detach").returncode == 0
    wait_for((place.folder / "done").exists)
    assert (place.folder / "seen").read_text() == "0\n"


def test_json_is_the_object_of_the_run(place):
    done = place.run("run", "x.wf", "--detach", "--json")
    found = json.loads(done.stdout)
    assert (found["schema"], found["status"], found["workflow"]) == ("runkon.run/1", "running", "holds")


def test_inputs_from_standard_input_arrive(place):
    script = "echo {{word}} > seen; cat; touch done"
    place.write("in.wf", f'workflow i {{\n  inputs {{ word }}\n  script s {{ run = "{script}" }}\n}}\n')
    done = subprocess.run(
        [sys.executable, "-m", "runkon", "run", "in.wf", "--detach", "--inputs", "-"],
        cwd=place.folder, env=environment(), input='{"word": "hello"}', capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    wait_for((place.folder / "done").exists)
    assert (place.folder / "seen").read_text() == "hello\n"


@pytest.mark.parametrize(
    ("text", "words", "code", "error"),
    [
        ("workflow w {\n  parralel { }\n}\n", (), 3, "error[unknown-statement]"),
        ('workflow w {\n  inputs { word }\n  script s { run = "true" }\n}\n', (), 2, "error[missing-input]"),
        ('workflow w {\n  script s { run = "true" }\n}\n', ("--until", "nowhere"), 2, "error[unknown-step]"),
        ('workflow w {\n  script s { run = "true" }\n}\n', ("--db", "w.wf"), 5, "error[store-"),
    ],
    ids=["invalid", "input", "until", "store"],
)
def test_a_start_that_fails_is_told_as_if_it_were_ours(place, text, words, code, error):
    place.write("w.wf", text)
    here, detached = place.run("run", "w.wf", *words), place.run("run", "w.wf", *words, "--detach")
    assert (detached.returncode, detached.stdout) == (code, "")
    assert error in detached.stderr
    assert detached.stderr == here.stderr


def test_a_plugin_that_ends_the_process_is_no_start(place):
    place.write("bad.py", "import os\nos._exit(9)\n")
    done = place.run("run", "x.wf", "--detach", "--plugin", "bad.py")
    assert (done.returncode, done.stdout) == (9, "")
    assert place.runs() == []


def test_events_on_standard_output_are_refused(place):
    done = place.run("run", "x.wf", "--detach", "--events", "-")
    assert done.returncode == 2
    assert done.stderr == (
        "error[wrong-use]: `--detach` gives standard output back, `--events -` wants it\n"
        "  = help: give a file to `--events`, or follow the run with `runkon events -f`\n"
    )
