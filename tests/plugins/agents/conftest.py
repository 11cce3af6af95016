"""A provider on the loopback interface that speaks the chat protocol of OpenAI, as badly as a test wants."""

from __future__ import annotations

import json
import os
import socket
import struct
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from queue import Queue
from typing import Any

import pytest

from runkon.model.agents import AgentDefinition, AgentReply, AgentRequest
from runkon.testing import request_for

PATIENCE = 30.0
MIB = 1 << 20


class Talk(BaseHTTPRequestHandler):
    """One request. What comes of it is said by the function that stands for the model's name."""

    protocol_version = "HTTP/1.1"
    server: Provider

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.asked = body
        self.server.requests.append(({name.lower(): text for name, text in self.headers.items()}, body))
        behave = self.server.behaviours[body["model"]]
        number = sum(1 for _, one in self.server.requests if one["model"] == body["model"]) - 1
        if isinstance(behave, list):
            behave = behave[min(number, len(behave) - 1)]
        self.close_connection = True
        behave(self)

    def do_GET(self) -> None:
        self.json({"object": "list", "data": []})

    def log_message(self, *_: object) -> None:
        pass

    # ── answers ───────────────────────────────────────────────────────────────────────────────────
    def head(self, status: int = 200, kind: str = "application/json", **headers: str) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Connection", "close")
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()

    def json(self, value: object, status: int = 200, **headers: str) -> None:
        self.head(status, **headers)
        self.wfile.write(json.dumps(value).encode())

    def error(self, status: int, code: str, message: str, **headers: str) -> None:
        self.json({"error": {"message": message, "type": code, "code": code}}, status, **headers)

    def say(self, text: str = "", calls: list[tuple[str, object]] | None = None, reason: str | None = None) -> None:
        """A whole answer, in the way it was asked for."""
        calls = calls or []
        reason = reason or ("tool_calls" if calls else "stop")
        tools = [
            {
                "id": f"c{n}",
                "type": "function",
                "function": {"name": name, "arguments": args if isinstance(args, str) else json.dumps(args)},
            }
            for n, (name, args) in enumerate(calls)
        ]
        if not self.asked.get("stream"):
            message: dict[str, Any] = {"role": "assistant", "content": text or None}
            if tools:
                message["tool_calls"] = tools
            self.json(self.frame(choices=[{"index": 0, "message": message, "finish_reason": reason}], usage=USAGE))
            return
        self.head(kind="text/event-stream")
        for piece in (text[i : i + 7] for i in range(0, len(text), 7)):
            self.piece(content=piece)
        for n, tool in enumerate(tools):
            self.piece(tool_calls=[{"index": n, **tool}])
        self.event(self.frame(choices=[{"index": 0, "delta": {}, "finish_reason": reason}]))
        self.event(self.frame(choices=[], usage=USAGE))
        self.raw(b"data: [DONE]\n\n")

    def frame(self, **more: object) -> dict[str, object]:
        kind = "chat.completion.chunk" if self.asked.get("stream") else "chat.completion"
        return {"id": "x", "object": kind, "created": 1, "model": self.asked["model"], **more}

    def piece(self, **delta: object) -> None:
        self.event(self.frame(choices=[{"index": 0, "delta": delta, "finish_reason": None}]))

    def event(self, value: object) -> None:
        self.raw(b"data: " + json.dumps(value).encode() + b"\n\n")

    def raw(self, piece: bytes) -> None:
        self.wfile.write(piece)
        self.wfile.flush()

    def wait_until_left(self) -> None:
        """Until the other side closes the connection, which is noted."""
        self.connection.settimeout(PATIENCE)
        try:
            gone = self.connection.recv(1) == b""
        except OSError:
            gone = True
        self.server.left.put(gone)

    def reset(self) -> None:
        """Drop the connection hard."""
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.connection.close()


USAGE = {"prompt_tokens": 100, "completion_tokens": 20, "total_tokens": 120}
Behaviour = Callable[[Talk], None]


class Provider(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Talk)
        self.behaviours: dict[str, Behaviour | list[Behaviour]] = {"model": lambda talk: talk.say("fine")}
        self.requests: list[tuple[dict[str, str], dict[str, Any]]] = []
        self.left: Queue[bool] = Queue()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/v1"

    def handle_error(self, *_: object) -> None:
        """The other side hung up."""


@pytest.fixture
def provider() -> Iterator[Provider]:
    server = Provider()
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    yield server
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture(autouse=True)
def no_keys(monkeypatch) -> None:
    for name in list(os.environ):
        if name.upper().endswith(("_API_KEY", "_BASE_URL", "_PROXY")):
            monkeypatch.delenv(name)


class Asked:
    """Asks the runtime, and keeps what it told meanwhile."""

    def __init__(self, provider: Provider, folder) -> None:
        from runkon_agents.runtime import AgentsRuntime

        self.runtime = AgentsRuntime()
        self.provider = provider
        self.folder = folder
        self.lines: list[str] = []
        self.warnings: list[str] = []
        self.heard = threading.Event()

    def request(self, prompt: str = "look at it", *, step: dict[str, Any] | None = None, **fields: Any) -> AgentRequest:
        agent = AgentDefinition(name="reviewer", prompt="", path=self.folder / "reviewer.md")
        made = request_for("review", working_dir=self.folder, emit=self._emit)
        made = replace(made, **({"warn": self.warnings.append} | (step or {})))
        settings = {"base_url": self.provider.url, "idle_timeout": 20, **fields.pop("settings", {})}
        return AgentRequest(step=made, agent=agent, prompt=prompt, **{"model": "model", "settings": settings, **fields})

    def __call__(self, prompt: str = "look at it", **fields: Any) -> AgentReply:
        return self.runtime.run(self.request(prompt, **fields))

    def _emit(self, line: str) -> None:
        self.lines.append(line)
        if line:
            self.heard.set()


@pytest.fixture
def ask(provider, tmp_path) -> Asked:
    return Asked(provider, tmp_path)
