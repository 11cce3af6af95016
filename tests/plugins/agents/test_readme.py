"""What the front page says of answers that are real: each word of its table, and its two tables of settings."""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("pydantic_ai", reason="the extra is missing: pip install 'runkon[agents]'")

README = (Path(__file__).resolve().parents[3] / "README.md").read_text("utf-8")
FENCE = re.compile(r"^```(\w+)(?: title=(\S+))?\n(.*?)^```$", re.MULTILINE | re.DOTALL)
ANSWER = {"approved": True, "summary": "Real enough.", "findings": []}
BLOCK = f"Fine.\n<<<FLOW_OUTPUT>>>\n{json.dumps(ANSWER)}\n<<<END_FLOW_OUTPUT>>>\n"
CLAUDE = f"""#!{sys.executable} -I
import json, sys
sys.stdin.read()
print(json.dumps(dict(type="system", subtype="init", session_id="s", model="claude-x")))
print(json.dumps(dict(type="result", subtype="success", is_error=False, result={BLOCK!r}, session_id="s",
    total_cost_usd=0.25, num_turns=1, usage=dict(input_tokens=1, output_tokens=1))))
"""


def words(row: int) -> list[str]:
    """The words in the last column of the table that says who answers."""
    rows = README.partition("| who answers |")[2].splitlines()[2:]
    return re.findall(r"`([^`]+)`", rows[row].split("|")[3])


class Project:
    def __init__(self, folder: Path, provider) -> None:
        self.folder = folder
        self.bin = folder / "bin"
        self.bin.mkdir(parents=True)
        provider.behaviours = AnyModel()

    def __call__(self, line: str, code: int = 0, **variables: str) -> str:
        program, *given = shlex.split(line)
        assert program == "runkon"
        clean = {name: value for name, value in os.environ.items() if not name.startswith("RUNKON_")}
        done = subprocess.run(
            [sys.executable, "-m", "runkon", *given], cwd=self.folder, capture_output=True, text=True, check=False,
            stdin=subprocess.DEVNULL, env=clean | {"PATH": f"{self.bin}:/usr/bin:/bin"} | variables,
        )  # fmt: skip
        assert done.returncode == code, done.stdout + done.stderr
        return done.stdout + done.stderr

    def program(self, name: str, text: str) -> None:
        (self.bin / name).write_text(text)
        (self.bin / name).chmod(0o755)

    def change_the_word(self, word: str) -> None:
        settings = self.folder / "runkon.toml"
        settings.write_text(settings.read_text("utf-8").replace('"test"', f'"{word}"'), "utf-8")


class AnyModel(dict):
    """Every model of the provider answers with the fields that are asked for."""

    def __missing__(self, _model: str):
        return lambda talk: talk.say(calls=[("give_answer", ANSWER)]) if talk.asked.get("tools") else talk.say(BLOCK)


@pytest.fixture
def started(tmp_path, provider) -> Project:
    project = Project(tmp_path / "start", provider)
    project("runkon init")
    return project


@pytest.fixture
def written(tmp_path, provider) -> Project:
    """Every file that the page has a title for, and its settings of runtimes."""
    project = Project(tmp_path / "page", provider)
    for language, title, text in FENCE.findall(README):
        if title:
            (project.folder / title).parent.mkdir(parents=True, exist_ok=True)
            (project.folder / title).write_text(text, encoding="utf-8")
        elif language == "toml" and "runtimes" in text:
            (project.folder / "runkon.toml").write_text(
                text.replace("http://127.0.0.1:8000/v1", provider.url), encoding="utf-8"
            )
    return project


@pytest.mark.parametrize("word", words(2))
def test_a_model_on_this_machine_answers(started, provider, word) -> None:
    started.change_the_word(word)
    address = {f"{word.partition(':')[0].upper()}_BASE_URL": provider.url}
    said = started("runkon run hello", **address)
    assert "opinion = Real enough.\n" in said
    assert "made up" not in said
    assert provider.requests[0][1]["model"] == word.partition(":")[2]


def test_a_provider_answers_when_there_is_a_key(started, provider) -> None:
    word = next(word for word in words(1) if word.startswith("openai:"))
    started.change_the_word(word)
    said = started("runkon run hello", OPENAI_BASE_URL=provider.url, OPENAI_API_KEY="sk-0123456789abcdef")
    assert "opinion = Real enough.\n" in said
    assert provider.requests[0][0]["authorization"] == "Bearer sk-0123456789abcdef"
    assert "sk-0123456789abcdef" not in said


@pytest.mark.parametrize("word", [word for word in words(1) if ":" in word])
def test_without_a_key_the_variable_of_the_page_is_named_and_doctor_says_so(started, word) -> None:
    started.change_the_word(word)
    (key,) = (name for name in words_of_needs(1) if name.startswith(word.partition(":")[0].upper()))
    assert f"`{key}`" in started("runkon run hello", code=1)
    assert re.search(rf"agent critic +problem .*`{key}`", started("runkon doctor", code=5))


def words_of_needs(row: int) -> list[str]:
    rows = README.partition("| who answers |")[2].splitlines()[2:]
    return re.findall(r"`([A-Z_]+)`", rows[row].split("|")[2])


def test_a_coding_agent_on_the_command_line_answers(started) -> None:
    (word,) = (word for word in words(0) if word == "sonnet")
    started.program("claude", CLAUDE)
    started.change_the_word(word)
    said = started("runkon run hello")
    assert "opinion = Real enough.\n" in said
    assert "$0.25" in said


def test_each_word_belongs_to_the_command_of_its_row(started) -> None:
    row = README.partition("| who answers |")[2].splitlines()[2]
    commands = re.findall(r"`([^`]+)`", row.split("|")[1])
    assert len(commands) == len(words(0)) == 3
    for command, word in zip(commands, words(0), strict=True):
        said = started("runkon doctor", code=5, RUNKON_MODEL=word)
        assert re.search(rf"agent critic +problem +runtime {command}, model {re.escape(word)}: ", said)


def test_the_tables_of_settings_do_what_is_said(written, provider) -> None:
    written.program("my-agent", f'#!/bin/sh\ntest "$1" = --ask && cat <<"E"\n{BLOCK}E\n')
    lines = re.findall(r"`(runkon run critique\.wf --(?:model small|runtime mine))`", README)
    assert len(lines) == 2
    for line in lines:
        said = written(line)
        assert "approved = true\n" in said
        assert "made up" not in said
    assert [asked["model"] for _, asked in provider.requests] == ["small"]
