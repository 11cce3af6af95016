"""`runkon cancel`: whole outputs, and real processes that are told to stop by another one."""

from __future__ import annotations

import json
import os
import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from runkon.cli.commands import cancel
from runkon.model import processes
from runkon.model.holder import describe, this_holder

PATIENCE = 60.0
SLOW = """
workflow slow {
  script one { run = "echo one" }
  script two { run = "echo up > up; setsid sleep 300 & sleep 300" }
  script three { run = "echo three" }
  always { script bye { run = "echo {{workflow_status}} > bye" } }
}
"""


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in [n for n in os.environ if n.startswith("RUNKON_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    folder = tmp_path / "project"
    (folder / ".runkon").mkdir(parents=True)
    (folder / "x.wf").write_text(SLOW)
    return folder


def runkon(project: Path, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "runkon", *words], cwd=project, capture_output=True, text=True, check=False
    )


def started(project: Path, *words: str) -> subprocess.Popen[str]:
    """A run of x.wf whose second step is under way."""
    process = subprocess.Popen(
        [sys.executable, "-m", "runkon", "run", "x.wf", *words],
        cwd=project, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    deadline = time.monotonic() + PATIENCE
    while not (project / "up").exists():
        assert time.monotonic() < deadline
        time.sleep(0.01)
    return process


def shown(project: Path) -> Any:
    return json.loads(runkon(project, "show", "@last", "--json").stdout)


def test_a_run_of_another_process_is_ended(project: Path) -> None:
    process = started(project)
    done = runkon(project, "cancel", "@last", "-m", "enough")
    _, err = process.communicate(timeout=PATIENCE)
    run = shown(project)
    assert (done.returncode, done.stdout) == (0, f"run {run['run_id']} is cancelled\n")
    assert "is told to stop; process" in done.stderr
    assert process.returncode == 1
    assert "cancelling  as" in err
    assert run["status"] == "cancelled"
    assert (project / "bye").read_text() == "cancelled\n"
    assert processes.of_leg(run["run_id"]) == []
    assert "started     three" not in err


def test_a_run_whose_process_was_killed_is_ended_here(project: Path) -> None:
    process = started(project)
    process.kill()
    process.communicate()
    assert processes.of_leg(shown(project)["run_id"])
    done = runkon(project, "cancel", "@last", "--json")
    run = shown(project)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == {
        "schema": "runkon.cancel/1",
        "cancel": {"run_id": run["run_id"], "status": "cancelled", "confirmed": True, "running": []},
    }
    assert (project / "bye").read_text() == "cancelled\n"
    assert [step["status"] for step in run["steps"]] == ["completed", "cancelled", "completed"]
    assert processes.of_leg(run["run_id"]) == []


def test_a_run_whose_program_can_not_be_used_is_ended_without_its_always_block(project: Path) -> None:
    (project / ".runkon" / "plugins").mkdir()
    (project / ".runkon" / "plugins" / "mine.py").write_text(
        "from runkon import executor\n@executor('mine')\ndef mine(request):\n    return 'hi'\n"
    )
    (project / "x.wf").write_text(SLOW.replace('script one { run = "echo one" }', "call mine"))
    process = started(project)
    process.kill()
    process.communicate()
    (project / ".runkon" / "plugins" / "mine.py").unlink()
    done = runkon(project, "cancel", "@last")
    run = shown(project)
    assert done.returncode == 0, done.stderr
    assert "its always block, if there is one, does not run: " in done.stderr
    assert run["status"] == "cancelled"
    assert not (project / "bye").exists()
    assert processes.of_leg(run["run_id"]) == []
    assert runkon(project, "db", "check").returncode == 0


def test_with_kill_nothing_is_waited_for(project: Path) -> None:
    process = started(project)
    process.kill()
    process.communicate()
    done = runkon(project, "cancel", "@last", "--kill")
    assert done.returncode == 0, done.stderr
    assert shown(project)["status"] == "cancelled"
    assert not (project / "bye").exists()


def test_a_run_that_does_not_stop_in_time_is_not_called_cancelled(project: Path) -> None:
    process = started(project)
    while runkon(project, "events", "@last").stdout.count("process_started") < 2:
        assert process.poll() is None  # stopped while it writes it would keep the database locked
    os.kill(process.pid, 19)  # SIGSTOP: it lives, and sees nothing
    try:
        done = runkon(project, "cancel", "@last", "--wait", "100ms")
        assert (done.returncode, done.stdout) == (8, "")
        assert "not confirmed: run " in done.stderr
        assert "still running: two" in done.stderr
        assert " --kill" in done.stderr.splitlines()[-1]
    finally:
        os.kill(process.pid, 18)
    process.communicate(timeout=PATIENCE)
    assert shown(project)["status"] == "cancelled"  # the wish stayed


def test_who_waits_only_so_long_is_not_kept_by_a_locked_database(project: Path) -> None:
    process = started(project)
    run = shown(project)["run_id"]
    with sqlite3.connect(project / ".runkon" / "runkon.db", isolation_level=None) as stopped:
        stopped.execute("BEGIN IMMEDIATE")  # as a process does that is stopped while it writes
        done = subprocess.run(
            [sys.executable, "-m", "runkon", "cancel", "@last", "--wait", "300ms"],
            cwd=project, capture_output=True, text=True, check=False, timeout=PATIENCE / 2,
        )  # fmt: skip
        stopped.execute("ROLLBACK")
    stopped.close()
    assert (done.returncode, done.stdout) == (5, "")
    first, *rest = done.stderr.splitlines()
    assert first.startswith("error[store-unavailable]: ")
    assert first.endswith(f" has kept `{project}/.runkon/runkon.db` locked for too long")
    assert rest[-1] == f"  = next: runkon cancel {run}"
    assert shown(project)["status"] == "running"
    assert runkon(project, "cancel", run).returncode == 0
    process.communicate(timeout=PATIENCE)


def test_a_step_does_not_cancel_its_own_run_by_mistake(project: Path) -> None:
    command = f"{sys.executable} -m runkon cancel @last"
    (project / "x.wf").write_text(
        f'workflow x {{\n  script two {{ run = "{command} 2> said; echo $? > code" }}\n'
        f'  script three {{ run = "{command} --allow-self; sleep 300" }}\n}}\n'
    )
    done = runkon(project, "run", "x.wf")
    assert done.returncode == 1
    assert (project / "code").read_text() == "2\n"
    assert (project / "said").read_text().startswith("error[cancel-self]: this process was started by run `01")
    assert shown(project)["status"] == "cancelled"


# ── in one process ────────────────────────────────────────────────────────────────────────────────
HELLO = 'workflow hello {\n  script greet { run = "echo hi" }\n}\n'


def test_a_run_that_completed_is_not_cancelled(case: Any) -> None:
    case.wf(HELLO).run("run", "x.wf", "-q").exits(0)
    case.run("cancel", "@last").exits(6).stdout("").stderr("""
        error[already-ended]: run `RUN` is completed, so there is nothing to cancel
          = next: runkon show RUN
        """)


GATES = """
workflow x {
  parallel {
    gate human_approval { prompt = "go?" }
    call workflow inner
  }
}
workflow inner { foreach i in ["a", "b"] { gate human_review { prompt = "{{i}}?" } } }
"""


def test_a_run_that_waits_for_decisions_is_given_up_with_its_gates(case: Any) -> None:
    case.wf(GATES).run("run", "x.wf", "-q").exits(4)
    case.run("cancel", "@last", "--kill").exits(0).stdout("run RUN is cancelled\n")
    case.run("db", "check").exits(0)
    with closing(sqlite3.connect(case.project / ".runkon" / "runkon.db")) as connection:
        gates = connection.execute("SELECT DISTINCT decision FROM gates").fetchall()
        steps = connection.execute("SELECT DISTINCT status FROM steps WHERE kind = 'gate'").fetchall()
    assert (gates, steps) == ([("withdrawn",)], [("cancelled",)])


def test_a_run_that_was_paused_is_cancelled_once(case: Any) -> None:
    case.wf(HELLO.replace("}\n}", '}\n  script last { run = "true" }\n}')).run(
        "run", "x.wf", "--until", "greet", "-q"
    ).exits(0)
    case.run("cancel", "@last", "-m", "enough").exits(0).stdout("""
        run RUN is cancelled
        """)
    assert case.plain(case.err).endswith(
        "next: runkon show RUN        (`runkon resume RUN --fork` keeps what it has finished)\n"
    )
    case.run("cancel", "@last").exits(0).stdout("""
        run RUN is cancelled
        """)
    case.run("resume", "@last").exits(6)
    assert "was cancelled, which is final" in case.err


def test_a_run_that_another_process_cancels_first_is_cancelled(case: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    case.wf(HELLO.replace("}\n}", '}\n  script last { run = "true" }\n}')).run(
        "run", "x.wf", "--until", "greet", "-q"
    ).exits(0)
    end_here = cancel._end_here

    def overtaken(*given: Any) -> Any:
        end_here(*given)
        return end_here(*given)

    monkeypatch.setattr(cancel, "_end_here", overtaken)
    case.run("cancel", "@last").exits(0).stdout("""
        run RUN is cancelled
        """)


@pytest.mark.parametrize("options", [[], ["--kill"]])
def test_a_run_whose_holder_lives_but_has_stopped_renewing_is_ended_here(
    case: Any, monkeypatch: pytest.MonkeyPatch, options: list[str]
) -> None:
    case.wf(SLOW.replace("echo up > up; setsid sleep 300 & sleep 300", "true")).run(
        "run", "x.wf", "--until", "one", "-q"
    ).exits(0)
    with sqlite3.connect(case.project / ".runkon" / "runkon.db") as rows:
        rows.execute("UPDATE runs SET lease_owner = ?, lease_until = 1", (this_holder(),))
    rows.close()
    monkeypatch.setattr("runkon.engine.lease.RENEWAL_MS", 1)
    case.run("cancel", "@last", *options).exits(0).stdout("""
        run RUN is cancelled
        """)
    assert "has stopped renewing its hold on run RUN" in case.plain(case.err)
    assert (case.project / "bye").exists() is (not options)


@pytest.mark.parametrize("renewal", [1, 10_000])
def test_a_late_holder_that_stopped_while_it_wrote_is_not_waited_for_any_longer(
    case: Any, monkeypatch: pytest.MonkeyPatch, renewal: int
) -> None:
    case.wf(SLOW.replace("echo up > up; setsid sleep 300 & sleep 300", "true")).run(
        "run", "x.wf", "--until", "one", "-q"
    ).exits(0)
    me = this_holder()
    with sqlite3.connect(case.project / ".runkon" / "runkon.db", isolation_level=None) as rows:
        rows.execute("UPDATE runs SET lease_owner = ?, lease_until = 1", (me,))
        monkeypatch.setattr("runkon.model.holder.RENEWAL_MS", renewal)
        is_held = cancel.is_held

        def then_locked(record: Any) -> bool:
            if not rows.in_transaction:
                rows.execute("BEGIN IMMEDIATE")
            return is_held(record)

        monkeypatch.setattr(cancel, "is_held", then_locked)
        case.run("cancel", "@last", "--wait", "200ms").exits(8).stdout("").stderr(f"""
            run RUN is told to stop; {describe(me)} advances it
            not confirmed: run RUN is interrupted and still advanced by {describe(me)}; the wish stays
            next: runkon cancel RUN --kill
            """)
        rows.execute("ROLLBACK")
    rows.close()
    assert case.run("show", "@last", "--json").out.count('"cancelled"') == 0


def test_a_cancel_that_died_is_told_of_and_carried_out(case: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    case.wf(SLOW.replace("echo up > up; setsid sleep 300 & sleep 300", "true")).run(
        "run", "x.wf", "--until", "one", "-q"
    ).exits(0)

    def died(*_given: Any) -> Any:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(cancel, "_end_here", died)
        case.run("cancel", "@last").exits(130)
    case.run("show", "@last").exits(0)
    assert case.plain(case.out).endswith("next: runkon cancel RUN\n")
    case.run("cancel", "@last").exits(0)


def test_an_unknown_run_is_an_error(case: Any) -> None:
    case.wf(HELLO).run("cancel", "01ABC").exits(6).stdout("")
    assert case.err.startswith("error[run-not-found]: no run has an id that begins with `01ABC`")
