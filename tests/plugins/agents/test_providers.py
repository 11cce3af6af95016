"""Providers with protocols of their own: the same failures, one request each, the same client."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

pytest.importorskip("pydantic_ai", reason="the extra is missing: pip install 'runkon[agents]'")

from runkon.errors import Fatal, Transient
from runkon.schemas.reading import read_schema

SCHEMA = read_schema("verdict", "fields:\n  ok: boolean\n")
MODELS = ("anthropic:claude-sonnet-5-5", "google:gemini-3.8-flash")


class Service(ThreadingHTTPServer):
    """Says `answer` with `status` to everything."""

    status, answer, kind = 200, b"", "application/json"

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Talk)
        self.requests: list[tuple[str, dict[str, str], dict]] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


class Talk(BaseHTTPRequestHandler):
    server: Service

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        headers = {name.lower(): text for name, text in self.headers.items()}
        self.server.requests.append((self.path, headers, body))
        self.send_response(self.server.status)
        self.send_header("Content-Type", self.server.kind)
        self.send_header("Retry-After", "3")
        self.end_headers()
        self.wfile.write(self.server.answer)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def provider(monkeypatch) -> Iterator[Service]:
    server = Service()
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    yield server
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture
def asks(ask, monkeypatch):
    monkeypatch.setenv("LAB_KEY", "lab-1234567890")

    def call(model: str, **more):
        return ask(model=model, settings={"api_key_env": "LAB_KEY"}, **more)

    return call


def events(*data: dict) -> bytes:
    return b"".join(f"event: {one.get('type', 'message')}\ndata: {json.dumps(one)}\n\n".encode() for one in data)


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize(
    ("status", "kind"), [(401, Fatal), (403, Fatal), (429, Transient), (500, Transient), (529, Transient)]
)
def test_a_refusal_is_told_apart_and_made_once(asks, provider, model, status, kind) -> None:
    provider.status = status
    provider.answer = b'{"type": "error", "error": {"type": "some_error", "message": "it said so"}}'
    with pytest.raises(kind) as raised:
        asks(model)
    assert "it said so" in str(raised.value)
    assert raised.value.usage.cost_usd == 0.0
    assert len(provider.requests) == 1
    if kind is Transient:
        assert raised.value.retry_after == 3.0


def test_anthropic_answers_with_fields_and_a_price_of_ones_own(ask, provider, monkeypatch) -> None:
    monkeypatch.setenv("LAB_KEY", "lab-1234567890")
    provider.kind = "text/event-stream"
    fields = {"type": "input_json_delta", "partial_json": '{"ok": true}'}
    call = {"type": "tool_use", "id": "t", "name": "give_answer", "input": {}}
    provider.answer = events(
        {
            "type": "message_start",
            "message": {
                "id": "m", "type": "message", "role": "assistant", "content": [], "model": "claude-sonnet-5-5",
                "stop_reason": None, "stop_sequence": None, "usage": {"input_tokens": 100, "output_tokens": 1},
            },
        },
        {"type": "content_block_start", "index": 0, "content_block": call},
        {"type": "content_block_delta", "index": 0, "delta": fields},
        {"type": "content_block_stop", "index": 0},
        {"type": "message_delta", "delta": {"stop_reason": "tool_use"}, "usage": {"output_tokens": 20}},
        {"type": "message_stop"},
    )  # fmt: skip
    settings = {"api_key_env": "LAB_KEY", "prices": {"anthropic:claude-sonnet-5-5": [1, 2]}}
    reply = ask(model=MODELS[0], settings=settings, schema=SCHEMA)
    assert reply.values == {"ok": True}
    assert reply.usage.cost_usd == pytest.approx(0.00014)
    path, headers, body = provider.requests[0]
    assert (path, body["max_tokens"]) == ("/v1/messages", 16_000)
    assert "lab-1234567890" in json.dumps(headers)


@pytest.mark.parametrize("model", MODELS)
def test_a_stream_that_breaks_off_may_be_better_next_time(asks, provider, model) -> None:
    provider.kind = "text/event-stream"
    provider.answer = b"data: {{{ no json\n\n"
    with pytest.raises(Transient) as raised:
        asks(model)
    assert raised.value.usage.cost_usd is None
    assert len(provider.requests) == 1


def test_a_stream_of_anthropic_without_its_end_is_broken(asks, provider) -> None:
    provider.kind = "text/event-stream"
    message = {
        "id": "m", "type": "message", "role": "assistant", "content": [], "model": "claude-sonnet-5-5",
        "stop_reason": None, "stop_sequence": None, "usage": {"input_tokens": 100, "output_tokens": 1},
    }  # fmt: skip
    provider.answer = events(
        {"type": "message_start", "message": message},
        {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
        {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "half an ans"}},
    )
    with pytest.raises(Transient):
        asks(MODELS[0])
