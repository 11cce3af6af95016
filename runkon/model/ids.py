"""Run ids and step paths: how they are made and read.

A run id is a ULID (48 bits of milliseconds, 80 random bits, Crockford base 32; github.com/ulid/spec). A step path is
the structural address of a step: `checks/lint`, `while[2]/review`, `build#2`, `tickets[41]/fix`.
"""

from __future__ import annotations

import os
import time
from typing import NewType

RunID = NewType("RunID", str)
StepPath = NewType("StepPath", str)

ROOT = StepPath("")
_CROCKFORD = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"


def new_run_id() -> RunID:
    """A fresh ULID, 26 characters, sortable by the millisecond of its making."""
    value = (time.time_ns() // 1_000_000) << 80 | int.from_bytes(os.urandom(10), "big")
    return RunID("".join(_CROCKFORD[value >> shift & 31] for shift in range(125, -1, -5)))


def is_run_id(text: object) -> bool:
    """True for what `new_run_id` could have made."""
    return isinstance(text, str) and len(text) == 26 and text[0] <= "7" and all(one in _CROCKFORD for one in text)


def child(parent: StepPath, segment: str) -> StepPath:
    """`segment` inside `parent`."""
    return StepPath(f"{parent}/{segment}" if parent else segment)


def occurrence(segment: str, number: int) -> str:
    """The n-th equal segment of one body, counted from 1: `build`, `build#2`, `build#3`."""
    return segment if number == 1 else f"{segment}#{number}"


def iteration(segment: str, index: int) -> str:
    """A loop's segment in its `index`-th round, from 0: `while[2]`."""
    return f"{segment}[{index}]"


def is_in_always(path: StepPath) -> bool:
    """True for a step of a leg's always block. Later legs run their own and never read an earlier one's."""
    return path.startswith("always#")


def escape_key(key: str) -> str:
    """The key of an item as it stands in a segment: `/ [ ] # %` are written as `%XX`."""
    for char in "%/[]#":
        key = key.replace(char, f"%{ord(char):02X}")
    return key
