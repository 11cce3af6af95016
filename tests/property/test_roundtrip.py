from __future__ import annotations

import re
from collections import Counter

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from runkon.language.formatter import format_source
from runkon.language.parser import parse
from runkon.language.program import ParseResult
from runkon.language.source import SourceFile
from runkon.language.trivia import Trivia

from .programs import lay_out, programs, token_lists

PIECES = re.compile(r'(?://|#)[^\n]*|"""(?:[^"\\]|\\.|"(?!""))*"""|"(?:[^"\\]|\\.)*"', re.DOTALL)

relaxed = settings(
    max_examples=60,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)


def read(text: str) -> ParseResult:
    return parse(SourceFile("generated.wf", text))


def formatted(text: str) -> str:
    result, found = format_source(SourceFile("generated.wf", text))
    assert result is not None, [(d.code, d.message, d.span.line) for d in found]
    return result


def comments(text: str) -> Counter[str]:
    return Counter(comment.text for comment in Trivia(SourceFile("generated.wf", text)).take(len(text)))


@relaxed
@given(programs())
def test_generated_programs_parse(text: str) -> None:
    assert [(d.code, d.message) for d in read(text).diagnostics] == []


@relaxed
@given(programs())
def test_formatting_keeps_the_program(text: str) -> None:
    assert read(formatted(text)).workflows == read(text).workflows


@relaxed
@given(programs())
def test_formatting_twice_changes_nothing_more(text: str) -> None:
    once = formatted(text)
    assert formatted(once) == once


@relaxed
@given(programs())
def test_every_comment_is_kept_exactly_once(text: str) -> None:
    assert comments(formatted(text)) == comments(text)


@relaxed
@given(programs())
def test_lines_end_without_white_space_and_blank_lines_are_single(text: str) -> None:
    # Strings keep what they say, so only what stands between them is looked at.
    code = PIECES.sub(lambda piece: '""' if piece[0].startswith('"') else piece[0], formatted(text))
    assert not re.search(r"[ \t]\n", code)
    assert "\n\n\n" not in code
    assert code.endswith("\n")
    assert not code.startswith("\n")


@relaxed
@given(token_lists(), st.lists(st.sampled_from([" ", "\n", "\t", "\n  "]), min_size=1, max_size=9))
def test_layout_never_changes_the_program(tokens: list[str], gaps: list[str]) -> None:
    assert read(lay_out(tokens, gaps)).workflows == read(lay_out(tokens, [" "])).workflows
