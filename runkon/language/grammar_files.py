"""Finds the grammar: beside the package in a wheel, at the top of the checkout otherwise."""

from __future__ import annotations

import functools
from pathlib import Path

_PACKAGE = Path(__file__).resolve().parent.parent


@functools.cache
def grammar_text() -> str:
    """The text of `runkon.lark`. Raises FileNotFoundError, naming both places, for a broken installation."""
    places = (_PACKAGE / "grammar" / "runkon.lark", _PACKAGE.parent / "grammar" / "runkon.lark")
    for place in places:
        if place.is_file():
            return place.read_text(encoding="utf-8")
    raise FileNotFoundError(f"runkon.lark is in neither {places[0]} nor {places[1]}")
