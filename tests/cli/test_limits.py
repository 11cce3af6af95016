"""Budgets and limits of calls, as people meet them: what is refused, shown, and kept over kills and resumes."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import subprocess
import sys
import time

from .conftest import Case

PLUGIN = """
import os, time
from pathlib import Path
from runkon import Output, executor
from runkon.model.output import Usage

@executor("agent", metered=True)
def agent(request):
    if Path("hang").exists() and request.path == "b":
        Path("hanging").touch()
        time.sleep(600)
    return Output(context="did " + request.secrets.get("token", ""), usage=Usage(cost_usd=0.4, input_tokens=100))

@executor("silent", metered=True)
def silent(request):
    return "no price"
"""
THREE = """
workflow x {
  meta { budget_usd = 1 }
  call a { executor = "agent" max_cost_usd = 0.4 }
  call b { executor = "agent" max_cost_usd = 0.4 }
  call c { executor = "agent" max_cost_usd = 0.4 }
  always { script z { run = "echo {{workflow_status}} > ended" } }
}
"""


def made(case: Case, text: str = THREE) -> Case:
    return case.file(".runkon/plugins/agents.py", PLUGIN).wf(text)


def shown(case: Case) -> dict[str, object]:
    found: dict[str, object] = json.loads(case.run("show", "@last", "--json").exits(0).out)
    return found


def rows(case: Case, query: str) -> list[tuple[object, ...]]:
    with sqlite3.connect(case.project / ".runkon" / "runkon.db") as connection:
        return connection.execute(query).fetchall()


def test_a_run_over_budget_says_so_and_goes_on_with_a_new_one(case: Case) -> None:
    made(case).run("run", "x.wf").exits(7)
    assert "error[budget]: the budget of $1.00 leaves no room for step `c`: $0.80 is spent" in case.err
    assert "--budget 2" in case.err
    assert (case.project / "ended").read_text() == "failed\n"
    run = shown(case)
    assert (run["status"], run["reason"], run["cost_usd"], run["cost_known"]) == ("failed", "budget", 0.8, True)
    case.run("resume").exits(7)
    case.run("resume", "--budget", "2").exits(0)
    assert shown(case)["cost_usd"] == 1.2
    assert rows(case, "SELECT calls, round(cost_usd, 6), unpriced_calls FROM v_costs WHERE executor = 'agent'") == [
        (3, 1.2, 0)
    ]
    case.run("db", "check").exits(0)
    case.run("resume", "@last", "--restart").exits(7)
    assert shown(case)["cost_usd"] == 2.0


def test_limits_of_the_command_line(case: Case) -> None:
    made(case).run("run", "x.wf", "--max-calls", "1").exits(7)
    assert "the limit of 1 call is reached before step `b`" in case.err
    case.run("resume", "--max-calls", "2").exits(7)
    assert "before step `c`" in case.err
    assert "--max-calls 4" in case.err
    case.run("run", "x.wf", "--budget", "0.5").exits(7)
    assert "step `b`" in case.err
    case.run("run", "x.wf", "--budget", "much").exits(2)
    case.run("run", "x.wf", "--budget", "$9").exits(7)  # the lower of both holds


def test_a_fork_has_a_budget_of_its_own(case: Case) -> None:
    made(case).run("run", "x.wf").exits(7)
    case.run("resume", "--fork").exits(0)
    assert shown(case)["cost_usd"] == 0.4


def test_what_a_killed_process_had_set_aside_stays_spent(case: Case) -> None:
    made(case).file("hang", "")
    process = subprocess.Popen(
        [sys.executable, "-m", "runkon", "run", "x.wf"], cwd=case.project, stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )  # fmt: skip
    due = time.monotonic() + 60
    while not (case.project / "hanging").exists():
        assert time.monotonic() < due
        assert process.poll() is None
        time.sleep(0.02)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    (case.project / "hang").unlink()
    case.run("resume").exits(7)
    assert "$0.80 is spent" in case.err
    run = shown(case)
    assert (run["cost_usd"], run["cost_known"]) == (0.4, False)
    assert "≥ $0.40 (1 unpriced)" in case.run("show", "@last").exits(0).out + case.err
    case.run("resume", "--budget", "3").exits(0)
    assert shown(case)["cost_usd"] == 1.2
    assert rows(case, "SELECT calls, unpriced_calls FROM v_costs WHERE executor = 'agent'") == [(4, 1)]
    case.run("db", "check").exits(0)


def test_a_call_without_a_price_ends_the_run_before_it(case: Case) -> None:
    text = 'workflow x { meta { budget_usd = 1 } call a { executor = "silent" } call b { executor = "silent" } }'
    made(case, text).run("run", "x.wf").exits(7)
    assert "unpriced-call: nothing says what a call of `silent` costs, so the budget can't bound step `a`" in case.err
    assert shown(case)["cost_known"] is True
    case.env(RUNKON_ALLOW_UNPRICED="true").run("resume").exits(0)
    assert shown(case)["cost_known"] is False


def test_a_called_workflow_over_its_own_budget(case: Case) -> None:
    text = """
    workflow x { call workflow kid }
    workflow kid {
      meta { budget_usd = 0.5 }
      call a { executor = "agent" max_cost_usd = 0.4 }
      call b { executor = "agent" max_cost_usd = 0.4 }
    }
    """
    made(case, text).run("run", "x.wf").exits(1)
    assert "the budget of `kid` of $0.50 leaves no room for step `kid/b`: $0.40 is spent" in case.err
    assert "--with-edits" in case.err
    case.run("resume").exits(1)
    case.wf(text.replace("0.5 }", "0.9 }")).run("resume", "--with-edits").exits(0)
    assert shown(case)["cost_usd"] == 0.8
    case.run("db", "check").exits(0)
    case.run("explain", "@last", "kid/b").exits(0)


def test_no_secret_and_no_unlisted_variable_is_in_a_file(case: Case) -> None:
    secret, private = "s3cret-token-4711", "pr1vate-4712"
    text = """
    workflow x {
      meta { max_calls = 3 max_tokens = 250 }
      inputs { token secret }
      state { seen text }
      set { seen = "x {{token}}" }
      parallel p { until = a.ok call a { executor = "agent" } script s { run = "echo {{env.PLACE}} $RUNKON_TOKEN" } }
      foreach one in ["x {{token}}"] { call b { executor = "agent" inputs = { one = "{{one}}" } } }
      call workflow kid { inputs = { token = "{{token}}" } }
      gate human_review { prompt = "{{token}}?" timeout = 1ms on_timeout = continue }
    }
    workflow kid { inputs { token secret } script t { run = "echo $RUNKON_TOKEN" } }
    """
    made(case, text).file("runkon.toml", 'env = ["PLACE"]').env(PLACE="moon", PRIVATE=private)
    case.run("run", "x.wf", "-i", f"token={secret}", "--wait", "-v")
    assert case.code == 0, case.err
    assert "moon" in (case.project / ".runkon").joinpath("runkon.db").read_bytes().decode("latin-1")
    case.run("resume", "--fork", "-i", f"token={secret}", "--wait")
    files = [path for path in (case.project / ".runkon").rglob("*") if path.is_file()]
    for word in (secret, private):
        assert [path.name for path in files if word.encode() in path.read_bytes()] == []
        assert word not in case.out + case.err


CACHED = """
workflow x {
  call a { executor = "agent" cache = true }
  call workflow k { cache = true }
  script b { run = "test -e fixed" }
}
workflow k { call c { executor = "agent" } }
"""


def test_what_was_not_paid_again_is_said_at_its_price(case: Case) -> None:
    made(case, CACHED).run("run", "x.wf").exits(1)
    assert "$0.80" in case.err
    assert "saved" not in case.err
    case.file("fixed", "").run("resume").exits(0)
    assert "$0.80 · saved: $0.80 kept" in case.err
    case.run("show", "@last").exits(0)
    assert "saved: $0.80 kept" in case.out
    case.run("run", "x.wf", "--record").exits(0)
    assert "saved: $0.80 from the cache" in case.err
    case.run("run", "x.wf", "--no-cache", "--record").exits(0)
    assert "saved" not in case.err
    case.run("replay", "@last").exits(0)
    assert "as recorded: 3 answers; nothing was called; saved: $0.80" in case.err
    case.run("replay", ".runkon/cassettes/x.json").exits(0)
    assert "nothing was called; saved: $0.80" in case.err


def test_the_ledger_names_what_nobody_knows_and_takes_what_somebody_does(case: Case) -> None:
    text = """workflow x { meta { budget_usd = 1 }
      call a { executor = "agent" max_cost_usd = 0.4 }
      call s { executor = "silent" max_cost_usd = 0.5 }
      call c { executor = "agent" max_cost_usd = 0.4 } }"""
    made(case, text).run("run", "x.wf").exits(7)
    case.run("ledger", "@last").exits(0)
    assert [line.split() for line in case.out.splitlines()][1:] == [
        ["3", "a", "1", "agent", "$0.40", "$0.40", "provider"],
        ["5", "s", "1", "silent", "$0.50", "?", "unknown"],
        ["spent:", "≥", "$0.40", "(1", "unpriced)"],
    ]
    case.run("ledger", "set", "@last", "3", "--cost", "0.1").exits(2)
    assert "the cost of entry 3 is known: provider" in case.err
    case.run("ledger", "@last", "--cost", "1").exits(2)
    case.run("resume").exits(7)
    case.run("ledger", "set", "@last", "5", "--cost", "0.1", "--as", "kim").exits(0)
    assert "spent: $0.50" in case.out
    case.run("ledger", "set", "@last", "5", "--cost", "0.2").exits(2)
    case.run("resume").exits(0)
    found = json.loads(case.run("ledger", "@last", "--json").exits(0).out)["ledger"]
    assert [(one["path"], one["spent_usd"], one["source"]) for one in found] == [
        ("a", 0.4, "provider"),
        ("s", 0.1, "user"),
        ("c", 0.4, "provider"),
    ]
    case.run("db", "check").exits(0)
