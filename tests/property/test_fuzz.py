"""A few seconds of the fuzzer: always the same inputs, so that a failure here is nobody's bad luck."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from .fuzz import PROPERTIES, shrink, try_all
from .fuzz_inputs import Inputs, corpus
from .fuzz_properties import Property, case, hold
from .programs import programs

SEED = 20_240_601
COUNT = 800

relaxed = settings(
    max_examples=25,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)


def unwatched(property_name: str, seconds: float) -> None:
    """The limits of the fuzzer are for its own processes; here pytest's limit ends a test that hangs."""


@pytest.mark.parametrize("part", range(4))
def test_every_property_holds_for_the_first_inputs_of_a_seed(part: int) -> None:
    inputs = Inputs(SEED, largest=6_000)
    for number in range(part, COUNT, 4):
        made = inputs.make(number)
        failed = [f"{made.kind}: {found.signature}" for found in try_all(made.text, number, unwatched)]
        assert failed == [], made.text


@pytest.mark.parametrize("test", PROPERTIES, ids=lambda test: test.__name__)
@relaxed
@given(text=programs())
def test_every_property_holds_for_programs_of_the_grammar(test: Property, text: str) -> None:
    hold(test, case(text))


@pytest.mark.parametrize("test", PROPERTIES, ids=lambda test: test.__name__)
@relaxed
@given(text=st.text(st.characters(codec=None, exclude_categories=())))
def test_every_property_holds_for_text_of_any_kind(test: Property, text: str) -> None:
    hold(test, case(text))
    hold(test, case(f"workflow w {{ {text} }}"))


def test_equal_seeds_make_equal_inputs() -> None:
    one, again, other = Inputs(1), Inputs(1), Inputs(2)
    made = [one.make(number) for number in range(300)]
    assert made[:50] == [again.make(number) for number in range(50)]
    assert made[:50] != [other.make(number) for number in range(50)]
    assert len({each.kind for each in made}) >= 9
    assert len(corpus()) > 50


def test_a_failing_text_is_made_small() -> None:
    assert shrink("a" * 500 + "{b}" + "c" * 500, lambda text: "{" in text and "}" in text) == "{}"


def test_a_property_that_fails_is_a_finding(monkeypatch: pytest.MonkeyPatch) -> None:
    def never_holds(it: object) -> None:
        raise ValueError("no")

    monkeypatch.setitem(try_all.__globals__, "PROPERTIES", (never_holds,))
    (found,) = try_all("workflow w { }", 0, unwatched)
    assert (found.property, "ValueError" in found.signature) == ("never_holds", True)
