"""Workflows that call workflows in other files: run, resumed, looked at."""

from __future__ import annotations

MAIN = """\
    workflow main {
      call workflow deploy { inputs { target = "prod" } }
      script end { run = "echo {{deploy.url}}" }
      outputs { url = deploy.url }
    }
    workflow deploy {
      inputs { target required }
      outputs { url = "http://{{target}}" }
      script build { run = "echo built >> built" }
      call workflow verify
      always { script note { run = "echo {{workflow_status}} >> notes" } }
    }
    """
VERIFY = """\
    workflow verify {
      script look { run = "test -e there" }
    }
    """


def failed(case):
    case.wf(MAIN).file(".runkon/workflows/verify.wf", VERIFY).run("run", "x.wf").exits(1)
    return case.file("there", "")


def test_a_resume_goes_on_inside_from_stored_files(case):
    failed(case)
    (case.project / ".runkon/workflows/verify.wf").unlink()
    case.run("resume", "@last").exits(0).stdout("url = http://prod\n")
    assert (case.project / "built").read_text() == "built\n"
    assert (case.project / "notes").read_text() == "failed\ncompleted\n"
    case.run("db", "check").exits(0)


def test_the_failure_is_shown_where_it_stands(case):
    failed(case)
    assert ".runkon/workflows/verify.wf:2:3" in case.err
    assert "step deploy/verify/look" in case.err
    case.run("show", "@last").exits(0)
    tree = [line[:28].rstrip() for line in case.out.splitlines() if line[:1] == " " and line.strip()[:1] in "▾✓✗"]
    assert tree == [
        " ▾ call workflow deploy",
        "   ✓ script build",
        "   ▾ call workflow verify",
        "     ✗ script look",
        "   ▾ always",
        "     ✓ script note",
    ]


def test_a_step_inside_is_named_by_its_path(case):
    failed(case)
    case.run("resume", "@last").exits(0)
    case.run("resume", "@last", "--from", "deploy/verify").exits(0)
    assert (case.project / "built").read_text() == "built\n"
    assert (case.project / "notes").read_text() == "failed\ncompleted\ncompleted\n"
    case.run("explain", "@last", "deploy/verify/look").exits(0)
    assert "source: .runkon/workflows/verify.wf:2:3" in case.out
    case.run("explain", "@last", "deploy").exits(0)
    assert "completed: the workflow `deploy` came to its end" in case.out


def test_an_edited_child_runs_what_changed(case):
    failed(case)
    case.run("resume", "@last").exits(0)
    case.file(".runkon/workflows/verify.wf", VERIFY.replace("test -e there", "echo again >> again"))
    case.run("resume", "@last", "--with-edits", "--yes").exits(0)
    assert (case.project / "again").read_text() == "again\n"
    assert (case.project / "built").read_text() == "built\n"


def test_it_is_drawn_as_one_tree(case):
    case.wf(MAIN).file(".runkon/workflows/verify.wf", VERIFY)
    case.run("graph", "x.wf").exits(0).stdout("""
        workflow main
        ├─ call workflow deploy
        │  ├─ script build
        │  ├─ call workflow verify
        │  │  └─ script look
        │  └─ always
        │     └─ script note
        └─ script end
        """)


def test_what_a_child_can_not_do_is_refused_before_the_run(case):
    case.wf(MAIN).file(".runkon/workflows/verify.wf", VERIFY.replace("run =", "stream = lines run ="))
    case.run("run", "x.wf").exits(3)
    assert "`stream (.runkon/workflows/verify.wf:2)`" in case.err
    assert "x.wf:10:17" in case.err
