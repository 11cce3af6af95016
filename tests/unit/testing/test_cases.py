"""Tests in `.wftest` files: what is answered, what counts as expected, and what is said when it did not come."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import pytest

from runkon.errors import UserError
from runkon.language.case_parser import parse_cases
from runkon.language.program import CheckedWorkflow
from runkon.language.source import SourceFile
from runkon.testing import check_text
from runkon.testing.cases import run_file, updated

REVIEW = """
workflow review {
  inputs { scope default = "x" }
  call lint
  parallel checks {
    call security { retries = 2 delay = 1h backoff = fixed }
    call perf { timeout = 2h on_fail = continue }
  }
  if lint.dirty { call fix }
  script ship { run = "exit 7" }
  outputs { verdict = ship.verdict scope = "{{scope}}" }
}
"""
GATE = """
workflow gated {
  gate human_review { prompt = "ok?" timeout = 72h min_approvals = 2 on_timeout = OUT }
  call ship
  outputs { by = human_review.by }
}
"""


class Given(NamedTuple):
    program: CheckedWorkflow
    root: Path
    providers: dict
    roots: tuple[Path, ...] = ()


class Texts:
    """Workflows of this file, by name."""

    def __init__(self, **texts):
        self.texts = texts

    def find(self, name, beside):
        if name not in self.texts:
            raise UserError("workflow-not-found", f"there is no workflow `{name}`")
        return Given(check_text(self.texts[name]), Path.cwd(), {})


def results(text, **texts):
    parsed = parse_cases(SourceFile("a.wftest", text))
    return list(run_file(parsed, Texts(review=REVIEW, gated=GATE.replace("OUT", "fail"), **texts)))


def one(body, workflow="review", **texts):
    (found,) = results(f'test "t" {{ workflow = {workflow} {body} }}', **texts)
    return found


def said(result):
    return [(found.code, found.message, found.label) for found in result.findings]


# ── answers ───────────────────────────────────────────────────────────────────────────────────────
def test_scripts_are_answered_and_attempts_take_answers_in_turn():
    found = one(
        """
        inputs { scope = "full" }
        answer lint { markers = ["clean"] }
        answer checks/security { error = "rate limit" kind = transient }
        answer checks/security { context = "ok" }
        answer perf { after = 90m }
        answer ship { verdict = "ok" n = 3 list = [1, 2.5, true, null, word] }
        expect {
          status = completed ran = ["lint", "ship"] }
        """
    )
    assert said(found) == []
    assert found.outcome == "passed"
    assert found.run.step("checks/security").attempts == 2
    assert found.run.step("ship").output.values == {"verdict": "ok", "n": 3, "list": [1, 2.5, True, None, "word"]}
    assert found.run.record.outputs == {"verdict": "ok", "scope": "full"}


def test_an_answer_may_take_too_long():
    found = one('default {} answer perf { after = 3h } expect { failed = [perf] that = perf.status == "timed_out" }')
    assert said(found) == []


def test_every_step_without_an_answer_is_named():
    found = one("answer lint {} answer perf {}")
    assert (found.outcome, found.findings[0].code) == ("error", "unanswered-step")
    assert found.findings[0].message == (
        "the step `checks/security` has no answer in this test; the step `ship` has no answer in this test"
    )
    assert "answer checks/security {" in found.findings[0].help


def test_a_handled_failure_does_not_hide_a_missing_answer():
    found = one("answer lint {} answer security {} answer ship {}")
    assert found.findings[0].message == "the step `checks/perf` has no answer in this test"


def test_one_answer_too_few_is_an_error():
    text = "workflow w { call a { retries = 2 } }"
    found = one('answer a { error = "x" } answer a { error = "y" }', "w", w=text)
    assert found.findings[0].message == "the step `a` has 2 answers and asked for one more"


@pytest.mark.parametrize("kind", ["exception", "transient", "fatal", "timeout", "idle", "schema", "exit", "value"])
def test_every_kind_of_error_can_be_answered(kind):
    found = one(
        f'answer a {{ error = "no" kind = {kind} }} expect {{ status = failed failed = [a] }}',
        "w",
        w="workflow w { call a }",
    )
    assert said(found) == []
    assert found.run.step("a").error.kind == kind


# ── expectations ──────────────────────────────────────────────────────────────────────────────────
@pytest.mark.parametrize(
    ("expected", "message", "label"),
    [
        ("status = failed", "expected the run to be `failed`", "found `completed`"),
        ('error = "x"', "expected an error with `x`", "found no error"),
        ("ran = [fix]", "expected `fix` to run", "the run never came to it"),
        ("skipped = [lint]", "expected `lint` not to run", "it completed"),
        ("failed = [ship]", "expected `ship` to fail", "it completed"),
        ('outputs { scope = "y" }', 'expected output `scope` to be "y"', 'found "x"'),
        ("outputs { scop = 1 }", "expected an output `scop`", "the outputs are `verdict`, `scope`"),
        ("that = lint.attempts == 2", "expected `lint.attempts == 2`", "found lint.attempts = 1"),
        ('that = outputs.scope == "y"', 'expected `outputs.scope == "y"`', 'found outputs.scope = "x"'),
    ],
)
def test_what_did_not_come_is_said(expected, message, label):
    found = one(f"default {{}} expect {{ {expected} }}")
    assert said(found) == [("expectation-failed", message, label)]
    assert found.outcome == "failed"


def test_a_failure_is_drawn_at_its_place():
    found = one("default {}\n  expect { ran = [lint, fix] }\n")
    assert found.text() == (
        "error[expectation-failed]: expected `fix` to run\n"
        "  ┌─ a.wftest:2:25\n"
        "2 │   expect { ran = [lint, fix] }\n"
        "  │                         ^^^ the run never came to it"
    )


def test_without_expectations_a_run_has_to_complete():
    found = one('default {} answer ship { error = "boom" }')
    assert [(f.message, f.label) for f in found.findings] == [("expected the run to be `completed`", "found `failed`")]
    assert "boom" in found.findings[0].help


def test_the_first_finding_says_why_a_run_failed():
    found = one('default {} answer ship { error = "boom" } expect { outputs { scope = "x" } ran = [fix] }')
    assert [f.help and "boom" in f.help for f in found.findings] == [True, None]


# ── mistakes ──────────────────────────────────────────────────────────────────────────────────────
@pytest.mark.parametrize(
    ("body", "code", "help"),
    [
        ("answer lnt {}", "unknown-step", "did you mean `lint`?"),
        ("answer checks/securty {}", "unknown-step", "did you mean `checks/security`?"),
        ("expect { ran = [shp] }", "unknown-step", "did you mean `ship`?"),
        ("decide human_review { approve = true }", "unknown-gate", None),
        ("expect { status = done }", "invalid-value", None),
        ("expect { ran = 3 }", "invalid-value", None),
        ("expect { outputs = 3 }", "unexpected-token", None),
        ("expect { outputs { a = 1 a = 2 } }", "duplicate-key", None),
        ("expect { error = 3 }", "invalid-value", None),
        ("answer lint { after = soon }", "invalid-value", None),
        ("answer lint { markers = 3 }", "invalid-value", None),
        ("answer lint { context = 3 }", "invalid-value", None),
        ('answer lint { error = "x" kind = bad }', "invalid-value", None),
        ("answer lint { error = 3 }", "invalid-value", None),
        ("answer lint { if = a.b }", "invalid-value", None),
        ("inputs = 3", "invalid-value", None),
        ("inputs { skope = 1 }", "unknown-input", "inputs of this workflow: `scope`"),
    ],
)
def test_a_mistake_in_a_test_is_an_error(body, code, help):
    found = one(body)
    assert (found.outcome, [f.code for f in found.findings], found.findings[0].help) == ("error", [code], help)


def test_a_workflow_that_is_not_there_is_said_at_its_name():
    found = one("", "revieww")
    assert [(f.code, f.span.column) for f in found.findings] == [("workflow-not-found", 23)]


def test_mistakes_of_syntax_come_first_and_the_other_tests_run():
    broken, good = results(
        'test "a" { workflow = review default {} answer }\ntest "b" { workflow = review default {} }'
    )
    assert (broken.name, broken.outcome, good.name, good.outcome) == ("a.wftest", "error", "b", "passed")


# ── gates ─────────────────────────────────────────────────────────────────────────────────────────
def test_decisions_come_in_their_time():
    found = one(
        """
        default {}
        decide human_review { approve = true after = 24h by = "kim" reason = "fine" }
        decide human_review { approve = true after = 48h by = "lee" }
        expect { outputs { by = "lee" } that = human_review.at == "2026-01-03T00:00:00.000Z" }
        """,
        "gated",
    )
    assert said(found) == []


def test_a_gate_that_nobody_decided_reads_as_in_the_run():
    late = (
        "that = human_review.timed_out and human_review.decision == human_review.status and not human_review.rejected"
    )
    found = one(f"default {{}} expect {{ status = failed {late} }}", "gated")
    assert said(found) == []


def test_a_rejection():
    found = one(
        'decide human_review { approve = false by = "kim" reason = "not today" } '
        'expect { status = failed error = "not today" failed = [human_review] skipped = [ship] }',
        "gated",
    )
    assert said(found) == []


@pytest.mark.parametrize(
    ("on_timeout", "status"), [("fail", "failed"), ("approve", "completed"), ("continue", "completed")]
)
def test_a_gate_that_nobody_decides_times_out(on_timeout, status):
    text = GATE.replace("OUT", on_timeout)
    found = one(f"default {{}} expect {{ status = {status} }}", "w", w=text)
    assert said(found) == []
    gate = found.run.step("human_review")
    assert gate.ended_at - found.run.record.started_at == 72 * 3_600_000


def test_a_decision_that_comes_too_late_is_told():
    found = one("default {} decide human_review { approve = true after = 80h } expect { status = failed }", "gated")
    assert said(found) == [
        ("expectation-failed", "expected `human_review` to wait for this decision", "it had its decision before")
    ]


def test_a_decision_that_a_failure_left_unused_says_why():
    text = 'workflow w { call a gate human_review { prompt = "?" } gate other_review { prompt = "?" } }'
    left = "decide human_review { approve = true } decide other_review { approve = true }"
    found = one(f'answer a {{ error = "no disk" }} {left} expect {{ status = failed }}', "w", w=text)
    assert [(f.label, f.help) for f in found.findings] == [
        ("it was never open", "the run failed: `a` failed: executor `answers` raised RuntimeError: no disk"),
        ("it was never open", None),
    ]
    found = one(f'answer a {{ error = "no disk" }} {left} expect {{ status = completed }}', "w", w=text)
    assert [f.help for f in found.findings if f.help] == [
        "the run failed: `a` failed: executor `answers` raised RuntimeError: no disk"
    ]


def test_only_approvers_may_decide():
    text = 'workflow w { gate human_review { approvers = ["kim", "lee"] } }'
    assert said(one('decide human_review { approve = true by = "lee" }', "w", w=text)) == []
    stranger = one('decide human_review { approve = true by = "ann" }', "w", w=text)
    nobody = one("decide human_review { approve = true }", "w", w=text)
    assert [f.message for f in (*stranger.findings, *nobody.findings)] == [
        "invalid `by`: expected one of `kim`, `lee`",
        "`decide` needs the option `by`",
    ]


def test_conditions_read_state_and_inputs():
    text = """
        workflow w { inputs { n integer default = 2 } state { score number = 1 reduce = sum } call a call b }
    """
    found = one(
        "answer a { score = 3 } answer b { score = 4 } expect { that = state.score == 8 and n == 2 }", "w", w=text
    )
    assert said(found) == []


# ── what stands inside ────────────────────────────────────────────────────────────────────────────
def test_items_and_called_workflows_are_answered_by_key_or_path():
    text = """
        workflow w {
          call scan
          foreach file in scan.files {
            max_parallel = 2
            key = "{{file}}"
            call look { retries = 1 delay = 6h backoff = fixed }
          }
          call workflow kid
          outputs { n = file.succeeded }
        }
        workflow kid { call look call inner }
    """
    found = one(
        """
        answer scan { files = ["a", "b.py", "c"] }
        answer look {}
        answer "file[a]/look" { error = "first" }
        answer "file[a]/look" { after = 1h }
        answer kid/inner {}
        expect { ran = ["file[b.py]/look", "kid/look"] outputs { n = 3 } }
        """,
        "w",
        w=text,
    )
    assert said(found) == []
    run = found.run.record
    assert found.run.step("file[a]/look").attempts == 2
    assert run.ended_at - run.started_at == 7 * 3_600_000


# ── update ────────────────────────────────────────────────────────────────────────────────────────
def test_an_update_expects_what_happened_and_keeps_the_rest():
    text = """\
// kept
test "a" {
  workflow = review
  default {}  // kept too
  answer lint { markers = [dirty] }
  expect { status = failed that = lint.dirty }
}

test "b" {
  workflow = review
  default {}
  answer ship { error = "boom" }
}

test "c" {
  workflow = review
  default {}
  expect { ran = [lint] }
}
"""
    found = updated(SourceFile("a.wftest", text), results(text))
    assert (
        found
        == """\
// kept
test "a" {
  workflow = review
  default {}  // kept too
  answer lint { markers = [dirty] }
  expect {
    status = completed
    ran = ["lint", "checks", "security", "perf", "fix", "ship"]
    outputs { verdict = null scope = "x" }
    that = lint.dirty
  }
}

test "b" {
  workflow = review
  default {}
  answer ship { error = "boom" }
  expect {
    status = failed
    ran = ["lint", "checks", "security", "perf", "ship"]
    skipped = ["fix"]
    failed = ["ship"]
  }
}

test "c" {
  workflow = review
  default {}
  expect { ran = [lint] }
}
"""
    )
    again = results(found)
    assert [result.outcome for result in again] == ["passed"] * 3
    assert updated(SourceFile("a.wftest", found), again) is None
