"""The command line of Claude Code without a terminal, and the lines it prints (`--output-format stream-json`)."""

from __future__ import annotations

from collections.abc import Mapping

from runkon_cli.ask import Ask
from runkon_cli.talk import Cause, Talk, amount, count, text_of

_CAUSES: Mapping[str, Cause] = {
    "authentication_failed": "fatal",
    "billing_error": "fatal",
    "rate_limit": "transient",
    "server_error": "transient",
    "error_max_turns": "turns",
}
_STATUS: Mapping[int, Cause] = {401: "fatal", 402: "fatal", 403: "fatal", 429: "transient"}


def arguments(ask: Ask) -> list[str]:
    words = ["-p", "--output-format", "stream-json", "--verbose"]
    if ask.model:
        words += ["--model", ask.model]
    if ask.session:
        words += ["--resume", ask.session]
    mode = ask.permission_mode or ("acceptEdits" if ask.may_write else None)
    if mode:
        words += ["--permission-mode", mode]
    if ask.max_turns:
        words += ["--max-turns", str(ask.max_turns)]
    if ask.max_cost_usd is not None:
        words += ["--max-budget-usd", f"{ask.max_cost_usd:g}"]
    for folder in ask.plugin_dirs:
        words += ["--plugin-dir", folder]
    return [*words, *ask.more]


def read(line: Mapping[str, object], talk: Talk) -> None:
    match line.get("type"):
        case "system" if line.get("subtype") == "init":
            talk.session = text_of(line.get("session_id")) or None
            talk.model = text_of(line.get("model")) or None
        case "assistant":
            _assistant(line, talk)
        case "result":
            _result(line, talk)


def _assistant(line: Mapping[str, object], talk: Talk) -> None:
    message = line.get("message")
    if not isinstance(message, Mapping):
        return
    key = text_of(message.get("id"))
    is_own = line.get("parent_tool_use_id") is None  # else a second agent that this one has started
    if is_own:
        talk.turn(key or None)
    usage = message.get("usage") or line.get("usage")
    if isinstance(usage, Mapping):
        talk.used(_tokens_in(usage), usage.get("output_tokens"), key or f"turn {talk.turns}")
    cause = _CAUSES.get(text_of(line.get("error")))
    if cause is not None:
        talk.cause = cause
    content = message.get("content")
    for block in content if isinstance(content, list) else ():
        match block:
            case {"type": "text", "text": str() as text} if is_own:
                talk.message(text_of(text))
            case {"type": "tool_use", "name": str() as name}:
                talk.tool(name, block.get("input"))


def _result(line: Mapping[str, object], talk: Talk) -> None:
    talk.session = text_of(line.get("session_id")) or talk.session
    talk.cost_usd = amount(line.get("total_cost_usd"))
    talk.turns = max(talk.turns, count(line.get("num_turns")))
    usage = line.get("usage")
    if isinstance(usage, Mapping):
        talk.used_in_all(_tokens_in(usage), usage.get("output_tokens"))
    text, kind = text_of(line.get("result")), text_of(line.get("subtype"))
    if line.get("is_error") is True or kind.startswith("error"):
        errors = line.get("errors")
        said = text or "; ".join(text_of(one) for one in errors if one) if isinstance(errors, list) else text
        cause = _CAUSES.get(kind) or _cause_of_status(line.get("api_error_status")) or talk.cause
        talk.fail(said or kind.replace("_", " "), cause)
    else:
        talk.end(text if "result" in line else None)


def _cause_of_status(status: object) -> Cause | None:
    if not isinstance(status, int):
        return None
    return "transient" if status >= 500 else _STATUS.get(status)


def _tokens_in(usage: Mapping[str, object]) -> int:
    """Everything the model read, also what came out of its cache."""
    names = ("input_tokens", "cache_creation_input_tokens", "cache_read_input_tokens")
    return sum(count(usage.get(name)) for name in names)
