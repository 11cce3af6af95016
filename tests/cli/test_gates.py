"""`gates`, `approve`, `reject`, `answer`: what a run waits for is decided from any terminal, once."""

from __future__ import annotations

import json

import pytest

from tests.cli.processes import PATIENCE, Place, Terminal, wait_for

SHIP = """\
    workflow ship {
      script build { run = "echo built" }
      gate human_review {
        prompt = "Ship {{build.context}}?"
        options = { now = "at once" later = "next week" }
        timeout = 48h
      }
      if human_review.approved { script publish { run = "echo {{gate_feedback}}" } }
      outputs { when = human_review.decision by = human_review.by }
    }
    """
PLAIN = """\
workflow plain {
  gate human_approval { prompt = "Go on?" on_reject = continue }
  script after { run = "echo after" }
  outputs { decision = human_approval.decision said = "{{gate_feedback ?? '-'}}" by = human_approval.by }
}
"""
RESOLVED = """\
from runkon import Approved, Pending, hookimpl

class Checks:
    name = "pr_checks"
    interval = 0.01

    def poll(self, request):
        return Approved("green") if request.poll == 2 else Pending()

@hookimpl
def runkon_register_gate_resolvers(register):
    register(Checks())
"""


@pytest.fixture
def place(tmp_path):
    found = Place(tmp_path)
    found.write("x.wf", PLAIN)
    yield found
    found.close()


# ── a run that left ───────────────────────────────────────────────────────────────────────────────
def test_an_unattended_run_leaves_and_says_how_to_decide(case):
    waiting = case.wf(SHIP).run("run", "x.wf").exits(4)
    text = waiting.plain(waiting.err)
    assert "human_review waits for a decision, for 2d00h more (since TIME)\n    Ship built?\n" in text
    assert "    runkon approve RUN:human_review --select now    choose it\n" in text
    assert "    runkon reject RUN:human_review -m WHY           stop it\n" in text
    found = waiting.run("gates", "--json").exits(0).json()
    assert found["schema"] == "runkon.gates/1"
    (gate,) = found["gates"]
    assert (gate["gate"], gate["options"], gate["workflow"]) == ("human_review", ["now", "later"], "ship")
    shown = waiting.run("show", "@last", "--json").json()
    assert (shown["status"], shown["waiting"]["prompt"]) == ("waiting", "Ship built?\nnow: at once\nlater: next week")
    assert shown["steps"][-1]["status"] == "waiting"


def test_of_many_gates_the_first_few_are_told(case):
    gates = " ".join(f'gate human_approval {{ id = g{number} prompt = "Go on?" }}' for number in range(10))
    waiting = case.wf(f"workflow w {{ parallel {{ {gates} }} }}").run("run", "x.wf").exits(4)
    text = waiting.plain(waiting.err)
    assert text.count("waits for a decision") == 8
    assert "\nand 2 more: runkon gates RUN\n" in text
    assert waiting.run("gates").exits(0).out.count("waits for a decision") == 10


def test_the_decision_counts_when_the_run_is_resumed(case):
    case.wf(SHIP).run("run", "x.wf").exits(4)
    case.run("approve", "@last", "--select", "now", "--as", "ann").exits(0)
    case.stdout("human_review: approved, by ann\n").stderr("next: runkon resume RUN\n")
    case.run("resume").exits(0).stdout("when = now\nby = ann\n")
    assert "nothing waits" in case.run("gates").exits(0).err


def test_an_approval_that_is_not_enough_says_what_is_missing(case):
    case.wf("workflow w { gate human_review { quorum = 3 } }").run("run", "x.wf").exits(4)
    case.run("approve", "@last", "--as", "ann").exits(0).stdout("human_review: approved, by ann\n")
    case.stderr("1 of 3 approvals so far: ann; the gate waits for somebody else\n")
    case.run("approve", "@last", "--as", "bob").exits(0)
    case.stderr("2 of 3 approvals so far: ann, bob; the gate waits for somebody else\n")
    case.run("approve", "@last", "--as", "cyd").exits(0).stderr("next: runkon resume RUN\n")


def test_a_gate_nobody_decides_says_once_that_its_time_was_over(case):
    case.wf('workflow x { gate human_review { prompt = "Go?" timeout = 1ms } }').run("run", "x.wf", "--wait").exits(1)
    assert "error[step-timed-out]: `human_review` timed out: nobody decided within 1ms\n" in case.plain(case.err)


def test_a_second_decision_is_told_who_was_first(case):
    case.wf(SHIP).run("run", "x.wf")
    case.run("reject", "@last", "-m", "too early", "--as", "ann").exits(0)
    case.run("approve", "@last:human_review").exits(6)
    assert "error[gate-decided]: gate `human_review` has its decision already: `rejected` by ann (cli, " in case.err
    case.run("resume").exits(1)
    assert "`human_review` was rejected by ann: too early" in case.err


def test_an_option_that_is_not_there_is_refused(case):
    case.wf(SHIP).run("run", "x.wf")
    case.run("approve", "@last", "--select", "latter").exits(2)
    assert (
        "error[unknown-choice]: gate `human_review` has no option `latter`\n  = help: did you mean `later`?" in case.err
    )
    case.wf(PLAIN).run("run", "x.wf")
    case.run("approve", "@last", "--select", "now").exits(2)
    assert "has no options to select from" in case.err


def test_a_decision_goes_on_with_the_run_if_told_to(case):
    case.wf(PLAIN).run("run", "x.wf").exits(4)
    case.run("reject", "@last", "-m", "not now", "--as", "ann", "--resume").exits(0)
    case.stdout("decision = rejected\nsaid = not now\nby = ann\n")


def test_an_answer_may_reject(case):
    case.wf(PLAIN).run("run", "x.wf").exits(4)
    case.run("answer", "@last:human_approval", "--set", "decision=reject").exits(0)
    assert case.run("resume").exits(0).out.startswith("decision = rejected\n")


def test_only_approvers_may_decide(case):
    case.wf('workflow w { gate human_review { approvers = ["ann", "bob"] } }').run("run", "x.wf").exits(4)
    case.run("approve", "@last", "--as", "cyd").exits(2)
    assert "error[not-an-approver]: `cyd` may not decide gate `human_review`" in case.err
    case.run("approve", "@last", "--as", "bob", "--resume").exits(0)


def test_a_quorum_takes_different_people(case):
    case.wf("workflow w { gate human_review { quorum = 2 } }").run("run", "x.wf").exits(4)
    case.run("approve", "@last", "--as", "ann", "--resume").exits(4)
    case.run("approve", "@last", "--as", "ann").exits(6)
    assert "error[already-voted]" in case.err
    assert "    1 of 2 approvals so far: ann\n" in case.run("gates").exits(0).out
    case.run("approve", "@last", "--as", "bob", "--resume").exits(0)


TWO = """\
    workflow two {
      gate human_approval { name = first }
      parallel { gate human_review {} gate human_review {} }
    }
    """


def test_a_decision_may_come_early_for_one_or_for_all(case):
    case.wf(TWO).run("run", "x.wf").exits(4)
    case.run("approve", "@last:human_review").exits(0).stdout(case.out)
    case.run("approve", "@last:human_review#*", "--as", "ann").exits(0).stdout("human_review#*: approved, by ann\n")
    case.run("approve", "@last:nothing").exits(6)
    assert "has no gate `nothing`" in case.err
    case.run("approve", "@last", "--resume").exits(0)


def test_of_several_open_gates_one_has_to_be_named(case):
    case.wf(TWO).run("run", "x.wf")
    case.run("approve", "@last", "--resume").exits(4)
    case.run("approve", "@last").exits(2)
    assert "waits at several gates: `parallel/human_review`, `parallel/human_review#2`" in case.err
    case.run("approve", "@last:parallel/human_review#2").exits(0).stdout(case.out)
    case.run("approve", "@last:human_review#1").exits(0)
    case.run("resume").exits(0)


def test_of_many_open_gates_the_first_are_named(case):
    case.wf("workflow w { foreach i in [1, 2, 3, 4, 5, 6, 7, 8, 9, 10] { gate human_review { name = g } } }")
    case.run("run", "x.wf", "-q").exits(4)
    case.run("approve", "@last").exits(2)
    assert "`i[0]/g`, `i[1]/g`," in case.err
    assert "`i[7]/g` and 2 more\n" in case.err
    case.run("approve", "@last:g#*").exits(0)
    case.run("resume", "-q").exits(0)


def test_a_gate_whose_time_is_over_takes_no_decision(case):
    case.wf("workflow w { gate human_review { timeout = 1s on_timeout = continue } }").run("run", "x.wf").exits(4)
    wait_for(lambda: "its time was over at" in case.run("gates").out)
    case.run("approve", "@last").exits(6)
    assert "error[gate-expired]" in case.err
    assert "what follows is `on_timeout = continue`" in case.err
    case.run("resume").exits(0)


# ── a run that stays ──────────────────────────────────────────────────────────────────────────────
def is_open(place: Place) -> bool:
    return bool(json.loads(place.run("gates", "--json").stdout)["gates"])


def test_a_run_that_waits_goes_on_with_the_decision_of_another_process(place):
    owner = place.start("run", "x.wf", "--wait")
    wait_for(lambda: is_open(place))
    decided = place.run("approve", "@last", "-m", "go", "--as", "ann")
    assert (decided.returncode, decided.stderr) == (0, "the run is being advanced and takes the decision\n")
    out, _ = owner.communicate(timeout=PATIENCE)
    assert (owner.returncode, out) == (0, "decision = approved\nsaid = go\nby = ann\n")
    assert [event["type"] for event in place.events()].count("run_resumed") == 0


def test_a_run_that_stays_at_a_gate_is_shown_as_waiting(place):
    owner = place.start("run", "x.wf", "--wait")
    wait_for(lambda: is_open(place))
    shown = json.loads(place.run("show", "@last", "--json").stdout)
    assert (shown["status"], shown["waiting"]["gate"]) == ("waiting", "human_approval")
    for asked, count in ((), 1), (("--status", "waiting"), 1), (("--status", "running"), 0):
        listed = json.loads(place.run("runs", *asked, "--json").stdout)["runs"]
        assert [(one["status"], one["waiting"]["gate"]) for one in listed] == [("waiting", "human_approval")] * count
    assert " waiting " in place.run("runs").stdout
    text = place.run("show", "@last").stdout
    assert "nobody saw" not in text
    assert " -f        (its process stays and goes on once every question has its answer)\n" in text
    place.run("cancel", "@last")
    owner.communicate(timeout=PATIENCE)
    assert place.status() == "cancelled"
    assert place.run("approve", "@last").returncode == 6


def test_a_run_whose_process_is_killed_at_a_gate_goes_on_there(place):
    owner = place.start("run", "x.wf", "--wait")
    wait_for(lambda: is_open(place))
    owner.kill()
    owner.communicate(timeout=PATIENCE)
    assert place.status() == "interrupted"
    decided = place.run("approve", "@last", "--as", "ann")
    assert decided.stderr.startswith("next: runkon resume ")
    assert place.run("resume").stdout == "decision = approved\nsaid = -\nby = ann\n"
    assert [event["type"] for event in place.events()].count("gate_opened") == 1
    assert place.run("db", "check").returncode == 0


def test_a_run_without_a_terminal_of_its_own_stays_at_its_gate(place):
    begun = place.run("run", "x.wf", "--detach")
    assert begun.returncode == 0
    wait_for(lambda: is_open(place))
    assert place.run("approve", "@last", "--as", "ann").returncode == 0
    wait_for(lambda: place.status() == "completed")


def test_a_resolver_decides_without_anybody(place):
    place.write("x.wf", "workflow w { gate pr_checks {} outputs { by = pr_checks.by said = pr_checks.feedback } }")
    place.write("checks.py", RESOLVED)
    done = place.run("run", "x.wf", "--plugin", "checks.py")
    assert (done.returncode, done.stdout) == (0, "by = pr_checks\nsaid = green\n"), done.stderr


@pytest.mark.parametrize("plain", [(), ("--plain",)], ids=["live", "plain"])
def test_somebody_at_the_terminal_is_asked(place, plain):
    terminal = Terminal(place, "run", "x.wf", *plain)
    terminal.read_until("words after it are your comment")
    terminal.type("what\n")
    terminal.read_until("what\n")
    terminal.type("r not today\n")
    assert terminal.finish() == 0
    assert "Go on?" in terminal.text
    assert "decision = rejected\nsaid = not today\n" in terminal.text
    decided = next(event for event in place.events() if event["type"] == "gate_decided")
    assert decided["data"]["via"] == "tty"


def test_a_question_at_a_terminal_ends_when_another_process_decides(place):
    terminal = Terminal(place, "run", "x.wf")
    terminal.read_until("words after it are your comment")
    assert place.run("approve", "@last", "--as", "ann").returncode == 0
    assert terminal.finish() == 0
    assert "decision = approved\nsaid = -\nby = ann\n" in terminal.text
