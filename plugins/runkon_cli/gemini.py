"""The command line of Gemini CLI without a terminal, and the lines it prints (`--output-format stream-json`)."""

from __future__ import annotations

from collections.abc import Mapping

from runkon_cli.ask import Ask
from runkon_cli.talk import Talk, text_of


def arguments(ask: Ask) -> list[str]:
    words = ["--output-format", "stream-json"]
    if ask.model:
        words += ["-m", ask.model]
    if ask.session:
        words += ["--resume", ask.session]
    mode = ask.permission_mode or ("auto_edit" if ask.may_write else None)
    if mode:
        words += ["--approval-mode", mode]
    return [*words, *ask.more]


def read(line: Mapping[str, object], talk: Talk) -> None:
    match line.get("type"):
        case "init":
            talk.session = text_of(line.get("session_id")) or None
            talk.model = text_of(line.get("model")) or None
        case "message" if line.get("role") == "assistant":
            _speak(talk)
            text = text_of(line.get("content"))
            if line.get("delta") is not True:
                talk.begin_message()
            talk.add(text)
        case "tool_use":
            _speak(talk)
            if talk.text:
                talk.tell(talk.text)
            talk.tool(text_of(line.get("tool_name")), line.get("parameters"))
        case "tool_result":
            talk.is_speaking = False
        case "error":
            talk.note = text_of(line.get("message"))
        case "result":
            _result(line, talk)


def _speak(talk: Talk) -> None:
    """The model's turn lasts from its first word or tool to the result of a tool."""
    if not talk.is_speaking:
        talk.is_speaking = True
        talk.turn()
        talk.begin_message()


def _result(line: Mapping[str, object], talk: Talk) -> None:
    stats = line.get("stats")
    if isinstance(stats, Mapping):
        talk.used_in_all(stats.get("input_tokens"), stats.get("output_tokens"))
    if line.get("status") == "error":
        error = line.get("error")
        talk.fail(text_of(error.get("message")) if isinstance(error, Mapping) else "")
        return
    talk.tell(talk.text)
    talk.end()
