"""`examples/review.wf` from end to end: every planted defect in the report, odd trees, breaking, stopping, going on."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys

import pytest

from .conftest import EXAMPLES, rows, step
from .planted import PLANTED, expected, written

REPORTED = re.compile(r"^- `(.+):(\d+)` .+ \(([a-z-]+)\)$", re.MULTILINE)
CALLS = [f"reviewers/review-{name}" for name in ("correctness", "security", "structure", "tests", "history")]
BEGIN, MIDDLE, END = "<" * 7 + " ours\n", "=" * 7 + "\n", ">" * 7 + " theirs\n"
BARE = "try:\n    x = 1\nexcept:\n    pass\n"


def reported(report: str) -> set[tuple[str, int, str, str]]:
    """The findings as the report shows them, each with the severity of its section."""
    found = set()
    for section in re.split(r"^## ", report, flags=re.MULTILINE)[1:]:
        title, _, rest = section.partition("\n")
        severity, number = re.fullmatch(r"(\w+) \((\d+)\)", title).groups()
        lines = REPORTED.findall(rest)
        assert len(lines) == int(number)
        found |= {(file, int(line), severity.lower(), rule) for file, line, rule in lines}
    return found


# ── what is found ─────────────────────────────────────────────────────────────────────────────────
def test_every_planted_defect_is_in_the_report_and_in_the_outputs(project):
    wanted = set()
    for name, text in PLANTED.items():
        project.write(name, written(text))
        wanted.update(expected(name, text))
    project.write("deploy/id_rsa", "-----BEGIN RSA PRIVATE KEY-----\n")
    project.write("tests/key.pem", "-----BEGIN PRIVATE KEY-----\n")
    project.write("merged.md", f"a\n{BEGIN}b\n{MIDDLE}c\n{END}")
    project.write("merged.py", f"x = 1\n{BEGIN}y = 2\n{MIDDLE}y = 3\n{END}")
    project.write("film.bin", b"\1" * 5_000_001)
    wanted |= {
        ("deploy/id_rsa", 1, "high", "private-file"),
        ("tests/key.pem", 1, "low", "private-file"),
        ("merged.md", 2, "high", "conflict-marker"),
        ("merged.py", 2, "high", "conflict-marker"),
        ("merged.py", 2, "high", "syntax"),
        ("film.bin", 1, "medium", "large-file"),
    }
    project.commit_all()

    run = project.review()

    assert rows(run) == wanted
    assert reported(project.report()) == wanted
    counts = [sum(severity == one for _, _, severity, _ in wanted) for one in ("high", "medium", "low")]
    assert counts[0] > 25  # so the loop over what blocks has more than one round
    assert run["outputs"] == {
        "verdict": "changes requested",
        "summary": f"{counts[0]} high, {counts[1]} medium, {counts[2]} low",
        "report": str(project.folder / "review-report.md"),
    }


def test_findings_are_told_worst_first_and_each_once(project):
    project.write("b.py", "import yaml\nyaml.load(x)\nx == None\n")
    project.write("a.py", "import pickle\npickle.loads(x)\nx is 1\nx is 2\n")
    run = project.review()
    told = [(f["file"], f["line"], f["rule"]) for f in step(run, "findings")["output"]["findings"]]
    assert told == [
        ("a.py", 3, "is-literal"), ("a.py", 4, "is-literal"), ("b.py", 2, "yaml-load"),
        ("a.py", 2, "unpickle"), ("b.py", 3, "equals-none"),
    ]  # fmt: skip


def test_the_report_says_what_was_reviewed_and_how_it_ended(project):
    project.write("a.py", BARE)
    project.review()
    assert project.report() == (
        "# Review of `tree`\n\n**Verdict: changes requested**\n\n1 Python file, 1 finding.\n\n## High (1)\n\n"
        "- `a.py:3` catches every exception, even ^C, and does not raise again (bare-except)\n"
    )


@pytest.mark.parametrize(("findings", "rounds"), [(1, 1), (25, 1), (26, 2), (60, 3)])
def test_what_blocks_is_looked_at_25_at_a_time(project, findings, rounds):
    project.write("a.py", "x is 1\n" * findings)
    run = project.review()
    looked = [one["path"] for one in run["steps"] if one["name"] == "confirm-findings"]
    assert looked == ["if/confirmed", *(f"if/while[{number}]/confirmed" for number in range(rounds - 1))] or looked == [
        "confirmed",
        *(f"while[{number}]/confirmed" for number in range(rounds - 1)),
    ]
    assert len(reported(project.report())) == findings


def test_what_does_not_hold_any_more_is_left_out(reviewers, project):
    kept = {"file": "a.py", "line": 1, "severity": "high", "rule": "is-literal", "message": "m"}
    project.write("a.py", "x is 1\nx == 1\n")
    again = reviewers("report")._still_there
    finding = reviewers("findings").Finding
    found = [finding(**kept), finding(**{**kept, "line": 2}), finding(**{**kept, "file": "gone.py"})]
    assert list(again(project.tree, found)) == found[:1]


# ── trees of all kinds ────────────────────────────────────────────────────────────────────────────
def test_a_clean_tree_passes(project):
    project.write("pkg/a.py", "def f(x):\n    return x\n")
    project.write("tests/test_a.py", "def test_f():\n    assert f\n")
    project.commit_all()
    run = project.review("-i", "strict=true")
    assert run["outputs"]["verdict"] == "pass"
    assert run["outputs"]["summary"] == "0 high, 0 medium, 0 low"
    assert [step(run, call)["status"] for call in CALLS] == ["completed"] * 5
    assert "**Verdict: pass**\n\n2 Python files, 0 findings." in project.report()


def test_a_tree_without_git_or_tests_skips_their_reviewers(project):
    project.write("a.py", BARE)
    project.write(".hidden/b.py", BARE)
    project.write("node_modules/c.py", BARE)
    run = project.review()
    assert [step(run, call)["status"] for call in CALLS] == ["completed"] * 3 + ["skipped"] * 2
    assert rows(run) == {("a.py", 3, "high", "bare-except")}


def test_a_tree_without_python_files_passes_and_says_so(project):
    project.write("notes.txt", "nothing")
    run = project.review("-i", "strict=true")
    assert run["outputs"]["verdict"] == "pass"
    assert "0 Python files, 0 findings." in project.report()


def test_files_that_git_ignores_are_left_out_unless_the_tree_itself_is_ignored(project):
    project.write(".gitignore", "made/\n")
    project.write("a.py", "x = 1\n")
    project.write("made/b.py", BARE)
    project.commit_all()
    project.git("rm", "-q", "--cached", "made/b.py")
    assert rows(project.review()) == set()
    assert rows(project.review(path="tree/made")) == {("b.py", 3, "high", "bare-except")}


def test_a_new_file_is_reviewed_before_it_is_committed_and_a_deleted_one_is_not(project):
    project.write("old.py", BARE)
    project.commit_all()
    (project.tree / "old.py").unlink()
    project.write("new.py", BARE)
    assert rows(project.review()) == {("new.py", 3, "high", "bare-except")}


ODD = [
    "a b.py",
    'it\'s "quoted".py',
    "two\nlines.py",
    "grün.py",
    "日本.py",
    "`tick`.py",
    "$(rm).py",
    "-n.py",
    "a:3:b.py",
]


@pytest.mark.parametrize("in_git", [True, False], ids=["git", "no-git"])
def test_file_names_of_any_kind(project, in_git):
    for name in ODD:
        project.write(name, BARE)
    if in_git:
        project.commit_all()
    run = project.review()
    assert rows(run) == {(name, 3, "high", "bare-except") for name in ODD}
    lines = project.report().split("\n")
    assert sum(line.startswith("- ") for line in lines) == len(ODD)
    assert "- `two\\nlines.py:3` catches every exception, even ^C, and does not raise again (bare-except)" in lines
    assert any(line.startswith("- `` `tick`.py:3 `` ") for line in lines)


def test_a_name_that_is_no_text_is_reported_not_hidden(project):
    (project.tree / os.fsdecode(b"\xff.py")).write_bytes(b"")
    run = project.review()
    assert rows(run) == {("\N{REPLACEMENT CHARACTER}.py", 1, "medium", "unreadable")}


def test_links_are_not_followed(project):
    (project.folder / "outside.py").write_text(BARE)
    (project.tree / "loop").symlink_to(project.tree)
    (project.tree / "self.py").symlink_to(project.tree / "self.py")
    (project.tree / "out.py").symlink_to(project.folder / "outside.py")
    (project.tree / "gone.py").symlink_to(project.tree / "nothing")
    project.write("a.py", BARE)
    wanted = {("a.py", 3, "high", "bare-except")}
    assert rows(project.review()) == wanted
    project.commit_all()
    assert rows(project.review()) == wanted


def test_files_that_are_hard_to_read(project):
    project.write("empty.py")
    project.write("latin.py", "x = 'é'\n".encode("latin-1"))
    project.write("broken.py", "def f(:\n")
    project.write("big.py", "value = 'some text to fill a line with'\n" * 52_429)  # 2 MB
    run = project.review()
    assert rows(run) == {
        ("latin.py", 1, "high", "syntax"),
        ("broken.py", 1, "high", "syntax"),
        ("big.py", 1, "medium", "long-file"),
    }


def test_no_line_of_the_program_reaches_the_terminal_as_a_control_sequence(project):
    project.write("a\x1b[31m.py", BARE)
    project.runkon("run", str(EXAMPLES / "review.wf"), "-i", "path=tree")
    assert "\x1b" not in project.err
    assert "\x1b" not in project.report()


# ── what can be said on the command line ──────────────────────────────────────────────────────────
def test_the_tree_is_given_relative_or_absolute(project):
    project.write("deep/a.py", BARE)
    wanted = {("a.py", 3, "high", "bare-except")}
    for path in ("tree/deep", str(project.tree / "deep"), "./tree/../tree/deep/"):
        assert rows(project.review(path=path)) == wanted


def test_without_a_path_it_reviews_the_project(project):
    project.write("a.py", BARE)
    assert rows(project.run("review.wf")) == {("tree/a.py", 3, "high", "bare-except")}


def test_a_folder_that_is_not_there_is_said(project):
    run = project.review(path="nowhere", code=1)
    assert run["status"] == "failed"
    assert f"there is no folder `nowhere`, seen from {project.folder}" in step(run, "survey")["error"]["message"]
    assert not (project.folder / "review-report.md").exists()
    assert "keeps" not in project.err  # the goodbye of `always` is nothing a resume could keep
    assert re.match(r"rerun +survey +failed: [^\n]*\n(new [^\n]*\n)+$", project.runkon("resume", "--dry-run"))


@pytest.mark.parametrize("place", ["out/of/the/way.md", "{folder}/absolute.md", "with space.md"])
def test_the_report_goes_where_it_should(project, place):
    place = place.format(folder=project.folder.parent)
    run = project.review("-i", f"report={place}")
    assert run["outputs"]["report"] == str(project.folder / place)
    assert project.report(place).startswith("# Review of `tree`")
    assert not (project.folder / "review-report.md").exists()


def test_strict_fails_the_run_when_something_blocks(project):
    project.write("a.py", BARE)
    assert project.review()["status"] == "completed"
    run = project.review("-i", "strict=true", code=1)
    assert run["status"] == "failed"
    assert "changes requested: 1 high, 0 medium, 0 low, see " in run["error"]["message"]
    assert reported(project.report()) == {("a.py", 3, "high", "bare-except")}


def test_strict_lets_findings_pass_that_do_not_block(project):
    project.write("a.py", "x == None\n")
    run = project.review("-i", "strict=true")
    assert (run["outputs"]["verdict"], run["outputs"]["summary"]) == ("pass", "0 high, 0 medium, 1 low")


# ── breaking and going on ─────────────────────────────────────────────────────────────────────────
BREAKING = """\
from runkon import executor

@executor("breaking")
def breaking(request):
    raise ZeroDivisionError("the reviewer is broken")
"""


def test_a_reviewer_that_breaks_takes_no_other_with_it(project):
    project.write("a.py", BARE)
    (project.folder / "breaking.py").write_text(BREAKING)
    with_it = ["--plugin", "breaking.py", "--executor", "review-security=breaking"]
    run = project.review(*with_it)
    assert run["status"] == "completed"
    assert [step(run, call)["status"] for call in CALLS[:3]] == ["completed", "failed", "completed"]
    assert run["outputs"]["verdict"] == "changes requested"
    assert "Not reviewed: security. `runkon show @last` says why." in project.report()

    project.write("a.py", "x = 1\n")
    assert project.review(*with_it)["outputs"]["verdict"] == "incomplete"
    assert "**Verdict: incomplete**" in project.report()
    assert "incomplete: 0 high" in project.review(*with_it, "-i", "strict=true", code=1)["error"]["message"]


def test_two_that_break_fail_the_review(project):
    project.write("a.py", "x = 1\n")
    (project.folder / "breaking.py").write_text(BREAKING)
    both = ["--executor", "review-security=breaking", "--executor", "review-structure=breaking"]
    run = project.review("--plugin", "breaking.py", *both, code=1)
    assert run["status"] == "failed"
    assert [step(run, call)["status"] for call in CALLS[:3]] == ["completed", "failed", "failed"]


DYING = """\
import os, pathlib, signal
from runkon import executor

@executor("dying")
def dying(request):
    been_here = pathlib.Path("been-here")
    if not been_here.exists():
        been_here.touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return {"markers": ["clean"], "verdict": "pass", "summary": str(len(request.inputs["findings"])), "report": "-"}
"""


def test_a_killed_review_is_resumed_without_asking_a_reviewer_again(project):
    project.write("a.py", "x == None\n")
    (project.folder / "dying.py").write_text(DYING)
    command = [sys.executable, "-m", "runkon", "run", str(EXAMPLES / "review.wf"), "-i", "path=tree"]
    more = ["--plugin", "dying.py", "--executor", "verdict=dying"]
    killed = subprocess.run([*command, *more], capture_output=True, text=True, check=False)
    assert killed.returncode == -signal.SIGKILL, killed.stderr

    run = json.loads(project.runkon("resume", "--json", "--plugin", "dying.py"))

    assert run["outputs"]["summary"] == "1"  # what the reviewers had found
    events = [json.loads(line) for line in project.runkon("events", "@last").splitlines()]
    began = [(event["leg"], event["path"]) for event in events if event["type"] == "attempt_started"]
    assert [path for leg, path in began if leg == 1 and path in CALLS]
    assert {path for leg, path in began if leg == 2} == {"verdict", "always#2/goodbye"}
    assert [step(run, call)["reused"] for call in CALLS[:3]] == [True] * 3


def test_a_review_stopped_half_way_goes_on_where_it_was(project):
    project.write("a.py", BARE)
    stopped = project.review("--until", "findings")
    assert stopped["status"] == "interrupted"
    assert not (project.folder / "review-report.md").exists()
    run = json.loads(project.runkon("resume", "--json"))
    assert run["outputs"]["verdict"] == "changes requested"
    assert {one["name"] for one in run["steps"] if one["reused"]} >= {"survey", "review-correctness", "gather-findings"}


def test_runkons_own_tree_passes_its_own_review(project):
    run = project.review("-i", "strict=true", path=str(EXAMPLES.parent))
    assert [row for row in rows(run) if row[2] == "high"] == []
    assert run["outputs"]["verdict"] == "pass"
