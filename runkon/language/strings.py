"""Written strings and numbers, and what they mean."""

from __future__ import annotations

import re

_ESCAPE = re.compile(r"\\(.)", re.DOTALL)
_LEADING_ZEROS = re.compile(r"(?<![0-9])0+(?=[0-9])")
_MEANINGS = {"n": "\n", "t": "\t"}


def string_text(written: str) -> str:
    """The decoded text of a string token, quotes and all: `\\n`, `\\t`, `\\"` and `\\\\` are escapes, before any other
    character the backslash just disappears. In three quotes the first newline and the common indentation go."""
    inner = _without_indentation(written[3:-3]) if written.startswith('"""') else written[1:-1]
    if "\\" not in inner:
        return inner
    return _ESCAPE.sub(lambda match: _MEANINGS.get(match[1], match[1]), inner)


def _without_indentation(text: str) -> str:
    text = text[text.startswith("\r") :] if text.startswith("\r\n") else text
    if not text.startswith("\n"):
        return text  # text behind the quotes: nothing says what its indentation would be
    lines = text[1:].split("\n")
    filled = [line for line in lines if line.strip(" \t\r")]
    common = _common_start([line[: len(line) - len(line.lstrip(" \t"))] for line in filled])
    return "\n".join(line[common:] if line.strip(" \t\r") else line.lstrip(" \t") for line in lines)


def _common_start(texts: list[str]) -> int:
    """How many characters all texts begin with; the first and the last in order differ the soonest."""
    first, last = min(texts, default=""), max(texts, default="")
    return next((n for n, (one, other) in enumerate(zip(first, last, strict=False)) if one != other), len(first))


def quoted(text: str) -> str:
    """`text` as a string in double quotes, the shortest way to write it that keeps every character."""
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n").replace("\t", "\\t")
    return f'"{escaped}"'


def canonical_number(written: str) -> str:
    """`007` is `7`, `-1.50` is `-1.5`, `-0` is `0`."""
    sign = "-" if written.startswith("-") else ""
    whole, _, fraction = written.removeprefix("-").partition(".")
    whole, fraction = whole.lstrip("0") or "0", fraction.rstrip("0")
    text = f"{whole}.{fraction}" if fraction else whole
    return text if text == "0" else sign + text


def canonical_duration(written: str) -> str:
    """`05m` is `5m`, `1h030m` is `1h30m`."""
    return _LEADING_ZEROS.sub("", written)


def number_value(written: str) -> int | float:
    """The number itself: an int without a fraction, else a float."""
    text = canonical_number(written)
    return float(text) if "." in text else int(text)
