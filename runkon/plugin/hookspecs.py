"""The hooks a plugin may implement, and nothing else.

Every hook has one shape: it receives `register` and calls it once for each thing it brings. What the thing needs is
the hook's type below; a thing with a wrong shape is an error that names the plugin.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol, TypeAlias

import pluggy

from runkon.model.ports import ActionExecutor, EventSink

PROJECT = "runkon"
PREFIX = "runkon_register_"

hookspec = pluggy.HookspecMarker(PROJECT)
hookimpl = pluggy.HookimplMarker(PROJECT)


class Named(Protocol):
    """Anything found by its name, which is what a workflow, a flag or a setting writes."""

    @property
    def name(self) -> str | None: ...


RegisterExecutor: TypeAlias = "Callable[[ActionExecutor | type[ActionExecutor]], None]"
RegisterSink: TypeAlias = Callable[[EventSink], None]
RegisterNamed: TypeAlias = Callable[[Named], None]


@hookspec
def runkon_register_executors(register: RegisterExecutor) -> None:
    """Register what carries out `call NAME` and `executor = NAME`."""


@hookspec
def runkon_register_runtimes(register: RegisterNamed) -> None:
    """Register what runs agent files: a command-line agent, a model API."""


@hookspec
def runkon_register_gate_resolvers(register: RegisterNamed) -> None:
    """Register who decides gates; the name is the word after `gate`."""


@hookspec
def runkon_register_item_providers(register: RegisterNamed) -> None:
    """Register sources of items; the name is the word after `over =` in a `foreach`."""


@hookspec
def runkon_register_reducers(register: RegisterNamed) -> None:
    """Register how two values of one state channel become one."""


@hookspec
def runkon_register_event_sinks(register: RegisterSink) -> None:
    """Register receivers of events; each sees every event of every run after it is durable."""


@hookspec
def runkon_register_stores(register: RegisterNamed) -> None:
    """Register places to keep runs; the name is the scheme of a `--db` address."""


@hookspec
def runkon_register_substrates(register: RegisterNamed) -> None:
    """Register where leaf steps run; the name is what `--on` takes."""


@hookspec
def runkon_register_commands(register: RegisterNamed) -> None:
    """Register click commands; looked up only for a verb that is not built in."""


HOOKS: tuple[str, ...] = tuple(sorted(name for name in list(globals()) if name.startswith(PREFIX)))
