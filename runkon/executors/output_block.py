"""Reads the output block a script or an agent prints: markers, a context, and fields of its own, as JSON.

<<<FLOW_OUTPUT>>>
{"markers": ["needs_work"], "context": "short summary", "score": 3}
<<<END_FLOW_OUTPUT>>>
"""

from __future__ import annotations

import json
import re

from runkon.model.output import JsonValue, Output, as_output
from runkon.named import NamedTuple
from runkon.pattern import pattern

START, END = "<<<FLOW_OUTPUT>>>", "<<<END_FLOW_OUTPUT>>>"
_FENCE = "```"
_LANGUAGE = pattern(r"[A-Za-z0-9]*")
# a text, one that stays open being read once, up to the end; or a comma that nothing follows, outside of texts
SLIP = pattern(r'"(?:[^"\\]++|\\.)*+(?:"|\\?\Z)|,(?=\s*[}\]])', re.DOTALL)
_BACKSLASH = pattern(r"\\(.)", re.DOTALL)
_ESCAPES = frozenset('"\\/bfnrtu')
_SURROGATE = pattern("[\ud800-\udfff]")


class BlockReading(NamedTuple):
    """What was found. `output` is None without a usable block; `problem` then says why, or is None if there was no
    block at all."""

    output: Output | None
    problem: str | None = None


def read_output_block(text: str) -> BlockReading:
    """The last output block in `text`. Never raises: a block that can't be used is no block, with the reason."""
    value = read_object(text)
    if isinstance(value, BlockReading):
        return value
    try:
        return BlockReading(as_output(value))
    except TypeError as error:
        return BlockReading(None, f"its output block can't be used: {error}")


def read_object(text: str) -> dict[str, JsonValue] | BlockReading:
    """The JSON object in the last output block, all of it; else a reading without output. Never raises."""
    block = locate_block(text)
    if block is None:
        return BlockReading(None)
    try:
        value = _decode(_without_fence(block))
    except (ValueError, RecursionError) as error:
        return BlockReading(None, f"its output block is not valid JSON: {error}")
    if not isinstance(value, dict):
        return BlockReading(None, "its output block is not a JSON object")
    return value


def locate_block(text: str) -> str | None:
    """The text between the delimiters of the last block, or None. A start delimiter that no JSON follows is prose; a
    block without an end is none."""
    at = text.rfind(START)
    while at >= 0:
        content = at + len(START)
        if text[content : content + 4096].lstrip()[:1] in ("{", "[", "`"):
            end = text.find(END, content)
            return None if end < 0 else text[content:end].strip()
        at = text.rfind(START, 0, at)
    return None


def _without_fence(block: str) -> str:
    if not block.startswith(_FENCE):
        return block
    language = _LANGUAGE.match(block, len(_FENCE))
    content = block[language.end() if language else len(_FENCE) :].strip()
    return content.removesuffix(_FENCE).rstrip()


def _decode(text: str) -> object:
    """JSON, with the two slips people and models make put right: trailing commas and single backslashes."""
    try:
        return _loads(text)
    except ValueError:
        return _loads(SLIP.sub(_put_right, text))


def _loads(text: str) -> object:
    value = json.loads(text, parse_constant=_refuse)
    return _replace_surrogates(value) if "\\ud" in text.lower() else value


def _refuse(word: str) -> object:
    raise ValueError(f"{word} is not a JSON number")


def _put_right(found: re.Match[str]) -> str:
    return (
        ""
        if found[0] == ","
        else _BACKSLASH.sub(lambda pair: pair[0] if pair[1] in _ESCAPES else "\\" + pair[0], found[0])
    )


def _replace_surrogates(value: object) -> object:
    """Half a character, written as an escape, can't be stored as UTF-8."""
    match value:
        case str():
            return _SURROGATE.sub("\ufffd", value)
        case list():
            return [_replace_surrogates(item) for item in value]
        case dict():
            return {_SURROGATE.sub("\ufffd", key): _replace_surrogates(item) for key, item in value.items()}
        case _:
            return value
