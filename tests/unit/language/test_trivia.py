from __future__ import annotations

from runkon.language.source import SourceFile
from runkon.language.trivia import Trivia


def trivia(text: str) -> Trivia:
    return Trivia(SourceFile("t.wf", text))


def test_comments_are_taken_in_order_and_once() -> None:
    found = trivia("a // one \nb # two\nc //three")
    assert [comment.text for comment in found.take(10)] == ["// one"]
    assert [comment.text for comment in found.take(100)] == ["# two", "//three"]
    assert found.take(100) == []


def test_strings_hold_no_comments_and_no_brackets() -> None:
    text = '{ "// x \\" {" """ # y "" } """ [ ] }'
    found = trivia(text)
    assert found.take(len(text)) == []
    assert found.closing(0) == len(text) - 1
    assert found.string_at(2) == '"// x \\" {"'
    assert found.string_at(3) is None


def test_a_trailing_comment_stands_on_the_same_line() -> None:
    found = trivia("a // one\n// two")
    assert found.take_trailing(1, 100) == (2, "// one")
    assert found.take_trailing(1, 100) is None
    assert [comment.text for comment in found.take(100)] == ["// two"]


def test_a_trailing_comment_beyond_the_limit_is_left() -> None:
    found = trivia("a b // one")
    assert found.take_trailing(1, 2) is None
    assert found.take_trailing(3, 100) == (4, "// one")


def test_one_line_means_no_line_end_and_no_comment() -> None:
    found = trivia("{ a } { b\n} { c // x\n}")
    assert found.on_one_line(0, 5)
    assert not found.on_one_line(6, 11)
    assert not found.on_one_line(12, 19)


def test_blank_lines_are_seen_only_before_the_first_thing_of_a_line() -> None:
    text = "a\n \t\n  b c\nd"
    found = trivia(text)
    assert found.blank_before(text.index("b"))
    assert not found.blank_before(text.index("c"))
    assert not found.blank_before(text.index("d"))
    assert not found.blank_before(0)


def test_equals_signs_in_comments_do_not_count() -> None:
    assert trivia("x = 1").has_equals(0, 5)
    assert not trivia("x // = \n# =\n{").has_equals(0, 13)


def test_an_unmatched_bracket_is_ignored() -> None:
    assert trivia("} { }").closing(2) == 4
