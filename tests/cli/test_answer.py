"""`runkon answer`: what a run waits for is decided from any terminal, once."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time

import pytest

DEPLOY = """\
    workflow ship {
      script deploy { run = "echo deployed >> did; echo fine" }
      script after { run = "echo {{deploy.context}}" }
      always { script tidy { run = "echo tidy >> did" } }
    }
    """
TWO = """\
    workflow two {
      parallel p { fail_fast = false script a { run = "sleep 60" } script b { run = "sleep 60" } }
    }
    """


@pytest.fixture
def waiting(case):
    """A run that waits, because its process died after `deploy` had done its work."""
    case.wf(DEPLOY).dies("after_return:path=deploy", "run", "x.wf")
    return case.run("resume", "@last").exits(4)


QUESTION = """\
deploy waits for a decision (begun just now, TIME)
    nobody saw how attempt 1 of script `deploy` ended: the process that ran it was lost; it may have done all of its \
work, a part of it, or none
    runkon answer RUN:unknown:deploy --set decision=rerun   try it again
    runkon answer RUN:unknown:deploy --set decision=done    it has done its work
    runkon answer RUN:unknown:deploy --set decision=failed  count it as failed
"""


def did(case):
    return (case.project / "did").read_text().split()


def test_a_resume_says_what_it_waits_for_and_how_to_decide(waiting):
    assert waiting.out == ""
    assert waiting.plain(waiting.err).endswith(
        f"waiting · 1 step · 1 waiting for a decision\n{QUESTION}"
        "next: runkon resume RUN        (once every question has its answer)\n"
    )
    assert did(waiting) == ["deployed"]


def test_the_question_is_asked_where_only_results_and_errors_are_wanted(waiting):
    waiting.run("resume", "@last", "-q").exits(4).stdout("").stderr(QUESTION)


def test_a_resume_that_asks_says_how_many(case):
    case.wf(DEPLOY).dies("after_return:path=deploy", "run", "x.wf")
    case.run("resume", "@last").exits(4)
    assert "resumed     0 steps kept, 0 to run again, 1 to be asked about\n" in case.err


def test_show_and_runs_say_the_same(waiting):
    waiting.run("show", "@last").exits(0)
    shown = waiting.plain(waiting.out)
    assert "⏸ script deploy" in shown
    assert shown.endswith(f"\n\n{QUESTION}\nnext: runkon resume RUN        (once every question has its answer)\n")
    waiting.run("runs").exits(0)
    assert waiting.out.split()[1] == "waiting"


def test_programs_get_the_question_with_its_command(waiting):
    waiting.run("show", "@last", "--json").exits(0)
    run = waiting.json()
    assert (run["status"], [step["status"] for step in run["steps"]]) == ("waiting", ["waiting"])
    assert run["open_gates"] == [run["waiting"]]
    question = run["waiting"]
    assert question["gate"] == "unknown:deploy"
    assert question["options"] == ["rerun", "done", "failed"]
    assert question["answer_with"] == f"runkon answer {run['run_id']}:unknown:deploy --set decision=CHOICE"
    waiting.run("runs", "--json")
    assert waiting.json()["runs"][0]["waiting"] == question
    waiting.run("resume", "@last", "--json").exits(4)
    assert waiting.json()["waiting"] == question


def test_done_goes_on_with_what_was_said(waiting):
    waiting.run(
        "answer", "@last:unknown:deploy", "--set", "decision=done", "--set", 'output={"context": "by hand"}',
        "-m", "saw it", "--as", "ann",
    )  # fmt: skip
    waiting.exits(0).stdout("unknown:deploy: done, by ann\n").stderr("next: runkon resume RUN\n")
    waiting.run("resume", "@last").exits(0)
    assert did(waiting) == ["deployed", "tidy"]
    waiting.run("show", "@last", "--json")
    assert [step["context"] for step in waiting.json()["steps"]][:2] == ["by hand", "by hand"]


def test_a_script_needs_no_output_and_the_run_goes_on_at_once(waiting):
    waiting.run("answer", "@last", "--set", "decision=done", "--resume").exits(0)
    assert did(waiting) == ["deployed", "tidy"]


def test_rerun_runs_it_again(waiting):
    waiting.run("answer", "@last", "--set", "decision=rerun", "--resume").exits(0)
    assert did(waiting) == ["deployed", "deployed", "tidy"]


def test_failed_fails_the_run(waiting):
    waiting.run("answer", "@last", "--set", "decision=failed", "--as", "ann", "-m", "no file there").exits(0)
    waiting.run("resume", "@last").exits(1)
    assert "`deploy` failed: ann decided that it failed: no file there" in waiting.err
    assert did(waiting) == ["deployed", "tidy"]


def test_an_output_comes_from_a_file_too(waiting):
    waiting.file("result.json", '{"markers": ["done"], "context": "from a file"}')
    waiting.run("answer", "@last", "--set", "decision=done", "--set", "output=@result.json", "--resume").exits(0)
    waiting.run("show", "@last", "deploy", "--json")
    assert waiting.json()["show"][0]["markers"] == ["done"]


def test_the_first_answer_stands(waiting):
    waiting.run("answer", "@last", "--set", "decision=rerun", "--as", "ann").exits(0)
    waiting.run("answer", "@last", "--set", "decision=failed", "--as", "bob").exits(6)
    assert "`rerun` by ann" in waiting.err


def test_an_answer_that_no_leg_has_taken_yet_is_shown_everywhere(waiting):
    waiting.run("answer", "@last", "--set", "decision=rerun", "--as", "ann", "-m", "it had not begun").exits(0)
    waiting.run("show", "@last").exits(0)
    assert waiting.plain(waiting.out).endswith(
        "\n\ndeploy has its answer: rerun, by ann: it had not begun\n\nnext: runkon resume RUN\n"
    )
    waiting.run("explain", "@last", "deploy").exits(0)
    said = "    answered: rerun, by ann: it had not begun, via cli, TIME; the next leg takes it\n"
    assert said in waiting.plain(waiting.out)
    assert waiting.plain(waiting.err) == "next: runkon resume RUN\n"
    waiting.run("resume", "@last", "--dry-run").exits(0)
    assert waiting.out.splitlines()[0].split(maxsplit=2) == ["rerun", "deploy", "answered: rerun, by ann"]


@pytest.mark.parametrize(("choice", "planned"), [("done", "reuse"), ("failed", "fail")])
def test_the_plan_says_what_an_answer_comes_to(waiting, choice, planned):
    waiting.run("answer", "@last", "--set", f"decision={choice}").exits(0)
    waiting.run("resume", "@last", "--dry-run").exits(0)
    assert waiting.out.split()[:2] == [planned, "deploy"]


def test_a_fork_of_a_run_that_died_asks_too(case):
    case.wf(DEPLOY).dies("after_return:path=deploy", "run", "x.wf")
    case.run("resume", "@last", "--fork").exits(4)
    assert "undecided   deploy  nobody said what became of its last attempt\n" in case.err
    assert did(case) == ["deployed"]
    case.run("answer", "@last", "--set", "decision=done", "--set", 'output="fine"', "--resume").exits(0)
    assert did(case) == ["deployed", "tidy"]


def test_a_cancelled_run_says_who_gave_it_up_and_why(waiting):
    waiting.run("cancel", "@last", "-m", "not needed").exits(0)
    waiting.run("show", "@last").exits(0)
    lines = waiting.out.splitlines()
    assert [line for line in lines if line.startswith("cancelled by: ") and line.endswith(": not needed")]


def test_recover_names_the_command_that_shows_the_question(case):
    case.wf(DEPLOY).dies("after_return:path=deploy", "run", "x.wf")
    case.run("recover").exits(0).stdout("RUN  waiting  ship  next: runkon show RUN\n")


def test_an_answer_before_the_question_is_asked_counts(case):
    case.wf(DEPLOY).dies("after_return:path=deploy", "run", "x.wf")
    case.run("answer", "@last", "--set", "decision=done", "--as", "ann").exits(0)
    case.stdout("unknown:deploy: done, by ann\n").stderr("next: runkon resume RUN\n")
    case.run("resume", "@last").exits(0)
    assert did(case) == ["deployed", "tidy"]


def test_json(waiting):
    waiting.run("answer", "@last", "--set", "decision=rerun", "--as", "ann", "--json").exits(0)
    said = waiting.json()
    assert (said["schema"], said["listening"]) == ("runkon.answer/1", False)
    assert (said["answer"]["gate"], said["answer"]["decision"], said["answer"]["by"]) == (
        "unknown:deploy", "rerun", "ann",
    )  # fmt: skip
    assert said["next"].startswith("runkon resume ")


CHOICES = "give --set decision=rerun, --set decision=done or --set decision=failed"
SHAPE = 'an object like {"markers": [], "context": "what was done", "a_field": 1}, or a text in quotes'
NO_FILE = "`none.json` of `output` can't be read: no such file or directory"
NO_LIST = "`markers` of the output is not a list of texts"
WRONG = [
    ("", "the answer says no decision", CHOICES),
    ("decision=maybe", "`maybe` is no decision", CHOICES),
    ("decision=rerun output={}", "`output` goes with `decision=done` only", "leave `output` out, or decide `done`"),
    ("choice=done", "nothing is called `choice` in this answer", "it has `decision` and `output`"),
    ("decision=done output=@none.json", NO_FILE, "name a file with the output as JSON"),
    ("decision=done output=[1]", "the output is neither an object nor a text", SHAPE),
    ('decision=done output={"markers":1}', f"the output can't be used: {NO_LIST}", SHAPE),
]


@pytest.mark.parametrize(("pairs", "message", "help"), WRONG, ids=[message for _, message, _ in WRONG])
def test_a_wrong_answer_changes_nothing(waiting, pairs, message, help):
    words = [word for pair in pairs.split() for word in ("--set", pair)]
    waiting.run("answer", "@last", *words).exits(2).stdout("")
    waiting.stderr(f"error[invalid-answer]: {message}\n  = help: {help}\n")
    waiting.run("show", "@last", "--json")
    assert waiting.json()["waiting"] is not None


def test_broken_json_is_named(waiting):
    waiting.run("answer", "@last", "--set", "decision=done", "--set", "output={oops").exits(2)
    assert waiting.err.startswith("error[invalid-answer]: `output` is no JSON: ")
    (waiting.project / "deep.json").write_text("[" * 100_000)
    waiting.run("answer", "@last", "--set", "decision=done", "--set", "output=@deep.json").exits(2)
    assert waiting.err.startswith("error[invalid-answer]: `output` is no JSON: it is nested too deep\n")


def test_a_question_that_is_not_there(waiting):
    waiting.run("answer", "@last:unknown:deplo", "--set", "decision=rerun").exits(6).stderr("""
        error[not-waiting]: run `RUN` does not wait for `unknown:deplo`
          = help: did you mean `unknown:deploy`?
          = next: runkon show RUN
        """)


def test_a_run_that_waits_for_nothing(case):
    case.wf('workflow w { script a { run = "true" } }').run("run", "x.wf", "-q").exits(0)
    case.run("answer", "@last", "--set", "decision=rerun").exits(6).stderr("""
        error[not-waiting]: run `RUN` is completed and waits for no decision
          = next: runkon show RUN
        """)


def test_a_step_of_an_always_block_is_no_question(case):
    case.wf(DEPLOY).dies("in_attempt:path=always#1/tidy", "run", "x.wf")
    case.run("answer", "@last", "--set", "decision=rerun").exits(6)
    case.run("explain", "@last", "tidy").exits(0)
    assert "the process that ran it was lost; a later leg has an always block of its own\n" in case.out
    case.run("resume", "@last").exits(0)
    assert did(case) == ["deployed", "tidy"]
    case.run("show", "@last", "--json")
    assert [step["path"] for step in case.json()["steps"]][2:] == ["always#1/tidy", "always#2/tidy"]


def test_of_several_questions_one_is_named(case):
    case.wf(TWO).dies("in_attempt:path=p/b", "run", "x.wf")
    case.run("resume", "@last").exits(4)
    assert len(json.loads(case.run("show", "@last", "--json").out)["open_gates"]) == 2
    case.run("answer", "@last", "--set", "decision=failed").exits(2).stderr("""
        error[ambiguous-gate]: run `RUN` waits for several decisions: `unknown:p/a`, `unknown:p/b`
          = help: name one of them, like RUN:unknown:p/a
        """)
    case.run("answer", "@last:unknown:p/a", "--set", "decision=failed").exits(0)
    case.run("resume", "@last").exits(4)
    assert [gate["gate"] for gate in json.loads(case.run("show", "@last", "--json").out)["open_gates"]] == [
        "unknown:p/b"
    ]


def test_a_call_that_is_done_has_an_output(case):
    case.file(
        ".runkon/plugins/mine.py",
        """
        import runkon
        @runkon.executor("mine", effect="write")
        def mine(request):
            return {"n": 1}
        @runkon.hookimpl
        def runkon_register_executors(register):
            register(mine)
        """,
    )
    case.wf("workflow w { call mine outputs { n = mine.n } }")
    case.dies("after_return:path=mine", "run", "x.wf")
    case.run("answer", "@last", "--set", "decision=done").exits(2).stderr("""
        error[invalid-answer]: `mine` is a call, so later steps may read its output, and the answer has none
          = help: give it as --set output=@FILE or --set output=JSON; `{}` is an empty one
        """)
    case.run("answer", "@last", "--set", "decision=done", "--set", 'output={"n": 5}', "--resume").exits(0)
    case.run("show", "@last", "--json")
    assert case.json()["outputs"] == {"n": 5}


def test_a_run_that_goes_on_takes_the_answer_itself(case):
    case.wf("""
        workflow w { parallel p {
          script a { run = "true" }
          script b { run = "while ! test -e go; do sleep 0.05; done" }
        } }
        """)
    case.dies("after_return:path=p/a", "run", "x.wf")
    clean = {name: value for name, value in os.environ.items() if not name.startswith("RUNKON_")}
    case.run("answer", "@last:unknown:p/b", "--set", "decision=rerun")
    owner = subprocess.Popen([sys.executable, "-m", "runkon", "resume", "-q"], cwd=case.project, env=clean)
    deadline = time.monotonic() + 60
    while not case.run("show", "@last", "--json").json()["open_gates"]:
        assert owner.poll() is None
        assert time.monotonic() < deadline
    case.run("answer", "@last:unknown:p/a", "--set", "decision=done", "--resume").exits(0)
    assert case.err == "the run is being advanced; the answer counts once nothing else is left to do\n"
    case.file("go", "")
    assert owner.wait(60) == 0
    case.run("show", "@last", "--json")
    assert case.json()["status"] == "completed"


@pytest.mark.parametrize("point", ["before_open", "after_open", "before_decide", "before_apply", "after_decide"])
def test_a_death_around_a_question_changes_nothing_about_its_end(case, point):
    case.wf(DEPLOY).dies("after_return:path=deploy", "run", "x.wf")
    if point.endswith("_open"):
        case.dies(f"{point}:path=deploy", "resume", "@last")
        case.run("resume", "@last").exits(4)
        case.run("answer", "@last", "--set", "decision=done").exits(0)
    else:
        case.run("resume", "@last").exits(4)
        case.run("answer", "@last", "--set", "decision=done").exits(0)
        case.dies(f"{point}:path=deploy", "resume", "@last")
    case.run("resume", "@last").exits(0)
    assert did(case) == ["deployed", "tidy"]
    case.run("explain", "@last", "deploy", "--json")
    told = case.json()["explain"]
    assert [gate["decision"] for gate in told["gates"]] == ["done"]
    assert len(told["attempts"]) == 1
