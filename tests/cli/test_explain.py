"""`runkon explain`: every kind of decision, told from the records alone, each in full."""

from __future__ import annotations

import json
import re
import sqlite3
from textwrap import dedent

import pytest

PLUGIN = """
    import runkon


    def busy():
        error = runkon.Transient("busy")
        error.usage = runkon.Usage(cost_usd=0.5)
        return error


    @runkon.executor("tired")
    def tired(request):
        if request.attempt < 1:
            raise busy()
        return runkon.Output(markers=frozenset({"ok"}), usage=runkon.Usage(cost_usd=0.25))


    @runkon.executor("weak")
    def weak(request):
        raise ValueError("nothing to read")


    @runkon.executor("broke")
    def broke(request):
        raise runkon.Fatal("no credit")


    @runkon.executor("spare", version="2")
    def spare(request):
        return "spare"


    @runkon.executor("slow")
    def slow(request):
        request.cancel.wait(60)
        request.cancel.raise_if_cancelled()


    @runkon.hookimpl
    def runkon_register_executors(register):
        for one in (tired, weak, broke, spare, slow):
            register(one)
    """
KINDS = """\
    workflow kinds {
      inputs { fast boolean default = true }
      call tired { retries = 2 }
      if tired.ok and inputs.fast {
        call weak { fallback = spare }
      } else {
        call spare { id = never }
      }
      call spare { id = unwanted if = tired.none }
      call weak { id = lost on_fail = continue }
      call slow { id = late timeout = 50ms on_fail = continue }
      parallel race {
        min_success = 1
        max_parallel = 1
        do inner { parallel { call weak { id = first } call slow } }
        call spare { id = other inputs = { n = tired.n } }
      }
      call broke { on_fail = continue }
      call broke { id = again on_fail = continue }
      do { max_iterations = 3 call spare { id = round } } while round.more
    }
    """


TOLD = {
    "tired": """
        call tired
        status: completed
        source: x.wf:3:3
        why: completed in attempt 2
        attempts:
            1  leg 1  tired  failed: transient  0.0s  $0.50
            2  leg 1  tired  completed          0.0s  $0.25
        history:
            3  leg 1  TIME  attempt 1 began with `tired`
            4  leg 1  TIME  attempt 1 failed, $0.50 (transient): busy
            5  leg 1  TIME  another attempt was to follow at once; 1 more after it
            6  leg 1  TIME  attempt 2 began with `tired` because the one before failed and may be retried
            7  leg 1  TIME  completed
        """,
    "weak": """
        call weak
        status: completed
        source: x.wf:5:5
        why: completed by its fallback in attempt 2, after its own attempts failed
        led here by:
            `if tired.ok and inputs.fast` was true
                tired.ok = true  of `tired`, attempt 2, completed in leg 1
                inputs.fast = true  an input of the run
        attempts:
            1  leg 1  weak   failed: exception  0.0s
            2  leg 1  spare  completed          0.0s
        history:
            9   leg 1  TIME  attempt 1 began with `weak`
            10  leg 1  TIME  attempt 1 failed (exception): executor `weak` raised ValueError: nothing to read
            11  leg 1  TIME  attempt 2 began with `spare` version 2 by the fallback, because the step's own \
attempts failed
            12  leg 1  TIME  completed, by its fallback
        """,
    "never": """
        never
        why: the run did not come to it: `if tired.ok and inputs.fast` was true
        led here by:
            `if tired.ok and inputs.fast` was true
                tired.ok = true  of `tired`, attempt 2, completed in leg 1
                inputs.fast = true  an input of the run
        """,
    "unwanted": """
        call unwanted
        status: skipped
        source: x.wf:9:3
        why: skipped, because its condition is false
        led here by:
            `if tired.none` was false
                tired.none = false  of `tired`, attempt 2, completed in leg 1
        history:
            13  leg 1  TIME  `if tired.none` was false (tired.none = false)
            14  leg 1  TIME  skipped: its condition is false
        """,
    "lost": """
        call lost
        status: failed (handled: continue)
        source: x.wf:10:3
        why: failed (exception): executor `weak` raised ValueError: nothing to read; after 1 attempt in leg 1, \
it has no retries for this; its failure was taken by `on_fail = continue`
        attempts:
            1  leg 1  weak  failed: exception  0.0s
        history:
            15  leg 1  TIME  attempt 1 began with `weak`
            16  leg 1  TIME  attempt 1 failed (exception): executor `weak` raised ValueError: nothing to read
            17  leg 1  TIME  failed for good (exception): executor `weak` raised ValueError: nothing to read; \
taken by `on_fail = continue`
        """,
    "late": """
        call late
        status: timed_out (handled: continue)
        source: x.wf:11:3
        why: timed out (timeout): not done after 50ms; after 1 attempt in leg 1, it has no retries for this; \
its failure was taken by `on_fail = continue`
        attempts:
            1  leg 1  slow  timed out: timeout  0.0s
        history:
            18  leg 1  TIME  attempt 1 began with `slow`
            19  leg 1  TIME  attempt 1 timed out (timeout): not done after 50ms
            20  leg 1  TIME  timed out for good (timeout): not done after 50ms; taken by `on_fail = continue`
        """,
    "race/other": """
        call race/other
        status: completed
        source: x.wf:16:5
        why: completed in attempt 1
        read: tired.n
        attempts:
            1  leg 1  spare  completed  0.0s
        history:
            27  leg 1  TIME  attempt 1 began with `spare` version 2
            28  leg 1  TIME  completed
        """,
    "broke": """
        call broke
        status: failed (handled: continue)
        source: x.wf:18:3
        why: failed (fatal): no credit; a failure of this kind is not retried; its failure was taken by \
`on_fail = continue`
        attempts:
            1  leg 1  broke  failed: fatal  0.0s
        history:
            31  leg 1  TIME  attempt 1 began with `broke`
            32  leg 1  TIME  attempt 1 failed (fatal): no credit
            33  leg 1  TIME  failed for good (fatal): no credit; taken by `on_fail = continue`
        """,
    "again": """
        call again
        status: failed (handled: continue)
        source: x.wf:19:3
        why: failed (fatal): no credit; it was not called in this leg; its failure was taken by `on_fail = \
continue`
        history:
            34  leg 1  TIME  failed for good (fatal): no credit; taken by `on_fail = continue`
        """,
    "do[0]/round": """
        call do[0]/round
        status: completed
        source: x.wf:20:27
        why: completed in attempt 1
        attempts:
            1  leg 1  spare  completed  0.0s
        history:
            35  leg 1  TIME  attempt 1 began with `spare` version 2
            36  leg 1  TIME  completed
        """,
    "race": """
        parallel race
        status: completed
        source: x.wf:12:3
        why: completed: 1 succeeded, 1 failed of 2 branches
        history:
            30  leg 1  TIME  completed
        """,
}


@pytest.mark.parametrize("step", TOLD)
def test_every_kind_of_end(case, step):
    case.file(".runkon/plugins/mine.py", PLUGIN).wf(KINDS).run("run", "x.wf", "-q").exits(0)
    case.run("explain", "@last", step).exits(0).stderr("")
    assert without_chance(case.plain(case.out)) == without_chance(dedent(TOLD[step])[1:])


def without_chance(text):
    text = re.sub(r"(?m)^    \d+ +leg", "    N  leg", text)  # branches take their numbers as they come
    return re.sub(r" after 0\.0s(?=[,:;. (])", "", text)


def test_what_another_branch_stopped_names_it(case):
    case.file(".runkon/plugins/mine.py", PLUGIN).wf(KINDS).run("run", "x.wf", "-q").exits(0)
    case.run("explain", "@last", "slow")
    assert "\nwhy: cancelled, because another branch failed: `race/inner/parallel/first`\n" in case.out


def test_json_has_the_same(case):
    case.file(".runkon/plugins/mine.py", PLUGIN).wf(KINDS).run("run", "x.wf", "-q").exits(0)
    case.run("explain", "@last", "weak", "--json").exits(0)
    found = case.json()
    assert found["schema"] == "runkon.explain/1"
    told = found["explain"]
    assert told["why"] == "completed by its fallback in attempt 2, after its own attempts failed"
    choice = told["led_here"][0]
    assert (choice["construct"], choice["text"], choice["result"]) == ("if", "tired.ok and inputs.fast", True)
    assert choice["operands"][0] == {
        "name": "tired.ok", "value": True, "from": "of `tired`, attempt 2, completed in leg 1",
    }  # fmt: skip
    attempts = [(one["number"], one["executor"], one["executor_version"], one["why"]) for one in told["attempts"]]
    assert attempts == [(0, "weak", "1", None), (1, "spare", "2", "fallback")]
    assert "at" not in told["attempts"][0]


def test_a_step_nobody_knows(case):
    case.file(".runkon/plugins/mine.py", PLUGIN).wf(KINDS).run("run", "x.wf", "-q")
    case.run("explain", "@last", "tirde").exits(2)
    assert "error[unknown-step]: run `" in case.err
    assert "did you mean `tired`?" in case.err


# ── across legs ───────────────────────────────────────────────────────────────────────────────────
SHIP = """\
    workflow ship {
      script look { run = "true" effect = read }
      script deploy { run = "true" }
      script after { run = "test -e fixed" }
    }
    """


def why(case, step):
    case.run("explain", "@last", step, "--json").exits(0)
    return case.json()["explain"]["why"]


def whys(case, step):
    case.run("explain", "@last", step, "--json").exits(0)
    return [attempt["why"] for attempt in case.json()["explain"]["attempts"]]


def test_a_step_that_only_reads_runs_again_after_a_crash(case):
    case.wf(SHIP).dies("after_return:path=look", "run", "x.wf")
    assert why(case, "look") == (
        "nobody saw how attempt 1 ended: the process that ran it was lost; a resume makes another attempt"
    )
    case.run("resume", "@last").exits(1)
    assert why(case, "look") == "completed in attempt 2"
    assert whys(case, "look") == [None, "cut_off"]
    case.run("explain", "@last", "look")
    told = case.plain(case.out)
    attempts = [line.split() for line in told.splitlines() if " script  " in line and " leg " in line]
    assert attempts == [
        ["1", "leg", "1", "script", "unknown:", "process", "lost"],
        ["2", "leg", "2", "script", "completed", "0.0s"],
    ]
    assert "attempt 1 was cut off, its end was not seen: the process that ran it was lost" in told
    assert "attempt 2 began with `script` because the one before was cut off" in told


def test_a_decision_from_its_question_to_its_end(case):
    case.wf(SHIP).dies("after_return:path=deploy", "run", "x.wf")
    assert why(case, "deploy") == (
        "nobody saw how attempt 1 ended: the process that ran it was lost; a resume asks what to do"
    )
    case.run("resume", "@last").exits(4)
    assert why(case, "deploy") == "it waits for a decision, because nobody saw how attempt 1 ended"
    case.run("explain", "@last", "deploy").exits(0)
    assert "runkon answer RUN:unknown:deploy --set decision=rerun   try it again\n" in case.plain(case.err)
    case.run("answer", "@last", "--set", "decision=done", "--as", "ann", "-m", "saw it").exits(0)
    case.run("resume", "@last").exits(1)
    case.run("explain", "@last", "deploy").exits(0)
    told = re.sub(r"(?m)^    \d+ ", "    N ", case.plain(case.out))
    question = (
        "nobody saw how attempt 1 of script `deploy` ended: the process that ran it was lost; "
        "it may have done all of its work, a part of it, or none"
    )
    assert told.startswith(
        "script deploy\nstatus: completed\nsource: x.wf:3:3\n"
        "why: completed, because ann decided that attempt 1 had done its work\n"
        "attempts:\n    N  leg 1  script  unknown: process lost\n"
        "question unknown:deploy, asked TIME:\n"
        f"    {question}\n"
        "    done, by ann via cli, TIME: saw it\n"
    )
    assert f"leg 2  TIME  asked: {question}\n" in told
    assert "leg 3  TIME  decided: done, by ann: saw it, via cli\n" in told
    assert "leg 3  TIME  completed, as ann decided\n" in told


def test_a_failure_that_was_decided(case):
    case.wf(SHIP).dies("after_return:path=deploy", "run", "x.wf")
    case.run("answer", "@last", "--set", "decision=failed", "--as", "ann").exits(0)
    case.run("resume", "@last").exits(1)
    assert why(case, "deploy") == "failed (unknown_outcome): ann decided that it failed; it was not tried again"


def test_a_step_that_is_reused_and_one_that_is_tried_again(case):
    case.wf(SHIP).run("run", "x.wf").exits(1)
    case.file("fixed", "").run("resume", "@last").exits(0)
    assert why(case, "look") == "completed in attempt 1; leg 2 answered it from the record of leg 1"
    assert why(case, "after") == "completed in attempt 2"
    assert whys(case, "after") == [None, "failed"]


def test_an_interrupted_step(case):
    case.wf(SHIP).run("run", "x.wf", "--until", "look").exits(0)
    assert why(case, "look") == "completed in attempt 1"
    case.run("explain", "@last", "deploy").exits(0).stdout("deploy\nwhy: the run did not come to it\n")


def test_a_step_that_keeps_killing_its_process(case):
    case.wf(SHIP.replace("effect = read", "on_unknown = rerun")).dies("in_attempt:path=look", "run", "x.wf")
    for _ in range(2):
        case.dies("in_attempt:path=look", "resume", "@last")
    case.run("resume", "@last").exits(1)
    assert why(case, "look") == (
        "failed (crash_limit): its process was lost 3 times while it ran; a resume tries it again"
    )


def test_a_retry_that_is_due(case):
    case.wf('workflow w { script a { run = "false" retries = 1 delay = 1h jitter = false } }')
    case.dies("in_backoff", "run", "x.wf")
    assert why(case, "a").startswith("attempt 1 failed and another one follows, due at 20")
    case.run("explain", "@last", "a")
    assert "another attempt was to follow after 1h00m, at TIME; 0 more after it" in case.plain(case.out)


def test_every_event_of_a_step_has_its_sentence(case):
    """Whatever happens to a step is told: no kind of event about one is passed over."""
    case.file(".runkon/plugins/mine.py", PLUGIN).wf(KINDS).run("run", "x.wf", "-q").exits(0)
    with sqlite3.connect(f"file:{case.project}/.runkon/runkon.db?mode=ro", uri=True) as database:
        rows = database.execute("SELECT path, count(*) FROM events WHERE path IS NOT NULL GROUP BY path").fetchall()
    checked = 0
    for path, count in rows:
        case.run("explain", "@last", path, "--json")
        told = json.loads(case.out)["explain"] if case.code == 0 else {"path": None}
        if told["path"] == path:
            assert len(told["history"]) == count, path
            checked += 1
    assert checked == 12
