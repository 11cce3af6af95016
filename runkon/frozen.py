"""The shape of nodes, events and records: value classes that are cheap to define, for every start defines them all.

A standard frozen dataclass compiles six methods per class. Here one is compiled, `__init__`; the others are shared.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, fields
from functools import cache, partial
from typing import TYPE_CHECKING, Any, TypeVar, dataclass_transform

__all__ = ["frozen", "value_class"]

_Class = TypeVar("_Class")


@dataclass_transform(frozen_default=True, kw_only_default=True, field_specifiers=(field,))
def frozen(cls: type[_Class]) -> type[_Class]:
    """A slotted dataclass built with keywords only, equal by its compared fields, hashable. The type checker refuses
    to change one; at run time nobody is asked."""
    return _made(cls, kw_only=True)


if TYPE_CHECKING:
    from dataclasses import dataclass as value_class
else:

    def value_class(*, frozen: bool, slots: bool, kw_only: bool = False) -> Callable[[type], type]:
        """To be written, and type-checked, like the standard decorator of a frozen, slotted dataclass."""
        if not (frozen and slots):
            raise TypeError("a value class is frozen and slotted")
        return partial(_made, kw_only=kw_only)


def _made(cls: type[_Class], *, kw_only: bool) -> type[_Class]:
    made = dataclass(slots=True, kw_only=kw_only, repr=False, eq=False)(cls)
    for name, method in (("__eq__", _equal), ("__hash__", _hash), ("__repr__", _repr)):
        setattr(made, name, method)
    return made


@cache
def _names(cls: type, *, shown: bool) -> tuple[str, ...]:
    """The fields that are compared, or those that are shown."""
    return tuple(f.name for f in fields(cls) if (f.repr if shown else f.compare))


def _equal(self: Any, other: object) -> object:
    names = _names(self.__class__, shown=False)
    if other.__class__ is not self.__class__:
        return NotImplemented
    return self is other or all(getattr(self, name) == getattr(other, name) for name in names)


def _hash(self: Any) -> int:
    return hash(tuple(getattr(self, name) for name in _names(self.__class__, shown=False)))


def _repr(self: Any) -> str:
    cls = self.__class__
    values = ", ".join(f"{name}={getattr(self, name)!r}" for name in _names(cls, shown=True))
    return f"{cls.__qualname__}({values})"
