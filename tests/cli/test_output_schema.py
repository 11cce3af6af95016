"""An answer that does not match its schema, as it is told: in the failure, the explanation, the plain lines."""

from __future__ import annotations

PLUGIN = """\
from runkon import executor, hookimpl

@executor("plan")
def plan(request):
    return "a plan"

@executor("review-security")
def review(request):
    minor = {"severity": "low", "file": "a.py"}
    return {"findings": [minor, minor, {"severity": "huge", "file": "c.py"}]}

@hookimpl
def runkon_register_executors(register):
    register(plan)
    register(review)
"""
SCHEMA = """\
fields:
  findings:
    type: array
    items: {severity: "enum(low, medium, high)", file: string}
"""
FLOW = """\
workflow review {
  call plan
  parallel checks {
    call review-security { output = "review-findings" retries = 1 }
  }
}
"""


def failed(case):
    case.file(".runkon/plugins/reviews.py", PLUGIN)
    case.file(".runkon/schemas/review-findings.yaml", SCHEMA)
    return case.wf(FLOW).run("run", "x.wf").exits(1)


def test_the_failure_names_the_place_the_value_and_what_was_seen(case):
    text = failed(case).plain(case.err)
    sentence = "`review-security` failed after 2 attempts: output does not match schema `review-findings`"
    assert f"error[step-failed]: {sentence}\n" in text
    assert '  │     ^^^^ $.findings[2].severity: "huge" is not one of low, medium, high\n' in text
    assert '  = seen: …"severity": "huge"…\n' in text
    assert "(keeps 1 finished step)" in text


def test_every_attempt_is_explained_with_its_cause(case):
    failed(case).run("explain", "@last", "checks/review-security").exits(0)
    cause = (
        'output does not match schema `review-findings`: $.findings[2].severity: "huge" is not one of low, medium, high'
    )
    assert f"why: failed (schema): {cause}; after 2 attempts" in case.out
    assert case.out.count(cause) >= 3
    case.run("show", "@last", "checks/review-security").exits(0)
    assert '    $.findings[2].severity: "huge" is not one of low, medium, high\n' in case.out


def test_a_resume_checks_with_the_schema_as_it_is_then(case):
    failed(case)
    case.file(".runkon/schemas/review-findings.yaml", SCHEMA.replace("high)", "high, huge)"))
    case.run("resume").exits(0)
    case.run("show", "@last", "--json").exits(0)
    (step,) = [one for one in case.json()["steps"] if one["key"] == "review-security"]
    assert (step["status"], step["markers"]) == ("completed", ["has_findings"])
