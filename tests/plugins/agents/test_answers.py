"""Answers, whole and in pieces, with a schema and without, with tools."""

from __future__ import annotations

import json
import sys
import threading
from dataclasses import replace

import pytest

pytest.importorskip("pydantic_ai", reason="the extra is missing: pip install 'runkon[agents]'")

from runkon.errors import Fatal
from runkon.model.failures import StepFailure
from runkon.schemas.reading import read_schema

SCHEMA = read_schema("verdict", "fields:\n  ok: boolean\n  why: string\n")
BOTH = pytest.mark.parametrize("stream", [True, False])


@BOTH
def test_text_is_told_while_it_comes_and_given_whole(ask, provider, stream) -> None:
    provider.behaviours["model"] = lambda talk: talk.say("first line\nsecond \x1b[31mline")
    reply = ask(settings={"stream": stream})
    assert reply.text == "first line\nsecond \x1b[31mline"
    assert [line for line in ask.lines if line] == ["first line", "second \ufffd[31mline"] or "\x1b" not in "".join(
        ask.lines
    )
    assert (reply.usage.input_tokens, reply.usage.output_tokens, reply.usage.turns) == (100, 20, 1)
    assert reply.model == "model"


@BOTH
def test_fields_come_by_a_tool(ask, provider, stream) -> None:
    provider.behaviours["model"] = lambda talk: talk.say(calls=[("give_answer", {"ok": True, "why": "tidy"})])
    reply = ask(schema=SCHEMA, settings={"stream": stream})
    assert reply.values == {"ok": True, "why": "tidy"}
    assert json.loads(reply.text) == reply.values
    (tool,) = provider.requests[0][1]["tools"]
    assert set(tool["function"]["parameters"]["properties"]) == {"ok", "why"}
    assert len(provider.requests) == 1


def test_an_output_block_in_text_is_as_good(ask, provider) -> None:
    provider.behaviours["model"] = lambda talk: talk.say("well\n<<<RUNKON_OUTPUT>>>\n{}\n<<<END_RUNKON_OUTPUT>>>")
    reply = ask(schema=SCHEMA)
    assert reply.values is None
    assert "RUNKON_OUTPUT" in reply.text


def test_fields_by_the_providers_own_way(ask, provider) -> None:
    provider.behaviours["model"] = lambda talk: talk.say('{"ok": false, "why": "no"}')
    reply = ask(schema=SCHEMA, settings={"structured": "native"})
    assert reply.values == {"ok": False, "why": "no"}
    assert provider.requests[0][1]["response_format"]["type"] == "json_schema"


def test_an_endpoint_without_tools_is_asked_again_without_and_remembered(ask, provider) -> None:
    def behave(talk) -> None:
        if talk.asked.get("tools"):
            talk.error(400, "invalid_request_error", "model does not support tools")
        else:
            talk.say("plain")

    provider.behaviours["model"] = behave
    assert ask(schema=SCHEMA).text == "plain"
    assert "the endpoint takes no tools: asked again without" in ask.lines
    assert len(provider.requests) == 2
    assert ask(schema=SCHEMA).text == "plain"
    assert len(provider.requests) == 3


@pytest.mark.parametrize("written", ["{not json", "[1]", '"text"'])
def test_fields_that_cannot_be_read_are_a_failure_of_the_schema_with_their_cost(ask, provider, written) -> None:
    provider.behaviours["model"] = lambda talk: talk.say(calls=[("give_answer", written)])
    with pytest.raises(StepFailure) as raised:
        ask(schema=SCHEMA, settings={"prices": {"model": [1, 2]}})
    assert raised.value.kind == "schema"
    assert raised.value.usage.cost_usd == pytest.approx(0.00014)
    assert len(provider.requests) == 1


# ── keys ──────────────────────────────────────────────────────────────────────────────────────────
def test_only_the_key_that_the_settings_name_goes_to_an_own_address(ask, provider, monkeypatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-of-somebody-else")
    monkeypatch.setenv("LAB_KEY", "lab-1234567890")
    ask()
    assert "sk-of-somebody-else" not in json.dumps(provider.requests)
    provider.behaviours["model"] = lambda talk: talk.say(f"your header is {talk.headers['Authorization']}")
    reply = ask(settings={"api_key_env": "LAB_KEY"})
    assert provider.requests[-1][0]["authorization"] == "Bearer lab-1234567890"
    assert "lab-1234567890" not in reply.text + "".join(ask.lines)
    with pytest.raises(Fatal, match="`NOT_THERE` is not set"):
        ask(settings={"api_key_env": "NOT_THERE"})


def test_a_redirection_is_not_followed(ask, provider) -> None:
    provider.behaviours["model"] = lambda talk: talk.head(307, Location=f"{provider.url}/elsewhere")
    with pytest.raises(Exception, match=r"redirect|307|can't be read|could not answer|refused|broke off"):
        ask()
    assert len(provider.requests) == 1


def test_the_variable_of_the_library_for_the_address_counts(ask, provider, monkeypatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-1234567890")
    monkeypatch.setenv("OPENAI_BASE_URL", provider.url)
    request = ask.request(model="openai:model")
    assert ask.runtime.run(replace(request, settings={})).text == "fine"


@pytest.mark.parametrize("name", ["ollama", "vllm", "llamacpp"])
def test_local_servers_are_known_by_name(ask, provider, monkeypatch, name) -> None:
    monkeypatch.setenv(f"{name.upper()}_BASE_URL", provider.url)
    provider.behaviours["llama3.2:3b"] = lambda talk: talk.say("local")
    request = replace(ask.request(model=f"{name}:llama3.2:3b"), settings={})
    assert ask.runtime.run(request).text == "local"


@pytest.mark.parametrize(
    ("model", "words"),
    [
        ("openia:gpt", "there is no provider `openia`; did you mean `openai`"),
        ("nobody-of-that-name:x", "known are openai, anthropic"),
        ("groq:x", "`groq` needs one more package"),
        ("gpt", "is no model of `agents`"),
    ],
)
def test_a_provider_that_cannot_be_asked_is_told_and_costs_nothing(ask, monkeypatch, model, words) -> None:
    monkeypatch.setenv("GROQ_API_KEY", "gsk-123456")
    monkeypatch.setitem(sys.modules, "groq", None)  # the package of that provider is not installed
    with pytest.raises(Fatal, match=words) as raised:
        ask.runtime.run(replace(ask.request(model=model), settings={}))
    assert raised.value.usage.cost_usd == 0.0


# ── what it costs ─────────────────────────────────────────────────────────────────────────────────
def test_a_price_of_the_settings_counts_and_an_unknown_one_is_unknown(ask) -> None:
    assert ask().usage.cost_usd is None
    assert ask(settings={"prices": {"model": [1, 2]}}).usage.cost_usd == pytest.approx(0.00014)
    assert ask(settings={"prices": {"model": [0, 0]}}).usage.cost_usd == 0.0


def test_without_a_count_of_tokens_the_cost_is_unknown(ask, provider) -> None:
    def behave(talk) -> None:
        talk.head(kind="text/event-stream")
        talk.piece(content="hello")
        talk.event(talk.frame(choices=[{"index": 0, "delta": {}, "finish_reason": "stop"}]))

    provider.behaviours["model"] = behave
    assert ask(settings={"prices": {"model": [1, 2]}}).usage.cost_usd is None
    assert ask(settings={"prices": {"model": [0, 0]}}).usage.cost_usd == 0.0


def test_a_limit_of_money_bounds_the_answer_or_stops_before_the_request(ask, provider) -> None:
    prices = {"model": [1, 100]}
    ask(settings={"prices": prices}, step={"max_cost_usd": 0.1})
    bound = provider.requests[-1][1]["max_tokens"]
    assert 900 <= bound <= 1000
    with pytest.raises(StepFailure, match="could cost more than `max_cost_usd`") as raised:
        ask(settings={"prices": prices}, step={"max_cost_usd": 0.0001})
    assert raised.value.usage.cost_usd == 0.0
    assert len(provider.requests) == 1


def test_a_limit_of_money_without_a_price_is_told(ask) -> None:
    ask(step={"max_cost_usd": 1.0})
    assert "the price of `openai:model` is unknown" in ask.warnings[0]


def test_the_most_a_call_may_cost(ask, monkeypatch) -> None:
    def most(step=None, **settings) -> float | None:
        return ask.runtime.most_cost_usd(ask.request(settings=settings, step=step or {}))

    assert most() is None
    assert most(prices={"model": [1, 2]}) is None  # nothing bounds the answer
    assert most(prices={"model": [0, 0]}) == 0.0
    assert most(prices={"model": [1, 2]}, max_tokens=1000) == pytest.approx(0.00251, rel=0.05)
    assert most({"max_cost_usd": 0.001}, prices={"model": [1, 2]}, max_tokens=1000) == 0.001
    servers = {"files": {"command": "x"}}
    assert most(prices={"model": [1, 2]}, max_tokens=1000, mcp=servers) is None
    assert most(prices={"model": [1, 2]}, max_tokens=1000, mcp=servers, max_cost_usd=0.5) == 0.5
    monkeypatch.setenv("OPENAI_API_KEY", "sk-1234567890")
    known = replace(ask.request(model="openai:gpt-4o"), settings={})
    assert 0.1 < ask.runtime.most_cost_usd(known) < 0.3
    assert ask.runtime.most_cost_usd(replace(known, model="openai:no-such-model")) is None


# ── how it stops ──────────────────────────────────────────────────────────────────────────────────
def test_nothing_is_left_of_many_at_once(ask) -> None:
    before = set(threading.enumerate())
    callers = [threading.Thread(target=ask) for _ in range(8)]
    for caller in callers:
        caller.start()
    for caller in callers:
        caller.join()
    assert [one for one in set(threading.enumerate()) - before if one.name.startswith("agents")] == []
