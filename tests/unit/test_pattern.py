"""Patterns compiled late behave as compiled ones do."""

from __future__ import annotations

import re

import pytest

from runkon.pattern import pattern


def test_it_finds_what_the_compiled_pattern_finds() -> None:
    late, compiled = pattern(r"(a)(B)?", re.IGNORECASE), re.compile(r"(a)(B)?", re.IGNORECASE)
    for text in ("ab", "xA", "", "aab"):
        for _ in range(2):
            assert late.sub("-", text) == compiled.sub("-", text)
            assert bool(late.fullmatch(text)) is bool(compiled.fullmatch(text))
            assert [m.span() for m in late.finditer(text)] == [m.span() for m in compiled.finditer(text)]
    assert late.pattern == compiled.pattern


def test_nothing_is_compiled_before_the_first_use() -> None:
    late = pattern("(")
    with pytest.raises(re.error):
        late.match("x")
    with pytest.raises(AttributeError):
        pattern("x").nothing  # type: ignore[attr-defined]  # noqa: B018
