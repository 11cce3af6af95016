"""Takes one plugin at a time: checks its hooks, calls them, and lets in what they bring, or nothing of it.

Hooks are called one plugin at a time, so that a plugin that raises is left out alone and what it had registered before
goes with it.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from types import ModuleType

import pluggy

from runkon.errors import UserError
from runkon.frozen import value_class
from runkon.plugin import hookspecs
from runkon.plugin.decorator import FunctionExecutor
from runkon.plugin.registry import Kind, Registry

KIND_OF_HOOK: dict[str, Kind] = {
    "runkon_register_executors": "executor",
    "runkon_register_runtimes": "runtime",
    "runkon_register_gate_resolvers": "gate",
    "runkon_register_item_providers": "provider",
    "runkon_register_reducers": "reducer",
    "runkon_register_event_sinks": "sink",
    "runkon_register_stores": "store",
    "runkon_register_substrates": "substrate",
    "runkon_register_commands": "command",
}


@value_class(frozen=True, slots=True)
class Origin:
    """Which plugin, and where it comes from, as people should read it."""

    name: str
    source: str
    version: str = ""

    def __str__(self) -> str:
        return f"the plugin `{self.name}` ({self.source})"


@value_class(frozen=True, slots=True)
class PluginRecord:
    """One plugin after loading. `problem` says why it was left out, `blocked` that a setting did it."""

    name: str
    version: str
    source: str
    hooks: tuple[str, ...] = ()
    problem: str | None = None
    blocked: bool = False


class PluginManager:
    """The plugins of one process and the registry they fill."""

    def __init__(self, registry: Registry) -> None:
        self.registry = registry
        self._pluggy = pluggy.PluginManager(hookspecs.PROJECT)
        self._pluggy.add_hookspecs(hookspecs)

    def has(self, plugin: object) -> bool:
        """True if this very object is in already: the same module may be found twice."""
        return self._pluggy.is_registered(plugin)

    def free_name(self, name: str) -> str:
        """`name`, or `name#2` and so on when a plugin has it already."""
        number, free = 1, name
        while self._pluggy.has_plugin(free):
            number += 1
            free = f"{name}#{number}"
        return free

    def add(self, plugin: object, origin: Origin) -> PluginRecord:
        """Call the hooks of `plugin` and register what they bring.

        Raises UserError for what its author must correct (`unknown-hook`, `unmarked-hook`, `invalid-hook`,
        `invalid-plugin`, `duplicate-…`); whatever else a hook raises is passed on, with nothing registered."""
        _refuse_unmarked(plugin, origin)
        try:
            self._pluggy.register(plugin, name=origin.name)
        except pluggy.PluginValidationError as error:
            raise _invalid_hook(plugin, origin, error) from None
        try:
            hooks = self._hooks(plugin, origin)
            brought = [thing for name in hooks for thing in self._call(name, plugin)]
            if not hooks:
                brought = [("executor", found) for found in executors_of(plugin)]
        except BaseException:
            self._pluggy.unregister(plugin)
            raise
        for kind, thing in brought:
            self.registry.register(kind, thing, origin.name, origin.source)
        return PluginRecord(origin.name, origin.version, origin.source, hooks)

    def _hooks(self, plugin: object, origin: Origin) -> tuple[str, ...]:
        callers = self._pluggy.get_hookcallers(plugin) or []
        for caller in callers:
            if not caller.has_spec():
                raise _unknown_hook(caller.name, origin)
        return tuple(sorted(caller.name for caller in callers))

    def _call(self, hook: str, plugin: object) -> Iterator[tuple[Kind, object]]:
        kind = KIND_OF_HOOK[hook]
        brought: list[tuple[Kind, object]] = []
        for implementation in getattr(self._pluggy.hook, hook).get_hookimpls():
            if implementation.plugin is plugin:

                def register(*things: object) -> None:
                    if len(things) != 1:
                        raise TypeError(
                            f"`register` of `{hook}` takes one thing, which has its own name, not {things!r}"
                        )
                    brought.append((kind, things[0]))

                implementation.function(*[register for _ in implementation.argnames])
        yield from brought


def executors_of(plugin: object) -> list[FunctionExecutor]:
    """The decorated functions a module defines itself: a plugin file without a hook brings those."""
    if not isinstance(plugin, ModuleType):
        return []
    return [
        value
        for value in vars(plugin).values()
        if isinstance(value, FunctionExecutor) and value.function.__module__ == plugin.__name__
    ]


def has_hooks(plugin: object) -> bool:
    """True if anything of `plugin` is marked as a hook or named like one."""
    return any(_marked(value) or name.startswith(hookspecs.PREFIX) for name, value in _routines(plugin))


def _routines(plugin: object) -> Iterator[tuple[str, object]]:
    for name in dir(plugin):
        value = inspect.getattr_static(plugin, name, None)
        if inspect.isroutine(value):
            yield name, getattr(plugin, name)


def _marked(function: object) -> bool:
    return isinstance(getattr(function, f"{hookspecs.PROJECT}_impl", None), dict)


def _refuse_unmarked(plugin: object, origin: Origin) -> None:
    for name, function in _routines(plugin):
        if not name.startswith(hookspecs.PREFIX) or _marked(function) or _is_specification(function):
            continue
        if name not in hookspecs.HOOKS:
            raise _unknown_hook(name, origin)
        raise UserError(
            "unmarked-hook",
            f"{origin} has a hook `{name}` that is not marked",
            help="put `@hookimpl` (from `runkon`) above it",
            next="runkon plugins",
        )


def _is_specification(function: object) -> bool:
    return getattr(function, "__module__", None) == hookspecs.__name__


def _unknown_hook(name: str, origin: Origin) -> UserError:
    import difflib  # late: only on the way to an error

    close = difflib.get_close_matches(name, hookspecs.HOOKS, n=1, cutoff=0.6)
    hint = f"did you mean `{close[0]}`?" if close else f"the hooks are {', '.join(hookspecs.HOOKS)}"
    return UserError("unknown-hook", f"{origin} has an unknown hook `{name}`", help=hint, next="runkon plugins")


def _invalid_hook(plugin: object, origin: Origin, error: Exception) -> UserError:
    for name, function in _routines(plugin):
        if _marked(function) and callable(function):
            wrong = [p for p in inspect.signature(function).parameters if p != "register"]
            if wrong:
                return UserError(
                    "invalid-hook",
                    f"{origin} has a hook `{name}` with a parameter `{wrong[0]}`",
                    help="every hook has one parameter, `register`",
                    next="runkon plugins",
                )
    why = str(error).splitlines()[-1]
    return UserError("invalid-hook", f"{origin} has a hook that can't be used: {why}", next="runkon plugins")
