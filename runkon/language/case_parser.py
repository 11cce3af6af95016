"""Text of a `.wftest` file in, its tests and what is wrong with them out.

Each test is parsed by itself, from one `test "…" {` to the next, so a mistake in one leaves the others readable; of a
test only the first mistake of syntax is reported.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import cast

from runkon.language import automaton
from runkon.language.builder import Builder, Options
from runkon.language.case_nodes import Case, CaseBlock, ParsedCases
from runkon.language.diagnostics import Diagnostic, diagnose
from runkon.language.nodes import Condition, Entry, MapValue, Text
from runkon.language.option_reader import repeated_entries
from runkon.language.parser import DEEPEST
from runkon.language.recovery_blocks import too_deep
from runkon.language.recovery_wording import expected_words, found_words
from runkon.language.source import SourceFile, Span
from runkon.language.strings import string_text
from runkon.language.suggest import closest
from runkon.language.table import END, Table, case_table
from runkon.language.tokens import UNCLOSED, Token, tokenize
from runkon.named import NamedTuple

SUFFIX = ".wftest"
_OPTIONS = {
    "test": ("workflow", "inputs", "cassette"),
    "expect": ("status", "ran", "skipped", "failed", "outputs", "error", "that"),
}
_REPEATED = frozenset({"that"})  # a test may expect several conditions
_HEAD = ("TEST", "STRING", "LBRACE")
_HEADS = (_HEAD, ("TEST", "NAME", "LBRACE"))  # the second is a mistake
_BLOCK_WORDS = ("answer", "default", "decide", "expect")


class _Step(NamedTuple):
    """What an answer or a decision is for."""

    text: str
    span: Span
    quoted: Text | None = None


class _CaseBuilder(Builder):
    """Builds the tests of one file."""

    def cases(self, *cases: Case) -> tuple[Case, ...]:
        return cases

    def case(self, word: Token, name: Text, _opening: Token, *parts: Entry | CaseBlock | Token) -> Case:
        *items, closing = parts
        assert isinstance(closing, Token)
        kept = cast("tuple[Entry | CaseBlock, ...]", tuple(items))
        options = [item for item in kept if isinstance(item, Entry)]
        self._known(options, "test")
        case = Case(span=self._between(word, closing.end), name=name, items=kept)
        if case.entry("workflow") is None:
            self._report(
                diagnose(
                    "missing-option", name.span, owner="test", option="workflow", about="what `run` would be given"
                )
            )
        for second in list(case.blocks("expect"))[1:]:
            self._report(diagnose("duplicate-option", second.name_span, option="expect", owner="test"))
        return case

    def answer(self, word: Token, step: _Step, options: Options | None = None) -> CaseBlock:
        return self._block(word, step, options or Options((), step.span.end))

    def standing_answer(self, word: Token, options: Options) -> CaseBlock:
        return self._block(word, None, options)

    def decide(self, word: Token, step: _Step, options: Options) -> CaseBlock:
        return self._block(word, step, options)

    def expect(self, word: Token, _opening: Token, *parts: Entry | Token) -> CaseBlock:
        *written, closing = parts
        assert isinstance(closing, Token)
        entries = cast("tuple[Entry, ...]", tuple(written))
        self._known(entries, "expect")
        return self._block(word, None, Options(entries, closing.end))

    def expected_outputs(self, word: Token, entries: MapValue) -> Entry:
        for repeated in repeated_entries(entries.entries):
            self._report(repeated)
        return self.inputs_block(word, entries)

    def expected_condition(self, word: Token, condition: Condition) -> Entry:
        return self.condition_option(word, condition)

    def quoted_step(self, token: Token) -> _Step:
        text = self.text(token)
        return _Step(text.text, text.span, text)

    def plain_step(self, *names: Token) -> _Step:
        return _Step("".join([name.text for name in names]), self._between(names[0], names[-1].end))

    def _block(self, word: Token, step: _Step | None, options: Options) -> CaseBlock:
        for repeated in () if word.text == "expect" else repeated_entries(options.written):
            self._report(repeated)
        return CaseBlock(
            span=self._between(word, options.end),
            word=word.text,  # type: ignore[arg-type]  # the grammar has these four
            name=None if step is None else step.text,
            name_span=self._at(word) if step is None else step.span,
            quoted=None if step is None else step.quoted,
            written=options.written,
        )

    def _known(self, entries: Sequence[Entry], owner: str) -> None:
        known = _OPTIONS[owner]
        for entry in entries:
            if entry.name not in known:
                close = closest(entry.name, known)
                help = f"did you mean `{close}`?" if close else f"`{owner}` has " + ", ".join(f"`{n}`" for n in known)
                self._report(diagnose("unknown-option", entry.name_span, option=entry.name, owner=owner, help=help))
        seen: set[str] = set()
        for entry in entries:
            if entry.name in seen and entry.name not in _REPEATED:
                self._report(diagnose("duplicate-option", entry.name_span, option=entry.name, owner=owner))
            seen.add(entry.name)


def parse_cases(source: SourceFile) -> ParsedCases:
    """The tests of a file, with all findings in the order of their places. Never raises; a test with a mistake of
    syntax is missing from the result."""
    return _Reading(source, case_table()).result()


class _Reading:
    def __init__(self, source: SourceFile, table: Table) -> None:
        self._source = source
        self._table = table
        self._found: list[Diagnostic] = []

    def result(self) -> ParsedCases:
        tokens = tokenize(self._source, self._table)
        deep = too_deep(tokens, DEEPEST)
        if deep is not None:
            found = diagnose("nesting-too-deep", deep.span(self._source.path), limit=DEEPEST)
            return ParsedCases(self._source, (), (found,))
        cases = tuple(case for part in _parts(tokens) for case in self._part(part))
        return ParsedCases(self._source, cases, tuple(sorted(self._found, key=lambda d: (d.span.start, d.span.end))))

    def _part(self, tokens: list[Token]) -> tuple[Case, ...]:
        builder = _CaseBuilder(self._source.path, self._found.append, self._quoted_condition)
        before = len(self._found)
        built = automaton.run(tokens, self._table, "cases", builder)
        if isinstance(built, automaton.Stuck):
            del self._found[before:]
            self._found.append(self._mistake(tokens, built.at))
            return ()
        return cast("tuple[Case, ...]", built)

    def _mistake(self, tokens: list[Token], at: int) -> Diagnostic:
        token = tokens[min(at, len(tokens) - 1)]
        place = token.span(self._source.path)
        if token.kind == UNCLOSED:
            return diagnose("unterminated-string", place)
        if at == 0:
            label = 'expected `test "name" {`'
            return diagnose("unexpected-token", place, found=found_words(token), expected="", label=label)
        if at == 1 and token.kind == "NAME":
            label, write = "expected the name of the test in quotes", f'write `test "{token.text}" {{`'
            return diagnose("unexpected-token", place, found=found_words(token), expected="", label=label, help=write)
        if token.kind == END and tokens[:3] and tuple(t.kind for t in tokens[:3]) == _HEAD:
            head = f"test {tokens[1].text}"
            return diagnose("unclosed-block", tokens[0].span(self._source.path), head=head)
        close = closest(token.text, _BLOCK_WORDS) if token.kind == "NAME" else None
        before = tokens[at - 1]
        if before.kind == "NAME" and (near := closest(before.text, _BLOCK_WORDS)):
            close, place, token = near, before.span(self._source.path), before
        help = f"did you mean `{close}`?" if close else None
        expected = expected_words(self._fitting(tokens[:at]), before)
        return diagnose("unexpected-token", place, found=found_words(token), expected=expected, help=help)

    def _fitting(self, read: list[Token]) -> set[str]:
        """The kinds of tokens that would have fitted behind those read."""
        kinds = {*self._table.words.values(), *(kind for kind, _ in self._table.tokens), END}
        fitting = set()
        for kind in kinds:
            tried = [*read, Token(kind, "", 0, 0, 1, 1)]
            if kind in self._table.contextual and kind not in ("OUTPUTS", "IN", "AND", "OR", "UNTIL"):
                continue
            if kind == END:
                continue
            ended = automaton.run(tried, self._table, "cases", _Silent())
            if isinstance(ended, automaton.Stuck) and ended.at == len(tried):
                fitting.add(kind)
        return fitting

    def _quoted_condition(self, span: Span) -> Condition | None:
        """The condition in the string at `span`; what is wrong with it is reported there."""
        inner = string_text(self._source.text[span.start : span.end])
        tokens = [Token(t.kind, t.text, *span[1:]) for t in tokenize(SourceFile("", inner), self._table)]
        builder = _CaseBuilder(self._source.path, self._found.append, lambda _: None)
        built = automaton.run(tokens, self._table, "lone_condition", builder)
        if isinstance(built, automaton.Stuck):
            self._found.append(diagnose("invalid-condition", span, found=inner))
            return None
        return cast(Condition, built)


class _Silent:
    """A builder that builds nothing: for trying what would fit."""

    def __getattr__(self, name: str) -> object:
        return lambda *_: None


def _parts(tokens: list[Token]) -> list[list[Token]]:
    """The tokens test by test, each with an end."""
    starts = [at for at in range(len(tokens) - 2) if tuple(t.kind for t in tokens[at : at + 3]) in _HEADS]
    bounds = [0, *[at for at in starts if at > 0], len(tokens) - 1]
    last = tokens[-1]
    parts = []
    for first, end in pairwise(bounds):
        closing = tokens[end - 1].end if end else last.end
        line, column = (tokens[end].line, tokens[end].column) if end < len(tokens) else (last.line, last.column)
        parts.append([*tokens[first:end], Token(END, "", closing, closing, line, column)])
    return parts
