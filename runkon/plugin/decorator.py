"""`@executor`: a plain function as an executor, and any object with `name` and `execute` made a whole one."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Iterator
from typing import cast

from runkon.model.output import NO_OUTPUT, Output, as_output
from runkon.model.ports import ActionExecutor, StepRequest
from runkon.pattern import pattern

EFFECTS = ("pure", "read", "write")
_NAME = pattern(r"[A-Za-z_][A-Za-z0-9_-]*")
_WHOLE = ("version", "effect", "metered")


class FunctionExecutor:
    """A function that answers steps. Still callable like the function; `execute` converts what it returns."""

    def __init__(
        self,
        function: Callable[[StepRequest], object],
        *,
        name: str,
        version: str,
        effect: str,
        metered: bool,
        streams: bool | None,
    ) -> None:
        functools.update_wrapper(self, function)
        self.function = function
        self.name = name
        self.version = version
        self.effect = effect
        self.metered = metered
        self.streams = streams

    def __call__(self, request: StepRequest) -> object:
        return self.function(request)

    def __repr__(self) -> str:
        return f"<executor {self.name!r}: {self.function.__module__}.{self.function.__qualname__}>"

    def execute(self, request: StepRequest) -> Output:
        """One attempt. A function that yields answers with its last output; between two, cancellation is seen."""
        return settle(self.function(request), request)


class ObjectExecutor:
    """An object with `name` and `execute`, with the usual answers for the attributes it leaves out."""

    def __init__(self, wrapped: object) -> None:
        self.wrapped = wrapped
        self.name: str = getattr(wrapped, "name")  # noqa: B009 - `wrapped` is any object by design
        self.version = str(getattr(wrapped, "version", "1"))
        self.effect: str = getattr(wrapped, "effect", "read")
        self.metered = bool(getattr(wrapped, "metered", False))
        self.streams: bool | None = getattr(wrapped, "streams", None)
        self.max_cost_usd: float | None = getattr(wrapped, "max_cost_usd", None)  # of one call, at most
        self.max_tokens: int | None = getattr(wrapped, "max_tokens", None)
        self._execute: Callable[[StepRequest], object] = getattr(wrapped, "execute")  # noqa: B009
        stop = getattr(wrapped, "cancel", None)
        if callable(stop):
            self.cancel = stop
        describe = getattr(wrapped, "describe", None)
        if callable(describe):
            self.describe = describe

    def __repr__(self) -> str:
        return f"<executor {self.name!r}: {self.wrapped!r}>"

    def execute(self, request: StepRequest) -> Output:
        return settle(self._execute(request), request)


def executor(
    name: str,
    version: str = "1",
    effect: str = "read",
    *,
    metered: bool = False,
    streams: bool | None = None,
) -> Callable[[Callable[[StepRequest], object]], FunctionExecutor]:
    """Make a function of one `StepRequest` the executor `name`.

    The function returns `Output`, dict, str or None, or yields them; an exception fails the attempt. `effect` says
    what an attempt may do to the world (`pure`, `read`, `write`), `metered` that calls cost money, `streams` whether
    its yields are items of their own. Raises TypeError at decoration when the function or an argument can't work."""
    if callable(name):
        raise TypeError('`@executor` needs a name: write `@executor("lint")` above the function')
    _check_attributes(name, version, effect)

    def decorate(function: Callable[[StepRequest], object]) -> FunctionExecutor:
        _check_function(name, function)
        return FunctionExecutor(function, name=name, version=version, effect=effect, metered=metered, streams=streams)

    return decorate


def as_executor(thing: object) -> ActionExecutor:
    """`thing` as an executor: an instance, or a class made without arguments. Attributes it lacks get the usual
    values. Raises TypeError, in words, for anything else."""
    if isinstance(thing, type):
        thing = _instance(thing)
    if isinstance(thing, FunctionExecutor):
        return thing
    name, execute = getattr(thing, "name", None), getattr(thing, "execute", None)
    if not callable(execute):
        hint = ": decorate it with `@executor(NAME)`" if inspect.isroutine(thing) else ""
        raise TypeError(f"it has no method `execute`{hint}")
    effect = getattr(thing, "effect", "read")
    _check_attributes(name, str(getattr(thing, "version", "1")), effect)
    _check_parameters(f"`{name}.execute`", execute)
    if all(hasattr(thing, attribute) for attribute in _WHOLE) and not inspect.isgeneratorfunction(execute):
        return cast(ActionExecutor, thing)
    return ObjectExecutor(thing)


def settle(answer: object, request: StepRequest) -> Output:
    """What an executor gave, as one `Output`; of an iterator the last item. Raises TypeError for anything else."""
    if isinstance(answer, Iterator):
        newest: object = NO_OUTPUT
        for item in answer:
            newest = item
            request.cancel.raise_if_cancelled()
        return as_output(newest)
    return as_output(answer)


def _instance(cls: type) -> object:
    try:
        return cls()
    except TypeError as error:
        raise TypeError(f"the class `{cls.__name__}` can't be made without arguments ({error})") from None


def _check_attributes(name: object, version: object, effect: object) -> None:
    if not isinstance(name, str):
        raise TypeError(f"its name is {name!r}, not text")
    if not _NAME.fullmatch(name):
        raise TypeError(
            f"its name is {name!r}: a name has letters, digits, `_` and `-`, and begins with a letter or `_`"
        )
    if not isinstance(version, str):
        raise TypeError(f"the version of `{name}` is {version!r}, not text")
    if effect not in EFFECTS:
        raise TypeError(f"the effect of `{name}` is {effect!r}, not one of {', '.join(EFFECTS)}")


def _check_function(name: str, function: Callable[..., object]) -> None:
    if isinstance(function, type) or not callable(function):
        raise TypeError(f"`@executor({name!r})` goes above a function, not above {function!r}")
    if inspect.iscoroutinefunction(function) or inspect.isasyncgenfunction(function):
        raise TypeError(f"the executor `{name}` is an async function; executors run on threads: write a plain `def`")
    _check_parameters(f"the function of the executor `{name}`", function)


def _check_parameters(who: str, function: Callable[..., object]) -> None:
    """It must be callable with the request alone."""
    try:
        signature = inspect.signature(function)
    except ValueError:  # some builtins have none: then the first call tells
        return
    try:
        signature.bind(object())
    except TypeError:
        raise TypeError(f"{who} takes {signature}; it is called with one argument, the request") from None
