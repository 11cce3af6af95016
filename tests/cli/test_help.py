"""Help, wrong use, and what is printed before anything is loaded."""

from __future__ import annotations

import subprocess
import sys

import pytest

from runkon.cli.commands import COMMANDS


def test_alone_it_prints_the_four_commands_to_try(case):
    case.run().exits(0).stderr("").stdout("""
        runkon runs workflows for agents, records every step, and resumes what died.

          runkon init                  make a small project here that runs at once, offline
          runkon validate              check the workflows of this project
          runkon run hello             run one of them
          runkon show @last            see what it did

        All commands: runkon --help
        """)


def test_help_lists_every_command(case):
    case.run("--help").exits(0).stderr("")
    for name, about in COMMANDS.items():
        assert f"  {name:<11}{about}\n" in case.out
    plain = case.out
    assert case.run("--no-color", "--help").exits(0).out == plain


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_help_with_its_options(case, name):
    case.run(name, "--help").exits(0).stderr("")
    assert case.out.startswith(f"Usage: runkon {name} ")
    for option in ("--db", "--json", "--plain", "--quiet", "--verbose", "--no-color", "--help"):
        assert option in case.out


def test_version(case):
    case.run("--version").exits(0).stdout("runkon 0.1.0\n")
    case.run("--no-color", "--version").exits(0).stdout("runkon 0.1.0\n")


def test_help_imports_neither_click_nor_any_command():
    code = (
        "import sys; from runkon.cli.main import main; main(['--help']);"
        "print(sorted(n for n in sys.modules if n.startswith('runkon.cli.commands.') or n in ('click', 'runkon.app')),"
        "file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stderr == "[]\n"


def test_an_unknown_command_is_suggested(case):
    case.run("vaildate").exits(2).stdout("").stderr("""
        error[unknown-command]: there is no command `vaildate`
          = help: did you mean `validate`?
          = next: runkon --help
        """)


@pytest.mark.parametrize(("typed", "meant"), [("rn", "run"), ("val", "validate"), ("lo", "logs"), ("shw", "show")])
def test_a_command_cut_short_is_suggested(case, typed, meant):
    case.run(typed).exits(2).stdout("").stderr(f"""
        error[unknown-command]: there is no command `{typed}`
          = help: did you mean `{meant}`?
          = next: runkon --help
        """)


@pytest.mark.parametrize(("words", "same"), [(["help"], ["--help"]), (["help", "run"], ["run", "--help"])])
def test_help_is_a_word_as_well(case, words, same):
    wanted = case.run(*same).exits(0).out
    assert case.run(*words).exits(0).out == wanted
    assert "Usage: runkon" in wanted


def test_help_about_nothing_there_is(case):
    case.run("help", "rnu").exits(2).stderr("""
        error[unknown-command]: there is no command `rnu`
          = help: did you mean `run`?
          = next: runkon --help
        """)


def test_a_file_in_place_of_a_command(case):
    case.run("x.wf").exits(2).stderr("""
        error[unknown-command]: there is no command `x.wf`
          = next: runkon run x.wf
        """)


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (
            ("run", "x.wf", "--jbos", "3"),
            "error[unknown-option]: there is no option `--jbos`\n"
            "  = help: did you mean `--jobs`?\n  = next: runkon run --help\n",
        ),
        (("run",), "error[missing-argument]: the argument `FILE|NAME` is missing\n  = next: runkon run --help\n"),
        (
            ("run", "x.wf", "--jobs", "0"),
            "error[invalid-value]: `--jobs`: 0 is not in the range 1<=x<=1000\n  = next: runkon run --help\n",
        ),
        (
            ("run", "x.wf", "--timeout", "soon"),
            "error[invalid-value]: `--timeout`: `soon` is not a time like `90s` or `1h30m`\n"
            "  = next: runkon run --help\n",
        ),
        (
            ("run", "x.wf", "-i", "scope"),
            "error[invalid-value]: `--input`: `scope` is not of the form `key=value`\n  = next: runkon run --help\n",
        ),
        (
            ("run", "x.wf", "--quiet=5"),
            "error[invalid-value]: the option `--quiet` takes no value\n  = next: runkon run --help\n",
        ),
        (
            ("run", "x.wf", "-q=5"),
            "error[invalid-value]: the option `-q` takes no value\n  = next: runkon run --help\n",
        ),
        (("run", "x.wf", "-i"), "error[missing-value]: the option `-i` needs a value\n  = next: runkon run --help\n"),
        (
            ("answer",),
            "error[missing-argument]: the argument `RUN[:GATE]` is missing\n  = next: runkon answer --help\n",
        ),
        (("graph",), "error[missing-argument]: the argument `FILE` is missing\n  = next: runkon graph --help\n"),
        (("--plain",), "error[wrong-use]: missing command\n  = next: runkon --help\n"),
    ],
)
def test_wrong_use_says_what_and_where_to_look(case, words, text):
    case.run(*words).exits(2).stdout("").stderr(text)


def test_common_options_work_on_both_sides_of_the_command(case):
    case.wf('workflow x { script a { run = "true" } }')
    first = case.run("--json", "validate", "x.wf").exits(0).out
    assert case.run("validate", "x.wf", "--json").exits(0).out == first
    assert case.env(RUNKON_JSON="1").run("validate", "x.wf").exits(0).out == first
    case.env(RUNKON_INJECTED="RUNKON_JSON").run("validate", "x.wf").exits(0)
    assert case.out != first
