"""Giving up and pausing: R73-R86. Real processes and signals; nothing is decided by time."""

from __future__ import annotations

import json
import os
import signal

import pytest

from .world import is_alive, until

GROUP = (
    "trap 'echo asked >> asked; exit 0' TERM; echo $$ >> pids; sleep 1000 & echo $! >> pids; "
    "setsid sleep 1000 & echo $! >> pids; while :; do sleep 0.02; done"
)
STOPPABLE = f"""workflow x {{
  call a
  script s {{ run = "{GROUP}" effect = read }}
  call b
  always {{ call c }}
}}"""
STUBBORN = STOPPABLE.replace("trap 'echo asked >> asked; exit 0' TERM", "trap '' TERM")


def pids_of(life, count=3):
    file = life.folder / "pids"
    until(lambda: len(file.read_text().split()) >= count and life.kinds()[-1] == "process_started", "the script begins")
    return [int(pid) for pid in file.read_text().split()]


def gone(pids):
    return not any(is_alive(pid) for pid in pids)


@pytest.mark.parametrize(
    ("number", "code", "cause"), [(signal.SIGINT, 130, "interrupt"), (signal.SIGTERM, 143, "sigterm"), (signal.SIGHUP, 129, "sighup")]
)
def test_r78_r80_a_signal_pauses_cleans_up_and_a_resume_ends_the_run(world, number, code, cause):
    life = world(STOPPABLE)
    with life.start("run", "x.wf") as process:
        pids = pids_of(life)
        process.send_signal(number)
        life.ended(process, exits=None)
    assert life.code == code
    assert gone(pids)
    assert (life.folder / "asked").exists(), "it was asked before it was killed"
    assert life.run[0] == "interrupted"
    assert life.payloads("run_interrupted")[0]["cause"] == cause
    assert life.sql("SELECT status FROM v_attempts WHERE path = 's'") == ["interrupted"]
    assert life.calls == {"a": 1, "always#1/c": 1}
    assert life.free()
    last = life.err.strip().splitlines()[-1]
    assert "runkon resume" in last and "runkon cancel" in last, last
    life.wf("workflow x { call a }")  # the stored text counts
    with life.start("resume", "@last") as process:
        pids = pids_of(life, 6)
        os.kill(pids[3], signal.SIGTERM)  # the script ends well by itself
        life.ended(process)
    assert life.run == ("completed", None)
    assert life.calls == {"a": 1, "b": 1, "always#1/c": 1, "always#2/c": 1}
    assert gone(pids)
    statuses = [each["inputs"]["workflow_status"] for each in life.seen if each["path"].startswith("always")]
    assert statuses == ["cancelled", "completed"]


def test_r79_a_second_interrupt_kills_what_does_not_listen(world):
    """The grace is an hour: only the second signal can have ended it."""
    life = world(STUBBORN)
    (life.folder / "runkon.toml").write_text("kill_grace = '1h'\n")
    with life.start("run", "x.wf") as process:
        pids = pids_of(life)
        process.send_signal(signal.SIGINT)
        assert any("stopping" in line for line in process.stderr)
        process.send_signal(signal.SIGINT)
        life.ended(process, exits=130)
    assert gone(pids)
    assert life.show()["status"] == "interrupted"
    life.do("db", "check")


def test_r73_r76_cancelled_it_is_the_end_with_always_and_what_it_was_told(world):
    life = world(STOPPABLE)
    with life.start("run", "x.wf") as process:
        pids = pids_of(life)
        life.do("cancel", "@last", "-m", "not needed")
        life.ended(process, exits=1)
    assert gone(pids)
    assert life.run == ("cancelled", "user")
    assert life.calls == {"a": 1, "always#1/c": 1}
    assert life.kinds("s")[-2:] == ["attempt_cancelled", "step_cancelled"]
    assert [each["inputs"]["workflow_status"] for each in life.seen if each["path"].startswith("always")] == ["cancelled"]
    assert life.payloads("run_cancel_requested")[0]["reason"] == "not needed"
    assert life.free()


@pytest.mark.parametrize(
    ("text", "answers", "reached"),
    [
        ("parallel { call a call b }", {"a": {"do": "wait", "for": "never"}, "b": {"do": "wait", "for": "never"}}, 2),
        ("do { call a }", {"a": {"do": "wait", "for": "never"}}, 1),
        ("script a { run = 'echo a >> calls; sleep 1000' }", {}, 1),
        ("call a { retries = 3 delay = 1000s }", {"a": {"do": "fail"}}, 1),
        ("parallel { max_parallel = 1 call a call b call d }", {"a": {"do": "wait", "for": "never"}}, 1),
        ("while a.x { max_iterations = 100000 call a }", {"a": {"markers": ["x"]}}, 3),
        ("call a { timeout = 1000s fallback = d on_fail = continue }", {"a": {"do": "wait", "for": "never"}}, 1),
    ],
    ids=["parallel", "do", "script", "backoff", "queue", "loop", "would go on"],
)
def test_r74_r82_a_cancel_is_noticed_whatever_the_run_does(world, text, answers, reached):
    life = world(f"workflow x {{ {'call a ' if 'while' in text else ''}{text} call c }}".replace("'", '"'), answers)
    with life.start("run", "x.wf") as process:
        until(lambda: sum(life.calls.values()) >= reached, "it is under way")
        if "delay" in text:
            until(lambda: life.kinds()[-1] == "retry_scheduled", "it waits")
        life.do("cancel", "@last")
        calls = life.calls
        life.ended(process, exits=1)
    assert life.run == ("cancelled", "user")
    assert life.calls == calls, "no further dispatch"
    assert "c" not in calls and "d" not in calls
    asked, ended = life.sql("SELECT at FROM events WHERE kind IN ('run_cancel_requested', 'run_cancelled') ORDER BY place")
    (wished,) = life.sql("SELECT cancel_at FROM runs")
    assert wished <= asked <= ended
    assert life.sql("SELECT count(*) FROM v_attempts WHERE status = 'running'") == [0]
    life.do("db", "check")


def test_r81_a_run_nobody_advances_is_ended_by_the_command_itself(world):
    """It waits for a decision: the question is withdrawn and the always block runs."""
    life = world("workflow x { call deploy call b always { call c } }").killed("after_return:path=deploy")
    life.do("resume", exits=4)
    assert life.calls == {"deploy": 1}, "a run that only waits has not ended"
    life.do("cancel", "@last")
    assert life.run == ("cancelled", "user")
    assert life.sql("SELECT status, decision FROM v_gates") == [("withdrawn", "withdrawn")]
    assert [path.partition("/")[2] for path in life.calls if path.startswith("always")] == ["c"]
    assert "b" not in life.calls
    assert life.free()
    life.do("db", "check")


def test_p8_a_cancel_beats_an_answer_that_came_first(world):
    life = world("workflow x { call deploy call b }").killed("after_return:path=deploy")
    life.do("resume", exits=4).do("answer", "@last", "--set", "decision=rerun").do("cancel", "@last")
    assert life.run == ("cancelled", "user")
    assert life.calls == {"deploy": 1}


def test_r83_cancelling_twice_is_fine_and_an_ended_run_is_an_error(world):
    life = world("workflow x { call a call b }").do("run", "x.wf", "--until", "a")
    life.do("cancel", "@last").do("cancel", "@last")
    assert life.kinds().count("run_cancelled") == 1
    life.do("run", "x.wf").do("cancel", "@last", exits=6)
    assert "error[already-ended]" in life.err and "completed" in life.err


def test_r84_a_cancelled_run_is_not_resumed_and_a_fork_keeps_its_steps(world):
    life = world("workflow x { call a call b }").do("run", "x.wf", "--until", "a").do("cancel", "@last")
    before = life.everything()
    for words in ([], ["--restart"], ["--from", "a"], ["--only-failed"]):
        life.do("resume", "@last", *words, exits=6)
        assert "error[not-resumable]" in life.err and "--fork" in life.err
    assert life.everything() == before
    old = life.show()["run_id"]
    life.do("resume", "@last", "--fork")
    assert life.calls == {"a": 1, "b": 1}
    assert life.run == ("completed", None)
    assert life.sql("SELECT forked_from FROM runs ORDER BY id DESC LIMIT 1") == [old]
    assert life.show(old)["status"] == "cancelled"


@pytest.mark.parametrize("how", ["timeout", "cancel"])
def test_r85_a_grandchild_that_holds_the_pipes_is_gone(world, how):
    run = "echo $$ >> pids; setsid sh -c 'trap : TERM; echo $$ >> pids; sleep 1000' & echo $! >> pids; sleep 1000"
    limit = "timeout = 1s" if how == "timeout" else ""
    life = world(f'workflow x {{ script s {{ run = "{run}" {limit} }} }}')
    with life.start("run", "x.wf") as process:
        file = life.folder / "pids"
        until(lambda: len(file.read_text().split()) >= 3, "all have begun")
        if how == "cancel":
            life.do("cancel", "@last")
        life.ended(process, exits=1)
    assert gone([int(pid) for pid in file.read_text().split()])
    assert life.run[0] == ("failed" if how == "timeout" else "cancelled")


def test_r87_no_more_run_at_once_than_the_limit(world):
    branches = " ".join(f"call a {{ as = \"n{number}\" }}" for number in range(50))
    inner = "parallel { max_parallel = 4 " + " ".join("call b" for _ in range(10)) + " }"
    life = world(f"workflow x {{ parallel {{ {' '.join('call a' for _ in range(50))} {inner} {inner} }} }}")
    life.do("run", "x.wf", "--jobs", "8")
    assert branches and sum(life.calls.values()) == 70
    open_at_once = most = 0
    for kind in life.sql("SELECT kind FROM v_events ORDER BY seq"):
        open_at_once += (kind == "attempt_started") - (kind in ("step_completed", "step_failed"))
        most = max(most, open_at_once)
    assert most <= 8


def test_r86_a_script_in_full(world):
    text = """workflow x {
  script s { run = "cat; seq 1 100000; echo broken >&2; exit 3" retries = 1 on_fail = "a" }
  call b
}"""
    life = world(text).do("run", "x.wf", exits=None)
    assert life.kinds("s").count("attempt_started") == 2
    error = life.step("s")["error"]
    assert error["kind"] == "exit" and "broken" in error["message"] and "3" in error["message"]
    assert life.calls["s/on_fail"] == 1
    life.do("logs", "@last", "s")
    lines = life.out.splitlines()
    assert [line for line in lines if line.isdecimal()].count("100000") == 2, "the output is in the file in full"


def test_p14_nothing_of_a_run_lives_on(world):
    life = world('workflow x { script s { run = "sleep 1000 & echo $! >> pids" } call a }').do("run", "x.wf")
    assert gone([int(pid) for pid in (life.folder / "pids").read_text().split()])
    assert json.loads(life.do("show", "@last", "--json").out)["status"] == "completed"
