"""`idle_timeout`: a script that gives no sign of life is ended, with everything it has started."""

from __future__ import annotations

import time

SILENT = """\
    workflow w {
      script silent { run = "sleep 600 & echo $! > pid; echo begun; wait" idle_timeout = 300ms on_fail = continue }
      script after { run = "echo {{silent.status}}" }
      outputs { text = "{{after.context}}" }
    }
    """


def test_a_silent_script_ends_with_what_it_has_started(case):
    case.wf(SILENT).run("run", "x.wf").exits(0).stdout("text = timed_out\n")
    assert "timed out   silent  no sign of life for 300ms\n" in case.err
    pid = int((case.project / "pid").read_text())
    deadline = time.monotonic() + 30
    while _runs(pid):
        assert time.monotonic() < deadline
    case.run("show", "@last", "silent", "--json")
    step = case.json()["show"][0]
    assert (step["status"], step["handled"], step["error"]["kind"]) == ("timed_out", "continue", "idle")


def _runs(pid):
    try:
        with open(f"/proc/{pid}/stat") as file:
            return file.read().rpartition(")")[2].split()[0] not in "ZX"
    except (FileNotFoundError, ProcessLookupError):
        return False
