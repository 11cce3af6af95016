"""A runkon plugin with one executor, `check-links`."""

from __future__ import annotations

from collections.abc import Callable

from runkon import ActionExecutor, hookimpl

from .links import check_links


@hookimpl
def runkon_register_executors(register: Callable[[ActionExecutor], None]) -> None:
    register(check_links)
