"""The kinds of values an option can have, and how written values become typed ones.

A `ValueType` says in the reader's words what it expects and converts one written value, or raises `BadValue`. Numbers
and words mean the same bare and quoted; durations are read the same way everywhere.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from typing import TypeAlias

from runkon.language import nodes
from runkon.named import NamedTuple
from runkon.pattern import pattern

U32_MAX = 2**32 - 1
U64_MAX = 2**64 - 1
# Longer times mean "for ever"; cutting them here keeps every later sum inside the range of clocks and dates.
LONGEST_MS = 100 * 365 * 86_400_000

_INTEGER = pattern(r"\+?[0-9]+", re.ASCII)
_DECIMAL = pattern(r"\+?[0-9]+(\.[0-9]+)?", re.ASCII)
_NAME = pattern(r"[A-Za-z_][A-Za-z0-9_-]*", re.ASCII)
_DURATION = pattern(r"(?:(\d+)d)?(?:(\d+)h)?(?:(\d+)m(?!s))?(?:(\d+)s)?(?:(\d+)ms)?", re.ASCII)
_UNIT_MS = (86_400_000, 3_600_000, 60_000, 1_000, 1)
_CONDITIONS = (nodes.Reference, nodes.Constant, nodes.ListLiteral, nodes.Compare, nodes.Not, nodes.And, nodes.Or)

Scalar: TypeAlias = nodes.Text | nodes.Word | nodes.Number | nodes.DurationValue


class BadValue(Exception):
    """The written value does not fit. Where they are given, `expected` replaces the type's own words, `at` the value
    pointed at and `code` the usual `invalid-value`; `found` is the offending text."""

    def __init__(
        self,
        expected: str | None = None,
        *,
        at: nodes.Value | None = None,
        help: str | None = None,
        code: str = "invalid-value",
        found: str = "",
    ) -> None:
        super().__init__(expected or "")
        self.expected = expected
        self.at = at
        self.help = help
        self.code = code
        self.found = found


class ValueType(NamedTuple):
    """One kind of value. `expected` completes the sentence "expected …"; `words` are the allowed words, if it has a
    fixed set; `convert` gives the typed value or raises BadValue."""

    expected: str
    convert: Callable[[nodes.Value], object]
    words: tuple[str, ...] = ()


def parse_duration(text: str) -> int | None:
    """Milliseconds of `500ms`, `45s`, `1h30m`, `2d` or plain whole seconds; None if the text is no duration or is
    longer than 2**64 - 1 seconds."""
    if _INTEGER.fullmatch(text):
        seconds = _bounded(text, U64_MAX)
        return None if seconds is None else seconds * 1_000
    match = _DURATION.fullmatch(text)
    if match is None or not text:
        return None
    total = 0
    for digits, unit in zip(match.groups(), _UNIT_MS, strict=True):
        amount = _bounded(digits, U64_MAX) if digits else 0
        if amount is None:
            return None
        total += amount * unit
    return total if total <= U64_MAX * 1_000 else None


def scalar_text(value: nodes.Value) -> str:
    """The text of a string, word, number or duration; BadValue for a list, a map or a condition."""
    match value:
        case nodes.Text() | nodes.Word() | nodes.Number() | nodes.DurationValue():
            return value.text
        case _:
            raise BadValue


def is_condition(value: nodes.Value) -> bool:
    """True if the value is a condition, as options like `if` and `until` have."""
    return isinstance(value, _CONDITIONS)


def agent_ref(value: nodes.Value) -> nodes.AgentRef:
    """A bare word or text without `/` is a name, quoted text with `/` a path. BadValue for a path that leaves its
    folder through `..`."""
    text = scalar_text(value)
    if not text:
        raise BadValue
    if isinstance(value, nodes.Text) and "/" in text:
        if ".." in text.split("/"):
            raise BadValue(code="path-traversal", found=text)
        return nodes.AgentRef(span=value.span, form="path", text=text)
    return nodes.AgentRef(span=value.span, form="name", text=text)


def whole(lowest: int = 0, highest: int = U32_MAX, *, expected: str | None = None) -> ValueType:
    """A whole number in a range, bare or as text; `+5` is allowed in text, white space and `_` are not."""

    def convert(value: nodes.Value) -> int:
        text = scalar_text(value)
        number = _bounded(text, highest) if _INTEGER.fullmatch(text) else None
        if number is None or number < lowest:
            raise BadValue
        return number

    if expected is None:
        expected = (
            f"a whole number of at least {lowest}" if highest >= U32_MAX else f"a whole number, {lowest}-{highest}"
        )
    return ValueType(expected, convert)


def one_of(*words: str, help: str | None = None) -> ValueType:
    """Exactly one of the words, bare or quoted."""

    def convert(value: nodes.Value) -> str:
        text = scalar_text(value)
        if text not in words:
            raise BadValue(help=help)
        return text

    return ValueType(in_words(words), convert, words)


def list_of_words(*words: str, hints: dict[str, str] | None = None) -> ValueType:
    """A list of these words; a single one counts as a list."""
    hints = hints or {}

    def convert(value: nodes.Value) -> tuple[str, ...]:
        for item in _items(value):
            text = scalar_text(item)
            if text not in words:
                raise BadValue(at=item, help=hints.get(text))
        return tuple(scalar_text(item) for item in _items(value))

    return ValueType("a list of " + in_words(words), convert, words)


def in_words(words: tuple[str, ...]) -> str:
    """`a`, `a` or `b`, `a`, `b` or `c` (with the backticks)."""
    quoted = [f"`{word}`" for word in words]
    return quoted[0] if len(quoted) == 1 else ", ".join(quoted[:-1]) + " or " + quoted[-1]


def _bounded(digits: str, highest: int) -> int | None:
    # Python refuses to convert absurdly long digit runs; anything that long is over every bound anyway.
    digits = digits.lstrip("+").lstrip("0") or "0"
    if len(digits) > 20:
        return None
    number = int(digits)
    return number if number <= highest else None


def _items(value: nodes.Value) -> tuple[nodes.Value, ...]:
    return value.items if isinstance(value, nodes.ListValue) else (value,)


def _text(value: nodes.Value) -> str:
    return scalar_text(value)


def _name(value: nodes.Value) -> str:
    text = scalar_text(value)
    if not _NAME.fullmatch(text):
        raise BadValue
    return text


def _boolean(value: nodes.Value) -> bool:
    text = scalar_text(value)
    if text not in ("true", "false"):
        raise BadValue
    return text == "true"


def _duration(value: nodes.Value) -> int:
    if isinstance(value, nodes.DurationValue):
        if value.milliseconds > U64_MAX * 1_000:
            raise BadValue
        return min(value.milliseconds, LONGEST_MS)
    milliseconds = parse_duration(scalar_text(value))
    if milliseconds is None:
        raise BadValue
    return min(milliseconds, LONGEST_MS)


def _gate_duration(value: nodes.Value) -> int:
    # Gates have always stripped white space, then stray quotes, around the text.
    if isinstance(value, nodes.Text):
        milliseconds = parse_duration(value.text.strip().strip('"'))
        if milliseconds is None:
            raise BadValue
        return min(milliseconds, LONGEST_MS)
    return _duration(value)


def _money(value: nodes.Value) -> float:
    text = scalar_text(value)
    amount = float(text) if _DECIMAL.fullmatch(text) else math.inf
    if not math.isfinite(amount):
        raise BadValue
    return amount


def _texts(value: nodes.Value) -> tuple[str, ...]:
    return tuple(scalar_text(item) for item in _items(value))


def _map(value: nodes.Value) -> tuple[nodes.Entry, ...]:
    if not isinstance(value, nodes.MapValue):
        raise BadValue
    return value.entries


def _text_map(value: nodes.Value) -> tuple[nodes.Entry, ...]:
    entries = _map(value)
    for entry in entries:
        if isinstance(entry.value, nodes.ListValue | nodes.MapValue):
            raise BadValue("one text per variable", at=entry.value)
    return entries


def _condition(value: nodes.Value) -> nodes.Value:
    if not is_condition(value):
        raise BadValue
    return value


def _on_fail(value: nodes.Value) -> nodes.OnFail:
    return "continue" if scalar_text(value) == "continue" else agent_ref(value)


def _cache(value: nodes.Value) -> bool | int:
    text = scalar_text(value)
    return text == "true" if text in ("true", "false") else _duration(value)


def _over(value: nodes.Value) -> nodes.Value:
    if isinstance(value, nodes.ListValue):
        return value
    if not isinstance(value, nodes.Text | nodes.Word) or not value.text:
        raise BadValue
    return value


def _choices(value: nodes.Value) -> tuple[tuple[str, str], ...] | str:
    match value:
        case nodes.ListValue():
            return tuple((text, text) for text in _texts(value))
        case nodes.MapValue():
            return tuple((entry.name, scalar_text(entry.value)) for entry in value.entries)
        case nodes.Text() | nodes.Word() if "." in value.text:
            return value.text
        case _:
            raise BadValue


def _anything(value: nodes.Value) -> nodes.Value:
    return value


TEXT = ValueType("text", _text)
NAME = ValueType("a name: letters, digits, `_` and `-`, starting with a letter or `_`", _name)
BOOLEAN = ValueType("`true` or `false`", _boolean, ("true", "false"))
U32 = whole(expected="a whole number from 0 to 4294967295")
U64 = whole(0, U64_MAX, expected="a whole number of at least 0")
POSITIVE = whole(1)
DURATION = ValueType("a duration such as `45s`, `5m` or `1h30m`", _duration)
GATE_DURATION = ValueType(DURATION.expected, _gate_duration)
MONEY = ValueType("an amount such as `2` or `0.50`", _money)
TEXTS = ValueType("a text or a list of texts", _texts)
MAP = ValueType("a map: `{ name = value }`", _map)
TEXT_MAP = ValueType('a map: `{ NAME = "text" }`', _text_map)
CONDITION = ValueType("a condition such as `build.failed`", _condition)
AGENT = ValueType("an agent: a name, or a path in quotes", agent_ref)
ON_FAIL = ValueType("`continue` or an agent", _on_fail)
CACHE = ValueType("`true`, `false` or a duration such as `2h`", _cache)
OVER = ValueType("a provider, a reference such as `scan.files`, or a list", _over)
CHOICES = ValueType("a list, a map, or a step's field such as `plan.choices`", _choices)
ANYTHING = ValueType("anything", _anything)
