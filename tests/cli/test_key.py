"""`run --key`: a run is started once, whoever asks and however often; whole outputs."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

import runkon as api
from runkon.errors import UserError
from runkon.starting import followed

TWO = """
workflow two {
  inputs { topic default = "tides" }
  script one { run = "echo one >> calls; echo {{topic}}" }
  script two { run = "echo two >> calls; echo done" }
  outputs { topic = one.context }
}
"""


def calls(folder: Path) -> list[str]:
    file = folder / "calls"
    return file.read_text().split() if file.exists() else []


@pytest.fixture
def two(case: Any) -> Any:
    return case.wf(TWO)


# ── in one process ────────────────────────────────────────────────────────────────────────────────
def test_a_run_that_has_ended_is_not_run_again(two: Any) -> None:
    two.run("run", "x.wf", "--key", "monday").exits(0).stdout("topic = tides\n").stderr("""
        run RUN · two · x.wf
        started     one
        completed   one  tides
        started     two
        completed   two  done
        completed · 2 steps
        next: runkon show RUN
        """)
    two.run("run", "x.wf", "--key", "monday").exits(0).stdout("topic = tides\n").stderr("""
        run RUN has the key `monday`
        it is completed; this is its result
        completed · 2 steps
        next: runkon show RUN
        """)
    assert calls(two.project) == ["one", "two"]
    two.run("run", "x.wf", "--key", "monday", "--json").exits(0)
    assert json.loads(two.out)["leg"] == 1
    assert json.loads(two.run("runs", "--json").out)["runs"][1:] == []


def test_a_run_that_failed_stays_failed(case: Any) -> None:
    case.wf('workflow x { script s { run = "echo s >> calls; exit 3" } }').run("run", "x.wf", "--key", "k").exits(1)
    case.run("run", "x.wf", "--key", "k").exits(1).stdout("")
    assert case.plain(case.err).startswith("run RUN has the key `k`\nit is failed; this is its result\n")
    assert calls(case.project) == ["s"]


@pytest.mark.parametrize(
    ("words", "text", "difference"),
    [
        (["-i", "topic=moons"], TWO, "with another value of `topic`"),
        (["--dry-run"], TWO, "without `--dry-run`"),
        ([], TWO.replace("echo done", "echo over"), "with another text of `x.wf`"),
    ],
)
def test_a_key_of_something_else_is_refused(two: Any, words: list[str], text: str, difference: str) -> None:
    two.run("run", "x.wf", "--key", "k").exits(0)
    two.wf(text).run("run", "x.wf", "--key", "k", *words).exits(2).stdout("").stderr(f"""
        error[start-key-conflict]: key `k` belongs to run `RUN`, which was started {difference}
          = help: a key starts one run: give what is different a key of its own
          = next: runkon show RUN
        """)
    assert calls(two.project) == ["one", "two"]


def test_another_key_and_another_workflow_are_other_runs(two: Any) -> None:
    two.run("run", "x.wf", "--key", "k").exits(0)
    two.run("run", "x.wf", "--key", "l").exits(0)
    two.wf(TWO.replace("workflow two", "workflow other"), "y.wf").run("run", "y.wf", "--key", "k").exits(0)
    assert calls(two.project) == ["one", "two"] * 3


@pytest.mark.parametrize("key", ["", "x" * 201, "a\nb"])
def test_a_key_nobody_could_type_is_refused(two: Any, key: str) -> None:
    two.run("run", "x.wf", "--key", key).exits(2).stdout("").stderr("""
        error[wrong-use]: the key of a run has 1 to 200 characters that can be printed
          = help: take what names the work: a ticket, a date, the id of a message
        """)


def test_a_run_that_was_paused_goes_on(two: Any) -> None:
    two.run("run", "x.wf", "--key", "k", "--until", "one", "-q").exits(0)
    two.run("run", "x.wf", "--key", "k").exits(0).stdout("topic = tides\n").stderr("""
        run RUN has the key `k`
        run RUN · two · x.wf · resumed
        resumed     1 step kept, 0 to run again
        started     two
        completed   two  done
        completed · 2 steps
        next: runkon show RUN
        """)
    assert calls(two.project) == ["one", "two"]


def test_its_secrets_are_given_again(case: Any) -> None:
    case.wf("""
        workflow x {
          inputs { token secret }
          script one { run = "true" }
          script two { run = "env | grep -q =hunter2 && echo fine" }
          outputs { said = two.context }
        }
        """)
    token = ["-i", "token=hunter2hunter2"]
    case.run("run", "x.wf", "--key", "k", *token, "--until", "one", "-q").exits(0)
    case.run("run", "x.wf", "--key", "k", *token, "-q").exits(0).stdout("said = fine\n")


# ── with other processes ──────────────────────────────────────────────────────────────────────────
def command(folder: Path, *words: str, fail: str = "") -> subprocess.Popen[str]:
    clean = {name: value for name, value in os.environ.items() if not name.startswith("RUNKON_")}
    armed = {"RUNKON_FAILPOINTS": fail, "RUNKON_TESTING": "1"} if fail else {}
    return subprocess.Popen(
        [sys.executable, "-m", "runkon", *words],
        cwd=folder,
        env=clean | armed,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def ended(process: subprocess.Popen[str], code: int = 0) -> tuple[str, str]:
    out, err = process.communicate(timeout=120)
    assert process.returncode == code, err
    return out, err


def test_of_many_that_start_at_once_one_does(two: Any) -> None:
    both = [command(two.project, "run", "x.wf", "--key", "k") for _ in range(4)]
    assert {ended(process)[0] for process in both} == {"topic = tides\n"}
    assert calls(two.project) == ["one", "two"]
    (run,) = json.loads(two.run("runs", "--json").out)["runs"]
    assert run["status"] == "completed"


@pytest.mark.parametrize("place", ["after_create", "after_lease", "after_start:path=two", "before_finish:path=two"])
def test_killed_anywhere_the_next_with_that_key_finishes_it(two: Any, place: str) -> None:
    two.wf(TWO.replace("script two {", 'script two { effect = "read"'))
    ended(command(two.project, "run", "x.wf", "--key", "k", fail=place), -9)
    out, err = ended(command(two.project, "run", "x.wf", "--key", "k"))
    assert out == "topic = tides\n"
    assert " has the key `k`\n" in err
    assert calls(two.project).count("one") == 1


def test_who_finds_it_running_sees_it_go_on(two: Any) -> None:
    two.wf(TWO.replace("echo one >> calls", "echo one >> calls; while [ ! -e go ]; do sleep 0.05; done"))
    first = command(two.project, "run", "x.wf", "--key", "k")
    end = time.monotonic() + 60
    while not calls(two.project):
        assert time.monotonic() < end
        time.sleep(0.01)
    second = command(two.project, "run", "x.wf", "--key", "k")
    assert second.stderr is not None
    said = [second.stderr.readline() for _ in range(3)]
    assert said[0].endswith(" has the key `k`\n")
    assert f"advanced by process {first.pid} on " in said[1]
    third = command(two.project, "run", "x.wf", "--key", "k", "--detach")
    out, err = ended(third)
    assert out.strip() in said[0]
    assert "follow: runkon events -f " in err
    (two.project / "go").touch()
    assert [ended(process)[0] for process in (first, second)] == ["topic = tides\n"] * 2
    assert calls(two.project) == ["one", "two"]


def test_detached_it_is_begun_once(two: Any) -> None:
    out, err = ended(command(two.project, "run", "x.wf", "--key", "k", "--detach"))
    run = out.strip()
    ended(command(two.project, "events", "-f", run))
    out, err = ended(command(two.project, "run", "x.wf", "--key", "k", "--detach"))
    assert out == "topic = tides\n"
    assert err.startswith(f"run {run} has the key `k`\nit is completed; this is its result\n")


# ── from Python ───────────────────────────────────────────────────────────────────────────────────
def test_from_python_it_is_the_same(two: Any) -> None:
    first = api.run("x.wf", key="k")
    again = api.run("x.wf", key="k")
    handle = api.start("x.wf", key="k")
    assert first.ok
    assert again == first
    assert handle.run_id == first.run_id
    assert handle.result(60) == first
    assert calls(two.project) == ["one", "two"]
    with pytest.raises(UserError) as caught:
        api.run("x.wf", {"topic": "moons"}, key="k")
    assert caught.value.code == "start-key-conflict"
    assert api.run("x.wf", {"topic": "moons"}).run_id != first.run_id


def test_from_python_a_run_that_another_process_advances_is_waited_for(two: Any) -> None:
    two.wf(TWO.replace("echo one >> calls", "echo one >> calls; while [ ! -e go ]; do sleep 0.05; done"))
    first = command(two.project, "run", "x.wf", "--key", "k")
    seen: list[str] = []

    class Sink:
        def emit(self, envelope: Any) -> None:
            if not seen:
                (two.project / "go").touch()
            seen.append(envelope.event.kind)

    end = time.monotonic() + 60
    while not calls(two.project):
        assert time.monotonic() < end
        time.sleep(0.01)
    result = api.run("x.wf", key="k", sinks=(Sink(),))
    assert result.ok
    assert (seen[0], seen[-1]) == ("run_created", "run_completed")
    assert ended(first)[0] == "topic = tides\n"
    assert calls(two.project) == ["one", "two"]


def test_what_nobody_advances_is_followed_to_its_last_event(two: Any) -> None:
    result = api.run("x.wf", key="k")
    app = api.load("x.wf").app
    assert [one.seq for one in followed(app.store, result.run_id)] == list(range(1, 10))
    app.close()
