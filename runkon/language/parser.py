"""Text → workflows and diagnostics.

A text without syntax errors takes the short way: tokens, one pass over the parse table, nodes. Only when that pass is
stuck the recovery reads the tokens again, reports every mistake and hands back tokens that fit; what could be saved
is built from those.
"""

from __future__ import annotations

from runkon.language import automaton
from runkon.language.builder import Builder
from runkon.language.diagnostics import Diagnostic, diagnose
from runkon.language.nodes import Condition, Workflow
from runkon.language.program import ParseResult
from runkon.language.source import SourceFile, Span
from runkon.language.strings import string_text
from runkon.language.table import Table, parse_table
from runkon.language.tokens import Token, tokenize


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
        workflows = self._build(tokens)
        if workflows is None:
            workflows = ()
        found = sorted(self._found, key=lambda d: (d.span.start, d.span.end))
        return ParseResult(self._source, workflows, tuple(found))

    def _build(self, tokens: list[Token]) -> tuple[Workflow, ...] | None:
        builder = Builder(self._source.path, self._found.append, self._quoted_condition)
        built = automaton.run(tokens, self._table, "start", builder)
        if isinstance(built, automaton.Stuck):
            token = tokens[built.at]
            span = token.span(self._source.path)
            self._found.append(diagnose("unexpected-token", span, found=f"`{token.text}`", expected="something else"))
            return None
        return built  # type: ignore[return-value]

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


def _shifted(token: Token, offset: int, line: int, column: int) -> Token:
    """A token of the text in a string, at its place in the file; `line` and `column` are those of the string."""
    across = column + token.column if token.line == 1 else token.column
    return Token(token.kind, token.text, token.start + offset, token.end + offset, token.line + line - 1, across)
