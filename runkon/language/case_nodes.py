"""The tree of a `.wftest` file: tests, their options, and four kinds of blocks."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import field
from typing import Literal

from runkon.frozen import frozen as node
from runkon.frozen import value_class
from runkon.language.diagnostics import Diagnostic, Severity
from runkon.language.nodes import Entry, Text
from runkon.language.source import SourceFile, Span


@node
class CaseBlock:
    """`answer PATH { … }`, `default { … }`, `decide GATE { … }` or `expect { … }`. `name` is the path or key, or None.
    `quoted` is the name's literal where it stands in quotes. A condition is the value behind `that` only."""

    span: Span = field(compare=False, repr=False)
    word: Literal["answer", "default", "decide", "expect"]
    name: str | None = None
    name_span: Span = field(compare=False, repr=False)
    quoted: Text | None = field(default=None, compare=False)
    written: tuple[Entry, ...] = ()

    def entry(self, name: str) -> Entry | None:
        """The entry of that name."""
        return next((entry for entry in self.written if entry.name == name), None)


@node
class Case:
    """`test "name" { … }`. `items` is everything between the braces in source order."""

    span: Span = field(compare=False, repr=False)
    name: Text
    items: tuple[Entry | CaseBlock, ...] = ()

    def blocks(self, word: str) -> Iterator[CaseBlock]:
        """Its blocks of one kind, in source order."""
        return (item for item in self.items if isinstance(item, CaseBlock) and item.word == word)

    def entry(self, name: str) -> Entry | None:
        """The option of that name."""
        return next((item for item in self.items if isinstance(item, Entry) and item.name == name), None)


@value_class(frozen=True, slots=True)
class ParsedCases:
    """The tests of one file that could be read, and what is wrong with the file."""

    source: SourceFile
    cases: tuple[Case, ...] = ()
    diagnostics: tuple[Diagnostic, ...] = ()

    @property
    def ok(self) -> bool:
        return not any(found.severity is Severity.ERROR for found in self.diagnostics)
