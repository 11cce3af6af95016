from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runkon.language.template import Placeholder, parse_template, single_placeholder


def names(text: str) -> list[str]:
    return [piece.name for piece in parse_template(text) if isinstance(piece, Placeholder)]


def test_text_and_placeholders_alternate() -> None:
    pieces = parse_template("hi {{who}}, {{ plan.score }}!")
    assert pieces == (
        "hi ",
        Placeholder("who", ("who",), None, "{{who}}", 3),
        ", ",
        Placeholder("plan.score", ("plan", "score"), None, "{{ plan.score }}", 12),
        "!",
    )


def test_text_without_placeholders_is_one_piece_and_empty_text_is_none() -> None:
    assert parse_template("plain } { text") == ("plain } { text",)
    assert parse_template("") == ()


@pytest.mark.parametrize("text", ["x {{who", "{{", "}}{{", "{ {who}}"])
def test_an_unclosed_placeholder_is_text(text: str) -> None:
    assert parse_template(text) == (text,)


@pytest.mark.parametrize(
    ("written", "default"),
    [
        ('{{a ?? "text"}}', "text"),
        ('{{a??"text"}}', "text"),
        ("{{a ?? 'it is'}}", "it is"),
        ('{{a ?? ""}}', ""),
        ('{{a ?? "say \\"hi\\"\\n"}}', 'say "hi"\n'),
        ('{{a ?? "}} inside"}}', "}} inside"),
        ("{{a ?? bare}}", "bare"),
        ("{{a ??}}", ""),
        ('{{a ?? "open}}', '"open'),
    ],
)
def test_a_default_follows_two_question_marks(written: str, default: str) -> None:
    only = single_placeholder(written)
    assert only is not None
    assert (only.name, only.default, only.raw) == ("a", default, written)


def test_a_placeholder_ends_at_the_first_closing_braces() -> None:
    assert names("{{a}}}}{{b}}") == ["a", "b"]
    assert names("{{{a}}}") == ["{a"]


def test_only_a_lone_placeholder_is_single() -> None:
    assert single_placeholder("{{x}}") is not None
    assert single_placeholder(" {{x}}") is None
    assert single_placeholder("{{x}}{{y}}") is None
    assert single_placeholder("{{x") is None


def test_parsing_twice_gives_the_cached_pieces() -> None:
    assert parse_template("again {{x}}") is parse_template("again {{x}}")


@given(st.text(alphabet="ab {}?\"'\\.\n", max_size=40))
def test_the_pieces_put_together_are_the_text(text: str) -> None:
    pieces = parse_template(text)
    assert "".join(piece if isinstance(piece, str) else piece.raw for piece in pieces) == text
    assert all(piece for piece in pieces if isinstance(piece, str))
    for piece in pieces:
        if isinstance(piece, Placeholder):
            assert text[piece.start :].startswith(piece.raw)
