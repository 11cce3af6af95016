"""Run ids shortened as far as they stay unique, so that what is shown can be typed back."""

from __future__ import annotations

from collections.abc import Iterable

SHORTEST = 10  # the time part of a ULID: shorter prefixes are shared by runs of one day


def shortened(ids: Iterable[str]) -> dict[str, str]:
    """For each id its shortest prefix, of at least `SHORTEST` characters, that no other of them has."""
    ordered = sorted(set(ids))
    result: dict[str, str] = {}
    for index, full in enumerate(ordered):
        shared = 0
        for other in (*ordered[max(0, index - 1) : index], *ordered[index + 1 : index + 2]):
            shared = max(shared, _common(full, other))
        result[full] = full[: max(SHORTEST, shared + 1)]
    return result


def _common(left: str, right: str) -> int:
    """How many leading characters two texts share."""
    for at, (one, other) in enumerate(zip(left, right, strict=False)):
        if one != other:
            return at
    return min(len(left), len(right))
