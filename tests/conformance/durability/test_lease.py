"""One owner at a time: R62-R72. Real processes; what the virtual clock shows is in the unit tests README.md names."""

from __future__ import annotations

import os

from .world import is_alive, until

HOLDS = """workflow x {
  script hold { effect = read run = "echo $$ >> hold; sleep 1000 & echo $! >> hold; while [ ! -e go ]; do sleep 0.02; done" }
  call a
}"""


def begun(life, count=1):
    """Wait until the script has started its helper for the n-th time and its process is on record."""
    file = life.folder / "hold"
    until(lambda: len(file.read_text().split()) >= 2 * count and life.kinds()[-1] == "process_started", "the step begins")
    return [int(pid) for pid in file.read_text().split()]


def test_r64_an_engine_whose_run_was_taken_writes_nothing_and_leaves_nothing(world):
    life = world(HOLDS)
    with life.start("run", "x.wf") as process:
        pids = begun(life)
        life.tamper("UPDATE runs SET lease_owner = 'elsewhere · boot · 1 · 1 · stranger', fence = fence + 1, leg = leg + 1, "
                    "lease_until = lease_until + 3600000")  # fmt: skip
        before = life.everything()
        life.note("go")  # the step completes, and that is what can't be written any more
        life.ended(process, exits=8)
    assert "elsewhere" in life.err, "the new owner is named"
    assert "Traceback" not in life.err
    assert life.everything() == before
    until(lambda: all((not is_alive(pid)) for pid in pids), "the children of the loser end")
    assert life.calls == {}


def test_r63_who_is_refused_has_changed_no_row_and_killed_nothing(world):
    life = world(HOLDS)
    with life.start("run", "x.wf") as process:
        pids = begun(life)
        for words in (["resume", "@last"], ["resume", "@last", "--restart"], ["resume", "@last", "--from", "a"],
                      ["db", "rebuild", "@last"], ["recover"]):  # fmt: skip
            before = {name: rows for name, rows in life.everything().items() if name != "runs"}
            life.do(*words, exits=None)
            assert life.code in ((8,) if words[0] != "recover" else (0,)), (words, life.err)
            assert {name: rows for name, rows in life.everything().items() if name != "runs"} == before, words
        assert not any((not is_alive(pid)) for pid in pids)
        life.note("go")
        life.ended(process)
    assert life.run == ("completed", None)
    assert life.calls == {"a": 1}
    assert life.sql("SELECT fence, leg FROM runs") == [(1, 1)]


def test_r67_a_killed_owner_is_replaced_at_once_and_nothing_of_it_lives(world):
    life = world(HOLDS)
    with life.start("run", "x.wf") as process:
        pids = begun(life)
        process.kill()
        process.communicate()
    assert not all((not is_alive(pid)) for pid in pids), "what it had started was to be alive"
    assert life.show()["status"] == "interrupted", "shown as it is, before anybody has taken it"
    with life.start("resume", "@last") as process:
        begun(life, 2)
        assert all((not is_alive(pid)) for pid in pids), "ended before the step began again"
        life.note("go")
        life.ended(process)
    assert life.calls == {"a": 1}
    attempts = life.sql("SELECT number, status, cause FROM v_attempts WHERE path = 'hold' ORDER BY number")
    assert attempts == [(0, "unknown", "process_lost"), (1, "completed", None)]


def test_r69_a_stranger_with_the_number_of_the_owner_is_not_signalled(world):
    """The record names this very test process as owner and as leader, with another start time."""
    life = world("workflow x { call a call b }").killed("after_start:path=b")
    (owner,) = life.sql("SELECT lease_owner FROM runs")
    (pid,) = [part for part in owner.replace("·", " ").split() if part.isdecimal() and 1 < int(part) < 2**22][-1:] or [""]
    assert pid, owner
    life.tamper(f"UPDATE runs SET lease_owner = replace(lease_owner, '{pid}', '{os.getpid()}')")
    life.do("resume")
    assert life.calls == {"a": 1, "b": 1}


def test_r66_a_paused_run_goes_on_at_once(world):
    life = world("workflow x { call a call b }").do("run", "x.wf", "--until", "a")
    assert life.free()
    life.do("resume")
    assert life.sql("SELECT fence, leg FROM runs") == [(2, 2)]
    assert life.calls == {"a": 1, "b": 1}
