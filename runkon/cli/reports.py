"""What a report of an internal error may hold: the command line and the traceback without the values of inputs,
because nobody knows here which of them are secret."""

from __future__ import annotations

from collections.abc import Sequence

from runkon.named import NamedTuple

HIDDEN = "…"
_PAIRS = ("-i", "--input", "--set")  # NAME=VALUE
_TEXTS = ("-m", "--message")  # of which all is hidden
_SHORTEST = 4  # characters: shorter values would be found everywhere


class Told(NamedTuple):
    """What may be told of a failed command."""

    words: list[str]
    text: str


def without_inputs(words: Sequence[str], text: str) -> Told:
    """`words` and `text` with the values given by `-i`, `--set` and `-m` hidden."""
    told: list[str] = []
    values: list[str] = []
    before = ""
    for word in words:
        option, given = _split(word, before)
        before = "" if before in (*_PAIRS, *_TEXTS) else word
        name, sign, value = given.partition("=") if option[1] else ("", "", given)
        is_hidden = bool(sign if option[1] else value)
        told.append(f"{option[0]}{name}{sign}{HIDDEN}" if is_hidden else word)
        values.append(value)
    for value in sorted(values, key=len, reverse=True):
        if len(value) >= _SHORTEST:
            text = text.replace(value, HIDDEN).replace(repr(value)[1:-1], HIDDEN)
    return Told(told, text)


def _split(word: str, before: str) -> tuple[tuple[str, bool], str]:
    """The option in front and whether it takes `NAME=VALUE`, and what it is given in this word; empty if nothing."""
    if before in _PAIRS or before in _TEXTS:
        return ("", before in _PAIRS), word
    for option in (*_PAIRS, *_TEXTS):
        start = option if len(option) == 2 else f"{option}="
        if word.startswith(start) and len(word) > len(start):
            return (start, option in _PAIRS), word[len(start) :]
    return ("", True), ""
