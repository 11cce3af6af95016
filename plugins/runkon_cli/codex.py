"""The command line of Codex without a terminal (`codex exec --json`), and the events it prints."""

from __future__ import annotations

from collections.abc import Mapping

from runkon_cli.ask import Ask
from runkon_cli.talk import Talk, text_of

_SILENT = frozenset({"reasoning", "todo_list", "error"})  # items that are no turn


def arguments(ask: Ask) -> list[str]:
    words = ["exec", "--json"]
    if ask.model:
        words += ["--model", ask.model]
    words += ["--sandbox", ask.permission_mode or ("workspace-write" if ask.may_write else "read-only")]
    if not ask.may_write:
        words.append("--skip-git-repo-check")  # where it may change nothing, nothing has to be recoverable
    words += ask.more
    if ask.session:
        words += ["resume", ask.session]
    return [*words, "-"]


def read(line: Mapping[str, object], talk: Talk) -> None:
    match line.get("type"):
        case "thread.started":
            talk.session = text_of(line.get("thread_id")) or None
        case "item.started":
            _item(line.get("item"), talk, is_complete=False)
        case "item.completed":
            _item(line.get("item"), talk, is_complete=True)
        case "turn.completed":
            usage = line.get("usage")
            if isinstance(usage, Mapping):
                talk.used_in_all(usage.get("input_tokens"), usage.get("output_tokens"))
            talk.end()
        case "turn.failed":
            talk.fail(_message(line.get("error")))
        case "error":  # also told of a connection that it opens again: not the end
            talk.note = _message(line)


def _item(item: object, talk: Talk, *, is_complete: bool) -> None:
    if not isinstance(item, Mapping):
        return
    kind = text_of(item.get("type") or item.get("item_type"))
    if is_complete and kind not in _SILENT:
        talk.turn()
    if is_complete and kind in ("agent_message", "assistant_message"):
        talk.message(text_of(item.get("text")))
    elif is_complete and kind == "error":
        talk.note = text_of(item.get("message"))
    elif not is_complete and kind not in _SILENT and kind != "agent_message":
        about = item.get("command") or item.get("query") or item.get("tool") or ""
        talk.tool(kind.replace("_", " "), about)


def _message(error: object) -> str:
    return text_of(error.get("message")) if isinstance(error, Mapping) else text_of(error)
