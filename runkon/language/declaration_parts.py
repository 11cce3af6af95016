"""The flat parts of a section that declares names, and how they are read one name after the other."""

from __future__ import annotations

from collections.abc import Callable
from typing import Generic, TypeAlias, TypeVar

from runkon.language.builder_values import Report
from runkon.language.diagnostics import diagnose
from runkon.language.nodes import ListValue, Value
from runkon.language.source import Span
from runkon.language.tokens import Token
from runkon.named import NamedTuple


class InputValue(NamedTuple):
    """`= value` inside a declaration."""

    value: Value


class Separator(NamedTuple):
    """A `,` or `;`: what follows is the next name."""

    token: Token


Part: TypeAlias = Token | InputValue | ListValue | Separator
T = TypeVar("T")


class PartReader(Generic[T]):
    """Reads `parts` from left to right; what belongs to no declaration is reported and left out."""

    def __init__(self, parts: tuple[Part, ...], file: str, report: Report) -> None:
        self._parts = parts
        self._file = file
        self._report = report
        self._at = 0

    def read(self, declare: Callable[[Token, T | None], T]) -> list[T]:
        """All declarations in order: what `declare` makes of each name and the one before, None if that is apart."""
        found: list[T] = []
        is_apart = True
        while self._at < len(self._parts):
            part = self._parts[self._at]
            self._at += 1
            if isinstance(part, Token):
                found.append(declare(part, None if is_apart else found[-1]))
                is_apart = False
            elif isinstance(part, Separator):
                if is_apart:
                    self._refuse(part.token.span(self._file), "a name")
                is_apart = True
            else:
                stray = part.value if isinstance(part, InputValue) else part
                self._refuse(stray.span, "a name")
        return found

    def _peek(self) -> Part | None:
        return self._parts[self._at] if self._at < len(self._parts) else None

    def _refuse(self, span: Span, expected: str) -> None:
        self._report(diagnose("invalid-declaration", span, expected=expected))
