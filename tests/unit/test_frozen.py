"""The shape of nodes and events: what a standard frozen dataclass would do, at a fifth of the cost."""

from __future__ import annotations

import copy
import pickle
from dataclasses import MISSING, FrozenInstanceError, dataclass, field, fields, is_dataclass, replace
from typing import ClassVar

import pytest

from runkon.frozen import Late, Later, defaults, frozen, is_late, is_value, record, value_class


@frozen
class Point:
    """A class like those of the syntax tree."""

    place: int = field(compare=False, repr=False)
    x: int
    y: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Reference:
    place: int = field(compare=False, repr=False)
    x: int
    y: tuple[int, ...] = ()


@frozen
class Other:
    x: int


def test_equality_hash_and_text_are_those_of_the_standard_class() -> None:
    for left, right in (
        ({"place": 1, "x": 2}, {"place": 9, "x": 2}),
        ({"place": 1, "x": 2}, {"place": 1, "x": 3}),
        ({"place": 1, "x": 2, "y": (1,)}, {"place": 1, "x": 2}),
    ):
        is_equal = Reference(**left) == Reference(**right)  # type: ignore[arg-type]
        assert (Point(**left) == Point(**right)) is is_equal  # type: ignore[arg-type]
        assert (hash(Point(**left)) == hash(Point(**right))) is is_equal  # type: ignore[arg-type]
    assert repr(Point(place=1, x=2, y=(3,))) == repr(Reference(place=1, x=2, y=(3,))).replace("Reference", "Point")


def test_another_class_is_never_equal() -> None:
    assert Other(x=1) != Point(place=0, x=1)
    assert Other(x=1) != 1


def test_it_is_slotted_takes_keywords_only_and_can_be_replaced() -> None:
    point = Point(place=1, x=2)
    assert not hasattr(point, "__dict__")
    assert [f.name for f in fields(Point)] == ["place", "x", "y"]  # type: ignore[arg-type]
    assert replace(point, x=5).x == 5  # type: ignore[type-var]
    with pytest.raises(TypeError):
        Point(1, 2)  # type: ignore[misc]


@value_class(frozen=True, slots=True)
class Sealed:
    x: int
    y: list[int] = field(default_factory=list)


def test_a_value_class_refuses_every_change_and_can_be_copied() -> None:
    value = Sealed(1)
    with pytest.raises(FrozenInstanceError):
        value.x = 2  # type: ignore[misc]
    with pytest.raises(FrozenInstanceError):
        del value.x
    assert copy.deepcopy(value) == value == pickle.loads(pickle.dumps(value))
    assert value.y is not Sealed(1).y


def test_fields_are_known_before_the_first_object() -> None:
    @frozen
    class Fresh:
        kind: ClassVar[str] = "fresh"
        x: int
        y: int = field(default=3, compare=False)

    assert Fresh.__slots__ == ("x", "y")  # type: ignore[attr-defined]
    assert is_value(Fresh)
    assert is_dataclass(Fresh)
    assert [(f.name, f.compare) for f in fields(Fresh)] == [("x", True), ("y", False)]
    assert (Fresh.kind, Fresh(x=1).y) == ("fresh", 3)


def test_defaults_are_known_without_completing_the_class() -> None:
    @frozen
    class Fresh:
        place: int = field(compare=False)
        x: int
        y: int = field(default=3, compare=False)
        z: tuple[int, ...] = ()

    before = vars(Fresh)["__dataclass_fields__"]
    found = {"place": MISSING, "x": MISSING, "y": 3, "z": ()}
    assert defaults(Fresh) == found
    assert vars(Fresh)["__dataclass_fields__"] is before
    fields(Fresh)  # type: ignore[arg-type]  # completes it
    assert vars(Fresh)["__dataclass_fields__"] is not before
    assert list(defaults(Fresh).items()) == list(found.items())


def test_the_first_objects_are_like_the_later_ones() -> None:
    @value_class(frozen=True, slots=True)
    class Fresh:
        x: int
        y: list[int] = field(default_factory=list)

    made = [Fresh(1, [2]) for _ in range(5)] + [Fresh(x=1) for _ in range(20)]
    assert [(each.x, each.y) for each in made] == [(1, [2])] * 5 + [(1, [])] * 20
    assert len({id(each.y) for each in made}) == 25


@pytest.mark.parametrize("used", [0, 20])
@pytest.mark.parametrize(
    ("values", "named"), [((), {}), ((1, 2, 3), {}), ((1,), {"x": 1}), ((1,), {"z": 1}), ((), {"y": []})]
)
def test_wrong_arguments_are_refused_by_the_first_and_the_later_ones(used, values, named) -> None:
    @value_class(frozen=True, slots=True)
    class Fresh:
        x: int
        y: list[int] = field(default_factory=list)

    for _ in range(used):
        Fresh(1)
    with pytest.raises(TypeError, match="__init__"):
        Fresh(*values, **named)


# ── late fields ───────────────────────────────────────────────────────────────────────────────────
@frozen
class Page:
    number: int
    text: Late[tuple[str, ...]] = ()


def test_a_late_field_is_made_once_when_it_is_first_read() -> None:
    made: list[str] = []

    def make() -> tuple[str, ...]:
        made.append("made")
        return ("a",)

    page = Page(number=1, text=Later(make))  # type: ignore[arg-type]  # what a reader of files gives
    assert page.number == 1
    assert made == []
    assert (page.text, page.text, made) == (("a",), ("a",), ["made"])


@pytest.mark.parametrize("count", [1, 20])
def test_a_late_field_is_one_like_the_others(count: int) -> None:
    for _ in range(count):  # the first few are built in another way
        page = Page(number=1, text=("a",))
    late = Page(number=1, text=Later(lambda: ("a",)))  # type: ignore[arg-type]
    assert page == late
    assert hash(page) == hash(late)
    assert repr(late) == "Page(number=1, text=('a',))"
    assert replace(late, number=2) == Page(number=2, text=("a",))
    assert Page(number=1).text == ()
    assert [f.name for f in fields(Page)] == ["number", "text"]
    assert (is_late(Page, "text"), is_late(Page, "number")) == (True, False)


@record
class Row:
    number: int
    text: str = ""


def test_a_record_is_built_by_position_or_by_name() -> None:
    assert Row(1, "a") == Row(number=1, text="a")
    assert replace(Row(1), text="b") == Row(1, "b")
    with pytest.raises(TypeError):
        Row()  # type: ignore[call-arg]
