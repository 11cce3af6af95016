"""Text → workflows and diagnostics.

A text without syntax errors takes the short way: tokens, one pass over the parse table, nodes. Only when that pass is
stuck the recovery reads the tokens again, reports every mistake and hands back tokens that fit; what could be saved
is built from those.
"""

from __future__ import annotations

import gc
from functools import cached_property
from typing import cast

from runkon.language import automaton
from runkon.language.builder import Builder
from runkon.language.diagnostics import Diagnostic, diagnose
from runkon.language.nodes import Condition, Workflow
from runkon.language.program import ParseResult
from runkon.language.recovery_blocks import Levels, too_deep
from runkon.language.recovery_wording import shown
from runkon.language.source import SourceFile, Span
from runkon.language.strings import string_text
from runkon.language.table import Table, parse_table
from runkon.language.tokens import Token, tokenize

DEEPEST = 100  # levels of nesting; builder, checks and formatter walk the tree recursively


def parse(source: SourceFile, table: Table | None = None) -> ParseResult:
    """The workflows of a file, with all independent findings in the order of their places. Never raises, on any text;
    a workflow in which statements had to be left out is missing from the result. `table` saves building it."""
    table = table or parse_table()
    collecting = gc.isenabled()
    gc.disable()  # a growing tree is no garbage: looking for some takes half the time of a very long file
    try:
        return _Parsing(source, table).result()
    finally:
        if collecting:
            gc.enable()


class _Parsing:
    def __init__(self, source: SourceFile, table: Table) -> None:
        self._source = source
        self._table = table
        self._tokens: list[Token] = []
        self._found: list[Diagnostic] = []

    def result(self) -> ParseResult:
        self._tokens = tokens = tokenize(self._source, self._table)
        deep = too_deep(tokens, DEEPEST)
        if deep is not None:
            span = deep.span(self._source.path)
            return ParseResult(self._source, (), (diagnose("nesting-too-deep", span, limit=DEEPEST),))
        workflows = self._build(tokens)
        if workflows is None:
            workflows = self._rescued(tokens)
        return ParseResult(self._source, workflows, tuple(_in_order(self._found)))

    def _build(self, tokens: list[Token]) -> tuple[Workflow, ...] | None:
        """The workflows, or None if the tokens do not parse; nothing counts as found then."""
        builder = Builder(self._source.path, self._found.append, self._quoted_condition)
        built = automaton.run(tokens, self._table, "start", builder)
        if isinstance(built, automaton.Stuck):
            self._found.clear()
            return None
        return cast("tuple[Workflow, ...]", built)

    def _rescued(self, tokens: list[Token]) -> tuple[Workflow, ...]:
        """The workflows in which nothing was lost. Findings of the builder on a line with a syntax error are
        consequences of it and are left out."""
        # late: most files have no syntax error
        from runkon.language.recovery import Recovery

        recovered = Recovery(self._source, self._table, tokens).run()
        workflows = self._build(recovered.tokens) or ()
        self._found = [d for d in self._found if d.span.line not in recovered.lines] + recovered.diagnostics
        return tuple([w for w in workflows if not any(w.span.start <= at <= w.span.end for at in recovered.unsound)])

    def _quoted_condition(self, span: Span) -> Condition | None:
        """The condition that stands as text in the string at `span`; what is wrong with it is reported there."""
        tokens = self._tokens_inside(span)
        deep = too_deep(tokens, DEEPEST - self._levels.at(span.start))
        if deep is not None:
            self._found.append(diagnose("nesting-too-deep", deep.span(self._source.path), limit=DEEPEST))
            return None
        builder = Builder(self._source.path, self._found.append, lambda _: None)
        built = automaton.run(tokens, self._table, "lone_condition", builder)
        if isinstance(built, automaton.Stuck):
            token = tokens[built.at]
            place = token.span(self._source.path) if token.text else span
            found = shown(self._source.text[span.start : span.end])
            self._found.append(diagnose("invalid-condition", place, found=found))
            return None
        return cast(Condition, built)

    @cached_property
    def _levels(self) -> Levels:
        return Levels(self._tokens)

    def _tokens_inside(self, span: Span) -> list[Token]:
        """The tokens of a string's text, each at its place in the file where the text is written as it is read."""
        written = self._source.text[span.start : span.end]
        inner = string_text(written)
        tokens = tokenize(SourceFile(self._source.path, inner), self._table)
        if inner != written[1:-1]:
            return [Token(token.kind, token.text, *span[1:]) for token in tokens]
        return [_shifted(token, span) for token in tokens]


def _in_order(found: list[Diagnostic]) -> list[Diagnostic]:
    """Sorted by place; an option that is unknown anyway is not also reported for standing too late."""
    unknown = {d.span for d in found if d.code != "option-after-statement"}
    kept = [d for d in found if d.code != "option-after-statement" or d.span not in unknown]
    return sorted(kept, key=lambda d: (d.span.start, d.span.end))


def _shifted(token: Token, string: Span) -> Token:
    """A token of the text in a string, at its place in the file."""
    start, end = token.start + string.start + 1, token.end + string.start + 1
    column = string.column + token.column if token.line == 1 else token.column
    return Token(token.kind, token.text, start, end, string.line + token.line - 1, column)
