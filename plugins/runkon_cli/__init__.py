"""Coding agents on the command line as runtimes of agent files. Only names here: the rest is imported when one runs."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from threading import Lock

from runkon import hookimpl

_PLACES = {
    "claude": "runkon_cli.rows:claude",
    "codex": "runkon_cli.rows:codex",
    "gemini": "runkon_cli.rows:gemini",
    "command": "runkon_cli.command:CommandRuntime",
    "acp": "runkon_cli.acp_runtime:AcpRuntime",
}


class LateRuntime:
    """A runtime whose module is imported with the first use of anything but its name."""

    version = "1"

    def __init__(self, name: str, place: str) -> None:
        self.name = name
        self._place = place
        self._runtime: object = None
        self._lock = Lock()

    def __getattr__(self, attribute: str) -> object:
        if attribute.startswith("_"):
            raise AttributeError(attribute)
        with self._lock:
            if self._runtime is None:
                module, _, maker = self._place.partition(":")
                self._runtime = getattr(importlib.import_module(module), maker)()
        return getattr(self._runtime, attribute)


@hookimpl
def runkon_register_runtimes(register: Callable[[object], None]) -> None:
    for name, place in _PLACES.items():
        register(LateRuntime(name, place))
