"""Tools of a real program that speaks the Model Context Protocol over its pipes, and of an address."""

from __future__ import annotations

import json
import os
import sys
import threading
from pathlib import Path
from queue import Queue

import psutil
import pytest

pytest.importorskip("pydantic_ai", reason="the extra is missing: pip install 'runkon[agents]'")

from runkon.errors import Cancelled, Fatal
from runkon.model import processes
from runkon.model.failures import StepFailure
from runkon.testing.requests import cancel

from .conftest import PATIENCE

LEG = "01JTESTRVN0000000000000000"
MARKS = processes.marks_of(processes.mark_of_leg(LEG, 1), 3)
SERVER = """
import json, os, sys, time
here = os.path.dirname(os.path.abspath(__file__))
with open(os.path.join(here, "seen.json"), "w") as file:
    json.dump(dict(environ=dict(os.environ), folder=os.getcwd()), file)
def reply(now, **result):
    sys.stdout.write(json.dumps(dict(jsonrpc="2.0", id=now["id"], result=result)) + "\\n"); sys.stdout.flush()
print("a word on standard error", file=sys.stderr, flush=True)
anything = dict(type="object", properties=dict(path=dict(type="string")), required=["path"])
for line in sys.stdin:
    now = json.loads(line)
    match now["method"]:
        case "initialize":
            reply(now, protocolVersion=now["params"]["protocolVersion"], capabilities=dict(tools={}),
                serverInfo=dict(name="files", version="1"))
        case "tools/list":
            reply(now, tools=[dict(name=name, description=name, inputSchema=anything) for name in ("read", "erase")])
        case "tools/call":
            path = now["params"]["arguments"]["path"]
            if path == "forever":
                while True: time.sleep(3600)
            if path == "die": sys.exit(3)
            if path == "much": reply(now, content=[dict(type="text", text="x" * 1_000_000)])
            elif path == "fails": reply(now, isError=True, content=[dict(type="text", text="no such file")])
            else: reply(now, content=[dict(type="text", text="what is in " + path)])
        case _:
            if "id" in now:
                sys.stdout.write(json.dumps(dict(jsonrpc="2.0", id=now["id"],
                    error=dict(code=-32601, message="unknown"))) + "\\n"); sys.stdout.flush()
"""


@pytest.fixture
def files(tmp_path: Path) -> dict:
    """The settings of the server."""
    (tmp_path / "files.py").write_text(SERVER)
    return {"command": sys.executable, "args": ["-I", str(tmp_path / "files.py")], "env": {"PLAIN": "yes"}}


@pytest.fixture(autouse=True)
def no_program_is_left():
    yield
    assert processes.of_leg(LEG) == []
    assert [one for one in psutil.Process().children() if "files.py" in " ".join(one.cmdline())] == []


def using(path: str, tool: str = "files_read"):
    return lambda talk: talk.say(calls=[(tool, {"path": path})])


def answers(talk) -> None:
    talk.say(f"it says: {talk.asked['messages'][-1]['content']}")


def test_a_tool_is_used_and_every_request_counts(ask, provider, files, tmp_path, monkeypatch) -> None:
    monkeypatch.setenv("SECRET_TOKEN", "not-for-you")
    monkeypatch.setenv("ALLOWED", "for you")
    provider.behaviours["model"] = [using("a.txt"), answers]
    pids: list[int] = []
    files["env_allow"] = ["ALLOWED"]
    log = tmp_path / "logs" / "step.log"
    log.parent.mkdir()
    reply = ask(
        settings={"mcp": {"files": files}, "prices": {"model": [1, 2]}},
        step={"marks": MARKS, "started": pids.append, "log_path": log},
    )
    assert "what is in a.txt" in reply.text
    assert (reply.usage.turns, reply.usage.input_tokens) == (2, 200)
    assert reply.usage.cost_usd == pytest.approx(0.00028)
    assert "uses files_read" in ask.lines
    seen = json.loads((tmp_path / "seen.json").read_text())
    assert seen["folder"] == str(tmp_path)
    assert (seen["environ"]["PLAIN"], seen["environ"]["ALLOWED"]) == ("yes", "for you")
    assert "SECRET_TOKEN" not in seen["environ"]
    assert seen["environ"].items() >= MARKS.items()
    assert len(pids) == 1
    assert pids[0] != os.getpid()


def test_only_the_listed_tools_are_offered(ask, provider, files) -> None:
    provider.behaviours["model"] = answers
    ask(settings={"mcp": {"files": {**files, "tools": ["read"]}}}, step={"marks": MARKS})
    assert [one["function"]["name"] for one in provider.requests[0][1]["tools"]] == ["files_read"]


def test_a_tool_that_fails_is_told_to_the_model(ask, provider, files) -> None:
    provider.behaviours["model"] = [using("fails"), answers]
    assert "no such file" in ask(settings={"mcp": {"files": files}}, step={"marks": MARKS}).text


def test_a_result_that_is_too_long_is_cut(ask, provider, files) -> None:
    provider.behaviours["model"] = [using("much"), lambda talk: talk.say("fine")]
    ask(settings={"mcp": {"files": files}}, step={"marks": MARKS})
    result = provider.requests[1][1]["messages"][-1]["content"]
    assert len(result) < 300_000
    assert result.endswith("… (cut: the result has 1000000 characters)")


def test_what_a_tool_gave_back_counts_before_it_is_sent(ask, provider, files) -> None:
    provider.behaviours["model"] = [using("much"), lambda talk: talk.say("fine")]
    settings = {"mcp": {"files": files}, "prices": {"model": [1, 0]}}
    with pytest.raises(StepFailure, match="could cost more than `max_cost_usd`"):
        ask(settings=settings, step={"marks": MARKS, "max_cost_usd": 0.1})
    assert len(provider.requests) == 1


def test_turns_are_bounded_and_their_cost_is_told(ask, provider, files) -> None:
    provider.behaviours["model"] = using("a.txt")
    with pytest.raises(StepFailure, match="no answer after 3 turns") as raised:
        ask(settings={"mcp": {"files": files}, "prices": {"model": [1, 2]}}, step={"marks": MARKS, "max_turns": 3})
    assert raised.value.usage.turns == len(provider.requests) == 3
    assert raised.value.usage.cost_usd == pytest.approx(0.00042)


def test_money_is_looked_at_between_requests(ask, provider, files) -> None:
    provider.behaviours["model"] = using("a.txt")
    settings = {"mcp": {"files": files}, "prices": {"model": [100, 0]}}  # 0.01 for each request
    with pytest.raises(StepFailure, match="could cost more than `max_cost_usd`") as raised:
        ask("look", settings=settings, step={"marks": MARKS, "max_cost_usd": 0.06})
    assert 0.01 <= raised.value.usage.cost_usd <= 0.06
    assert 1 <= len(provider.requests) <= 6


def test_of_what_has_no_price_one_request_is_made(ask, provider, files) -> None:
    provider.behaviours["model"] = using("a.txt")
    with pytest.raises(StepFailure, match="nobody knows what"):
        ask(settings={"mcp": {"files": files}}, step={"marks": MARKS, "max_cost_usd": 1.0})
    assert len(provider.requests) == 1


def test_a_stop_ends_a_tool_in_the_middle(ask, provider, files) -> None:
    provider.behaviours["model"] = using("forever")
    request = ask.request(settings={"mcp": {"files": files}}, step={"marks": MARKS})
    outcomes: Queue[object] = Queue()

    def call() -> None:
        try:
            outcomes.put(ask.runtime.run(request))
        except Exception as error:  # noqa: BLE001 - looked at below
            outcomes.put(error)

    caller = threading.Thread(target=call)
    caller.start()
    while not [line for line in ask.lines if line.startswith("uses")]:
        assert ask.heard.wait(PATIENCE)
        ask.heard.clear()
    cancel(request.step)
    assert isinstance(outcomes.get(timeout=PATIENCE), Cancelled)
    caller.join()


def test_a_server_that_dies_is_told_to_the_model(ask, provider, files) -> None:
    provider.behaviours["model"] = [using("die"), answers]
    assert "Connection closed" in ask(settings={"mcp": {"files": files}}, step={"marks": MARKS}).text


@pytest.mark.parametrize(
    ("server", "words"),
    [
        ({"command": "no-such-program-of-anybody"}, "`files` can't be started: `no-such-program-of-anybody` is not"),
        ({"command": sys.executable, "args": ["-c", "print('no protocol')"]}, "the tool servers can't be used"),
        ({"url": "http://127.0.0.1:1/mcp"}, "the tool servers can't be used"),
    ],
)
def test_a_server_that_cannot_be_used_is_told_before_anything_is_asked(ask, provider, server, words) -> None:
    with pytest.raises(StepFailure, match=words) as raised:
        ask(settings={"mcp": {"files": server}}, step={"marks": MARKS})
    assert raised.value.usage.cost_usd == 0.0
    assert provider.requests == []


def test_a_header_of_a_server_comes_from_a_variable(ask) -> None:
    server = {"url": "http://127.0.0.1:1/mcp", "headers_env": {"Authorization": "NOT_THERE"}}
    with pytest.raises(Fatal, match="needs the variable `NOT_THERE`"):
        ask(settings={"mcp": {"tickets": server}})
