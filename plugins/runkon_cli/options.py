"""The table `[runtimes.NAME]` of the settings, as far as every runtime here reads it."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import field

from runkon.errors import Fatal
from runkon.frozen import value_class
from runkon.model.output import JsonValue
from runkon.settings import parse_duration
from runkon_cli.ask import is_argument
from runkon_cli.environment import names_secret

IDLE = 600.0
TURNS = 100
OUTPUT_MB = 1024
_KNOWN = frozenset(
    {
        "type", "binary", "args", "env", "env_allow", "idle_timeout", "timeout", "max_turns", "max_output_mb",
        "default_model", "models", "permission_mode", "install",
    }
)  # fmt: skip
LEFT_OUT = "…"  # in the place of what is a secret
_FLAG = re.compile(r"--?([A-Za-z][\w.-]*)")
_GIVEN = re.compile(r"-{0,2}([A-Za-z][\w.-]*)(?:=|:\s*)")
_KEY = re.compile(r"\b(?:sk|pk|ghp|gho|ghs|xox[abps]|AIza|github_pat|glpat)[-_]?[A-Za-z0-9_-]{16,}$")
_ELSEWHERE = frozenset(
    {"binary", "env", "env_allow", "idle_timeout", "timeout", "max_output_mb", "install", "models", "default_model"}
)


@value_class(frozen=True, slots=True, kw_only=True)
class Options:
    """Times in seconds. `env_allow` are names of variables that the program may see besides the usual ones, `X_*` for
    all that begin with `X_`; `env` is set over them. `models` are the names it takes, any if there are none."""

    binary: str | None = None
    args: tuple[str, ...] = ()
    env: Mapping[str, str] = field(default_factory=dict)
    env_allow: tuple[str, ...] = ()
    idle_timeout: float = IDLE
    timeout: float | None = None
    max_turns: int = TURNS
    max_output_mb: int = OUTPUT_MB
    default_model: str | None = None
    models: tuple[str, ...] = ()
    permission_mode: str | None = None
    install: str = ""


def read_options(settings: Mapping[str, JsonValue], who: str, also: frozenset[str] = frozenset()) -> Options:
    """The options in `settings`; `also` are names that the runtime reads itself. Raises Fatal, naming the setting."""
    known = _KNOWN | also
    for name in settings:
        if name not in known:
            raise Fatal(f"`{who}` has an unknown setting `{name}`; {_close(name, known)}")
    table = Table(settings, who)
    idle, timeout = table.seconds("idle_timeout"), table.seconds("timeout")
    mode, model = table.text("permission_mode"), table.text("default_model")
    for name, value in (("permission_mode", mode), ("default_model", model)):
        if value is not None and not is_argument(value):
            raise table.wrong(name, "a name")
    return Options(
        binary=table.text("binary"),
        args=table.texts("args"),
        env=table.names_to_texts("env"),
        env_allow=table.texts("env_allow"),
        idle_timeout=IDLE if idle is None else idle,
        timeout=timeout,
        max_turns=table.whole("max_turns") or TURNS,
        max_output_mb=table.whole("max_output_mb") or OUTPUT_MB,
        default_model=model,
        models=table.texts("models"),
        permission_mode=mode,
        install=table.text("install") or "",
    )


def described(settings: Mapping[str, JsonValue]) -> dict[str, JsonValue]:
    """What of a table an answer depends on, the same on every machine: no folders, limits of time or variables."""
    found = {name: value for name, value in settings.items() if name not in _ELSEWHERE}
    for name in ("argv", "args"):
        words = found.get(name)
        if isinstance(words, list | tuple):
            found[name] = _without_secrets(words)
    argv = found.get("argv")
    if isinstance(argv, list) and argv and isinstance(argv[0], str):
        argv[0] = os.path.basename(argv[0])
    return found


def _without_secrets(words: Sequence[JsonValue]) -> list[JsonValue]:
    """What follows a name that holds a secret is left out (`--api-key X`, `TOKEN=X`, `Authorization: X`), and what
    looks like a key itself."""
    found: list[JsonValue] = []
    is_secret = False  # of the word before: the name of a secret
    for word in words:
        if not isinstance(word, str):
            found.append(_without_secrets(word) if isinstance(word, list | tuple) else word)
            is_secret = False
            continue
        flag, given = _FLAG.fullmatch(word), _GIVEN.match(word)
        if flag is not None:
            is_secret = names_secret(flag[1])
        elif given is not None and (names_secret(given[1]) or given[1].lower() == "authorization"):
            word, is_secret = given[0] + LEFT_OUT, False
        elif is_secret or _KEY.search(word):
            word, is_secret = LEFT_OUT, False
        found.append(word)
    return found


class Table:
    """Typed reads of a table of settings; each raises Fatal, naming the setting, for a value of another type."""

    def __init__(self, settings: Mapping[str, JsonValue], who: str) -> None:
        self._settings = settings
        self.who = who

    def text(self, name: str) -> str | None:
        value = self._settings.get(name)
        if value is None or (isinstance(value, str) and value and "\0" not in value):
            return value or None
        raise self.wrong(name, "a text")

    def one_of(self, name: str, *words: str) -> str:
        """One of `words`; the first without the setting."""
        value = self._settings.get(name, words[0])
        if isinstance(value, str) and value in words:
            return value
        raise self.wrong(name, " or ".join(f"`{word}`" for word in words))

    def texts(self, name: str) -> tuple[str, ...]:
        value = self._settings.get(name) or []
        if isinstance(value, list | tuple) and all(isinstance(one, str) and "\0" not in one for one in value):
            return tuple(str(one) for one in value)
        raise self.wrong(name, "a list of texts")

    def names_to_texts(self, name: str) -> Mapping[str, str]:
        value = self._settings.get(name) or {}
        if not isinstance(value, Mapping):
            raise self.wrong(name, "a table of names to texts")
        for key, text in value.items():
            if not key or "=" in key or "\0" in key or not isinstance(text, str) or "\0" in text:
                raise self.wrong(name, "a table of names to texts")
        return {key: str(text) for key, text in value.items()}

    def whole(self, name: str) -> int | None:
        value = self._settings.get(name)
        if value is None or (isinstance(value, int) and not isinstance(value, bool) and value > 0):
            return value
        raise self.wrong(name, "a whole number from 1")

    def seconds(self, name: str) -> float | None:
        value = self._settings.get(name)
        if isinstance(value, bool):
            raise self.wrong(name, "a time such as `10m`")
        found = parse_duration(value) if isinstance(value, str) else value
        if found is None and value is None:
            return None
        if isinstance(found, int | float) and 0 < found < float("inf"):
            return float(found)
        raise self.wrong(name, "a time such as `10m`")

    def wrong(self, name: str, wanted: str) -> Fatal:
        return Fatal(f"the setting `{name}` of `{self.who}` is not {wanted}")


def _close(name: str, known: frozenset[str]) -> str:
    import difflib  # late: only on the way to an error

    close = difflib.get_close_matches(name, known, n=1, cutoff=0.6)
    return f"did you mean `{close[0]}`?" if close else f"known are {', '.join(sorted(known))}"
