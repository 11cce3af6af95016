"""Where in a JSON document a value is: names and numbers with dots between, `*` for everything at that place."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from runkon.model.output import JsonValue


def values_at(document: object, path: str) -> Iterator[object]:
    """Everything at `path`, in order; nothing where there is none."""
    yield from _below(document, path.split("."))


def first_at(document: object, path: str) -> object:
    """The first value at `path`, None without one."""
    return next(values_at(document, path), None)


def sum_at(document: object, path: str) -> float | None:
    """The sum of the numbers at `path`, also of those inside what is there; None without any."""
    numbers = [number for value in values_at(document, path) for number in _numbers(value, "*" in path)]
    return sum(numbers) if numbers else None


def _below(value: object, names: list[str]) -> Iterator[object]:
    if not names:
        yield value
        return
    name, rest = names[0], names[1:]
    if name == "*":
        inside = value.values() if isinstance(value, Mapping) else value if isinstance(value, list) else ()
        for one in inside:
            yield from _below(one, rest)
    elif isinstance(value, Mapping) and name in value:
        yield from _below(value[name], rest)
    elif isinstance(value, list) and name.isdecimal() and int(name) < len(value):
        yield from _below(value[int(name)], rest)


def _numbers(value: object, is_deep: bool) -> Iterator[float]:  # noqa: FBT001 - private, one caller
    if isinstance(value, int | float) and not isinstance(value, bool):
        yield value
    elif is_deep and isinstance(value, Mapping):
        for one in value.values():
            yield from _numbers(one, is_deep)
    elif is_deep and isinstance(value, list):
        for one in value:
            yield from _numbers(one, is_deep)


def matches(document: object, wanted: Mapping[str, JsonValue]) -> bool:
    """True if the first value at each path is the wanted one."""
    return all(first_at(document, path) == value for path, value in wanted.items())
