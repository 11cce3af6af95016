from __future__ import annotations

import pytest


@pytest.mark.parametrize(
    ("declaration", "at"),
    [
        ("f boolean default = maybe", "maybe"),
        ('n number default = "many"', '"many"'),
        ("n integer default = 1.5", "1.5"),
        ('l list default = "a, b"', '"a, b"'),
        ('l list default = "{}"', '"{}"'),
        ('m one_of ["fast", "slow"] default = medium', "medium"),
        ('m one_of ["fast", "slow"] default = ["fast"]', '["fast"]'),
    ],
)
def test_a_default_of_another_type_is_an_error_under_the_value(only, declaration: str, at: str) -> None:
    text = f"W{{ inputs {{ {declaration} }} }}"
    found = only(text)
    assert found.code == "invalid-value"
    assert found.span.end - found.span.start == len(at)
    assert "default of the input" in found.label


@pytest.mark.parametrize(
    "declaration",
    [
        "f boolean default = true",
        'f boolean default = "FALSE"',
        "n number default = -1.5",
        'n number default = "2e3"',
        'n integer default = "7"',
        "n integer default = 2.0",
        'l list default = ["a", 1]',
        'l list default = "[1, 2]"',
        'm one_of ["fast", "slow"] default = slow',
        "s default = 5",
        "k secret default = none",
        "plain",
    ],
)
def test_a_default_that_could_be_given_is_fine(codes, declaration: str) -> None:
    assert codes(f"W{{ inputs {{ {declaration} }} }}") == []


def test_every_wrong_default_is_reported(codes) -> None:
    assert codes("W{ inputs { a boolean default = 1 b number default = x } }") == ["invalid-value", "invalid-value"]
