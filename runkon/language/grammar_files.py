"""Finds the grammar: beside the package in a wheel, at the top of the checkout otherwise."""

from __future__ import annotations

import functools
from pathlib import Path

_PACKAGE = Path(__file__).resolve().parent.parent


@functools.cache
def grammar_text() -> str:
    """The text of `runkon.lark`. Raises FileNotFoundError, naming both places, for a broken installation."""
    return _text("runkon.lark")


@functools.cache
def case_grammar_text() -> str:
    """The grammar of `.wftest` files: that of workflows, and what tests add. Raises FileNotFoundError as well."""
    return f"{grammar_text()}\n{_text('cases.lark')}"


def _text(name: str) -> str:
    places = (_PACKAGE / "grammar" / name, _PACKAGE.parent / "grammar" / name)
    for place in places:
        if place.is_file():
            return place.read_text(encoding="utf-8")
    raise FileNotFoundError(f"{name} is in neither {places[0]} nor {places[1]}")
