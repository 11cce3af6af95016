"""Settings and model strings: what is meant, and what is refused in words. Needs nothing but the box."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from runkon.errors import Fatal
from runkon.model.agents import AgentDefinition, AgentRequest
from runkon.testing import request_for
from runkon_agents import library
from runkon_agents.endpoint import endpoint_of, supplier_of
from runkon_agents.options import Options, read_options
from runkon_agents.runtime import AgentsRuntime

KEYS = {"OPENAI_API_KEY": "sk-1", "ANTHROPIC_API_KEY": "a-1", "GEMINI_API_KEY": "g-1", "LAB_KEY": "l-1"}


@pytest.mark.parametrize(
    ("model", "settings", "meant"),
    [
        ("openai:gpt", {}, ("openai", "gpt", None, "OPENAI_API_KEY", False)),
        ("openai:gpt", {"api_key_env": "LAB_KEY"}, ("openai", "gpt", None, "LAB_KEY", False)),
        ("anthropic:claude", {}, ("anthropic", "claude", None, "ANTHROPIC_API_KEY", False)),
        ("google:gemini", {}, ("google", "gemini", None, "GEMINI_API_KEY", False)),
        ("bedrock:x", {}, ("bedrock", "x", None, None, False)),
        ("ollama:llama3:3b", {}, ("ollama", "llama3:3b", "http://127.0.0.1:11434/v1", None, True)),
        ("vllm:org/name", {}, ("vllm", "org/name", "http://127.0.0.1:8000/v1", None, True)),
        ("llamacpp:any", {}, ("llamacpp", "any", "http://127.0.0.1:8080/v1", None, True)),
        ("small", {"base_url": "http://h/v1"}, ("openai", "small", "http://h/v1", None, True)),
        ("llama3:3b", {"base_url": "http://h/v1"}, ("openai", "llama3:3b", "http://h/v1", None, True)),
        ("openai:small", {"base_url": "http://h/v1"}, ("openai", "small", "http://h/v1", None, True)),
        ("ollama:a:b", {"base_url": "http://h/v1"}, ("ollama", "a:b", "http://h/v1", None, True)),
        ("anthropic:c", {"base_url": "http://h"}, ("anthropic", "c", "http://h", None, False)),
        (
            "small",
            {"base_url": "http://h/v1", "api_key_env": "LAB_KEY"},
            ("openai", "small", "http://h/v1", "LAB_KEY", True),
        ),
    ],
)
def test_a_model_string_means_an_endpoint(model, settings, meant) -> None:
    found = endpoint_of(model, read_options(settings, "agents"), KEYS, "agents")
    assert (found.provider, found.model, found.base_url, found.key, found.is_compatible) == meant


@pytest.mark.parametrize(
    ("model", "settings", "words"),
    [
        (None, {}, "needs a model"),
        (" ", {}, "needs a model"),
        ("gpt", {}, "is no model of `agents`: write `provider:name`"),
        (":gpt", {}, "is no model"),
        ("openai:", {}, "is no model"),
        ("openai:x", {}, "`OPENAI_API_KEY` is not set"),
        ("google:x", {}, "`GOOGLE_API_KEY` or `GEMINI_API_KEY` is not set"),
        ("x", {"base_url": "http://h", "api_key_env": "NOPE"}, "`NOPE` is not set"),
    ],
)
def test_a_model_string_that_means_nothing_is_refused(model, settings, words) -> None:
    with pytest.raises(Fatal, match=words):
        endpoint_of(model, read_options(settings, "agents"), {}, "agents")


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"base": "x"}, "unknown setting `base`; did you mean `base_url`"),
        ({"base_url": "localhost:11434"}, "`base_url` of `agents` is not an address"),
        ({"base_url": "http://"}, "is not an address"),
        ({"base_url": "http://h:99999"}, "is not an address"),
        ({"base_url": "file:///etc"}, "is not an address"),
        ({"api_key_env": "sk-my key"}, "the name of a variable"),
        ({"max_tokens": 0}, "a whole number from 1"),
        ({"max_turns": True}, "a whole number from 1"),
        ({"max_cost_usd": -1}, "a number from 0"),
        ({"max_cost_usd": float("nan")}, "a number from 0"),
        ({"idle_timeout": "soon"}, "a time such as"),
        ({"timeout": 0}, "a time such as"),
        ({"stream": "yes"}, "`true` or `false`"),
        ({"structured": "json"}, "`auto` or `tool`"),
        ({"thinking": "hard"}, "`minimal`"),
        ({"prices": {"m": [1]}}, "dollars per million tokens"),
        ({"prices": {"m": [1, -2]}}, "dollars per million tokens"),
        ({"prices": [1, 2]}, "dollars per million tokens"),
        ({"mcp": {"a": "x"}}, "tables of names"),
        ({"mcp": {"a b": {"command": "x"}}}, "is no name of a tool server"),
        ({"mcp": {"a": {}}}, "needs either `command` or `url`"),
        ({"mcp": {"a": {"command": "x", "url": "http://h"}}}, "needs either `command` or `url`"),
        ({"mcp": {"a": {"command": "x", "arg": []}}}, "unknown setting `arg`; did you mean `args`"),
        ({"mcp": {"a": {"command": "x", "args": "-v"}}}, "a list of texts"),
    ],
)
def test_a_setting_that_cannot_work_is_named(settings, words) -> None:
    with pytest.raises(Fatal, match=words):
        read_options(settings, "agents")


def test_nothing_said_means_the_defaults() -> None:
    assert read_options({}, "agents") == read_options({"type": "agents", "models": ["x"]}, "agents") == Options()


def test_a_supplier_is_the_provider() -> None:
    names = ("openai:a", "openai-chat:b", "anthropic:c", "ollama:d", "bare", None)
    assert [supplier_of(name) for name in names] == ["openai", "openai", "anthropic", "ollama", "agents", "agents"]


def test_what_is_on_record_has_no_credential_no_limit_of_time_and_not_where_it_is(tmp_path) -> None:
    secret = "s3cret-of-mine"
    settings = {
        "base_url": f"http://me:{secret}@h:1/v1?key={secret}",
        "api_key_env": "LAB_KEY",
        "idle_timeout": "1m",
        "temperature": 0.5,
        "mcp": {
            "files": {"command": "serve", "args": ["."], "env": {"TOKEN": secret}, "tools": ["read"]},
            "tickets": {"url": f"https://me:{secret}@t/mcp", "headers_env": {"Authorization": "T"}},
        },
    }
    agent = AgentDefinition(name="a", prompt="", path=tmp_path / "a.md")
    request = AgentRequest(step=request_for("a"), agent=agent, prompt="p", settings=settings)
    found = AgentsRuntime().describe(request)
    assert found == {
        "temperature": 0.5,
        "mcp": {
            "files": {"command": "serve", "args": ["."], "tools": ["read"]},
            "tickets": {"url": "https://t/mcp"},
        },
    }
    assert secret not in json.dumps(found)


# ── without the extra ─────────────────────────────────────────────────────────────────────────────
def test_without_the_extra_a_run_says_the_line_that_installs_it(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(library, "lacks", lambda: library.MISSING)
    monkeypatch.setenv("OPENAI_API_KEY", "sk-1")
    agent = AgentDefinition(name="a", prompt="", path=tmp_path / "a.md")
    request = AgentRequest(step=request_for("a"), agent=agent, prompt="p", model="openai:x")
    made = AgentsRuntime()
    with pytest.raises(Fatal, match=r"needs the package pydantic-ai-slim: `pip install 'runkon\[agents\]'`"):
        made.run(request)
    assert made.most_cost_usd(request) is None
    assert made.availability({}).ready is False
    assert made.lacks() == library.MISSING


def test_a_dry_run_asks_nobody(tmp_path) -> None:
    agent = AgentDefinition(name="a", prompt="", path=tmp_path / "a.md")
    step = replace(request_for("a"), dry_run=True)
    assert "dry run" in AgentsRuntime().run(AgentRequest(step=step, agent=agent, prompt="p")).text
