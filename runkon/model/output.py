"""What a step gives back: markers, context, values, and what it cost."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field
from types import MappingProxyType
from typing import TypeAlias

from runkon.frozen import value_class

JsonValue: TypeAlias = bool | int | float | str | list["JsonValue"] | dict[str, "JsonValue"] | None

EMPTY: Mapping[str, JsonValue] = MappingProxyType({})


@value_class(frozen=True, slots=True)
class Usage:
    """What an attempt cost. `cost_usd` is None where the price is not known."""

    cost_usd: float | None = None
    input_tokens: int = 0
    output_tokens: int = 0
    turns: int = 0


@value_class(frozen=True, slots=True)
class Output:
    """The result of a step. `markers` are its named yeses, `context` its text for later steps, `values` its
    structured output (JSON). `degraded` is true when a fallback produced it. `text` is a sentence for people, `model`
    names the model that answered, None where none did."""

    markers: frozenset[str] = frozenset()
    context: str = ""
    values: Mapping[str, JsonValue] = field(default_factory=lambda: EMPTY)
    usage: Usage | None = None
    degraded: bool = False
    text: str = ""
    model: str | None = None


NO_OUTPUT = Output()


def as_output(value: object) -> Output:
    """What an executor returned, as an `Output`: a dict is structured output (its `markers` and `context` are taken
    out), a str is the context, None is empty. Raises TypeError or ValueError, in words, for anything else."""
    if value is None:
        return NO_OUTPUT
    if isinstance(value, Output):
        return value
    if isinstance(value, str):
        return Output(context=value)
    if isinstance(value, Mapping):
        return _from_mapping(value)
    raise TypeError(f"an executor returns Output, dict, str or None, not {type(value).__name__}")


def _from_mapping(value: Mapping[object, object]) -> Output:
    rest: dict[str, JsonValue] = {}
    for key, item in value.items():
        if not isinstance(key, str):
            raise TypeError(f"a key of the output is {key!r}, not text")
        if key not in ("markers", "context"):
            rest[key] = item  # type: ignore[assignment]  # the recorder refuses what JSON can't hold
    markers = value.get("markers", ())
    if isinstance(markers, str) or not isinstance(markers, (list, tuple, set, frozenset)):
        raise TypeError("`markers` of the output is not a list of texts")
    if not all(isinstance(marker, str) for marker in markers):
        raise TypeError("`markers` of the output is not a list of texts")
    context = value.get("context", "")
    if not isinstance(context, str):
        raise TypeError("`context` of the output is not text")
    return Output(markers=frozenset(markers), context=context, values=rest)
