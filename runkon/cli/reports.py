"""What a report of an internal error may hold: the command line and the traceback without the values of inputs,
because nobody knows here which of them are secret."""

from __future__ import annotations

from collections.abc import Sequence

from runkon.named import NamedTuple

HIDDEN = "…"
_OPTIONS = ("-i", "--input")
_SHORTEST = 4  # characters: shorter values would be found everywhere


class Told(NamedTuple):
    """What may be told of a failed command."""

    words: list[str]
    text: str


def without_inputs(words: Sequence[str], text: str) -> Told:
    """`words` and `text` with the values given by `-i NAME=VALUE` hidden."""
    told: list[str] = []
    values: list[str] = []
    is_value = False
    for word in words:
        option, pair = _split(word, is_value=is_value)
        is_value = word in _OPTIONS and not is_value
        name, sign, value = pair.partition("=")
        told.append(f"{option}{name}{sign}{HIDDEN}" if sign else word)
        values.append(value)
    for value in sorted(values, key=len, reverse=True):
        if len(value) >= _SHORTEST:
            text = text.replace(value, HIDDEN).replace(repr(value)[1:-1], HIDDEN)
    return Told(told, text)


def _split(word: str, *, is_value: bool) -> tuple[str, str]:
    """The option in front, and the `NAME=VALUE` that follows it in this word; empty if there is none."""
    if is_value:
        return "", word
    if word.startswith("--input="):
        return "--input=", word.removeprefix("--input=")
    if word.startswith("-i") and len(word) > 2:
        return "-i", word[2:]
    return "", ""
