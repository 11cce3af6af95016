"""JSON as runkon stores it: compact text that reads back as exactly the same value.

Keys keep their order and numbers their type, so a resumed run sees what the first one saw. What can't make that
round trip is refused with ValueError, in words: not-a-number, infinities, lone surrogates, keys that are not text.
"""

from __future__ import annotations

import json
import math

from runkon.model.output import JsonValue

MAX_DEPTH = 128
MAX_BITS = 14_000  # Python reads and writes no decimal text of more than 4300 digits
_ENCODER = json.JSONEncoder(ensure_ascii=False, allow_nan=False, separators=(",", ":"))
_CANONICAL = json.JSONEncoder(ensure_ascii=False, allow_nan=False, separators=(",", ":"), sort_keys=True)

loads = json.loads


def dumps(value: object) -> str:
    """`value` as compact text. Raises ValueError or TypeError for what JSON can't hold."""
    return _ENCODER.encode(value)


def canonical(value: object) -> str:
    """`dumps` with sorted keys: equal values give equal text, for hashes."""
    return _CANONICAL.encode(value)


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
