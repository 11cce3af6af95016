"""Model APIs as the runtime `agents` of agent files. Only a name here: the rest is imported when an agent runs."""

from __future__ import annotations

from collections.abc import Callable
from threading import Lock
from typing import TYPE_CHECKING

from runkon import hookimpl

if TYPE_CHECKING:
    from runkon_agents.runtime import AgentsRuntime


class LateRuntime:
    """The runtime, whose module is imported with the first use of anything but its name."""

    name = "agents"
    version = "1"

    def __init__(self) -> None:
        self._runtime: AgentsRuntime | None = None
        self._lock = Lock()

    def __getattr__(self, attribute: str) -> object:
        if attribute.startswith("_"):
            raise AttributeError(attribute)
        with self._lock:
            if self._runtime is None:
                from runkon_agents.runtime import AgentsRuntime  # late: runs without agents don't pay for it

                self._runtime = AgentsRuntime()
        return getattr(self._runtime, attribute)


@hookimpl
def runkon_register_runtimes(register: Callable[[object], None]) -> None:
    register(LateRuntime())
