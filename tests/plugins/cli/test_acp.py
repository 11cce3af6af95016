"""The runtime `acp` against programs that speak the Agent Client Protocol, well and badly."""

from __future__ import annotations

import importlib.util
import json
import logging
import threading

import pytest

from runkon.errors import Cancelled, Fatal, RunkonError, Transient
from runkon.model.failures import StepFailure
from runkon.model.output import Usage
from runkon.testing import cancel

PATIENCE = 30.0
AGENT = """
heard = []
def send(**fields): raw((json.dumps(dict(jsonrpc="2.0", **fields)) + "\\n").encode())
def answer(result): send(id=now["id"], result=result)
def refuse(code, message, data=None): send(id=now["id"], error=dict(code=code, message=message, data=data))
def update(what, **fields):
    send(method="session/update", params=dict(sessionId="s-1", update=dict(sessionUpdate=what, **fields)))
def words(text): update("agent_message_chunk", content=dict(type="text", text=text))
def tool(id, kind, title): update("tool_call", toolCallId=id, kind=kind, title=title, status="pending")
def done(id): update("tool_call_update", toolCallId=id, status="completed")
def may(id, options=(("y", "allow_once"), ("n", "reject_once"))):
    send(id=77, method="session/request_permission", params=dict(sessionId="s-1", toolCall=dict(toolCallId=id),
         options=[dict(optionId=o, name=o, kind=k) for o, k in options]))
    return hear()["result"]["outcome"]
def hear():
    line = sys.stdin.readline()
    if not line: sys.exit(0)
    message = json.loads(line)
    heard.append(message)
    note("heard", heard)
    return message
can = dict(loadSession=True)
def initialize(): answer(dict(protocolVersion=1, agentCapabilities=can))
def session_new(): answer(dict(sessionId="s-1"))
def session_load(): words("from the past"); answer(None)
def session_set_mode(): answer({})
def session_set_config_option(): answer(dict(configOptions=[]))
def end(reason="end_turn", **more): answer(dict(stopReason=reason, **more))
"""
LOOP = """
while True:
    now = hear()
    globals()[now["method"].replace("/", "_")]()
"""
FINE = """
def session_prompt():
    words("I ")
    words("look")
    tool("t1", "read", "Reading a.py")
    done("t1")
    update("usage_update", used=10, size=100, cost=dict(amount=0.25, currency="USD"))
    words("fine: " + now["params"]["prompt"][0]["text"])
    end(usage=dict(totalTokens=9, inputTokens=5, outputTokens=4))
"""


def talking(program, body=FINE) -> dict:
    return {"argv": [str(program(AGENT + body + LOOP))]}


def heard(ask) -> list[dict]:
    return json.loads((ask.folder / "bin" / "heard").read_text())


@pytest.fixture(autouse=True)
def nothing_is_logged(caplog):
    yield
    assert [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING] == []


# ── a conversation ────────────────────────────────────────────────────────────────────────────────
def test_an_answer_is_read(ask, program):
    reply = ask("acp", talking(program))
    assert (reply.text, reply.session, reply.usage) == ("fine: look at it", "s-1", Usage(0.25, 5, 4, 2))
    assert ask.lines == ["I look", "uses read: Reading a.py", "fine: look at it"]
    assert '"session/update"' in ask.log.read_text()


def test_it_is_told_who_asks_and_where(ask, program):
    ask("acp", talking(program))
    first, new, prompt = heard(ask)
    assert (first["method"], first["params"]["protocolVersion"]) == ("initialize", 1)
    assert (new["method"], new["params"]["cwd"], new["params"]["mcpServers"]) == ("session/new", str(ask.folder), [])
    assert prompt["params"] == {"sessionId": "s-1", "prompt": [{"type": "text", "text": "look at it"}]}


def test_a_session_is_continued_and_its_past_is_not_taken_for_an_answer(ask, program):
    reply = ask("acp", talking(program), session="s-0")
    assert (reply.text, reply.session, reply.usage.turns) == ("fine: look at it", "s-0", 2)
    assert [one["method"] for one in heard(ask)] == ["initialize", "session/load", "session/prompt"]


def test_a_session_that_is_gone_is_begun_anew(ask, program):
    body = FINE + "def session_load(): refuse(-32002, 'Resource not found')\n"
    assert ask("acp", talking(program, body), session="s-0").session == "s-1"
    assert ask("acp", talking(program, FINE + "can = {}\n"), session="s-0").session == "s-1"


def test_a_model_goes_into_the_arguments_or_into_the_session(ask, program):
    note = "note('argv', sys.argv[1:])\n"
    settings = talking(program, FINE + note)
    settings["argv"] = [*settings["argv"], ["--model", "{{model}}"]]
    ask("acp", settings, model="big")
    assert json.loads((ask.folder / "bin" / "argv").read_text()) == ["--model", "big"]
    offering = FINE + (
        "def session_new(): answer(dict(sessionId='s-1', configOptions=[dict(type='select', id='m', name='Model',"
        " category='model', currentValue='small', options=[dict(value='big', name='Big')])]))\n"
    )
    ask("acp", talking(program, offering), model="big")
    assert heard(ask)[2]["params"] == {"configId": "m", "sessionId": "s-1", "value": "big"}
    with pytest.raises(Fatal, match="does not let its model be chosen"):
        ask("acp", talking(program), model="big")


def test_a_mode_of_the_settings_is_set(ask, program):
    ask("acp", {**talking(program), "permission_mode": "plan"})
    assert heard(ask)[2]["params"] == {"modeId": "plan", "sessionId": "s-1"}


# ── permissions ───────────────────────────────────────────────────────────────────────────────────
ASKS = """
def session_prompt():
    tool("t1", "read", "Read a.py"); one = may("t1")
    tool("t2", "edit", "Edit a.py"); two = may("t2")
    words(json.dumps([one, two])); now.update(heard[2]); end()
"""
YES, NO = {"outcome": "selected", "optionId": "y"}, {"outcome": "selected", "optionId": "n"}


@pytest.mark.parametrize(
    ("settings", "can_commit", "answers"),
    [
        ({"permissions": "deny"}, True, [NO, NO]),
        ({"permissions": "allow"}, False, [YES, YES]),
        ({"permissions": "allow-read"}, True, [YES, NO]),
        ({}, False, [YES, NO]),
        ({}, True, [YES, YES]),
    ],
)
def test_what_is_allowed_is_in_the_settings(ask, program, settings, can_commit, answers):
    reply = ask("acp", {**talking(program, ASKS), **settings}, can_commit=can_commit)
    assert json.loads(reply.text) == answers
    words = ["allowed" if one == YES else "refused" for one in answers]
    said = [f"{words[0]}: Read a.py", f"{words[1]}: Edit a.py"]
    assert [line for line in ask.lines if line.startswith(("allowed", "refused"))] == said


def test_the_smallest_permission_is_given_and_none_without_an_option(ask, program):
    body = """
def session_prompt():
    one = may("t", (("always", "allow_always"), ("once", "allow_once"), ("no", "reject_once")))
    two = may("t", (("always", "allow_always"),))
    three = may("t", (("never", "reject_always"),))
    words(json.dumps([one, two, three])); now.update(heard[2]); end()
"""
    allowed = json.loads(ask("acp", {**talking(program, body), "permissions": "allow"}).text)
    assert [one.get("optionId") for one in allowed] == ["once", "always", None]
    denied = json.loads(ask("acp", {**talking(program, body), "permissions": "deny"}).text)
    assert [one.get("optionId") for one in denied] == ["no", None, "never"]
    assert denied[1] == {"outcome": "cancelled"}


def test_what_else_it_asks_for_is_refused(ask, program):
    body = """
def session_prompt():
    answers = []
    for method in ("fs/read_text_file", "fs/write_text_file", "terminal/create", "made/up"):
        send(id=5, method=method, params=dict(sessionId="s-1", path="/etc/passwd", content="", command="ls"))
        answers.append(hear().get("error", {}).get("code"))
    words(json.dumps(answers)); now.update(heard[2]); end()
"""
    answers = json.loads(ask("acp", {**talking(program, body), "permissions": "allow"}).text)
    assert answers[:2] + answers[3:] == [-32601] * 3


# ── ends ──────────────────────────────────────────────────────────────────────────────────────────
ENDS = {
    "tokens": ("def session_prompt(): words('half'); end('max_tokens')", StepFailure, "cut off"),
    "turns": ("def session_prompt(): end('max_turn_requests')", StepFailure, "all its turns"),
    "refusal": ("def session_prompt(): end('refusal')", StepFailure, "refused"),
    "cancelled": ("def session_prompt(): end('cancelled')", StepFailure, "cancelled"),
    "nothing": ("def session_prompt(): end()", StepFailure, "said nothing"),
    "no reason": ("def session_prompt(): answer({})", StepFailure, "none of the protocol"),
    "no result": ("def session_prompt(): send(id=now['id'])", StepFailure, "`acp`"),
    "bad error": ("def session_prompt(): send(id=now['id'], error='oh')", StepFailure, "oh"),
    "login": ("def session_new(): refuse(-32000, 'Authentication required')", Fatal, "Authentication required; log in"),
    "limit": (
        "def session_prompt(): refuse(-32603, 'Internal', dict(details='429 Too Many Requests'))",
        Transient,
        "429",
    ),
    "error": ("def session_prompt(): refuse(-32603, 'it broke')", StepFailure, "it broke"),
    "version": ("def initialize(): answer(dict(protocolVersion=9))", Fatal, "speaks version 9 of the protocol, not 1"),
    "death": ("def session_prompt(): words('a'); sys.exit(3)", StepFailure, "exited with code 3"),
    "mid-line": (
        'def session_prompt(): raw(b\'{"jsonrpc": "2\'); os._exit(0)',
        StepFailure,
        'an answer: {"jsonrpc": "2',
    ),
    "at once": ("sys.stderr.write('no such flag'); sys.exit(2)", StepFailure, "exited with code 2: no such flag"),
    "no session": ("def session_new(): answer(None)", StepFailure, "none of the protocol"),
}


@pytest.mark.parametrize(("body", "kind", "said"), ENDS.values(), ids=ENDS)
def test_an_end_without_an_answer_says_why(ask, program, body, kind, said):
    with pytest.raises(RunkonError) as caught:
        ask("acp", talking(program, body + "\n"))
    assert type(caught.value) is kind
    assert said in str(caught.value)


def test_a_hang_is_ended(ask, program):
    for body in ("forever()", "def session_prompt(): words('a'); forever()"):
        with pytest.raises(StepFailure, match=r"said nothing for 0\.4 s"):
            ask("acp", {**talking(program, body + "\n"), "idle_timeout": "400ms"})


def test_one_that_stays_after_its_answer_has_answered(ask, program, monkeypatch):
    monkeypatch.setattr("runkon_cli.acp_ear.SETTLE", 0.2)
    stay = "def hear(hear=hear): return hear() if len(heard) < 3 else forever()\n"
    assert ask("acp", talking(program, FINE + stay)).text == "fine: look at it"


def test_the_last_turn_it_may_take_ends_it(ask, program):
    body = (
        "def session_prompt():\n"
        "    for n in range(9): words('a'); tool(str(n), 'read', 'x'); done(str(n))\n"
        "    forever()\n"
    )
    with pytest.raises(StepFailure, match="was ended at its turn 3, the most it may take") as caught:
        ask("acp", {**talking(program, body), "max_turns": 3})
    assert caught.value.usage.turns >= 3


GARBAGE = """
def session_prompt():
    raw(b'\\xff\\x00 not json\\n[1]\\n3\\nnull\\n\\n{}\\n{"method": 3}\\n')
    raw(b'{"id": [1], "method": "x"}\\n{"id": {}, "result": 1}\\n')
    raw(b'{"id": 999, "result": 1}\\n{"id": "x", "error": 3}\\n{"method": "made/up"}\\n{"method": "session/update"}\\n')
    raw(b'{"method": "session/update", "params": {"sessionId": "s-1", "update": {"sessionUpdate": "new_kind"}}}\\n')
    raw(b'{"method": "session/update", "params": {"_meta": {"update": 1, "session_id": 2}, "sessionId": "s-1",'
        b' "update": {"sessionUpdate": "plan", "entries": []}}}\\n')
    raw(b'[' * 200000 + b'\\n')
    words("fine")
    end()
"""


def test_garbage_does_not_hide_the_answer(ask, program):
    assert ask("acp", talking(program, GARBAGE)).text == "fine"


def test_a_flood_of_updates_ends_in_bounded_memory(ask, program):
    body = """
def session_prompt():
    noise = json.dumps(dict(jsonrpc="2.0", method="session/update", params=dict(sessionId="s-1", update=dict(
        sessionUpdate="agent_thought_chunk", content=dict(type="text", text="x" * 2000))))).encode() + b"\\\\n"
    while True: raw(noise * 20)
"""
    with pytest.raises(StepFailure, match="printed more than 20 MiB"):
        ask("acp", {**talking(program, body), "max_output_mb": 20})


# ── stopping ──────────────────────────────────────────────────────────────────────────────────────
def stopped(ask, settings, **fields):
    request = ask.request(settings=settings, **fields)
    ended: list[object] = []

    def run() -> None:
        try:
            ended.append(ask.runtimes["acp"].run(request))
        except RunkonError as error:
            ended.append(error)

    runner = threading.Thread(target=run)
    runner.start()
    assert ask.heard.wait(PATIENCE)
    cancel(request.step)
    runner.join(PATIENCE)
    return ended[0]


STARTED = "tool('t', 'read', 'x')"


def test_it_is_asked_to_end_its_turn(ask, program):
    body = f"def session_prompt():\n    {STARTED}; hear(); now.update(heard[2]); end('cancelled')\n"
    ended = stopped(ask, talking(program, body))
    assert isinstance(ended, Cancelled)
    assert ended.session == "s-1"
    assert heard(ask)[3]["method"] == "session/cancel"


def test_one_that_does_not_is_ended(ask, program, monkeypatch):
    monkeypatch.setattr("runkon_cli.acp_ear.POLITE", 0.1)
    body = f"def session_prompt():\n    signal.signal(15, signal.SIG_IGN); {STARTED}; forever()\n"
    assert isinstance(stopped(ask, talking(program, body), step={"options": {"kill_grace": 1.2}}), Cancelled)


def test_one_that_has_not_begun_is_ended_too(ask, program):
    request = ask.request(settings=talking(program, "forever()\n"))
    ask.pids = _Then(lambda: cancel(request.step))
    request = ask.request(
        settings=dict(request.settings), step={"cancel": request.step.cancel, "started": ask.pids.append}
    )
    with pytest.raises(Cancelled):
        ask.runtimes["acp"].run(request)


class _Then(list):
    """Does something once the program is started."""

    def __init__(self, action) -> None:
        super().__init__()
        self._action = action

    def append(self, pid: int) -> None:
        super().append(pid)
        self._action()


# ── what must be there ────────────────────────────────────────────────────────────────────────────
def test_without_its_package_it_says_what_to_install(ask, program, monkeypatch):
    find = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name, *more: None if name == "acp" else find(name, *more))
    said = "the runtime `acp` needs the package agent-client-protocol: `pip install 'runkon[acp]'`"
    with pytest.raises(Fatal) as caught:
        ask("acp", talking(program))
    assert str(caught.value) == said
    assert ask.runtimes["acp"].availability(talking(program)).detail == said


def test_settings_that_can_not_work_are_named(ask, program):
    for more, said in (
        ({"permissions": "ask"}, "`permissions`"),
        ({"argv": []}, "`argv`"),
        ({"prompt_via": "arg"}, "unknown"),
    ):
        with pytest.raises(Fatal, match=said):
            ask("acp", {**talking(program), **more})
    with pytest.raises(Fatal, match="it is not in `PATH`"):
        ask("acp", {"argv": ["no-such-agent"]})


def test_whether_it_is_there(runtimes, program):
    acp = runtimes["acp"]
    assert acp.availability({}).ready is False
    assert acp.availability(talking(program)).ready is True
    assert "not installed" in acp.availability({"argv": ["no-such-agent"]}).detail
