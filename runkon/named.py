"""Named tuples that are cheap to define: `NamedTuple` as in `typing`, but compiled once it pays. The standard one
compiles every annotation and a constructor, for each class that a start loads.
"""

from __future__ import annotations

from collections import namedtuple
from collections.abc import Iterable
from operator import itemgetter
from typing import TYPE_CHECKING, Any

__all__ = ["NamedTuple"]

_FEW = 8  # objects of a class that cost less to put together than a constructor to compile

if TYPE_CHECKING:
    from typing import NamedTuple
else:

    class _Definition(type):
        """Makes of the body of a class a plain class of tuples."""

        def __new__(cls, name: str, _bases: tuple[type, ...], body: dict[str, Any]) -> type:
            fields = tuple(body.get("__annotations__", ()))
            body["_field_defaults"] = {field: body.pop(field) for field in fields if field in body}
            body |= {field: property(itemgetter(at)) for at, field in enumerate(fields)}
            body |= {"__slots__": (), "__match_args__": fields, "_fields": fields, "_few": iter(range(_FEW))}
            return type(name, (_Late,), body)

    NamedTuple = type.__new__(_Definition, "NamedTuple", (), {})


class _Late(tuple[Any, ...]):
    """What a class has until it is complete: a slow constructor, and methods that have the standard ones made."""

    __slots__ = ()

    def __new__(cls: Any, *values: object, **named: object) -> Any:
        if next(cls._few, None) is not None:
            known = {**cls._field_defaults, **named}
            found = (*values, *(known[field] for field in cls._fields[len(values) :] if field in known))
            if len(found) == len(cls._fields) and not named.keys() - set(cls._fields[len(values) :]):
                return tuple.__new__(cls, found)
        _complete(cls)
        return cls.__new__(cls, *values, **named)

    @classmethod
    def _make(cls, values: Iterable[object]) -> Any:
        return cls(*values)

    def __getnewargs__(self) -> tuple[Any, ...]:
        return tuple(self)

    def _replace(self, **changed: object) -> Any:
        _complete(type(self))
        return self._replace(**changed)

    def _asdict(self) -> Any:
        _complete(type(self))
        return self._asdict()

    def __repr__(self) -> str:
        _complete(type(self))
        return repr(self)


def _complete(cls: Any) -> None:
    made = next(c for c in cls.__mro__ if "_fields" in vars(c))
    standard = vars(namedtuple(made.__name__, made._fields, defaults=made._field_defaults.values()))
    for name, value in standard.items():
        if name in made._fields or name not in vars(made):
            setattr(made, name, value)
