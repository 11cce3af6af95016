"""What the plugins brought, by kind and name. Two things of one kind and name are an error naming both plugins."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal, TypeAlias, cast, get_args

from runkon.errors import UserError
from runkon.model.ports import ActionExecutor, EventSink, Executors
from runkon.model.state import Reducer
from runkon.named import NamedTuple
from runkon.plugin.decorator import as_executor

Kind: TypeAlias = Literal["executor", "runtime", "gate", "provider", "reducer", "sink", "store", "substrate", "command"]
KINDS: tuple[Kind, ...] = get_args(Kind)
_METHODS: Mapping[Kind, str] = {"gate": "poll", "runtime": "run"}


class Registered(NamedTuple):
    """One thing a plugin brought. `plugin` is the plugin's name, `source` where the plugin comes from."""

    thing: object
    plugin: str
    source: str


class Registry(Executors):
    """Name to thing, one table per kind. Filled at start, then only read, from any thread."""

    def __init__(self) -> None:
        self._tables: dict[Kind, dict[str, Registered]] = {kind: {} for kind in KINDS}
        self._executors: dict[str, ActionExecutor] = {}

    def find(self, name: str) -> ActionExecutor | None:
        return self._executors.get(name)

    def names(self) -> Sequence[str]:
        return sorted(self._executors)

    def reducer(self, name: str) -> Reducer | None:
        """The reducer of that name, or None."""
        found = self._tables["reducer"].get(name)
        return None if found is None else cast("Reducer", found.thing)

    def names_of(self, kind: Kind) -> Sequence[str]:
        """The names of one kind, sorted; event sinks have none worth showing."""
        return sorted(self._tables[kind])

    def origin(self, kind: Kind, name: str) -> Registered | None:
        """What is registered under a name, and who brought it."""
        return self._tables[kind].get(name)

    def things(self, kind: Kind) -> Mapping[str, object]:
        """Name to thing, in the order of registration."""
        return {name: entry.thing for name, entry in self._tables[kind].items()}

    @property
    def sinks(self) -> Sequence[EventSink]:
        """Every registered event sink, in the order of registration."""
        return [entry.thing for entry in self._tables["sink"].values()]  # type: ignore[misc]  # checked by `register`

    def register_executor(self, executor: object, plugin: str, source: str = "") -> ActionExecutor:
        """Take an executor from `plugin`. Raises UserError `invalid-plugin` or `duplicate-executor`."""
        try:
            whole = as_executor(executor)
        except TypeError as error:
            raise not_usable("executor", executor, plugin, source, str(error)) from None
        self._put("executor", whole.name, Registered(whole, plugin, source))
        self._executors[whole.name] = whole
        return whole

    def register(self, kind: Kind, thing: object, plugin: str, source: str = "") -> None:
        """Take a thing of any kind from `plugin`. Raises UserError `invalid-plugin` or `duplicate-KIND`."""
        if kind == "executor":
            self.register_executor(thing, plugin, source)
            return
        if kind == "sink":
            if not callable(getattr(thing, "emit", None)):
                raise not_usable(kind, thing, plugin, source, "it has no method `emit`")
            name = f"{plugin}[{len(self._tables['sink'])}]"
        else:
            if kind == "reducer" and not callable(thing):
                raise not_usable(kind, thing, plugin, source, "it can't be called with the old and the new value")
            name = getattr(thing, "name", None) or ""
            if not isinstance(name, str) or not name:
                raise not_usable(kind, thing, plugin, source, "it has no attribute `name` with its name as text")
            needed = _METHODS.get(kind)
            is_late = hasattr(type(thing), "__getattr__")  # it has what it needs once it is used, which costs imports
            if needed is not None and not is_late and not callable(getattr(thing, needed, None)):
                raise not_usable(kind, thing, plugin, source, f"it has no method `{needed}`")
        self._put(kind, name, Registered(thing, plugin, source))

    def _put(self, kind: Kind, name: str, entry: Registered) -> None:
        table = self._tables[kind]
        first = table.get(name)
        if first is not None:
            raise UserError(
                f"duplicate-{kind}",
                f"two plugins bring {_an(kind)} `{name}`: {_who(first)} and {_who(entry)}",
                help="rename one of them, or turn one plugin off with the setting `plugins_blocked`",
                next=f"RUNKON_PLUGINS_BLOCKED='{entry.plugin}' runkon plugins",
            )
        table[name] = entry


def not_usable(kind: Kind, thing: object, plugin: str, source: str, why: str) -> UserError:
    """The error for a thing of a shape that can't work."""
    where = f" ({source})" if source else ""
    return UserError(
        "invalid-plugin",
        f"the plugin `{plugin}`{where} registers {_short(thing)} as {_an(kind)}: {why}",
        help="see the README of `runkon/plugin` for what each hook takes",
        next="runkon plugins",
    )


def _short(thing: object) -> str:
    if isinstance(thing, type) or hasattr(thing, "__qualname__"):
        return f"`{getattr(thing, '__qualname__', thing)}`"
    text = repr(thing)
    return text if len(text) <= 80 else f"{text[:77]}..."


def _who(entry: Registered) -> str:
    return f"`{entry.plugin}` ({entry.source})" if entry.source else f"`{entry.plugin}`"


def _an(kind: str) -> str:
    return f"an {kind}" if kind[0] in "aeiou" else f"a {kind}"
