"""The runtime `command`: settings, arguments, and where in the output what is."""

from __future__ import annotations

import json
import os
import stat

import pytest

from runkon.errors import Fatal
from runkon.model.failures import StepFailure
from runkon.model.output import Usage


def table(file, **more) -> dict:
    return {"argv": [str(file), "{{prompt}}"], **more}


# ── how the prompt goes in ────────────────────────────────────────────────────────────────────────
def test_as_an_argument(ask, program):
    file = program("print('got', json.dumps(sys.argv[1:]), sys.stdin.read() == '')")
    assert ask("command", table(file), prompt="a b\n'c'").text == "got [\"a b\\n'c'\"] True"


def test_by_standard_input(ask, program):
    file = program("print(len(sys.argv), sys.stdin.read())")
    assert ask("command", {"argv": [str(file)], "prompt_via": "stdin"}, prompt="ä\n").text == "1 ä"


def test_in_a_private_file_that_is_gone_afterwards(ask, program):
    file = program("name = sys.argv[1]\nprint(oct(os.stat(name).st_mode & 0o777), name, open(name).read())")
    settings = {"argv": [str(file), "{{prompt_file}}"], "prompt_via": "file"}
    mode, name, *words = ask("command", settings).text.split()
    assert (mode, words) == ("0o600", ["look", "at", "it"])
    assert not os.path.exists(name)
    assert name.startswith(str(ask.log.parent))


@pytest.mark.parametrize("body", ["sys.exit(3)", "os.kill(os.getpid(), 9)", "print(sys.argv[1]); sys.exit(1)"])
def test_the_file_is_gone_after_a_failure_too(ask, program, body):
    settings = {"argv": [str(program(body)), "{{prompt_file}}"], "prompt_via": "file"}
    with pytest.raises(StepFailure):
        ask("command", settings)
    assert list(ask.log.parent.glob("prompt-*")) == []


def test_the_file_is_gone_when_the_program_can_not_be_started(ask):
    with pytest.raises(Fatal):
        ask("command", {"argv": ["no-such-agent", "{{prompt_file}}"], "prompt_via": "file"})
    assert list(ask.log.parent.glob("prompt-*")) == []


def test_a_prompt_too_big_for_an_argument_says_what_to_set(ask, program):
    with pytest.raises(Fatal, match='too big for an argument; set `prompt_via = "stdin"`'):
        ask("command", table(program("print(1)")), prompt="x" * 5_000_000)


def test_a_prompt_with_a_nul_can_not_be_an_argument(ask, program):
    with pytest.raises(StepFailure, match="NUL character"):
        ask("command", table(program("print(1)")), prompt="a\0b")


# ── arguments ─────────────────────────────────────────────────────────────────────────────────────
def test_values_are_put_in_and_groups_without_one_are_left_out(ask, program):
    file = program("print(json.dumps(sys.argv[1:]))")
    settings = {
        "argv": [str(file), ["--model", "{{model}}"], ["--resume", "{{session}}"], "--turns={{max_turns}}",
                 "{{agent}}", "{{session}}", "{{prompt}}"],
        "default_model": "small",
    }  # fmt: skip
    assert json.loads(ask("command", settings).text) == [
        "--model", "small", "--turns=100", "reviewer", "look at it",
    ]  # fmt: skip
    asked = ask("command", settings, model="big", session="s-1", step={"max_turns": 3})
    assert json.loads(asked.text) == [
        "--model", "big", "--resume", "s-1", "--turns=3", "reviewer", "s-1", "look at it",
    ]  # fmt: skip


def test_a_value_is_never_filled_a_second_time(ask, program):
    file = program("print(sys.argv[1])")
    assert ask("command", table(file), prompt="{{model}} {{prompt}}").text == "{{model}} {{prompt}}"


def test_a_program_is_found_beside_the_project_and_along_the_path(ask, program, monkeypatch, tmp_path):
    program("print('here')", "own-agent")
    assert ask("command", {"argv": ["bin/own-agent", "{{prompt}}"]}).text == "here"
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:{os.environ['PATH']}")
    assert ask("command", {"argv": ["own-agent", "{{prompt}}"]}).text == "here"


def test_it_runs_in_the_folder_of_the_step(ask, program, tmp_path):
    (tmp_path / "inner").mkdir()
    reply = ask("command", table(program("print(os.getcwd())")), step={"working_dir": tmp_path / "inner"})
    assert reply.text == str((tmp_path / "inner").resolve())


WRONG = {
    "none": ({}, "`argv`"),
    "text": ({"argv": "agent"}, "`argv`"),
    "empty": ({"argv": []}, "`argv`"),
    "group first": ({"argv": [["agent"]]}, "`argv`"),
    "number": ({"argv": ["agent", 3]}, "`argv`"),
    "place": ({"argv": ["agent", "{{promt}}"]}, "`{{promt}}`, which nothing stands for"),
    "program": ({"argv": ["{{model}}", "{{prompt}}"]}, "`argv`"),
    "no prompt": ({"argv": ["agent"]}, "has no `{{prompt}}`"),
    "no file": ({"argv": ["agent", "{{prompt}}"], "prompt_via": "file"}, "has no `{{prompt_file}}`"),
    "via": ({"argv": ["agent", "{{prompt}}"], "prompt_via": "pipe"}, "`prompt_via` of `command` is not `arg` or"),
    "output": ({"argv": ["agent", "{{prompt}}"], "output": "xml"}, "`output`"),
    "result": ({"argv": ["agent", "{{prompt}}"], "output": "jsonl"}, "no `result`"),
    "turn": ({"argv": ["agent", "{{prompt}}"], "turn": "assistant"}, "`turn`"),
    "time": ({"argv": ["agent", "{{prompt}}"], "idle_timeout": "soon"}, "`idle_timeout`"),
    "turns": ({"argv": ["agent", "{{prompt}}"], "max_turns": 0}, "`max_turns`"),
    "env": ({"argv": ["agent", "{{prompt}}"], "env": {"A": 1}}, "`env`"),
    "unknown": ({"argv": ["agent", "{{prompt}}"], "promt_via": "arg"}, "did you mean `prompt_via`?"),
}


@pytest.mark.parametrize(("settings", "said"), WRONG.values(), ids=WRONG)
def test_a_setting_that_can_not_work_is_named(ask, runtimes, settings, said):
    with pytest.raises(Fatal) as caught:
        ask("command", settings)
    assert said in str(caught.value)
    assert runtimes["command"].availability(settings).ready is False


# ── output ────────────────────────────────────────────────────────────────────────────────────────
DOCUMENT = {
    "answer": {"text": "fine", "number": 4},
    "id": "s-9",
    "stats": {"models": {"a": {"in": 3, "out": 1, "cost": 0.25}, "b": {"in": 4, "out": 2, "cost": 0.5}}},
    "turns": 6,
}
PLACES = {
    "result": "answer.text",
    "session": "id",
    "turns": "turns",
    "input_tokens": "stats.models.*.in",
    "output_tokens": "stats.models.*.out",
    "cost": "stats.models.*.cost",
}


def test_what_is_where_in_a_json_document(ask, program):
    file = program(f"print(json.dumps({DOCUMENT!r}, indent=2))")
    reply = ask("command", table(file, output="json", **PLACES))
    assert (reply.text, reply.session, reply.usage) == ("fine", "s-9", Usage(0.75, 7, 3, 6))


@pytest.mark.parametrize("place", ["answer.number", "answer.none", "answer.text.more", "5"])
def test_a_result_that_is_no_text_or_not_there_gives_the_whole(ask, program, place):
    file = program(f"print(json.dumps({DOCUMENT!r}))")
    assert json.loads(ask("command", table(file, output="json", result=place)).text) == DOCUMENT


def test_a_result_that_is_an_object_is_a_structured_answer(ask, program):
    file = program(f"print(json.dumps({DOCUMENT!r}))")
    assert ask("command", table(file, output="json", result="answer")).values == DOCUMENT["answer"]


@pytest.mark.parametrize("printed", ["not json at all", "{'half':", "[" * 100_000])
def test_what_is_no_json_is_text(ask, program, printed):
    file = program(f"print(' ' + {printed!r})")
    assert ask("command", table(file, output="json", result="answer")).text == printed


def test_of_json_lines_the_newest_value_counts(ask, program):
    file = program(
        "say(type='start', id='s-1')\nraw(b'garbage\\n\\n[1]\\n')\n"
        "say(type='step', text='one', tokens=dict(a=1, b=2))\nsay(type='step', text='two', tokens=dict(a=5, b=6))\n"
        "say(type='end', text='three', cost=0.5)"
    )
    settings = table(file, output="jsonl", result="text", session="id", input_tokens="tokens.*", cost="cost",
                     turn={"type": "step"}, progress="text")  # fmt: skip
    reply = ask("command", settings)
    assert (reply.text, reply.session, reply.usage) == ("three", "s-1", Usage(0.5, 11, 0, 2))
    assert ask.lines == ["one", "two", "three"]


def test_an_error_at_its_place_is_a_failure(ask, program):
    file = program("print(json.dumps(dict(text='x', error=dict(message='it broke'), cost=1.5)))")
    with pytest.raises(StepFailure, match="failed: it broke") as caught:
        ask("command", table(file, output="json", result="text", error="error.message", cost="cost"))
    assert caught.value.usage.cost_usd == 1.5


@pytest.mark.parametrize("cost", ["NaN", "Infinity", "-1", "true", '"3"', "1e400", "null"])
def test_a_cost_that_is_no_amount_is_not_known(ask, program, cost):
    file = program(f"""print('{{"text": "x", "cost": {cost}, "n": {cost}}}')""")
    reply = ask("command", table(file, output="json", result="text", cost="cost", input_tokens="n"))
    assert reply.usage == Usage(None, 0, 0, 1)


@pytest.mark.parametrize("output", ["text", "json"])
def test_another_exit_code_is_no_answer(ask, program, output):
    file = program("print('partly done'); sys.stderr.write('disk is full\\n'); sys.exit(2)")
    with pytest.raises(StepFailure, match="exited with code 2: disk is full"):
        ask("command", table(file, output=output))


@pytest.mark.parametrize(("output", "more"), [("text", {}), ("json", {}), ("jsonl", {"result": "text"})])
def test_exit_code_0_without_anything_is_no_answer(ask, program, output, more):
    with pytest.raises(StepFailure, match="ended without an answer and said nothing"):
        ask("command", table(program("pass"), output=output, **more))


# ── what it sees ──────────────────────────────────────────────────────────────────────────────────
def test_it_sees_the_usual_variables_those_that_are_allowed_and_its_marks(ask, program, monkeypatch):
    monkeypatch.setenv("PRIVATE_KEY", "do not pass this on")
    monkeypatch.setenv("ALLOWED_ONE", "1")
    monkeypatch.setenv("LC_ALL", "C.UTF-8")
    file = program("print(json.dumps(dict(os.environ)))")
    settings = table(file, env_allow=["ALLOWED_*"], env={"OVER": "2", "RUNKON_OWNERS": "forged"})
    seen = json.loads(ask("command", settings).text)
    assert {"PATH", "LC_ALL", "ALLOWED_ONE", "OVER"} <= set(seen)
    assert "PRIVATE_KEY" not in seen
    assert seen["RUNKON_OWNERS"].startswith("01JTEST")


def test_keys_and_secrets_are_kept_nowhere(ask, program, monkeypatch):
    monkeypatch.setenv("AGENT_API_KEY", 'very"secret-key')
    file = program(
        "key = os.environ['AGENT_API_KEY']\nsay(text=key + ' and hunter22')\n"
        "for piece in (key[:7], key[7:] + '\\n'): raw(piece.encode()); time.sleep(0.05)\n"
        "sys.stderr.write(key)"
    )
    settings = table(file, output="jsonl", result="text", progress="text", env_allow=["AGENT_API_KEY"])
    reply = ask("command", settings, step={"secrets": {"login": "hunter22"}})
    kept = reply.text + ask.log.read_text() + "".join(ask.lines)
    assert reply.text == "«secret:AGENT_API_KEY» and «secret:login»"
    assert "secret-key" not in kept
    assert "hunter22" not in kept


def test_a_short_value_of_a_key_takes_no_word_from_the_answer(ask, program, monkeypatch):
    monkeypatch.setenv("LOCAL_API_KEY", "true")
    file = program("say(text='it is true', ok=True)")
    settings = table(file, output="jsonl", result="text", env_allow=["LOCAL_API_KEY"])
    assert ask("command", settings).text == "it is true"


def test_everything_printed_is_in_the_log(ask, program):
    ask("command", table(program("print('out'); sys.stderr.write('err\\n')")))
    assert sorted(ask.log.read_text().split()) == ["err", "out"]
    assert stat.S_ISREG(ask.log.stat().st_mode)


# ── doctor ────────────────────────────────────────────────────────────────────────────────────────
def test_whether_it_is_there_and_which_version(runtimes, program, clean_environment, monkeypatch):
    file = program("print('agent 1.2.3' if sys.argv[1:] == ['--version'] else 'no')")
    command, claude = runtimes["command"], runtimes["claude"]
    assert command.availability(table(file)).detail == str(file)
    assert command.availability(table(file), check=True).detail == f"{file}, agent 1.2.3"
    told = claude.availability({"binary": str(file)}, check=True)
    assert (told.ready, told.detail) == (
        None,
        f"{file}, agent 1.2.3, ANTHROPIC_API_KEY is not set, so its own login counts",
    )
    monkeypatch.setenv("ANTHROPIC_API_KEY", "k")
    assert claude.availability({"binary": str(file)}).ready is True
    missing = claude.availability({"binary": "no-such-agent"})
    assert (missing.ready, missing.detail) == (
        False, "`no-such-agent` is not installed; install it with `npm install -g @anthropic-ai/claude-code`",
    )  # fmt: skip


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ("sys.exit(2)", "`--version` ends with code 2"),
        ("raw(b'\\xff\\x1b[31m1.0\\n' * 5)", "\ufffd1.0"),
        ("pass", "code 0"),
    ],
)
def test_a_version_that_is_none(runtimes, program, body, said):
    assert said in runtimes["command"].availability(table(program(body)), check=True).detail
