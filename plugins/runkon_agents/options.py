"""The table `[runtimes.agents]` of the settings, and those of other names with `type = "agents"`."""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping
from dataclasses import field
from typing import TypeVar
from urllib.parse import urlsplit, urlunsplit

from runkon.errors import Fatal
from runkon.frozen import value_class
from runkon.model.output import JsonValue
from runkon.settings import parse_duration

IDLE = 600.0
TIMEOUT = 3600.0
TURNS = 50
MAX_TOKENS = 16_000
STRUCTURED = ("auto", "tool", "native", "text")
_NUMBERS = ("temperature", "top_p")
_TEXTS = ("base_url", "api_key_env", "default_model")
_KNOWN = frozenset(
    {
        *_NUMBERS, *_TEXTS, "type", "models", "max_tokens", "max_turns", "max_cost_usd", "idle_timeout", "timeout",
        "stream", "structured", "thinking", "prices", "mcp",
    }
)  # fmt: skip
_KNOWN_MCP = frozenset({"command", "args", "env", "env_allow", "url", "headers_env", "tools", "timeout"})
_ON_RECORD = ("temperature", "top_p", "max_tokens", "structured", "thinking", "stream")
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_Value = TypeVar("_Value")


@value_class(frozen=True, slots=True, kw_only=True)
class ToolServer:
    """One MCP server: a program (`command`) or an address (`url`). `headers` are names of headers to names of the
    variables that hold their texts; `tools` are those an agent may use, None for all; `timeout` in seconds."""

    name: str
    command: str | None = None
    args: tuple[str, ...] = ()
    env: Mapping[str, str] = field(default_factory=dict)
    env_allow: tuple[str, ...] = ()
    url: str | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    tools: tuple[str, ...] | None = None
    timeout: float = 60.0


@value_class(frozen=True, slots=True, kw_only=True)
class Options:
    """Times in seconds. `prices` are names of models to dollars per million tokens, those that go in and those that
    come out; `api_key` is the name of the variable that holds the key."""

    base_url: str | None = None
    api_key: str | None = None
    default_model: str | None = None
    max_tokens: int | None = None
    max_turns: int = TURNS
    max_cost_usd: float | None = None
    idle_timeout: float = IDLE
    timeout: float = TIMEOUT
    streams: bool = True
    structured: str = "auto"
    thinking: bool | str | None = None
    temperature: float | None = None
    top_p: float | None = None
    prices: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    servers: tuple[ToolServer, ...] = ()


def read_options(settings: Mapping[str, JsonValue], who: str) -> Options:
    """The options in `settings`. Raises Fatal, naming the setting that can't work."""
    table = _Table(settings, who)
    table.check_names(_KNOWN)
    structured = table.text("structured") or "auto"
    if structured not in STRUCTURED:
        raise table.wrong("structured", " or ".join(f"`{word}`" for word in STRUCTURED))
    key = table.text("api_key_env")
    if key is not None and not _VARIABLE.fullmatch(key):
        raise table.wrong("api_key_env", "the name of a variable that holds the key")
    return Options(
        base_url=table.url("base_url"),
        api_key=key,
        default_model=table.text("default_model"),
        max_tokens=table.whole("max_tokens"),
        max_turns=table.whole("max_turns") or TURNS,
        max_cost_usd=table.number("max_cost_usd"),
        idle_timeout=table.seconds("idle_timeout") or IDLE,
        timeout=table.seconds("timeout") or TIMEOUT,
        streams=table.flag("stream", usual=True),
        structured=structured,
        thinking=table.thinking(),
        temperature=table.number("temperature"),
        top_p=table.number("top_p"),
        prices=table.prices(),
        servers=tuple(_server(name, given, who) for name, given in table.tables("mcp").items()),
    )


def described(settings: Mapping[str, JsonValue], who: str) -> dict[str, JsonValue]:
    """What of a table an answer depends on: no credentials, no limits of time, no prices. Nor
    where it is: the same model at another port answers the same."""
    found: dict[str, JsonValue] = {name: settings[name] for name in _ON_RECORD if name in settings}
    table = _Table(settings, who)
    servers: dict[str, JsonValue] = {}
    for name, given in table.tables("mcp").items():
        server = _server(name, given, who)
        kept: dict[str, JsonValue] = {"command": server.command, "args": list(server.args) or None}
        kept["url"] = None if server.url is None else without_credentials(server.url)
        kept["tools"] = None if server.tools is None else list(server.tools)
        servers[name] = {key: value for key, value in kept.items() if value is not None}
    return found | ({"mcp": servers} if servers else {})


def without_credentials(url: str) -> str:
    """An address without name, password and query, which may hold a key."""
    parts = urlsplit(url)
    return urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path, "", ""))


def _server(name: str, given: Mapping[str, JsonValue], who: str) -> ToolServer:
    table = _Table(given, f"{who}.mcp.{name}")
    table.check_names(_KNOWN_MCP)
    if not re.fullmatch(r"[A-Za-z0-9_-]{1,32}", name):
        raise Fatal(f"`{table.who}` is no name of a tool server: letters, digits, `-` and `_`, at most 32")
    command, url = table.text("command"), table.url("url")
    if (command is None) == (url is None):
        raise Fatal(f"the tool server `{table.who}` needs either `command` or `url`")
    return ToolServer(
        name=name,
        command=command,
        args=table.texts("args") or (),
        env=table.names_to_texts("env"),
        env_allow=table.texts("env_allow") or (),
        url=url,
        headers=table.names_to_texts("headers_env"),
        tools=table.texts("tools"),
        timeout=table.seconds("timeout") or 60.0,
    )


class _Table:
    """Typed reads of a table; each raises Fatal, naming the setting, for a value of another type."""

    def __init__(self, settings: Mapping[str, JsonValue], who: str) -> None:
        self._settings = settings
        self.who = who

    def check_names(self, known: frozenset[str]) -> None:
        for name in self._settings:
            if name not in known:
                close = difflib.get_close_matches(name, known, n=1, cutoff=0.6)
                help = f"did you mean `{close[0]}`?" if close else f"known are {', '.join(sorted(known))}"
                raise Fatal(f"`{self.who}` has an unknown setting `{name}`; {help}")

    def text(self, name: str) -> str | None:
        value = self._settings.get(name)
        if value is None or (isinstance(value, str) and value.strip() and "\0" not in value):
            return value
        raise self.wrong(name, "a text")

    def url(self, name: str) -> str | None:
        value = self.text(name)
        if value is None:
            return None
        try:
            parts = urlsplit(value)
            is_address = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
        except ValueError:
            is_address = False
        if not is_address:
            raise self.wrong(name, "an address such as `http://127.0.0.1:11434/v1`")
        return value

    def flag(self, name: str, *, usual: bool) -> bool:
        value = self._settings.get(name, usual)
        if isinstance(value, bool):
            return value
        raise self.wrong(name, "`true` or `false`")

    def number(self, name: str) -> float | None:
        value = self._settings.get(name)
        if value is None or _is_amount(value):
            return value  # type: ignore[return-value]  # just looked at
        raise self.wrong(name, "a number from 0")

    def whole(self, name: str) -> int | None:
        value = self._settings.get(name)
        if value is None or (isinstance(value, int) and not isinstance(value, bool) and value > 0):
            return value
        raise self.wrong(name, "a whole number from 1")

    def seconds(self, name: str) -> float | None:
        value = self._settings.get(name)
        if value is None:
            return None
        found = parse_duration(value) if isinstance(value, str) else value
        if isinstance(found, int | float) and not isinstance(found, bool) and 0 < found < float("inf"):
            return float(found)
        raise self.wrong(name, "a time such as `10m`")

    def thinking(self) -> bool | str | None:
        value = self._settings.get("thinking")
        if value is None or isinstance(value, bool) or value in ("minimal", "low", "medium", "high"):
            return value
        raise self.wrong("thinking", "`true`, `false`, `minimal`, `low`, `medium` or `high`")

    def texts(self, name: str) -> tuple[str, ...] | None:
        value = self._settings.get(name)
        if value is None:
            return None
        if isinstance(value, list | tuple) and all(isinstance(one, str) and "\0" not in one for one in value):
            return tuple(str(one) for one in value)
        raise self.wrong(name, "a list of texts")

    def names_to_texts(self, name: str) -> dict[str, str]:
        value = self._settings.get(name, {})
        if isinstance(value, Mapping) and all(key and isinstance(text, str) for key, text in value.items()):
            return {key: str(text) for key, text in value.items()}
        raise self.wrong(name, "a table of names to texts")

    def tables(self, name: str) -> dict[str, Mapping[str, JsonValue]]:
        value = self._settings.get(name, {})
        if isinstance(value, Mapping) and all(isinstance(one, Mapping) for one in value.values()):
            return dict(value)  # type: ignore[arg-type]  # just looked at
        raise self.wrong(name, f"tables of names, as in `[runtimes.agents.{name}.NAME]`")

    def prices(self) -> dict[str, tuple[float, float]]:
        value = self._settings.get("prices", {})
        wanted = "names of models to `[in, out]`, dollars per million tokens"
        if not isinstance(value, Mapping):
            raise self.wrong("prices", wanted)
        found: dict[str, tuple[float, float]] = {}
        for model, pair in value.items():
            if not isinstance(pair, list | tuple) or len(pair) != 2 or not all(map(_is_amount, pair)):
                raise self.wrong("prices", wanted)
            found[model] = (float(pair[0]), float(pair[1]))  # type: ignore[arg-type]  # both are numbers
        return found

    def wrong(self, name: str, wanted: str) -> Fatal:
        return Fatal(f"the setting `{name}` of `{self.who}` is not {wanted}")


def _is_amount(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value < float("inf")
