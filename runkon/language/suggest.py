"""Did you mean: the one known name that a misspelt word is closest to."""

from __future__ import annotations

from collections.abc import Iterable

LONGEST_WORD = 80  # beyond this nobody has mistyped a name, and the comparison is quadratic


def closest(word: str, candidates: Iterable[str]) -> str | None:
    """The candidate a reader most likely meant by `word`, or None if nothing is really close.

    A third of the letters may differ, at least one; swapped neighbours, case, `-` and `_` count as small slips.
    Ties go to the candidate that comes first. The word itself is never suggested."""
    if not word or len(word) > LONGEST_WORD:
        return None
    plain = _plain(word)
    best: str | None = None
    best_distance = max(1, len(plain) // 3) + 1
    if len(plain) <= 2:
        best_distance = 1  # one slip in a word of two letters leaves nothing to recognise
    for candidate in candidates:
        if candidate == word or abs(len(candidate) - len(word)) >= max(best_distance, 1):
            continue
        distance = _distance(plain, _plain(candidate), best_distance)
        if distance < best_distance:
            best, best_distance = candidate, distance
    return best


def _plain(word: str) -> str:
    return word.casefold().replace("_", "-")


def _distance(left: str, right: str, limit: int) -> int:
    """Edits (insert, delete, replace, swap neighbours) from one word to the other; `limit` when there are as many."""
    before: list[int] = []
    previous = list(range(len(right) + 1))
    for row, letter in enumerate(left, start=1):
        current = [row]
        for column, other in enumerate(right, start=1):
            cost = min(previous[column] + 1, current[-1] + 1, previous[column - 1] + (letter != other))
            swapped = row > 1 and column > 1 and letter == right[column - 2] and left[row - 2] == other
            current.append(min(cost, before[column - 2] + 1) if swapped else cost)
        if min(current) >= limit:
            return limit
        before, previous = previous, current
    return min(previous[-1], limit)
