"""The shape of nodes, events and records: value classes that are cheap to define, for every start defines them all.

A standard frozen dataclass compiles six methods while it is defined. Here a class gets its slots and shares what can
be shared. Its first objects are filled field by field; the standard library compiles an `__init__` once it pays.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import MISSING, Field, FrozenInstanceError, dataclass, field, fields
from functools import cache, partial
from itertools import repeat
from operator import attrgetter
from typing import TYPE_CHECKING, Annotated, Any, TypeAlias, TypeVar, dataclass_transform

__all__ = ["Late", "Later", "defaults", "filled", "frozen", "is_late", "is_value", "record", "replace", "value_class"]

_Class = TypeVar("_Class")
_Value = TypeVar("_Value")
Late: TypeAlias = Annotated[_Value, "made when it is first read"]
"""Of a field that may be given a `Later`: `written: Late[tuple[Entry, ...]]`."""
_FEW = 8  # objects of a class that cost less to fill than an `__init__` to compile
_FIELDS = "__dataclass_fields__"  # the name by which `dataclasses` knows a class to be one of its own


@dataclass_transform(frozen_default=True, kw_only_default=True, field_specifiers=(field,))
def frozen(cls: type[_Class]) -> type[_Class]:
    """A slotted dataclass built with keywords only, equal by its compared fields, hashable. The type checker refuses
    to change one; at run time nobody is asked, which makes them twice as fast to build."""
    return _made(cls, kw_only=True, sealed=False)


@dataclass_transform(frozen_default=True, field_specifiers=(field,))
def record(cls: type[_Class]) -> type[_Class]:
    """As `frozen`, for classes whose objects are also built by position, a thousand at a time."""
    return _made(cls, kw_only=False, sealed=False)


if TYPE_CHECKING:
    from dataclasses import dataclass as value_class
else:

    def value_class(*, frozen: bool, slots: bool, kw_only: bool = False) -> Callable[[type], type]:
        """To be written, and to behave, like the standard decorator of a frozen, slotted dataclass."""
        if not (frozen and slots):
            raise TypeError("a value class is frozen and slotted")
        return partial(_made, kw_only=kw_only, sealed=True)


def is_value(cls: object) -> bool:
    """True for a class made here. The names of its fields are its `__slots__`."""
    return isinstance(cls, type) and _FIELDS in vars(cls)


def defaults(cls: type) -> Mapping[str, object]:
    """The fields of a class made here, each with its default; MISSING if it must be given, or is made anew each time.
    Completes no class."""
    rest = vars(cls)[_FIELDS]
    if isinstance(rest, _Rest):
        return rest.defaults()
    return {f.name: f.default for f in fields(cls)}


def filled(cls: type[_Class], columns: Mapping[str, Sequence[object]]) -> list[_Class]:
    """Many objects of a class made here, given field by field: no call for each of them, so that it takes a third of
    the time. Raises TypeError for a field that is missing, unknown, or of another length than the first."""
    made = [object.__new__(cls) for _ in next(iter(columns.values()), ())]
    known = defaults(cls)
    for name, default in known.items():
        values = columns.get(name)
        if default is MISSING if values is None else len(values) != len(made):
            raise TypeError(f"`{name}` does not fit the other fields of {cls.__name__}")
        deque(map(getattr(cls, name).__set__, made, repeat(default) if values is None else values), 0)
    if not columns.keys() <= known.keys():
        raise TypeError(f"{cls.__name__} has no such fields: {columns.keys() - known.keys()}")
    return made


class Later:
    """Stands for the value of a `Late` field until that is read; `make` may be asked twice by two threads."""

    __slots__ = ("make",)

    def __init__(self, make: Callable[[], object]) -> None:
        self.make = make


def is_late(cls: type, name: str) -> bool:
    """True if the field of a class made here may be given a `Later`."""
    return isinstance(vars(cls)[name], property)


def replace(value: _Value, /, **changes: object) -> _Value:
    """As `dataclasses.replace`, several times as fast, for an object of a class made here."""
    cls: Any = type(value)  # which the type checker can't call
    read, places = _reader(cls)
    values = list(read(value))
    for name, new in changes.items():
        values[places[name]] = new
    made: _Value = cls(*values) if cls.__match_args__ else cls(**dict(zip(places, values, strict=True)))
    return made


@cache
def _reader(cls: type) -> tuple[Callable[[object], tuple[object, ...]], Mapping[str, int]]:
    """All fields of an object at once, and the place of each by name."""
    names: tuple[str, ...] = cls.__slots__  # type: ignore[attr-defined]  # not `fields`, which completes the class
    if len(names) == 1:
        return lambda value: (getattr(value, names[0]),), {names[0]: 0}
    return attrgetter(*names), {name: place for place, name in enumerate(names)}


def _made(cls: type[_Class], *, kw_only: bool, sealed: bool) -> type[_Class]:
    written = {name: value for name, value in vars(cls).items() if name not in ("__dict__", "__weakref__")}
    written["__annotations__"] = cls.__annotations__
    names = tuple(name for name, kind in cls.__annotations__.items() if not kind.startswith("ClassVar"))
    members = {name: value for name, value in written.items() if name not in names}
    rest = _Rest(names, written, kw_only=kw_only, sealed=sealed)
    members |= {"__slots__": names, "__match_args__": () if kw_only else names, _FIELDS: rest, "__init__": rest.init()}
    members |= _SEALED if sealed else _SHARED
    made: type[_Class] = type(cls.__name__, cls.__bases__, members)
    rest.cls = made
    for name in names:
        if cls.__annotations__[name].startswith("Late["):
            setattr(made, name, _late(vars(made)[name]))
    return made


def _late(slot: Any) -> property:
    """Reads what a slot holds, and puts the value in the place of a `Later`."""

    def read(self: object) -> object:
        value = slot.__get__(self)
        if type(value) is Later:
            value = value.make()
            slot.__set__(self, value)
        return value

    return property(read, slot.__set__)


class _Rest:
    """Stands where the fields of a class will be; completes it when they, or a fast `__init__`, are needed."""

    __slots__ = ("_few", "_kw_only", "_names", "_sealed", "_written", "cls")

    def __init__(self, names: tuple[str, ...], written: Mapping[str, Any], *, kw_only: bool, sealed: bool) -> None:
        self._names = names
        self._written = written
        self._few = iter(range(_FEW))
        self._kw_only = kw_only
        self._sealed = sealed
        self.cls: Any = None

    def __get__(self, instance: object, owner: type) -> object:
        return getattr(self._complete(), _FIELDS)

    def defaults(self) -> Mapping[str, object]:
        written = {name: self._written.get(name, MISSING) for name in self._names}
        return {name: one.default if isinstance(one, Field) else one for name, one in written.items()}

    def init(self) -> Callable[..., None]:
        def __init__(self_: object, *values: object, **named: object) -> None:  # noqa: N807
            if next(self._few, None) is None or not self._fill(self_, values, named):
                self._complete().__init__(self_, *values, **named)

        return __init__

    def _fill(self, made: object, values: tuple[object, ...], named: dict[str, object]) -> bool:
        """Set every field; false where the standard `__init__` will say what is wrong with the arguments."""
        given = {**dict(zip(self._names, values, strict=False)), **named}
        if len(given) < len(values) + len(named) or (values and self._kw_only) or given.keys() - set(self._names):
            return False
        for name in self._names:
            value = given.get(name, MISSING)
            if value is MISSING:
                value = _default(self._written.get(name, MISSING))
            if value is MISSING:
                return False
            object.__setattr__(made, name, value)
        return True

    def _complete(self) -> Any:
        """The standard class of the same definition, from which ours takes over what it lacks."""
        plain = type(self.cls.__name__, (), {**self._written, "__doc__": "not computed"})
        standard: Any = dataclass(kw_only=self._kw_only, frozen=self._sealed, repr=False, eq=False)(plain)
        for name in (_FIELDS, "__init__"):
            setattr(self.cls, name, getattr(standard, name))
        return standard


def _default(written: object) -> object:
    """The value for a field that is not given, MISSING if it must be."""
    if not isinstance(written, Field):
        return written
    return written.default if written.default_factory is MISSING else written.default_factory()


@cache
def _names(cls: type, *, shown: bool) -> tuple[str, ...]:
    """The fields that are compared, or those that are shown."""
    return tuple(f.name for f in fields(cls) if (f.repr if shown else f.compare))


def _equal(self: Any, other: object) -> object:
    names = _names(self.__class__, shown=False)
    if other.__class__ is not self.__class__:
        return NotImplemented
    if self is other:
        return True
    for name in names:  # noqa: SIM110  # a generator would take one more frame for each level of a tree
        if getattr(self, name) != getattr(other, name):
            return False
    return True


def _hash(self: Any) -> int:
    return hash(tuple(getattr(self, name) for name in _names(self.__class__, shown=False)))


def _repr(self: Any) -> str:
    cls = self.__class__
    values = ", ".join(f"{name}={getattr(self, name)!r}" for name in _names(cls, shown=True))
    return f"{cls.__qualname__}({values})"


def _refuse(self: object, name: str, *value: object) -> None:
    verb = "assign to" if value else "delete"
    raise FrozenInstanceError(f"cannot {verb} field {name!r} of {type(self).__qualname__}")


def _state(self: Any) -> list[object]:
    return [getattr(self, name) for name in self.__slots__]


def _set_state(self: Any, state: list[object]) -> None:
    for name, value in zip(self.__slots__, state, strict=True):
        object.__setattr__(self, name, value)


_SHARED = {"__eq__": _equal, "__hash__": _hash, "__repr__": _repr}
_SEALED = _SHARED | {
    "__setattr__": _refuse,
    "__delattr__": _refuse,
    "__getstate__": _state,
    "__setstate__": _set_state,
}
