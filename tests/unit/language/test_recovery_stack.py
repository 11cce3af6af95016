from __future__ import annotations

import pytest

from runkon.language.parser import parse
from runkon.language.source import SourceFile


@pytest.mark.parametrize("text", ['a{r=l"a=[""{', "workflow w { call a { x = [ { ", "workflow w { call a { x = [ [] "])
def test_a_bracket_inside_an_open_list_never_keeps_the_reader_going(text: str) -> None:
    assert not parse(SourceFile("x.wf", text)).ok
