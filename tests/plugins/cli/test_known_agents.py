"""`claude`, `codex` and `gemini`: how they are called, and what their lines mean."""

from __future__ import annotations

import json

import pytest

from runkon.errors import Fatal, Transient
from runkon.model.failures import StepFailure
from runkon.model.output import Usage

CLAUDE = """
note("argv", sys.argv[1:])
prompt = sys.stdin.read()
say(type="system", subtype="init", session_id="s-1", model="claude-x")
usage = dict(input_tokens=10, cache_read_input_tokens=5, output_tokens=2)
say(type="assistant", message=dict(id="m1", content=[dict(type="text", text="I look")], usage=usage))
say(type="assistant", message=dict(id="m1", content=[dict(type="tool_use", name="Read", input=dict(file_path="a.py"))],
    usage=usage))
say(type="user", message=dict(content=[dict(type="tool_result", content="text")]))
say(type="assistant", parent_tool_use_id="t1", message=dict(id="sub", content=[dict(type="text", text="a helper")]))
say(type="assistant", message=dict(id="m2", content=[dict(type="text", text="fine: " + prompt)], usage=usage))
say(type="result", subtype="success", is_error=False, result="fine: " + prompt, session_id="s-2",
    total_cost_usd=0.5, num_turns=2, usage=dict(input_tokens=20, cache_creation_input_tokens=3, output_tokens=7))
"""
CODEX = """
note("argv", sys.argv[1:])
prompt = sys.stdin.read()
say(type="thread.started", thread_id="t-1")
say(type="turn.started")
say(type="error", message="Reconnecting... 1/5")
say(type="item.completed", item=dict(id="i0", type="reasoning", text="hm"))
say(type="item.started", item=dict(id="i1", type="command_execution", command="ls -la"))
say(type="item.completed", item=dict(id="i1", type="command_execution", command="ls -la", exit_code=0))
say(type="item.completed", item=dict(id="i2", type="agent_message", text="fine: " + prompt))
say(type="turn.completed", usage=dict(input_tokens=100, cached_input_tokens=50, output_tokens=9))
"""
GEMINI = """
note("argv", sys.argv[1:])
prompt = sys.stdin.read()
say(type="init", session_id="g-1", model="gemini-x")
say(type="message", role="user", content=prompt)
say(type="message", role="assistant", content="I ", delta=True)
say(type="message", role="assistant", content="look", delta=True)
say(type="tool_use", tool_name="read_file", tool_id="1", parameters=dict(path="a.py"))
say(type="tool_result", tool_id="1", status="success", output="text")
say(type="message", role="assistant", content="fine: ", delta=True)
say(type="message", role="assistant", content=prompt, delta=True)
say(type="result", status="success", stats=dict(total_tokens=12, input_tokens=8, output_tokens=4, tool_calls=1))
"""
PROGRAMS = {"claude": CLAUDE, "codex": CODEX, "gemini": GEMINI}
USAGES = {
    "claude": Usage(0.5, 23, 7, 2),
    "codex": Usage(None, 100, 9, 2),
    "gemini": Usage(None, 8, 4, 2),
}
SESSIONS = {"claude": ("s-2", "claude-x"), "codex": ("t-1", None), "gemini": ("g-1", "gemini-x")}
PROGRESS = {
    "claude": ["I look", "uses Read: a.py", "fine: look at it"],
    "codex": ["uses command execution: ls -la", "fine: look at it"],
    "gemini": ["I look", "uses read_file: a.py", "fine: look at it"],
}


def argv(file) -> list[str]:
    return json.loads((file.parent / "argv").read_text())


@pytest.mark.parametrize("name", PROGRAMS)
def test_an_answer_is_read(ask, program, name):
    reply = ask(name, {"binary": str(program(PROGRAMS[name]))})
    assert reply.text == "fine: look at it"
    assert (reply.session, reply.model) == SESSIONS[name]
    assert reply.usage == USAGES[name]
    assert ask.lines == PROGRESS[name]
    assert ask.log.read_text().splitlines()[0].startswith('{"type"')
    assert len(ask.pids) == 1


CALLED = {
    "claude": ["-p", "--output-format", "stream-json", "--verbose", "--max-turns", "100"],
    "codex": ["exec", "--json", "--sandbox", "read-only", "--skip-git-repo-check", "-"],
    "gemini": ["--output-format", "stream-json"],
}
CALLED_IN_FULL = {
    "claude": ["-p", "--output-format", "stream-json", "--verbose", "--model", "big", "--resume", "s-0",
               "--permission-mode", "acceptEdits", "--max-turns", "7", "--max-budget-usd", "1.5",
               "--plugin-dir", "plugs", "--extra"],
    "codex": ["exec", "--json", "--model", "big", "--sandbox", "workspace-write", "--extra", "resume", "s-0", "-"],
    "gemini": ["--output-format", "stream-json", "-m", "big", "--resume", "s-0", "--approval-mode", "auto_edit",
               "--extra"],
}  # fmt: skip


@pytest.mark.parametrize("name", PROGRAMS)
def test_it_is_called_with_as_little_as_possible(ask, program, name):
    file = program(PROGRAMS[name])
    ask(name, {"binary": str(file)})
    assert argv(file) == CALLED[name]


@pytest.mark.parametrize("name", PROGRAMS)
def test_it_is_called_with_all_that_was_asked_for(ask, program, name):
    file = program(PROGRAMS[name])
    step = {"max_turns": 7, "max_cost_usd": 1.5, "plugin_dirs": ("plugs",)}
    ask(name, {"binary": str(file), "args": ["--extra"]}, step=step, can_commit=True, model="big", session="s-0")
    assert argv(file) == CALLED_IN_FULL[name]


@pytest.mark.parametrize("name", PROGRAMS)
def test_the_word_for_permissions_comes_from_the_settings(ask, program, name):
    file = program(PROGRAMS[name])
    ask(name, {"binary": str(file), "permission_mode": "plan"}, can_commit=True)
    assert "plan" in argv(file)
    with pytest.raises(Fatal, match="`permission_mode`"):
        ask(name, {"binary": str(file), "permission_mode": "--yolo"})


def test_a_model_of_the_settings_is_used_where_none_is_asked_for(ask, program):
    file = program(GEMINI)
    ask("gemini", {"binary": str(file), "default_model": "small"})
    assert argv(file)[2:] == ["-m", "small"]


@pytest.mark.parametrize("model", ["--dangerously-skip-permissions", "-m", "two words", "", "a\nb"][:3])
def test_a_model_that_could_be_an_option_is_refused(ask, program, model):
    with pytest.raises(Fatal, match="is no name of a model"):
        ask("claude", {"binary": str(program(CLAUDE))}, model=model)
    assert ask.pids == []


def test_the_list_of_models_holds_but_for_claude(ask, program):
    with pytest.raises(Fatal, match="`codex` has no model `big`; its setting `models` lists small"):
        ask("codex", {"binary": str(program(CODEX)), "models": ["small"]}, model="big")
    assert ask("claude", {"binary": str(program(CLAUDE)), "models": ["small"]}, model="big").text


def test_a_session_that_could_be_an_option_is_not_continued(ask, program):
    file = program(CLAUDE)
    ask("claude", {"binary": str(file)}, session="--dangerously-skip-permissions")
    assert "--resume" not in argv(file)


def result(**fields) -> str:
    return f"say(type='result', session_id='s', **{fields!r})"


CLAUDE_ERRORS = {
    "limit": (result(subtype="success", is_error=True, result="API Error: 429 rate_limit_error"), Transient),
    "overload": (result(subtype="success", is_error=True, result="x", api_error_status=529), Transient),
    "server": (result(subtype="error_during_execution", is_error=True, errors=["Internal server error"]), Transient),
    "key": (result(subtype="success", is_error=True, result="Invalid API key · Please run /login"), Fatal),
    "status": (result(subtype="success", is_error=True, result="x", api_error_status=401), Fatal),
    "quota": (result(subtype="success", is_error=True, result="Claude AI usage limit reached|1750000000"), Fatal),
    "balance": (result(subtype="success", is_error=True, result="Credit balance is too low"), Fatal),
    "other": (result(subtype="error_during_execution", is_error=True), StepFailure),
    "turns": (result(subtype="error_max_turns", is_error=True, num_turns=3), StepFailure),
    "field": ("say(type='assistant', error='rate_limit', message=dict(id='1', content=[]));"
              + result(subtype="success", is_error=True, result="slow down"), Transient),
}  # fmt: skip
CODEX_ERRORS = {
    "limit": ("say(type='turn.failed', error=dict(message='last status: 429 Too Many Requests'))", Transient),
    "wait": ("say(type='turn.failed', error=dict(message='Rate limit reached, please try again in 20s'))", Transient),
    "stream": ("say(type='turn.failed', error=dict(message='stream disconnected before completion'))", Transient),
    "key": ("say(type='turn.failed', error=dict(message='unexpected status 401 Unauthorized'))", Fatal),
    "quota": ("say(type='turn.failed', error=dict(message='insufficient_quota'))", Fatal),
    "other": ("say(type='turn.failed', error=dict(message='it broke'))", StepFailure),
    "silent": ("say(type='error', message='unexpected status 401 Unauthorized')\nsys.exit(1)", Fatal),
}  # fmt: skip
GEMINI_ERRORS = {
    "limit": ("say(type='result', status='error', error=dict(type='x', message='RESOURCE_EXHAUSTED'))", Transient),
    "key": ("say(type='result', status='error', error=dict(type='x', message='API key not valid'))", Fatal),
    "code": ("sys.stderr.write('please set an auth method')\nsys.exit(41)", Fatal),
    "turns": ("sys.exit(53)", StepFailure),
    "other": ("sys.exit(1)", StepFailure),
}


@pytest.mark.parametrize(
    ("name", "body", "kind"),
    [
        pytest.param(name, body, kind, id=f"{name}-{case}")
        for name, cases in (("claude", CLAUDE_ERRORS), ("codex", CODEX_ERRORS), ("gemini", GEMINI_ERRORS))
        for case, (body, kind) in cases.items()
    ],
)
def test_an_error_is_known_for_what_it_is(ask, program, name, body, kind):
    with pytest.raises(kind) as caught:
        ask(name, {"binary": str(program(body))})
    assert type(caught.value) is kind
    assert f"`{name}`" in str(caught.value)


def test_how_long_to_wait_is_taken_from_the_message(ask, program):
    with pytest.raises(Transient) as caught:
        ask("codex", {"binary": str(program(CODEX_ERRORS["wait"][0]))})
    assert caught.value.retry_after == 20.0


def test_refused_credentials_say_how_to_log_in(ask, program):
    with pytest.raises(Fatal) as caught:
        ask("claude", {"binary": str(program(CLAUDE_ERRORS["key"][0]))})
    assert str(caught.value) == (
        "`claude` failed: Invalid API key · Please run /login; run `claude` once to log in, or set ANTHROPIC_API_KEY"
    )


def test_a_failed_attempt_says_what_it_cost_and_in_which_session(ask, program):
    body = (
        'say(type="system", subtype="init", session_id="s-1")\n'
        "usage = dict(input_tokens=10, output_tokens=2)\n"
        'say(type="assistant", message=dict(id="m1", content=[], usage=usage))\n'
        'say(type="assistant", message=dict(id="m1", content=[], usage=usage))\n'
        'say(type="assistant", message=dict(id="m2", content=[], usage=usage))\n'
        "sys.exit(3)"
    )
    with pytest.raises(StepFailure, match="`claude` exited with code 3 and said nothing") as caught:
        ask("claude", {"binary": str(program(body))})
    assert caught.value.usage == Usage(None, 20, 4, 2)
    assert caught.value.session == "s-1"


GONE = {
    "claude": result(subtype="error_during_execution", is_error=True, errors=["No conversation found with session ID"]),
    "codex": "sys.stderr.write('no rollout found for thread id'); sys.exit(1)",
    "gemini": "sys.stderr.write('Error resuming session: Invalid session identifier'); sys.exit(42)",
}


@pytest.mark.parametrize("name", PROGRAMS)
def test_a_session_that_is_gone_is_begun_anew(ask, program, name):
    file = program(f"if 's-0' in sys.argv:\n    {GONE[name]}\nelse:\n" + "".join(
        f"    {line}\n" for line in PROGRAMS[name].splitlines()))  # fmt: skip
    assert ask(name, {"binary": str(file)}, session="s-0").text == "fine: look at it"
    assert len(ask.pids) == 2
    assert "a new one is begun" in ask.lines[0]


@pytest.mark.parametrize(
    ("name", "own"),
    [("claude", ["sonnet", "opus", "claude-x-1"]), ("codex", ["gpt-5", "o3"]), ("gemini", ["gemini-2.5-pro"])],
)
def test_each_knows_the_names_of_its_own_models(runtimes, name, own):
    everybody = ["sonnet", "opus", "claude-x-1", "gpt-5", "o3", "gemini-2.5-pro", "test", "llama"]
    assert [model for model in everybody if runtimes[name].offers(model)] == own


def test_a_dry_run_starts_nothing(ask, program):
    reply = ask("claude", {"binary": str(program(CLAUDE))}, step={"dry_run": True})
    assert (reply.text, ask.pids) == ("not run: this is a dry run", [])
