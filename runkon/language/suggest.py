"""Did you mean: the one known name that a misspelt word is closest to."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import islice

LONGEST_WORD = 80  # beyond this nobody has mistyped a name, and the comparison is quadratic
MOST_CANDIDATES = 300  # a file with a thousand mistakes must not compare each with a thousand names


def closest(word: str, candidates: Iterable[str]) -> str | None:
    """The candidate a reader most likely meant by `word`, or None if nothing is really close.

    A third of the letters may differ, at least one; swapped neighbours, case, `-` and `_` count as small slips.
    Ties go to the candidate that comes first. The word itself is never suggested. Only the first candidates count."""
    if not word or len(word) > LONGEST_WORD:
        return None
    plain = _plain(word)
    best: str | None = None
    best_distance = max(1, len(plain) // 3) + 1
    if len(plain) <= 2:
        best_distance = 1  # one slip in a word of two letters leaves nothing to recognise
    letters = set(plain)
    for candidate in islice(candidates, MOST_CANDIDATES):
        if candidate == word or abs(len(candidate) - len(word)) >= best_distance:
            continue
        other = _plain(candidate)
        if len(set(other) - letters) >= best_distance:  # each letter the word lacks is an edit
            continue
        distance = _distance(plain, other, best_distance)
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
