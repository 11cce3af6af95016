"""Killed with -9 at a named place, and what the next command does: R45-R61. Everything here is real.

What `tests/crash` shows already is not repeated; README.md says where."""

from __future__ import annotations

import json

import pytest

from .world import World, until

CHAIN = "workflow x { call a call b call c outputs { x = c.context } }"
DEPLOY = "workflow x { call a call deploy { retries = 1 } call b }"


@pytest.mark.parametrize(("place", "count"), [("after_return", 2), ("before_dispatch", 1)])
def test_r45_r47_a_lost_reading_attempt_runs_again_and_costs_no_retry(world, place, count):
    """The preview says what is known of it, which is the same in both cases."""
    text = "workflow x { call a call b { retries = 1 } call c }"
    life = world(text, {"b": [{}] * (count - 1) + [{"do": "fail"}, {}]}).killed(f"{place}:path=b")
    plan = {line["path"]: line for line in life.json("resume", "--dry-run")["resume"]}
    assert (plan["a"]["decision"], plan["b"]["decision"], plan["c"]["decision"]) == ("reuse", "rerun", "new")
    assert "cut off" in plan["b"]["reason"] and "process lost" in plan["b"]["reason"]
    life.do("resume")
    attempts = life.sql("SELECT number, status, cause FROM v_attempts WHERE path = 'b' ORDER BY number")
    assert attempts == [(0, "unknown", "process_lost"), (1, "failed", "exception"), (2, "completed", None)]
    assert life.calls["b"] == count + 1
    assert life.run == ("completed", None)


def test_r46_a_lost_writing_attempt_waits_for_a_decision_and_can_be_told_done(world):
    life = world(DEPLOY).killed("after_return:path=deploy")
    plan = {line["path"]: line for line in life.json("resume", "--dry-run")["resume"]}
    assert plan["deploy"]["decision"] == "ask"
    life.do("resume", exits=4)
    assert "unknown:deploy" in life.err
    assert life.run[0] == "waiting"
    assert life.free()
    gate = life.sql("SELECT name, status, options FROM v_gates")
    assert gate == [("unknown:deploy", "open", "rerun, done, failed")]
    assert life.calls == {"a": 1, "deploy": 1}
    life.do("answer", "@last:unknown:deploy", "--set", "decision=done", exits=2)
    assert "output" in life.err, "a call that is done has an output"
    (life.folder / "out.json").write_text(json.dumps({"context": "deployed", "version": 3}))
    life.do("answer", "@last:unknown:deploy", "--set", "decision=done", "--set", "output=@out.json", "--as", "ann")
    life.do("answer", "@last:unknown:deploy", "--set", "decision=rerun", exits=None)
    assert life.code != 0 and "ann" in life.err, "the second is told who was first"
    life.do("resume")
    assert life.calls == {"a": 1, "deploy": 1, "b": 1}
    assert life.step("deploy")["output"] == {"version": 3}
    assert life.sql("SELECT status, decision, by, via FROM v_gates") == [("decided", "done", "ann", "cli")]
    assert life.run == ("completed", None)
    life.do("db", "check")


def test_r46_failed_goes_to_on_fail_without_a_retry(world):
    text = "workflow x { call deploy { retries = 2 on_fail = a } call b }"
    life = world(text).killed("after_return:path=deploy")
    life.do("resume", exits=4).do("answer", "@last", "--set", "decision=failed")
    life.do("resume", exits=None)
    assert life.calls["deploy"] == 1
    assert life.sql("SELECT count(*) FROM v_attempts WHERE path = 'deploy'") == [1]
    assert life.calls["deploy/on_fail"] == 1


@pytest.mark.parametrize(
    ("options", "decision", "exits"),
    [("on_unknown = rerun", "rerun", 0), ("on_unknown = fail", "failed", 1), ("effect = read", "rerun", 0)],
)
def test_n1_the_options_of_a_step_decide_about_its_lost_attempt(world, options, decision, exits):
    life = world(f"workflow x {{ call deploy {{ {options} }} call b }}").killed("after_return:path=deploy")
    life.do("resume", exits=exits)
    assert life.calls["deploy"] == (2 if decision == "rerun" else 1)
    if decision == "failed":
        assert life.step("deploy")["error"]["kind"] == "unknown_outcome"


def test_n1_a_reading_step_may_be_asked_about_too(world):
    life = world("workflow x { call a { on_unknown = ask } }").killed("after_return:path=a")
    life.do("resume", exits=4).do("answer", "@last", "--set", "decision=rerun").do("resume")
    assert life.calls == {"a": 2}


def test_r49_a_step_that_kills_its_process_ends_as_crash_limit(world):
    life = world("workflow x { call a call b { retries = 5 } always { call c } }", {"b": {"do": "die"}})
    life.do("run", "x.wf", exits=-9)
    for _ in range(5):
        life.do("resume", exits=-9)
    life.do("resume", exits=1)
    assert life.calls["b"] == 6, "max(3, retries + 1)"
    assert life.step("b")["error"]["kind"] == "crash_limit"
    assert life.run[1] in ("crash_limit", "step_failed")
    assert life.sql("SELECT crash_count FROM runs") == [6]
    life.do("db", "check")


def test_r51_killed_after_the_last_step_only_the_end_is_added(world):
    text = "workflow x { call a outputs { x = a.context } }"
    life = world(text).killed("before_end:do=hang;after_finish:path=a")
    before = life.kinds()
    life.do("resume")
    assert life.kinds() == [*before, "run_resumed", "run_completed"]
    assert life.out == "x = did a\n"
    assert life.calls == {"a": 1}


def test_r52_a_completed_run_is_printed_without_an_event(world):
    life = world(CHAIN).do("run", "x.wf")
    before = life.everything()
    for _ in range(2):
        life.do("resume", "@last")
        assert life.out == "x = did c\n"
    assert life.everything() == before


MERGED = """workflow x {
  call a
  parallel p { call b call c { on_fail = continue } call d }
  call e { if = p.one and p.two }
  call f
  outputs { all = p.markers  last = f.context }
}"""
MARKED = {"b": {"markers": ["one"]}, "c": {"do": "fail"}, "d": {"markers": ["two"]}}


@pytest.mark.parametrize("place", ["after_join", "after_start:path=e", "after_return:path=f", "branch_done:hit=2"])
def test_r59_what_steps_see_after_a_resume_is_what_they_see_in_one_go(world, tmp_path, place):
    (tmp_path / "whole" / "project").mkdir(parents=True)
    whole = World(tmp_path / "whole" / "project", MERGED, MARKED).do("run", "x.wf")
    life = world(MERGED, MARKED).killed(place)
    life.do("resume")
    assert life.out == whole.out

    def last_seen(one):
        found = {each["path"]: each["inputs"] for each in one.seen}
        return {path: {k: v for k, v in given.items() if k not in ("workflow_run_id", "folder")
                       and str(one.folder) not in str(v)} for path, given in found.items()}  # fmt: skip

    assert last_seen(life) == last_seen(whole)
    facts = ("path", "key", "status", "markers", "context", "output", "error", "handled")
    assert [{k: step.get(k) for k in facts} for step in life.show()["steps"]] == [
        {k: step.get(k) for k in facts} for step in whole.show()["steps"]
    ]


def test_r60_results_apply_in_the_order_of_the_text(world):
    text = "workflow x { parallel { call b call c { on_fail = continue } } call d outputs { d = d.context } }"
    life = world(text, {"b": {"do": "wait", "for": "go", "markers": ["from_b"]}, "c": {"do": "fail"}})
    with life.start("run", "x.wf") as process:
        until(lambda: "step_failed" in life.kinds(), "c ends")
        life.note("go")
        life.ended(process)
    (seen,) = [each["inputs"] for each in life.seen if each["path"] == "d"]
    assert [(each["step"], each["context"]) for each in seen["prior_contexts"]] == [("b", "did parallel/b")]
    steps = life.show()["steps"]
    assert [(step["key"], step["status"], step["handled"]) for step in steps] == [
        ("b", "completed", None),
        ("c", "failed", "continue"),
        ("d", "completed", None),
    ]


def test_r60_the_error_names_the_block_and_its_counts(world):
    text = "workflow x { parallel p { min_success = 2 call b call c call d } }"
    life = world(text, {"c": {"do": "fail"}, "d": {"do": "fail"}}).do("run", "x.wf", exits=1)
    error = life.sql("SELECT error FROM runs")[0]
    assert "`p`" in error and "1 of 3" in error and "2" in error, error


def test_r61_one_current_row_per_path_and_older_ones_in_the_history(world):
    life = world(CHAIN).do("run", "x.wf").do("resume", "@last", "--from", "b")
    assert life.sql("SELECT path, epoch FROM v_steps ORDER BY path") == [("a", 1), ("b", 2), ("c", 2)]
    assert life.sql("SELECT path, epoch, superseded_leg FROM steps ORDER BY path, epoch") == [
        ("a", 1, None),
        ("b", 1, 2),
        ("b", 2, None),
        ("c", 1, 2),
        ("c", 2, None),
    ]
    assert life.sql("SELECT steps_total, steps_done FROM v_runs") == [(3, 3)]
    assert [step["path"] for step in life.show()["steps"]] == ["a", "b", "c"]
    assert life.kinds().count("step_superseded") == 2
