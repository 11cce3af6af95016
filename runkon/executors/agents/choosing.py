"""Which runtime carries out an agent, and with which model.

Four places may say so; the first that speaks of it wins: the step's own options, flags and variables of the run, the
agent file, the settings. A model that only one runtime has brings that runtime along, unless something more specific
names another one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, cast

from runkon.language.suggest import closest
from runkon.model.agents import AgentRefused, AgentRuntimes
from runkon.model.output import EMPTY, JsonValue
from runkon.named import NamedTuple

if TYPE_CHECKING:
    from runkon.model.agents import AgentCall, AgentDefinition, AgentRuntime

TEST = "test"  # the model, and the runtime, that makes answers up
PROVIDERS = "agents"  # the runtime for models of the form `provider:name`
USUAL = "claude"  # taken where nothing is said, if it is installed
Tables = Mapping[str, Mapping[str, JsonValue]]


class Runtimes(AgentRuntimes):
    """The runtimes there are: what plugins brought, and what `[runtimes.NAME]` of the settings makes of them. Only
    read, from any thread."""

    def __init__(self, registered: Mapping[str, object], tables: Tables) -> None:
        self._registered = registered
        self._tables = tables

    def find(self, name: str) -> AgentRuntime | None:
        """The runtime of that name; a table of the settings may say with `type` which one it stands for."""
        kind = self.settings(name).get("type", name)
        return cast("AgentRuntime | None", self._registered.get(str(kind)))

    def names(self) -> Sequence[str]:
        return sorted({*self._registered, *(name for name in self._tables if self.find(name) is not None)})

    def settings(self, name: str) -> Mapping[str, JsonValue]:
        """The table of that runtime in the settings."""
        return self._tables.get(name, EMPTY)

    def has_model(self, name: str, model: str) -> bool:
        """True if the model belongs to the runtime `name`: it says so, or its table lists it under `models`."""
        runtime, table = self.find(name), self.settings(name)
        if runtime is None:
            return False
        listed = table.get("models")
        if isinstance(listed, list) and model in listed:
            return True
        if model == table.get("default_model"):
            return True
        try:
            return bool(runtime.offers(model))
        except Exception:  # noqa: BLE001  of a plugin: what can't say that a model is its own does not get it
            return False

    def owner_of(self, model: str) -> str | None:
        """The runtime a model belongs to, None if nobody knows it."""
        if model == TEST:
            return TEST
        if ":" in model:
            listed = (name for name in self._tables if self.has_model(name, model))
            return next(listed, PROVIDERS)
        return next((name for name in self.names() if self.has_model(name, model)), None)


class Chosen(NamedTuple):
    """A runtime by its name, and the model to give to it. `unused` is a model that was named elsewhere for another
    runtime, and is not asked for."""

    name: str
    runtime: AgentRuntime
    model: str | None = None
    unused: str | None = None


def choose(agent: AgentDefinition, call: AgentCall, runtimes: Runtimes) -> Chosen:
    """Who carries out `agent` for `call`. Raises AgentRefused `unknown-runtime`, which says what there is."""
    choice = call.choice
    said = (
        (call.runtime, call.model),
        (choice.runtime, choice.model),
        (agent.runtime, agent.model),
        (choice.default_runtime, choice.default_model),
    )
    model_at, model = next(((at, model) for at, (_, model) in enumerate(said) if model is not None), (len(said), None))
    name_at, name = next(((at, name) for at, (name, _) in enumerate(said) if name is not None), (len(said), None))
    is_overruled = name_at < min(model_at, 2)  # a step or flag that names a runtime means it, whatever the settings say
    if choice.model == TEST or (model == TEST and not is_overruled):
        return _chosen(agent, TEST, TEST, runtimes)
    if model is None:
        return _chosen(agent, name or _usual(agent, runtimes), None, runtimes)
    if name is None:
        return _chosen(agent, runtimes.owner_of(model) or _usual(agent, runtimes), model, runtimes)
    if name_at == model_at or runtimes.has_model(name, model):
        return _chosen(agent, name, model, runtimes)
    owner = runtimes.owner_of(model)
    if owner is None or owner == name:
        return _chosen(agent, name, model, runtimes)
    if model_at < name_at:
        return _chosen(agent, owner, model, runtimes)
    unused = None if model == TEST else model  # which is no model that somebody could miss
    return _chosen(agent, name, None, runtimes)._replace(unused=unused)


def is_metered(runtime: AgentRuntime) -> bool:
    """True if asking it costs money, and where it does not say."""
    try:
        return bool(getattr(runtime, "metered", True))
    except Exception:  # noqa: BLE001  of a plugin
        return True


def _chosen(agent: AgentDefinition, name: str, model: str | None, runtimes: Runtimes) -> Chosen:
    runtime = runtimes.find(name)
    if runtime is None:
        raise _unknown(agent, name, model, runtimes)
    table_model = runtimes.settings(name).get("default_model")
    if model is None and isinstance(table_model, str):
        model = table_model
    return Chosen(name, runtime, model)


def _usual(agent: AgentDefinition, runtimes: Runtimes) -> str:
    runtime = runtimes.find(USUAL)
    if runtime is not None and runtime.availability(runtimes.settings(USUAL)).ready is not False:
        return USUAL
    raise AgentRefused(
        "unknown-runtime",
        f"nothing says which runtime runs the agent file `{agent.name}`",
        help=f"{_listed(runtimes)}\n{_HOW}",
    )


_HOW = (
    "choose one with `--runtime NAME`, the setting `runtime`, or `runtime: NAME` in the agent file;\n"
    "`--model provider:name` asks a model API, `--model test` makes answers up, offline"
)


def _unknown(agent: AgentDefinition, name: str, model: str | None, runtimes: Runtimes) -> AgentRefused:
    close = closest(name, runtimes.names())
    if name == PROVIDERS and model is not None:
        message = f"the model `{model}` of agent `{agent.name}` needs the runtime `{PROVIDERS}`, which is not there"
        help = f"`pip install 'runkon[{PROVIDERS}]'` brings it; `--model test` makes answers up, offline"
    else:
        message = f"there is no runtime `{name}` to run the agent file `{agent.name}`"
        help = f"did you mean `{close}`?" if close else f"{_listed(runtimes)}\n{_HOW}"
    return AgentRefused("unknown-runtime", message, help=help)


def _listed(runtimes: Runtimes) -> str:
    names = [f"`{name}`" for name in runtimes.names()]
    if len(names) == 1:
        return f"the only runtime is {names[0]}"
    return f"the runtimes are {', '.join(names)}" if names else "no runtime is registered"
