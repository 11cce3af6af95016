"""The suite for runtimes, for each of them: claude as one of the table, a command, and the protocol."""

from __future__ import annotations

import pytest

import runkon_cli
from runkon.errors import Fatal, Transient
from runkon.model.agents import AgentRuntime
from runkon.model.failures import StepFailure
from runkon.testing.runtime_suite import CancellableRuntimeContract, FailingRuntimeContract, agent_request

CLAUDE = """
prompt = sys.stdin.read()
say(type="system", subtype="init", session_id="s-1")
def fails(text, status=None): say(type="result", is_error=True, result=text, api_error_status=status); sys.exit(1)
if prompt == "be busy":
    say(type="assistant", message=dict(id="m", content=[dict(type="text", text="busy")]))
    forever()
if prompt == "no key": fails("Invalid API key")
if prompt == "too fast": fails("slow down", 429)
if prompt == "break": fails("it broke")
say(type="result", subtype="success", result="fine", session_id="s-1", total_cost_usd=0.01, num_turns=1)
"""
COMMAND = """
prompt = sys.argv[1]
if prompt == "be busy": print("busy", flush=True); forever()
if prompt == "no key": sys.exit("error: invalid api key")
if prompt == "too fast": sys.exit("error: 429 too many requests")
if prompt == "break": sys.exit("it broke")
print("fine")
"""
ACP = """
def send(**fields): raw((json.dumps(dict(jsonrpc="2.0", **fields)) + "\\n").encode())
for line in sys.stdin:
    now = json.loads(line)
    match now["method"]:
        case "initialize": send(id=now["id"], result=dict(protocolVersion=1))
        case "session/new": send(id=now["id"], result=dict(sessionId="s-1"))
        case "session/prompt":
            prompt = now["params"]["prompt"][0]["text"]
            tool = dict(sessionUpdate="tool_call", toolCallId="t", kind="read", title="x")
            text = dict(sessionUpdate="agent_message_chunk", content=dict(type="text", text="fine"))
            update = tool if prompt == "be busy" else text
            send(method="session/update", params=dict(sessionId="s-1", update=update))
            errors = {"no key": (-32000, "Authentication required"), "too fast": (-32603, "429 rate limit"),
                "break": (-32603, "it broke")}
            if prompt in errors: send(id=now["id"], error=dict(zip(("code", "message"), errors[prompt])))
            elif prompt != "be busy": send(id=now["id"], result=dict(stopReason="end_turn"))
        case "session/cancel": send(id=2, result=dict(stopReason="cancelled"))
"""


class Contract(CancellableRuntimeContract, FailingRuntimeContract):
    name = ""
    body = ""

    @pytest.fixture(autouse=True)
    def written(self, program, tmp_path) -> None:
        self.file = str(program(self.body))
        self.folder = tmp_path

    def make(self) -> AgentRuntime:
        found: dict[str, AgentRuntime] = {}
        runkon_cli.runkon_register_runtimes(lambda one: found.__setitem__(one.name, one))
        return found[self.name]

    def settings(self):
        return {"argv": [self.file]}

    def slow_request(self):
        return agent_request(prompt="be busy", settings=self.settings())

    def failures(self):
        kinds = {"no key": Fatal, "too fast": Transient, "break": StepFailure}
        return [(agent_request(prompt=prompt, settings=self.settings()), kind) for prompt, kind in kinds.items()]


class TestClaude(Contract):
    name = "claude"
    body = CLAUDE

    def settings(self):
        return {"binary": self.file}


class TestCommand(Contract):
    name = "command"
    body = COMMAND

    def settings(self):
        return {"argv": [self.file, "{{prompt}}"]}


class TestProtocol(Contract):
    name = "acp"
    body = ACP


def test_what_is_on_record_is_the_same_on_every_machine(ask):
    settings = {"argv": ["/here/bin/agent", "{{prompt}}"], "idle_timeout": "1m", "env": {"A": "b"}, "output": "json"}
    found = ask.runtimes["command"].describe(ask.request(settings=settings))
    assert found == {"argv": ["agent", "{{prompt}}"], "output": "json"}
