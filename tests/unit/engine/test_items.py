from __future__ import annotations

import pytest

from runkon.engine.items import LONGEST_KEY, item_path, listed, without_circles
from runkon.model.ids import StepPath

BLOCK = StepPath("p/f")


@pytest.mark.parametrize(
    ("key", "path"),
    [
        ("a", "p/f[a]"),
        ("a b", "p/f[a b]"),
        ("src/a.py", "p/f[src%2Fa.py]"),
        ("[x]#2", "p/f[%5Bx%5D%232]"),
        ("a%2Fb", "p/f[a%252Fb]"),
        ("a\nb", "p/f[a%0Ab]"),
    ],
)
def test_a_key_becomes_one_segment(key: str, path: str) -> None:
    assert item_path(BLOCK, key) == path


def test_long_keys_are_cut_and_stay_different() -> None:
    one, other = (item_path(BLOCK, "x" * 500 + end) for end in "ab")
    assert one != other
    assert max(len(one), len(other)) <= len(BLOCK) + LONGEST_KEY + 2


def test_an_order_without_circles_is_left_alone() -> None:
    diamond = (("a", "b"), ("a", "c"), ("b", "d"), ("c", "d"))
    assert without_circles("abcd", diamond) == (diamond, ())


def test_the_link_that_closes_a_circle_is_found() -> None:
    order = without_circles("abc", (("a", "b"), ("b", "c"), ("c", "a")))
    assert order.circles == (("a", "b", "c", "a"),)
    assert order.blockers == (("a", "b"), ("b", "c"))
    assert without_circles("a", (("a", "a"),)).circles == (("a", "a"),)


def test_a_long_chain_needs_no_deep_stack() -> None:
    chain = tuple((str(at), str(at + 1)) for at in range(20_000))
    assert without_circles((str(at) for at in range(20_001)), chain).circles == ()


def test_a_message_names_few() -> None:
    assert listed(["a"]) == "`a`"
    assert listed(list("abcdefg")) == "`a`, `b`, `c`, `d`, `e` and 2 more"
