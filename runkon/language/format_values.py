"""Values written out on one line: the smallest pieces of the formatter."""

from __future__ import annotations

import re

from runkon.language import nodes
from runkon.language.condition_text import condition_text
from runkon.language.strings import quoted, string_text
from runkon.language.trivia import Trivia

_ESCAPE = re.compile(r"\\(.)", re.DOTALL)
_DESCRIPTION = re.compile(r"\bdescription\s*=\s*$")


def flat_value(value: nodes.Value, trivia: Trivia) -> str:
    """`value` on one line; only a string that was written over several lines keeps its line ends."""
    match value:
        case nodes.Text():
            return literal(value.span.start, value.text, trivia)
        case nodes.Word() | nodes.Number() | nodes.DurationValue():
            return value.text
        case nodes.ListValue(items=items):
            return "[" + ", ".join([flat_value(item, trivia) for item in items]) + "]"
        case nodes.MapValue(entries=()):
            return "{}"
        case nodes.MapValue(entries=entries):
            return "{ " + " ".join([flat_entry(entry, trivia) for entry in entries]) + " }"
        case _:
            return condition_text(value)


def flat_entry(entry: nodes.Entry, trivia: Trivia) -> str:
    """`name = value`, or `inputs { … }` where it was written without the sign."""
    return entry_head(entry, trivia) + flat_value(entry.value, trivia)


def entry_head(entry: nodes.Entry, trivia: Trivia) -> str:
    """What stands before the value: `name = `, or `inputs ` for a block."""
    is_block = isinstance(entry.value, nodes.MapValue) and not trivia.has_equals(
        entry.name_span.end, entry.value.span.start
    )
    return f"{entry.name} " if is_block else f"{entry.name} = "


def literal(start: int, text: str, trivia: Trivia) -> str:
    """The string literal at offset `start` without needless backslashes; `text` quoted if none starts there."""
    written = trivia.string_at(start)
    if written is None:
        return quoted(text)
    if written.startswith('"""'):
        return written  # its indentation is part of what it says
    return _ESCAPE.sub(lambda found: found[0] if found[1] in 'nt"\\' else found[1], written)


def long_literal(start: int, text: str, trivia: Trivia, indent: str) -> str:
    """As `literal`, for three quotes: the lines of the text are moved two columns behind `indent` if that leaves what
    they say unchanged."""
    written = trivia.string_at(start)
    if written is None or not written.startswith('"""\n'):
        return literal(start, text, trivia)
    lines = written[4:-3].split("\n")
    filled = [line for line in lines if line.strip(" \t\r")]
    depth = min((len(line) - len(line.lstrip(" \t")) for line in filled), default=0)
    moved = [f"{indent}  {line[depth:]}" if line.strip(" \t\r") else line.lstrip(" \t") for line in lines]
    if not lines[-1].strip(" \t"):
        moved[-1] = indent
    again = '"""\n' + "\n".join(moved) + '"""'
    return again if string_text(again) == string_text(written) else written


def agent_text(agent: nodes.AgentRef, trivia: Trivia) -> str:
    """An agent as it stands after `call`."""
    return agent.text if agent.form == "name" else literal(agent.span.start, agent.text, trivia)


def declaration(decl: nodes.InputDecl | nodes.Channel, trivia: Trivia) -> tuple[str, nodes.Value | None, str]:
    """A declaration in three parts: what stands before its default, the default, what stands after."""
    if isinstance(decl, nodes.Channel):
        return _channel(decl)
    words = [decl.name]
    if decl.type == "one_of":
        words.append("one_of [" + ", ".join(quoted(choice) for choice in decl.choices) + "]")
    elif decl.type != "string":
        words.append(decl.type)
    if decl.required_written:
        words.append("required")
    tail = "" if decl.description is None else f" description = {_description(decl, decl.description, trivia)}"
    if decl.default is None:
        return " ".join(words) + tail, None, ""
    return " ".join([*words, "default = "]), decl.default, tail


def _channel(declared: nodes.Channel) -> tuple[str, nodes.Value | None, str]:
    """A state channel in the same three parts, its initial value in the middle."""
    head = f"{declared.name} {declared.type}"
    tail = "" if declared.reducer_span is None else f" reduce = {declared.reducer}"
    if declared.initial is None:
        return head + tail, None, ""
    return head + " = ", declared.initial, tail


def _description(decl: nodes.InputDecl, text: str, trivia: Trivia) -> str:
    # The tree holds only the text; the literal is looked up so that a long one stays over several lines.
    start = trivia.string_behind(_DESCRIPTION, decl.span.start, decl.span.end)
    written = None if start is None else trivia.string_at(start)
    if start is None or written is None or string_text(written) != text:
        return quoted(text)  # a later description took the place of the first
    return literal(start, text, trivia)
