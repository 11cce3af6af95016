"""Gates with a form: what is answered is turned into the values of its schema, or refused with the fields there are."""

from __future__ import annotations

import pytest

from tests.cli.processes import Place, Terminal

FORM = """\
fields:
  risk: enum(low, high)
  score: {type: number, desc: from 0 to 10}
  sure: boolean
  who: {type: array, items: string}
  note?: string
"""
FLOW = """\
workflow w {
  gate human_review { prompt = "Ship it?" form = "ship" on_reject = continue }
  if human_review.risk == "high" { script careful { run = "echo careful" } }
  if human_review.score > 7 and human_review.sure { script fast { run = "echo {{human_review.note ?? 'no note'}}" } }
  outputs {
    risk = human_review.risk score = human_review.score who = human_review.who decision = human_review.decision
  }
}
"""
GOOD = ("--set", "risk=high", "--set", "score=7.5", "--set", "sure=yes", "--set", "who=ann, bob")


@pytest.fixture
def waiting(case):
    case.file(".runkon/schemas/ship.yaml", FORM)
    return case.wf(FLOW).run("run", "x.wf").exits(4)


def test_the_fields_are_told_where_the_run_waits(waiting):
    text = waiting.plain(waiting.err)
    assert (
        "    Ship it?\n    with these values:\n    - note (text, optional)\n    - risk (one of low, high)\n"
        "    - score (a number): from 0 to 10\n    - sure (true or false)\n    - who (a list of text)\n"
    ) in text
    assert (
        "    runkon answer RUN:human_review --set risk=RISK --set score=SCORE --set sure=SURE --set who=WHO"
        "  let it pass\n"
    ) in text
    found = waiting.run("show", "@last", "--json").json()
    assert found["waiting"]["answer_with"].endswith(" --set risk=RISK --set score=SCORE --set sure=SURE --set who=WHO")


def test_values_get_the_types_of_their_fields(waiting):
    waiting.run("answer", "@last", *GOOD).exits(0)
    done = waiting.run("resume", "--json").exits(0).json()
    assert done["outputs"] == {"risk": "high", "score": 7.5, "who": ["ann", "bob"], "decision": "approved"}
    assert [step["path"].rpartition("/")[2] for step in done["steps"]] == ["human_review", "careful", "fast"]
    assert done["steps"][2]["context"] == "no note"


def test_what_does_not_fit_is_refused_all_at_once_with_the_fields(waiting):
    waiting.run("answer", "@last", "--set", "risk=huge", "--set", "score=many", "--set", "sure=maybe").exits(2)
    assert waiting.err == (
        "error[invalid-answer]: this answer does not fill in the form of gate `human_review`: "
        '`risk`: "huge" is not one of low, high; `score`: "many" is not a number; `sure`: "maybe" is not true or '
        "false; `who` is missing\n"
        "  = help: give each as --set NAME=VALUE; the fields of `ship`\n"
        "      note (text, optional)\n"
        "      risk (one of low, high)\n"
        "      score (a number): from 0 to 10\n"
        "      sure (true or false)\n"
        "      who (a list of text)\n"
    )
    assert waiting.run("resume").exits(4).out == ""


def test_a_name_that_is_no_field_is_told_the_nearest(waiting):
    waiting.run("answer", "@last", *GOOD, "--set", "nota=x").exits(2)
    assert "there is no field `nota`\n  = help: did you mean `note`?\n" in waiting.err


def test_an_approval_without_values_is_none(waiting):
    waiting.run("approve", "@last").exits(2)
    assert "`risk` is missing; `score` is missing; `sure` is missing; `who` is missing" in waiting.err


def test_a_rejection_needs_no_values_but_those_it_has_must_fit(waiting):
    waiting.run("answer", "@last", "--set", "decision=reject", "--set", "score=none").exits(2)
    assert '`score`: "none" is not a number' in waiting.err
    assert "is missing" not in waiting.err
    waiting.run("reject", "@last").exits(0)
    assert waiting.run("resume", "--json").exits(0).json()["outputs"]["decision"] == "rejected"


def test_a_list_may_be_json_and_a_text_may_come_from_a_file(waiting):
    waiting.file("note.md", "two\nlines\n")
    waiting.run("answer", "@last", *GOOD[:-1], 'who=["x, y"]', "--set", "note=@note.md").exits(0)
    done = waiting.run("resume", "--json").exits(0).json()
    assert done["outputs"]["who"] == ["x, y"]
    assert done["steps"][0]["output"]["note"] == "two\nlines"


def test_an_early_answer_is_checked_too(case):
    case.file(".runkon/schemas/ship.yaml", FORM)
    case.wf(FLOW.replace("{\n  gate", '{\n  gate human_approval { prompt = "First?" }\n  gate', 1))
    case.run("run", "x.wf").exits(4)
    case.run("answer", "@last:human_review", "--set", "risk=none").exits(2)
    assert "does not fill in the form of gate `human_review`" in case.err
    case.run("answer", "@last:human_review#*", *GOOD).exits(0)
    case.run("approve", "@last:human_approval", "--resume").exits(0)
    assert "risk = high\n" in case.out


def test_a_form_that_is_broken_is_told_and_can_be_mended(case):
    case.file(".runkon/schemas/ship.yaml", FORM)
    case.wf(FLOW).run("run", "x.wf").exits(4)
    case.file(".runkon/schemas/ship.yaml", "fields: [a]")
    case.run("answer", "@last", *GOOD).exits(3)
    assert "error[invalid-schema]: schema `ship` can't be used: `fields` is a list, not a map" in case.err
    case.file(".runkon/schemas/ship.yaml", FORM)
    case.run("answer", "@last", *GOOD).exits(0)


def test_validate_reads_the_form(case):
    case.file(".runkon/schemas/ship.yaml", "fields: {risk: enumm(a)}")
    case.wf(FLOW).run("validate", "x.wf").exits(3)
    assert (
        "error[invalid-schema]: schema `ship` can't be used: field `risk` has the unknown type `enumm(a)`" in case.err
    )


def test_a_dry_run_fills_the_form_in(case):
    case.file(".runkon/schemas/ship.yaml", FORM)
    done = case.wf(FLOW).run("run", "x.wf", "--dry-run", "--json").exits(0).json()
    assert done["outputs"] == {"risk": "low", "score": 0, "who": ["who"], "decision": "approved"}


def test_at_a_terminal_each_field_is_asked_for(tmp_path):
    place = Place(tmp_path)
    (tmp_path / ".runkon" / "schemas").mkdir(parents=True)
    place.write(".runkon/schemas/ship.yaml", FORM)
    place.write("x.wf", FLOW)
    terminal = Terminal(place, "run", "x.wf", "--plain")
    terminal.read_until("words after it are your comment")
    terminal.type("a fine\n")
    terminal.read_until("note (text; nothing leaves it out)")
    terminal.type("\n")
    terminal.read_until("risk (one of low, high)")
    terminal.type("huge\n")
    terminal.read_until('"huge" is not one of low, high')
    terminal.type("high\n")
    terminal.read_until("score (a number): from 0 to 10")
    terminal.type("9\n")
    terminal.read_until("sure (true or false)")
    terminal.type("n\n")
    terminal.read_until("who (a list of text)")
    terminal.type("ann\n")
    assert terminal.finish() == 0
    assert 'risk = high\nscore = 9\nwho = ["ann"]\ndecision = approved\n' in terminal.text
    place.close()


TYPED = """\
    test "typed" {
      workflow = "flow"
      decide human_review { %s }
      expect { status = completed  that = human_review.score == 3 }
    }
    """
NOTED = """\
    workflow flow { gate human_review { prompt = "ok?" form = "note" } }
    """
NOTE = """\
    fields:
      score: number
      text?: string
    """


def test_a_test_gives_what_the_form_wants_as_an_answer_does(case):
    case.wf(NOTED, "flow.wf").file(".runkon/schemas/note.yaml", NOTE)
    case.file("flow.wftest", TYPED % "approve = true score = 3").run("test", "-q").exits(0)
    case.file("flow.wftest", TYPED % 'approve = true score = "3"').run("test", "-q").exits(0)
    for given, problem in (
        ('approve = true score = "high"', "`score`: "),
        ('approve = true text = "fine"', "`score` is missing"),
        ("approve = true score = 3 mood = 1", "there is no field `mood`"),
    ):
        case.file("flow.wftest", TYPED % given).run("test", "-q").exits(1)
        assert "error[invalid-answer]: this answer does not fill in the form of gate `human_review`: " in case.out
        assert problem in case.out
        assert "score (a number)" in case.out
