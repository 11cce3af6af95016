"""`runkon test`: which files are meant, what is printed, what is written, and the same tests under pytest."""

from __future__ import annotations

import os
import subprocess
import sys
from importlib.metadata import entry_points
from pathlib import Path
from xml.etree import ElementTree

import pytest

ROOT = Path(__file__).resolve().parents[2]
HELLO = """\
workflow hello {
  inputs { name default = "world" }
  script greet { run = "echo Hello, {{name}}! > greeted" }
  outputs { greeting = "{{greet.context}}" }
}
"""
GOOD = """\
test "greets" {
  workflow = "hello"
  inputs { name = "Ada" }
  answer greet { context = "Hello, Ada!" }
  expect { outputs { greeting = "Hello, Ada!" } }
}
"""
BAD = """\
test "greets somebody else" {
  workflow = hello
  answer greet { context = "Hello!" }
  expect { outputs { greeting = "Hello, Bob!" } }
}
"""
FAILURE = """\
failed  bad.wftest:1  greets somebody else

error[expectation-failed]: expected output `greeting` to be "Hello, Bob!"
  ┌─ bad.wftest:4:33
4 │   expect { outputs { greeting = "Hello, Bob!" } }
  │                                 ^^^^^^^^^^^^^ found "Hello!"

"""


@pytest.fixture
def hello(case):
    return case.wf(HELLO, "hello.wf")


def test_a_test_that_passes(hello):
    hello.file("good.wftest", GOOD).run("test").exits(0).stdout("passed  good.wftest:1  greets\n").stderr("1 passed\n")
    assert sorted(path.name for path in hello.project.iterdir()) == [".runkon", "good.wftest", "hello.wf"]
    assert not (hello.project / ".runkon" / "runkon.db").exists()


def test_tests_in_the_worktrees_of_a_run_are_those_of_the_project(hello):
    hello.file("good.wftest", GOOD).file(".runkon/worktrees/01A/s/good.wftest", GOOD)
    hello.run("test").exits(0).stderr("1 passed\n").run("test", ".").exits(0).stderr("1 passed\n")


def test_a_test_that_fails(hello):
    hello.file("good.wftest", GOOD).file("bad.wftest", BAD).run("test").exits(1)
    assert hello.out == FAILURE + "passed  good.wftest:1  greets\n"
    assert hello.err == "1 passed, 1 failed\n"


def test_agents_and_scripts_need_not_be_there(case):
    case.wf('workflow w { call plan script s { run = "echo x" } }', "w.wf")
    case.file("w.wftest", 'test "t" { workflow = w default {} }').run("test").exits(0)


def test_workflows_of_the_project_by_name(case):
    case.file(".runkon/workflows/hello.wf", HELLO).file("tests/deep/good.wftest", GOOD).run("test", "tests").exits(0)
    assert case.out == "passed  tests/deep/good.wftest:1  greets\n"


def test_a_workflow_with_errors_is_said_where_it_is_named(case):
    case.wf("workflow hello { cal x }", "hello.wf").file("good.wftest", GOOD).run("test").exits(1)
    assert "error[invalid-workflow]: the workflow `hello.wf` has errors" in case.out
    assert "good.wftest:2:14" in case.out


def test_only_some(hello):
    hello.file("good.wftest", GOOD).file("bad.wftest", BAD)
    hello.run("test", "-k", "GREETS SOMEBODY").exits(1).stderr("0 passed, 1 failed\n")
    hello.run("test", "-k", "good").exits(0).stdout("passed  good.wftest:1  greets\n")
    hello.run("test", "-k", "nothing").exits(2).stdout("")
    assert "error[no-tests]: no test has `nothing` in its name or file" in hello.err


def test_nothing_there(case):
    case.run("test").exits(2).stdout("")
    assert "error[no-tests]: there are no tests here" in case.err
    case.run("test", "x.wftest").exits(2)
    assert "error[file-not-found]" in case.err


def test_json(hello):
    hello.file("bad.wftest", BAD).file("good.wftest", GOOD).run("test", "--json").exits(1).stderr("")
    found = hello.json()
    assert (found["schema"], found["ok"], found["updated"]) == ("runkon.test/1", False, [])
    bad, good = found["test"]
    assert (good["name"], good["outcome"], good["findings"], good["line"]) == ("greets", "passed", [], 1)
    assert bad["findings"] == [
        {
            "code": "expectation-failed",
            "message": 'expected output `greeting` to be "Hello, Bob!"',
            "found": 'found "Hello!"',
            "help": None,
            "line": 4,
            "column": 33,
        }
    ]


def test_junit(hello):
    text = BAD.replace("somebody else", "<some> & 'more' \\\"")
    hello.file("bad.wftest", text).file("good.wftest", GOOD).run("test", "--junit", "out/junit.xml").exits(1)
    (suite,) = ElementTree.parse(hello.project / "out" / "junit.xml").getroot()
    assert (suite.get("tests"), suite.get("failures"), suite.get("errors")) == ("2", "1", "0")
    failed, passed = suite
    assert (failed.get("name"), failed.get("line")) == ("greets <some> & 'more' \"", "1")
    assert failed[0].get("message") == 'expected output `greeting` to be "Hello, Bob!"'
    assert "bad.wftest:4:33" in failed[0].text
    assert len(passed) == 0


def test_update(hello):
    hello.file("bad.wftest", BAD).run("test", "--update").exits(0)
    assert hello.out == "passed  bad.wftest:1  greets somebody else\n"
    assert hello.err == "updated bad.wftest\n1 passed\n"
    assert (hello.project / "bad.wftest").read_text("utf-8") == BAD.replace(
        'expect { outputs { greeting = "Hello, Bob!" } }',
        'expect {\n    status = completed\n    ran = ["greet"]\n    outputs { greeting = "Hello!" }\n  }',
    )
    hello.run("test", "--update").exits(0).stderr("1 passed\n")


def test_fmt_formats_them_too(hello):
    hello.file("good.wftest", GOOD.replace("\n  ", "\n")).run("fmt", "--check").exits(1).stdout(
        "would format good.wftest\n"
    )
    hello.run("fmt").exits(0)
    assert (hello.project / "good.wftest").read_text("utf-8") == GOOD
    hello.file("broken.wftest", "test {").run("fmt", "broken.wftest").exits(3)
    assert "error[unexpected-token]" in hello.err


def test_validate_checks_them_too(hello):
    hello.file("good.wftest", GOOD).run("validate", "good.wftest").exits(0).stdout("good.wftest: ok\n").stderr("")
    hello.file("typo.wftest", BAD.replace("answer greet", "answer gret")).run("validate", "typo.wftest").exits(3)
    assert hello.out == "typo.wftest: 1 error\n"
    assert "error[unknown-step]: the workflow has no step `gret`" in hello.err
    assert "did you mean `greet`?" in hello.err
    hello.run("validate", "--syntax", "typo.wftest").exits(0)
    hello.run("validate", "--json", "typo.wftest").exits(3)
    (file,) = hello.json()["files"]
    assert (file["ok"], file["facts"], file["diagnostics"][0]["line"]) == (False, None, 3)


# ── pytest ────────────────────────────────────────────────────────────────────────────────────────
def by_pytest(folder, *words):
    """What pytest says in a process of its own, which knows the plugin by `-p` unless it is installed."""
    environ = {name: value for name, value in os.environ.items() if not name.startswith(("RUNKON_", "PYTEST_"))}
    installed = any(e.value == "runkon.cli.pytest_plugin" for e in entry_points(group="pytest11"))
    plugin = () if installed else ("-p", "runkon.cli.pytest_plugin")
    done = subprocess.run(
        [sys.executable, "-m", "pytest", *plugin, "-p", "no:cacheprovider", "-p", "no:xdist", *words],
        cwd=folder,
        env={**environ, "PYTHONPATH": os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])},
        capture_output=True,
        text=True,
        check=False,
    )
    return done.stdout + done.stderr, done.returncode


def test_pytest_collects_them_and_says_the_same(hello):
    hello.file("good.wftest", GOOD).file("bad.wftest", BAD)
    said, code = by_pytest(hello.project, "-v")
    assert code == 1, said
    assert "good.wftest::greets PASSED" in said
    assert "bad.wftest::greets somebody else FAILED" in said
    assert FAILURE.partition("\n\n")[2].strip() in said
    assert "1 failed, 1 passed" in said


def test_pytest_tells_mistakes_of_a_file(hello):
    said, code = by_pytest(hello.file("good.wftest", GOOD + "tset").project)
    assert code == 2, said
    assert "error[unexpected-token]: unexpected `tset`" in said


def test_pytest_without_such_a_file_loads_nothing_of_runkon(hello):
    hello.file(
        "test_x.py",
        """
        import sys

        def test_it():
            loaded = sorted(name for name in sys.modules if name.startswith("runkon"))
            assert loaded == ["runkon", "runkon.cli", "runkon.cli.pytest_plugin"], loaded
        """,
    )
    said, code = by_pytest(hello.project)
    assert code == 0, said
