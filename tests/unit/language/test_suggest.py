from __future__ import annotations

import pytest

from runkon.language.suggest import closest

STATEMENTS = ("call", "script", "parallel", "gate", "if", "unless", "while", "do", "foreach", "always")


@pytest.mark.parametrize(
    ("word", "expected"),
    [
        ("parralel", "parallel"),
        ("paralel", "parallel"),
        ("cal", "call"),
        ("clal", "call"),
        ("forEach", "foreach"),
        ("scirpt", "script"),
        ("whlie", "while"),
    ],
)
def test_a_slip_finds_the_word(word: str, expected: str) -> None:
    assert closest(word, STATEMENTS) == expected


@pytest.mark.parametrize("word", ["", "banana", "x", "zz", "condition", "p" * 500])
def test_a_word_far_from_all_gets_no_suggestion(word: str) -> None:
    assert closest(word, STATEMENTS) is None


def test_dash_and_underscore_and_case_are_small_slips() -> None:
    assert closest("Max_Iterations", ["max_iterations"]) == "max_iterations"
    assert closest("push_and_pr", ["push-and-pr"]) == "push-and-pr"


def test_the_word_itself_is_never_suggested() -> None:
    assert closest("call", ["call"]) is None


def test_the_closest_wins_and_ties_go_to_the_first() -> None:
    assert closest("plan", ["plane", "flan", "clan"]) == "plane"
    assert closest("retrys", ["retry_on", "retries"]) == "retries"


def test_short_words_need_an_exact_letter_match() -> None:
    assert closest("do", ["if"]) is None
    assert closest("DO", ["do"]) == "do"


def test_no_candidates() -> None:
    assert closest("call", []) is None
