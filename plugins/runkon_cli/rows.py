"""The coding agents that are known by name: one row each of how they are called, read and installed."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import field

from runkon.frozen import value_class
from runkon.pattern import pattern
from runkon_cli import claude as claude_line
from runkon_cli import codex as codex_line
from runkon_cli import gemini as gemini_line
from runkon_cli.ask import Ask
from runkon_cli.runtime import CliRuntime
from runkon_cli.talk import Cause, Talk


@value_class(frozen=True, slots=True, kw_only=True)
class Row:
    """A coding agent. `arguments` makes its arguments, `read` takes one line of its output; the prompt goes to its
    standard input. `keys` are variables it may see besides the usual ones, the first the one with its key; `models`
    matches the bare names of models that are its own; `gone` what it says of a session it does not have; `exits` what
    some exit codes mean."""

    name: str
    install: str
    login: str
    keys: tuple[str, ...]
    models: str
    arguments: Callable[[Ask], list[str]]
    read: Callable[[Mapping[str, object], Talk], None]
    gone: str
    exits: Mapping[int, Cause] = field(default_factory=dict)
    takes_any_model: bool = False
    bounds_cost: bool = False

    def offers(self, model: str) -> bool:
        return pattern(self.models).fullmatch(model) is not None

    def lost_session(self, said: str) -> bool:
        return pattern(self.gone).search(said) is not None


CLAUDE = Row(
    name="claude",
    install="install it with `npm install -g @anthropic-ai/claude-code`",
    login="run `claude` once to log in, or set ANTHROPIC_API_KEY",
    keys=("ANTHROPIC_API_KEY", "ANTHROPIC_*", "CLAUDE_*"),
    models=r"(?:default|best|sonnet|opus|haiku|opusplan|sonnet\[1m\]|claude-[\w.\[\]@-]+)",
    arguments=claude_line.arguments,
    read=claude_line.read,
    gone=r"(?i)no conversation found|session .{0,80}not found",
    takes_any_model=True,
    bounds_cost=True,
)
CODEX = Row(
    name="codex",
    install="install it with `npm install -g @openai/codex`",
    login="run `codex login`, or set CODEX_API_KEY",
    keys=("CODEX_API_KEY", "OPENAI_*", "CODEX_*"),
    models=r"(?:gpt-[\w.-]+|o\d[\w.-]*|codex-[\w.-]+)",
    arguments=codex_line.arguments,
    read=codex_line.read,
    gone=r"(?i)no (?:rollout|session|thread) (?:found|with)|(?:session|thread|conversation) .{0,80}not found",
)
GEMINI = Row(
    name="gemini",
    install="install it with `npm install -g @google/gemini-cli`",
    login="run `gemini` once to log in, or set GEMINI_API_KEY",
    keys=("GEMINI_API_KEY", "GEMINI_*", "GOOGLE_API_KEY", "GOOGLE_CLOUD_*", "GOOGLE_GENAI_*"),
    models=r"gemini-[\w.-]+",
    arguments=gemini_line.arguments,
    read=gemini_line.read,
    gone=r"(?i)(?:invalid session|session .{0,80}not found|no (?:previous )?sessions? (?:found|with))",
    exits={41: "fatal", 42: "fatal", 52: "fatal", 53: "turns"},
)


def claude() -> CliRuntime:
    return CliRuntime(CLAUDE)


def codex() -> CliRuntime:
    return CliRuntime(CODEX)


def gemini() -> CliRuntime:
    return CliRuntime(GEMINI)
