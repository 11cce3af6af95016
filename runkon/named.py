"""Named tuples that are cheap to define: `NamedTuple` as in `typing`, but compiled when the first of its objects is
made. The standard one compiles every annotation and a constructor, for each class that a start loads.
"""

from __future__ import annotations

from collections import namedtuple
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

__all__ = ["NamedTuple"]

if TYPE_CHECKING:
    from typing import NamedTuple
else:

    class _Definition(type):
        """Makes of the body of a class a plain class of tuples."""

        def __new__(cls, name: str, _bases: tuple[type, ...], body: dict[str, Any]) -> type:
            fields = tuple(body.get("__annotations__", ()))
            body["_field_defaults"] = {field: body.pop(field) for field in fields if field in body}
            body |= {"__slots__": (), "__match_args__": fields, "_fields": fields}
            return type(name, (tuple,), {**body, "__new__": _new, "_make": classmethod(_make)})

    NamedTuple = type.__new__(_Definition, "NamedTuple", (), {})


def _new(cls: Any, *values: object, **named: object) -> object:
    """Stands where the constructor will be; the first call puts it there."""
    _complete(cls)
    return cls.__new__(cls, *values, **named)


def _make(cls: Any, values: Iterable[object]) -> object:
    _complete(cls)
    return cls._make(values)


def _complete(cls: Any) -> None:
    """Give the class what the standard one of the same definition has, the ways to make an object last."""
    made = next(c for c in cls.__mro__ if "_fields" in vars(c))
    standard = vars(namedtuple(made.__name__, made._fields, defaults=made._field_defaults.values()))
    for name in (*standard.keys() - vars(made).keys(), "_make", "__new__"):
        setattr(made, name, standard[name])
