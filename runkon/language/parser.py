"""Text → workflows and diagnostics.

A text without syntax errors takes the short way: tokens, one pass over the parse table, nodes. Only when that pass is
stuck the recovery reads the tokens again, reports every mistake and hands back tokens that fit; what could be saved
is built from those.
"""

from __future__ import annotations

from typing import cast

from runkon.language import automaton
from runkon.language.builder import Builder
from runkon.language.diagnostics import Diagnostic, diagnose
from runkon.language.nodes import Condition, Workflow
from runkon.language.program import ParseResult
from runkon.language.recovery_blocks import too_deep
from runkon.language.source import SourceFile, Span
from runkon.language.strings import string_text
from runkon.language.table import Table, parse_table
from runkon.language.tokens import Token, tokenize

DEEPEST = 100  # levels of nesting; builder, checks and formatter walk the tree recursively


def parse(source: SourceFile) -> ParseResult:
    """The workflows of a file, with all independent findings in the order of their places. Never raises, on any text;
    a workflow in which statements had to be left out is missing from the result."""
    return _Parsing(source, parse_table()).result()


class _Parsing:
    def __init__(self, source: SourceFile, table: Table) -> None:
        self._source = source
        self._table = table
        self._found: list[Diagnostic] = []

    def result(self) -> ParseResult:
        tokens = tokenize(self._source, self._table)
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
        written = self._source.text[span.start : span.end]
        inner = string_text(written)
        tokens = tokenize(SourceFile(self._source.path, inner), self._table)
        if inner == written[1:-1]:
            shift, line, column = span.start + 1, span.line, span.column
            tokens = [_shifted(token, shift, line, column) for token in tokens]
        else:
            tokens = [Token(t.kind, t.text, *span[1:]) for t in tokens]
        builder = Builder(self._source.path, self._found.append, lambda _: None)
        built = automaton.run(tokens, self._table, "lone_condition", builder)
        if isinstance(built, automaton.Stuck):
            token = tokens[built.at]
            self._found.append(
                diagnose(
                    "invalid-condition",
                    token.span(self._source.path),
                    option="if",
                    expected="a condition such as `step.marker`",
                )
            )
            return None
        return built  # type: ignore[return-value]


def _in_order(found: list[Diagnostic]) -> list[Diagnostic]:
    """Sorted by place; an option that is unknown anyway is not also reported for standing too late."""
    unknown = {d.span for d in found if d.code != "option-after-statement"}
    kept = [d for d in found if d.code != "option-after-statement" or d.span not in unknown]
    return sorted(kept, key=lambda d: (d.span.start, d.span.end))


def _shifted(token: Token, offset: int, line: int, column: int) -> Token:
    """A token of the text in a string, at its place in the file; `line` and `column` are those of the string."""
    across = column + token.column if token.line == 1 else token.column
    return Token(token.kind, token.text, token.start + offset, token.end + offset, token.line + line - 1, across)
