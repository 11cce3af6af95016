"""Named tuples that compile late: what `typing.NamedTuple` would do, from the first object on."""

from __future__ import annotations

import pickle
import typing

import pytest

from runkon.named import NamedTuple


class Point(NamedTuple):
    """A place."""

    x: int
    y: int = 2

    @property
    def total(self) -> int:
        return self.x + self.y

    def __repr__(self) -> str:
        return f"<{self.x} {self.y}>"


class Standard(typing.NamedTuple):
    x: int
    y: int = 2


class Made(NamedTuple):
    x: int
    y: int = 2


class Bare(NamedTuple):
    x: int


class Other(NamedTuple):
    x: int


class Farther(Made):
    """Of a class nobody has made an object of yet."""


def test_it_is_the_tuple_that_the_standard_class_makes() -> None:
    for values, named in (((1,), {}), ((1, 3), {}), ((), {"y": 5, "x": 4}), ((7,), {"y": 8})):
        ours, standard = Made(*values, **named), Standard(*values, **named)
        assert tuple(ours) == tuple(standard)
        assert ours._asdict() == standard._asdict()
        assert repr(ours) == repr(standard).replace("Standard", "Made")
        assert (ours.x, ours.y) == (standard.x, standard.y)
    assert Made(1)._replace(y=9) == (1, 9)
    assert (Made._fields, Made._field_defaults) == (Standard._fields, Standard._field_defaults)


def test_what_the_body_says_stays() -> None:
    assert (Point(1).total, repr(Point(1)), Point.__doc__) == (3, "<1 2>", "A place.")
    match Point(5, 6):
        case Point(x, y):
            assert (x, y) == (5, 6)


def test_wrong_arguments_are_refused_from_the_first_object_on() -> None:
    class Fresh(NamedTuple):
        x: int

    for _ in range(20):
        with pytest.raises(TypeError, match="x"):
            Fresh()  # type: ignore[call-arg]
    with pytest.raises(TypeError):
        Fresh(1, 2)  # type: ignore[call-arg]


def test_the_first_objects_are_like_the_later_ones() -> None:
    class Fresh(NamedTuple):
        x: int
        y: int = 2

    assert {tuple(made) for made in [Fresh(1) for _ in range(20)]} == {(1, 2)}
    assert {tuple(made) for made in [Fresh(y=3, x=4) for _ in range(20)]} == {(4, 3)}


def test_every_way_to_the_first_object_works() -> None:
    class FromRow(NamedTuple):
        x: int

    assert FromRow._make([4]).x == 4
    assert tuple.__new__(Bare, (6,)).x == 6
    assert repr(tuple.__new__(Bare, (6,))) == "Bare(x=6)"
    assert tuple.__new__(Other, (6,))._replace(x=7) == Other(7)
    assert type(Farther(1)) is Farther
    assert Farther(1).y == 2
    assert pickle.loads(pickle.dumps(Point(3, 4))) == Point(3, 4)
