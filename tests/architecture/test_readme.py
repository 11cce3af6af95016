"""The README is followed as a stranger would, from top to bottom, and whatever it names is there."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import click
import pytest

from runkon import errors
from runkon.cli.commands import COMMANDS
from runkon.cli.group import RunkonGroup
from runkon.cli.options import common_options
from runkon.language.checks import unsupported
from runkon.language.options import TABLE
from runkon.language.parser import parse
from runkon.language.source import SourceFile
from runkon.settings import FILE_NAME

from .tree import ROOT

README = (ROOT / "README.md").read_text("utf-8")
FENCE = re.compile(r"^```(\w+)(?: title=(\S+))?\n(.*?)^```$", re.MULTILINE | re.DOTALL)
PROSE = FENCE.sub("", README)
CODE = re.compile(r"`([^`\n]+)`")
EXIT_CODE = re.compile(r"\s+# exit code (\d+)$")
COMMAND_1 = "python3 -m venv .venv && .venv/bin/pip install --quiet . && .venv/bin/runkon run examples/review.wf"
COMMAND_2 = (
    "python3 -m venv .venv && .venv/bin/pip install --quiet --editable '.[dev]' && .venv/bin/python -m pytest -n auto"
)


class Typed(NamedTuple):
    """One line of a console block, and what must follow it."""

    command: str
    code: int
    output: str


def typed(block: str) -> list[Typed]:
    found: list[Typed] = []
    for part in re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]:
        line, _, output = part.partition("\n")
        code = EXIT_CODE.search(line)
        found.append(Typed(EXIT_CODE.sub("", line), int(code[1]) if code else 0, output.strip("\n")))
    return found


CONSOLE = [step for language, _, text in FENCE.findall(README) if language == "console" for step in typed(text)]


def table(head: str) -> list[list[str]]:
    """The cells of the rows below that head."""
    _, _, below = README.partition(f"| {head} |")
    rows = below.split("\n\n")[0].splitlines()[2:]
    return [[cell.strip() for cell in row.strip("|").split(" | ")] for row in rows]


def said(command: str, folder: Path) -> tuple[str, int]:
    """What a person without any key sees who types that in: both streams, in order."""
    program, *arguments = shlex.split(command)
    python = {"runkon": [sys.executable, "-m", "runkon"], "python": [sys.executable]}[program]
    clean = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith("RUNKON") and not name.endswith("_API_KEY")
    }
    done = subprocess.run(
        [*python, *arguments],
        cwd=folder,
        env={**clean, "COLUMNS": "120", "PYTHONPATH": str(ROOT)},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    return done.stdout, done.returncode


@pytest.fixture(scope="module")
def followed(tmp_path_factory) -> Path:
    """The project one has after reading: every titled block written, every console block typed in."""
    folder = tmp_path_factory.mktemp("readme")
    (folder / ".runkon").mkdir()
    for language, title, text in FENCE.findall(README):
        if title:
            (folder / title).parent.mkdir(parents=True, exist_ok=True)
            (folder / title).write_text(text, encoding="utf-8")
        here = folder
        for step in typed(text) if language == "console" else ():
            if step.command.startswith("cd "):
                here = folder / step.command.removeprefix("cd ")
                continue
            output, code = said(step.command, here)
            assert code == step.code, f"{step.command}\n{output}"
            wanted = ".*".join(re.escape(piece) for piece in step.output.split("…"))
            shown = output.strip("\n")
            assert re.fullmatch(wanted, shown, re.DOTALL), f"$ {step.command}\n{output}\nnot as in the README"
    return folder


# ── what runs ─────────────────────────────────────────────────────────────────────────────────────
def test_everything_shown_runs_and_prints_what_is_shown(followed):
    verbs = [step.command.split()[1] for step in CONSOLE]
    assert {"init", "validate", "run", "show", "graph", "plugins", "resume", "test", "replay"} <= set(verbs)
    assert sum(bool(step.output) for step in CONSOLE) >= 8
    assert (followed / ".runkon" / "runkon.db").is_file()


def test_every_workflow_shown_is_canonical_but_for_the_mistaken_one(followed):
    titles = [title for language, title, _ in FENCE.findall(README) if language == "wf"]
    assert titles[0] == "hello.wf"
    output, code = said(f"runkon fmt --check {titles[0]}", followed)
    assert (output, code) == ("", 0)


def test_a_run_that_stops_where_the_output_is_not_as_shown(tmp_path):
    step = typed("$ runkon runs   # exit code 3\nfirst …\nlast\n")
    assert step == [Typed("runkon runs", 3, "first …\nlast")]


@pytest.mark.parametrize(("number", "command"), [(1, COMMAND_1), (2, COMMAND_2)])
def test_the_two_commands_are_one_line_each_and_stand_under_their_marks(number, command):
    block = README.partition(f"**Command {number}**")[2]
    language, title, text = FENCE.search(block).groups()
    assert (language, title, text) == ("sh", None, f"{command}\n")
    assert README.count(f"**Command {number}**") == 1


@pytest.mark.parametrize(("number", "command"), [(1, COMMAND_1), (2, COMMAND_2)])
def test_ci_takes_the_two_commands_from_here(number, command):
    script = (ROOT / ".ci" / "run").read_text("utf-8")
    function = re.search(r"^readme_command\(\) \{.*?^\}", script, re.MULTILINE | re.DOTALL)[0]
    done = subprocess.run(
        ["bash", "-c", f"{function}\nreadme_command {number}"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert done.stdout == f"{command}\n"
    assert f"readme_command {number}" in script


# ── the language ──────────────────────────────────────────────────────────────────────────────────
SNIPPETS = [snippet for row in table("construct | what it does") for snippet in CODE.findall(" ".join(row))]
STATEMENTS = [snippet for snippet in SNIPPETS if snippet.endswith("}")]


@pytest.mark.parametrize("snippet", STATEMENTS)
def test_every_construct_in_the_table_parses(snippet):
    text = snippet if snippet.startswith("workflow") else f"workflow t {{ {snippet} }}"
    assert parse(SourceFile("t.wf", text)).diagnostics == ()


def test_the_table_has_every_construct_that_runs():
    words = {word for snippet in STATEMENTS for word in re.findall(r"[a-z]+", snippet)}
    assert words >= {
        "workflow", "meta", "inputs", "call", "script", "if", "else", "unless", "while", "do", "parallel", "always",
        "outputs",
    }  # fmt: skip


def listed(before: str) -> set[str]:
    """The words of the code span behind that text."""
    return set(re.search(re.escape(before) + r"\s+`([^`]+)`", PROSE)[1].split())


def test_the_options_of_steps_are_those_there_are():
    call, script = ({*TABLE[kind].names} - unsupported.OPTIONS[kind] for kind in ("call", "script"))
    assert listed("Options of every step:") == call & script
    assert listed("of calls also") == call - script


def test_the_output_block_shown_is_one(tmp_path):
    block = next(text for language, _, text in FENCE.findall(README) if "FLOW_OUTPUT" in text and language == "sh")
    outputs = '{ said = "{{s.context}}", again = s.again }'
    text = (
        f'workflow a {{\n script s {{ run = """\n{block}""" }}\n if s.is_flaky {{ script t {{ run = "echo yes" }} }}\n'
    )
    (tmp_path / "a.wf").write_text(f"{text} outputs {outputs}\n}}\n")
    output, code = said("runkon run a.wf", tmp_path)
    assert code == 0
    assert "completed · 2 steps" in output
    assert "said = 2 of 9 tests failed once\nagain = 2\n" in output


def test_the_values_of_options_are_those_there_are():
    assert listed("a list of") == {"timeout", "transient", "schema", "exit", "any"}
    for word in listed("a list of"):
        snippet = f"workflow t {{ call a {{ retry_on = [{word}] backoff = exponential jitter = true }} }}"
        assert parse(SourceFile("t.wf", snippet)).diagnostics == ()
    loop = "workflow t { while a.b { max_iterations = 1 on_max_iter = continue call a } }"
    assert parse(SourceFile("t.wf", loop)).diagnostics == ()
    assert "`on_max_iter = continue`" in PROSE.replace("\n", " ")


def test_what_this_version_refuses_is_said():
    refused = unsupported.OPTIONS["call"] | unsupported.OPTIONS["script"]
    assert listed("refuses the option") == refused
    assert unsupported.OPTIONS["parallel"] | unsupported.OPTIONS["foreach"] <= refused
    assert listed("of `call workflow` also") == unsupported.OPTIONS["call_workflow"] - refused


def test_an_agent_file_is_found_and_refused_as_is_said(tmp_path):
    (tmp_path / ".runkon" / "agents").mkdir(parents=True)
    (tmp_path / ".runkon" / "agents" / "plan.md").write_text("---\nrole: reviewer\n---\nPlan.\n")
    (tmp_path / "a.wf").write_text("workflow a { call plan }\n")
    output, code = said("runkon run a.wf", tmp_path)
    assert (output.split(":")[0], code) == ("error[unknown-runtime]", errors.EXIT_INVALID)
    assert "`unknown-runtime`" in PROSE


# ── commands ──────────────────────────────────────────────────────────────────────────────────────
ROWS = table("command | what it does | options")
COMMON = {name for option in common_options() for name in option.opts} | {"--help"}


def options_of(verb: str) -> set[str]:
    command = RunkonGroup().get_command(click.Context(RunkonGroup()), verb)
    return {name for param in command.params if isinstance(param, click.Option) for name in param.opts} | COMMON


def test_every_command_has_its_row():
    assert sorted(re.match(r"`runkon (\w+)", row[0])[1] for row in ROWS) == sorted(COMMANDS)


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row[0].strip("`"))
def test_every_option_in_a_row_is_one_of_its_command(row):
    verb = row[0].strip("`").split()[1]
    assert set(re.findall(r"(?<!\S)`?(--?[a-z][\w-]*)", row[2])) <= options_of(verb)


def test_every_command_line_in_the_text_names_a_command_and_options_that_exist():
    lines = [step.command for step in CONSOLE] + [code for code in CODE.findall(PROSE) if code.startswith("runkon ")]
    assert len(lines) > 20
    for line in lines:
        program, verb, *words = shlex.split(line)
        if program == "runkon":
            assert verb in COMMANDS, line
            assert {word for word in words if word.startswith("-")} <= options_of(verb), line


def test_the_common_options_are_those_there_are():
    shown = {word for word in listed("Every command takes") if word.startswith("-")}
    assert shown == {name for name in COMMON if name.startswith("--")}


def test_the_exit_codes_are_those_there_are():
    codes = {value for name, value in vars(errors).items() if name.startswith("EXIT_")}
    rows = table("exit code | meaning")
    assert [int(code) for code, _ in rows] == sorted(codes)
    assert all(meaning for _, meaning in rows)


# ── names ─────────────────────────────────────────────────────────────────────────────────────────
@pytest.mark.parametrize("link", sorted(set(re.findall(r"\]\(([^)]+)\)", README))))
def test_every_link_leads_somewhere(link):
    headings = ["-".join(re.findall(r"\w+", line.lower())) for line in re.findall(r"(?m)^##+ (.+)$", PROSE)]
    assert link.removeprefix("#") in headings if link.startswith("#") else (ROOT / link).exists()


def test_every_file_named_exists_here_or_in_the_project_that_was_made(followed):
    names = {
        name for name in CODE.findall(PROSE) if re.fullmatch(r"[\w./-]*(?:/[\w.-]*|\.(?:md|py|wf|toml|lark))", name)
    }
    assert {"examples/hello.wf", "runkon/app.py", ".runkon/runkon.db"} <= names
    made_later = {FILE_NAME, "review-report.md", ".wf", ".runkon/scripts", ".venv/bin"}
    made_later |= {"workflows/NAME/agents", ".claude/agents"}  # where agents may be put as well
    missing = {name for name in names - made_later if not (ROOT / name).exists() and not (followed / name).exists()}
    assert missing == set()
    assert 'default = "review-report.md"' in (ROOT / "examples" / "review.wf").read_text("utf-8")
