from __future__ import annotations

import sys
from types import FrameType

import pytest

from runkon.language.strings import string_text


@pytest.mark.parametrize(
    ("written", "text"),
    [
        ('"""\n    a\n      b\n  """', "a\n  b\n"),
        ('"""\n\t a\n\t  b"""', "a\n b"),
        ('"""\n  a\n\t b"""', "  a\n\t b"),
        ('"""\n  \ta\n  b\n"""', "\ta\nb\n"),
        ('"""\n\n   \n   a\n"""', "\n\na\n"),
        ('"""\n   \n\n"""', "\n\n"),
        ('"""a\n  b"""', "a\n  b"),
    ],
)
def test_the_indentation_that_all_lines_share_is_left_out(written: str, text: str) -> None:
    assert string_text(written) == text


def test_work_does_not_grow_with_the_square_of_the_indentation() -> None:
    # One line begins with a tab, the other with spaces: they share nothing.
    _lines_run(1)  # what is compiled or looked up once is not part of the work
    assert _lines_run(100_000) == _lines_run(100)


def _lines_run(indentation: int) -> int:
    count = 0

    def trace(frame: FrameType, event: str, argument: object) -> object:
        nonlocal count
        count += event == "line"
        return trace

    written = '"""\n' + " " * indentation + "a\n\t" + " " * indentation + 'b"""'
    before = sys.gettrace()
    sys.settrace(trace)
    try:
        string_text(written)
    finally:
        sys.settrace(before)
    return count
