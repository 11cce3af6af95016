"""Values as text: how a template writes them, and how text from outside is made safe to print."""

from __future__ import annotations

import json

from runkon.model.output import JsonValue
from runkon.model.secrets import secret_mark, secret_name
from runkon.pattern import pattern

# CSI sequences (colours, cursor), OSC sequences (titles, links) up to BEL or ST, other two-character escapes
_ESCAPE = pattern(
    r"\x1b(?:\[[0-?]*[ -/]*[@-~]|[\]PX^_][^\x07\x1b]*(?:\x07|\x1b\\)?|[ -/]*[0-~])?"
    r"|\x9b[0-?]*[ -/]*[@-~]"
)
_CONTROL = pattern(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")


def as_text(value: JsonValue) -> str:
    """A value inside text: text as it is, numbers and booleans as written, lists and maps as JSON, null as nothing.
    A secret shows its name only."""
    match value:
        case str():
            return value
        case None:
            return ""
        case bool():
            return "true" if value else "false"
        case int() | float():
            return repr(value)
        case _:
            name = secret_name(value)
            return secret_mark(name) if name is not None else json.dumps(value, ensure_ascii=False)


def harmless(text: str) -> str:
    """`text` without anything a terminal would obey: escape sequences are removed, other control characters but tab
    and line feed become `�`; a carriage return before a line feed is dropped."""
    if text.isprintable():
        return text
    return _CONTROL.sub("\ufffd", _ESCAPE.sub("", text.replace("\r\n", "\n")))
