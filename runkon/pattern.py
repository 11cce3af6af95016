"""Regular expressions that are compiled when they are first used: a start defines dozens and needs a few."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

__all__ = ["pattern"]

if TYPE_CHECKING:
    from re import compile as pattern
else:

    class pattern:  # noqa: N801  # stands for the function `re.compile`
        """`re.compile`, later: each method is fetched once, then it is the compiled pattern's own."""

        def __init__(self, text: str, flags: int = 0) -> None:
            self._written = (text, flags)

        def __getattr__(self, name: str) -> object:
            found = getattr(re.compile(*self._written), name)
            setattr(self, name, found)
            return found
