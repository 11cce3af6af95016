"""JSON as runkon stores it: compact text that reads back as exactly the same value.

Keys keep their order and numbers their type, so a resumed run sees what the first one saw. What can't make that
round trip is refused with ValueError, in words: not-a-number, infinities, lone surrogates, keys that are not text.
For hashes there is `canonical`: one text for values that are equal, whoever wrote them.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from json.encoder import encode_basestring as quote
from typing import Any, TypeAlias

from runkon.model.output import JsonValue

MAX_DEPTH = 128
MAX_BITS = 14_000  # Python reads and writes no decimal text of more than 4300 digits
_ENCODER = json.JSONEncoder(ensure_ascii=False, allow_nan=False, separators=(",", ":"))

_Loaded: TypeAlias = Any  # whatever the text says


def loads(text: str | bytes) -> _Loaded:
    """The value of a JSON text. Raises ValueError for any other text, also for one that is nested too deep."""
    try:
        return json.loads(text)
    except RecursionError as error:
        raise ValueError("it is nested too deep") from error


def dumps(value: object) -> str:
    """`value` as compact text. Raises ValueError or TypeError for what JSON can't hold."""
    return _ENCODER.encode(value)


def canonical(value: object) -> str:
    """The one text of `value` for hashes, by RFC 8785: keys in the order of their UTF-16 units, `1.0` as `1`, other
    fractions as ECMAScript writes them. Whole numbers keep all their digits, also beyond 2^53. Raises ValueError, as
    `check_json` does, for what JSON can't hold."""
    parts: list[str] = []
    _write(value, parts.append, "$", 0)
    return "".join(parts)


def _write(value: object, put: Callable[[str], object], where: str, depth: int) -> None:
    if isinstance(value, str):
        put(quote(_text(value, where)))
    elif value is None or isinstance(value, bool):
        put("null" if value is None else "true" if value else "false")
    elif isinstance(value, int):
        put(str(_whole(value, where)))
    elif isinstance(value, float):
        put(_fraction(value, where))
    elif depth >= MAX_DEPTH:
        raise ValueError(f"{where} is nested more than {MAX_DEPTH} deep")
    elif isinstance(value, (list, tuple)):
        sign = "["
        for index, item in enumerate(value):
            put(sign)
            _write(item, put, f"{where}[{index}]", depth + 1)
            sign = ","
        put("]" if value else "[]")
    elif hasattr(value, "items") and hasattr(value, "keys"):
        sign = "{"
        items = [(_key(key, where), item) for key, item in value.items()]
        items.sort(key=_name if all(name.isascii() for name, _ in items) else _in_utf16)
        for name, item in items:
            put(f"{sign}{quote(name)}:")
            _write(item, put, f"{where}.{name}", depth + 1)
            sign = ","
        put("}" if sign == "," else "{}")
    else:
        raise ValueError(f"{where} is of type {type(value).__name__}, which JSON can't hold")


def _name(item: tuple[str, object]) -> str:
    """Of ASCII names, whose order is the same and needs no codec."""
    return item[0]


def _in_utf16(item: tuple[str, object]) -> bytes:
    return item[0].encode("utf-16-be")


def _fraction(value: float, where: str) -> str:
    """As ECMAScript writes a number: the shortest digits that read back, with an exponent from 1e21 and below 1e-6."""
    if not math.isfinite(value):
        raise ValueError(f"{where} is {value}, which JSON can't hold")
    if value == 0:
        return "0"
    mantissa, _, exponent = float.__repr__(abs(value)).partition("e")
    whole, _, rest = mantissa.partition(".")
    digits = (whole + rest).lstrip("0")
    point = int(exponent or 0) + (len(whole) if whole != "0" else len(digits) - len(rest))
    digits = digits.rstrip("0")
    if len(digits) <= point <= 21:
        text = digits + "0" * (point - len(digits))
    elif 0 < point <= 21:
        text = f"{digits[:point]}.{digits[point:]}"
    elif -6 < point <= 0:
        text = f"0.{'0' * -point}{digits}"
    else:
        fraction = f".{digits[1:]}" if len(digits) > 1 else ""
        text = f"{digits[0]}{fraction}e{point - 1:+d}"
    return f"-{text}" if value < 0 else text


def check_json(value: object, where: str = "$") -> JsonValue:
    """`value` as it will read back from the store: tuples become lists, mappings plain dicts, all of it copied.
    Raises ValueError naming the place (`$.findings[2].score is nan`) for what can't be stored."""
    return _checked(value, where, 0)


def _checked(value: object, where: str, depth: int) -> JsonValue:
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, str):
        return _text(value, where)
    if isinstance(value, int):
        return _whole(value, where)
    if isinstance(value, float):
        if math.isfinite(value):
            return float(value)
        raise ValueError(f"{where} is {value}, which JSON can't hold")
    if depth >= MAX_DEPTH:
        raise ValueError(f"{where} is nested more than {MAX_DEPTH} deep")
    if isinstance(value, (list, tuple)):
        return [_checked(item, f"{where}[{index}]", depth + 1) for index, item in enumerate(value)]
    if hasattr(value, "items") and hasattr(value, "keys"):
        return {_key(key, where): _checked(item, f"{where}.{key}", depth + 1) for key, item in value.items()}
    raise ValueError(f"{where} is of type {type(value).__name__}, which JSON can't hold")


def _whole(value: int, where: str) -> int:
    if value.bit_length() > MAX_BITS:
        raise ValueError(f"{where} is a whole number of more than {MAX_BITS} bits")
    return int(value)


def _key(key: object, where: str) -> str:
    if isinstance(key, str):
        return _text(key, f"a key of {where}")
    raise ValueError(f"a key of {where} is {key!r}, not text")


def _text(value: str, where: str) -> str:
    """Plain `str`, also of a subclass. Text with half a surrogate pair has no UTF-8 form."""
    if not value.isascii():
        try:
            value.encode()
        except UnicodeEncodeError:
            raise ValueError(f"{where} holds half a character (a lone surrogate)") from None
    return str(value)
