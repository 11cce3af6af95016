"""The small examples: what they answer, what their steps do, and that they are written as the formatter writes."""

from __future__ import annotations

import pytest

from .conftest import EXAMPLES, step

NAMES = sorted(file.name for file in EXAMPLES.glob("*.wf"))


def told(run: dict) -> list[tuple[str, str, int]]:
    """Path, status and attempts of every step."""
    return [(one["path"], one["status"], one["attempts"]) for one in run["steps"]]


def test_there_are_examples():
    assert {"hello.wf", "retry.wf", "loop.wf", "checks.wf", "review.wf"} <= set(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_an_example_is_valid_and_canonical(name, project):
    project.runkon("validate", "--strict", str(EXAMPLES / name))
    project.runkon("fmt", "--check", str(EXAMPLES / name))


@pytest.mark.parametrize("name", NAMES)
def test_the_tests_of_an_example_pass(name, project):
    tests = (EXAMPLES / name).with_suffix(".wftest")
    project.runkon("test", str(tests))
    project.runkon("fmt", "--check", str(tests))


@pytest.mark.parametrize("name", NAMES)
def test_an_example_is_explained(name):
    text = (EXAMPLES / "README.md").read_text("utf-8")
    assert text.count(f"## `{name}`") == 1


@pytest.mark.parametrize("name", NAMES)
def test_a_dry_run_of_an_example_runs_no_script(name, project):
    run = project.run(name, "--dry-run")
    assert run["status"] == "completed"
    assert {one["context"] for one in run["steps"] if one["kind"] == "script"} == {""}


@pytest.mark.parametrize(
    ("inputs", "greeting"),
    [([], "Hello, world!"), (["-i", "name=Ada"], "Hello, Ada!"), (["-i", "name=$(id); 'a'"], "Hello, $(id); 'a'!")],
)
def test_hello(project, inputs, greeting):
    run = project.run("hello.wf", *inputs)
    assert run["outputs"] == {"greeting": greeting}
    assert told(run) == [("greet", "completed", 1)]


@pytest.mark.parametrize(
    ("needed", "tries", "status", "result", "mirror"),
    [
        (1, 1, "completed", "downloaded", []),
        (2, 2, "completed", "downloaded", []),
        (3, 3, "completed", "downloaded", []),
        (4, 3, "failed", "downloaded from the mirror", ["use_mirror"]),
    ],
)
def test_retry(project, needed, tries, status, result, mirror):
    run = project.run("retry.wf", "-i", f"attempts_needed={needed}")
    assert run["status"] == "completed"
    assert {name: str(value).strip() for name, value in run["outputs"].items()} == {
        "result": result,
        "tries": str(tries),
    }
    assert [one["name"] for one in run["steps"]] == ["prepare", "download", *mirror, "clean"]
    assert (step(run, "download")["status"], step(run, "download")["attempts"]) == (status, tries)
    assert step(run, "always#1/clean")["status"] == "completed"


@pytest.mark.parametrize(("a", "b", "gcd", "rounds"), [(1071, 462, 21, 2), (12, 4, 4, 0), (7, 7, 7, 0), (89, 55, 1, 8)])
def test_loop(project, a, b, gcd, rounds):
    run = project.run("loop.wf", "-i", f"a={a}", "-i", f"b={b}")
    assert int(run["outputs"]["gcd"]) == gcd
    assert [one["path"] for one in run["steps"]] == ["divide", *(f"while[{n}]/divide" for n in range(rounds))]


def test_loop_says_what_is_wrong_with_a_zero(project):
    run = project.run("loop.wf", "-i", "b=0", code=1)
    assert "B must not be 0" in run["error"]["message"]
    project.runkon("run", str(EXAMPLES / "loop.wf"), "-i", "b=many", code=2)
    assert "input `b` must be a whole number, not `many`" in project.err


def test_checks(project):
    project.write("a.py", "x = 1\n")
    project.write("notes and more.txt", "hello")
    run = project.run("checks.wf", "-i", "folder=tree")
    assert (run["outputs"]["passed"], run["outputs"]["skipped"], run["outputs"]["files"].strip()) == (3, 0, "2")
    assert {path for path, status, _ in told(run) if status == "completed"} == {
        "look", "checks", "checks/readable", "checks/compiles", "checks/size", "checks/count",
    }  # fmt: skip


def test_checks_skips_what_there_is_nothing_to_check_for(project):
    project.write("notes.txt", "hello")
    run = project.run("checks.wf", "-i", "folder=tree")
    assert (run["outputs"]["passed"], run["outputs"]["skipped"]) == (2, 1)
    assert step(run, "checks/compiles")["status"] == "skipped"


def test_checks_bears_one_failure(project):
    project.write("a.py", "x = \n")
    run = project.run("checks.wf", "-i", "folder=tree")
    assert step(run, "checks/compiles")["status"] == "failed"
    assert (run["status"], run["outputs"]["passed"]) == ("completed", 2)
