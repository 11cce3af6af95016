"""Runs that another process advances: refused, followed, shown; and what is told once that process is dead."""

from __future__ import annotations

import json
import os
import re
import signal
from pathlib import Path

import pytest

from tests.cli.processes import PATIENCE, Place, Terminal, wait_for


@pytest.fixture
def place(tmp_path: Path):
    place = Place(tmp_path)
    yield place
    place.close()


def rows(place: Place) -> list[tuple]:
    """Every row of the run's tables but the lease, which its owner renews."""
    import sqlite3

    with sqlite3.connect(f"file:{place.folder}/.runkon/runkon.db?mode=ro", uri=True) as connection:
        runs = connection.execute("SELECT id, status, leg, seq, fence, lease_owner FROM runs").fetchall()
        events = connection.execute("SELECT * FROM events").fetchall()
        steps = connection.execute("SELECT * FROM steps").fetchall()
    return [*runs, *events, *steps]


# ── two at one run ────────────────────────────────────────────────────────────────────────────────
def test_who_resumes_a_held_run_is_told_who_has_it_and_changes_nothing(place):
    owner = place.held()
    before = rows(place)
    refused = place.run("resume", "@last")
    assert (refused.returncode, refused.stdout) == (8, "")
    run = place.runs()[0]["run_id"]
    host = re.escape(os.uname().nodename)
    assert re.fullmatch(
        rf"error\[already-active\]: run `{run}` is being advanced by process {owner.pid} on {host} for \d+ seconds?\n"
        r"  = help: only one process at a time can advance a run: follow this one, or wait for its end\n"
        rf"  = next: runkon events -f {run}\n",
        refused.stderr,
    ), refused.stderr
    assert place.run("resume", "@last", "--from", "hold").stderr.startswith("error[already-active]: ")
    planned = place.run("resume", "@last", "--dry-run").stderr
    assert "\na process advances the run now; this is what a resume would do if that process died here\n" in planned
    assert planned.splitlines()[-1].startswith("next: runkon events -f ")
    assert rows(place) == before
    place.go()
    assert owner.wait(PATIENCE) == 0
    assert place.calls() == ["once", "after"]


def test_of_two_that_resume_a_dead_run_at_once_one_works(place):
    owner = place.held()
    owner.kill()
    owner.wait()
    taker = [place.start("resume", "@last") for _ in range(2)]
    wait_for(lambda: place.calls().count("once") == 2 or all(one.poll() is not None for one in taker))
    wait_for(lambda: any(one.poll() is not None for one in taker))
    place.go()
    codes = sorted(one.wait(PATIENCE) for one in taker)
    assert codes == [0, 8]
    assert place.calls() == ["once", "once", "after"]  # begun, begun again after the kill, never by both
    kinds = [event["type"] for event in place.events()]
    assert kinds.count("run_resumed") == 1


def test_a_run_whose_owner_was_killed_is_interrupted_at_once_and_taken_at_once(place):
    owner = place.held()
    owner.kill()
    owner.wait()
    assert place.status() == "interrupted"
    assert json.loads(place.run("show", "@last", "--json").stdout)["status"] == "interrupted"
    assert [run["status"] for run in json.loads(place.run("runs", "--status", "interrupted", "--json").stdout)["runs"]]
    assert json.loads(place.run("runs", "--status", "running", "--json").stdout)["runs"] == []
    place.go()
    done = place.run("resume")  # without a name: the newest that can be
    assert done.returncode == 0, done.stderr
    assert place.calls() == ["once", "once", "after"]


def test_after_its_end_a_run_is_free_at_once(place):
    place.go()
    assert place.run("run", "x.wf", "--until", "hold").returncode == 0
    assert place.run("resume", "@last").returncode == 0
    assert place.calls() == ["once", "after"]


# ── following ─────────────────────────────────────────────────────────────────────────────────────
def test_events_are_followed_without_gap_or_duplicate_to_the_last(place):
    place.held()
    follower = place.start("events", "@last", "-f")
    late = place.start("events", "@last", "-f", "--since", "2")
    assert json.loads(follower.stdout.readline())["type"] == "run_created"
    place.go()
    out, err = follower.stdout.read(), follower.stderr.read()  # what `readline` has read ahead belongs to it
    assert follower.wait(PATIENCE) == 0
    numbers = [json.loads(line)["seq"] for line in out.splitlines()]
    assert numbers == list(range(2, 2 + len(numbers)))
    assert json.loads(out.splitlines()[-1])["type"] == "run_completed"
    assert re.fullmatch(r"run \w+ is completed; see: runkon show \w+\n", err)
    out, _ = late.communicate(timeout=PATIENCE)
    assert [json.loads(line)["seq"] for line in out.splitlines()] == [3, *numbers[2:]]


def test_a_follower_ends_when_the_owner_is_dead_and_says_so(place):
    owner = place.held()
    follower = place.start("events", "@last", "-f")
    assert follower.stdout.readline()
    owner.kill()
    owner.wait()
    _, err = follower.communicate(timeout=PATIENCE)
    host = re.escape(os.uname().nodename)
    assert re.fullmatch(
        rf"run (\w+) was cut off: process {owner.pid} on {host}, which advanced it, is gone; "
        r"continue: runkon resume \1\n",
        err,
    ), err
    assert follower.returncode == 0


@pytest.mark.parametrize("words", [("events", "@last", "-f"), ("logs", "@last", "-f")], ids=["events", "logs"])
def test_who_only_follows_leaves_with_a_signal_and_the_run_goes_on(place, words):
    owner = place.held()
    follower = place.start(*words)
    assert follower.stdout.readline()
    follower.send_signal(signal.SIGINT)
    _, err = follower.communicate(timeout=PATIENCE)
    assert follower.returncode == 130
    assert re.fullmatch(r"(── hold\n)?no longer followed; run \w+ goes on\n", err), err
    assert place.status() == "running"
    place.go()
    assert owner.wait(PATIENCE) == 0


def test_logs_follow_what_a_step_of_another_process_prints(place):
    place.held()
    follower = place.start("logs", "@last", "-f")
    assert follower.stdout.readline() == "holding\n"
    place.go()
    out, err = follower.communicate(timeout=PATIENCE)
    assert out == "after\n"
    assert re.fullmatch(r"── hold\n── after\nrun \w+ is completed; see: runkon show \w+\n", err)


# ── attaching on a terminal ───────────────────────────────────────────────────────────────────────
@pytest.mark.parametrize("plain", [(), ("--plain",)], ids=["live", "plain"])
def test_resuming_a_held_run_on_a_terminal_shows_it_to_its_end(place, plain):
    place.write("x.wf", (place.folder / "x.wf").read_text().replace("echo after;", "exit 3;"))
    owner = place.held()
    terminal = Terminal(place, "resume", "@last", *plain)
    terminal.read_until(f"advanced by process {owner.pid}")
    terminal.read_until("hold")
    place.go()
    assert terminal.finish() == 1  # as the run ended
    assert "error[step-failed]: `after` failed" in terminal.text
    assert owner.wait(PATIENCE) == 1
    assert place.calls() == ["once"]
    assert [event["type"] for event in place.events()].count("run_resumed") == 0


def test_a_signal_ends_the_view_and_not_the_run(place):
    owner = place.held()
    terminal = Terminal(place, "resume", "@last", "--plain")
    terminal.read_until("started     hold")
    terminal.process.send_signal(signal.SIGINT)
    assert terminal.finish() == 130
    assert re.search(r"no longer followed; run \w+ goes on\n", terminal.text)
    place.go()
    assert owner.wait(PATIENCE) == 0


def test_the_view_of_a_run_whose_owner_dies_says_how_to_go_on(place):
    owner = place.held()
    terminal = Terminal(place, "resume", "@last", "--plain")
    terminal.read_until("started     hold")
    owner.kill()
    owner.wait()
    assert terminal.finish() == 5
    assert re.search(rf"was cut off: process {owner.pid} on .*, is gone; continue: runkon resume \w+\n", terminal.text)
