"""Times and amounts as people and programs read them."""

from __future__ import annotations

import time

_SECOND, _MINUTE, _HOUR, _DAY = 1000, 60_000, 3_600_000, 86_400_000


def iso(milliseconds: int | None) -> str | None:
    """`2026-01-01T00:00:00.000Z` for milliseconds UTC."""
    if milliseconds is None:
        return None
    whole = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(milliseconds // 1000))
    return f"{whole}.{milliseconds % 1000:03d}Z"


def elapsed(milliseconds: int) -> str:
    """A duration in at most two units: `0.4s`, `58s`, `1m58s`, `2h05m`, `3d04h`."""
    milliseconds = max(0, milliseconds)
    if milliseconds < 9_950:
        return f"{milliseconds / 1000:.1f}s"
    seconds = round(milliseconds / 1000)
    if seconds < 60:
        return f"{seconds}s"
    if seconds < 3600:
        return f"{seconds // 60}m{seconds % 60:02d}s"
    if seconds < 86_400:
        return f"{seconds // 3600}h{seconds % 3600 // 60:02d}m"
    return f"{seconds // 86_400}d{seconds % 86_400 // 3600:02d}h"


def clock(milliseconds: int) -> str:
    """A running time of fixed width: `00:03:12`."""
    seconds = max(0, milliseconds) // 1000
    return f"{seconds // 3600:02d}:{seconds % 3600 // 60:02d}:{seconds % 60:02d}"


def ago(milliseconds: int) -> str:
    """How long something is past, in one unit: `just now`, `5m ago`, `3h ago`, `2d ago`."""
    for unit, name in ((_DAY, "d"), (_HOUR, "h"), (_MINUTE, "m"), (_SECOND, "s")):
        if milliseconds >= unit:
            return f"{milliseconds // unit}{name} ago"
    return "just now"


def money(dollars: float, *, known: bool = True) -> str:
    """`$0.41`; small amounts keep two figures that count; `≥` where a price is missing."""
    text = f"${dollars:.2f}" if dollars >= 0.01 or dollars == 0 else f"${dollars:.2g}"
    return text if known else f"≥{text}"


def counted(number: int, noun: str) -> str:
    """`1 step`, `2 steps`."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
