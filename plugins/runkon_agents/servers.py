"""Tool servers of the settings, which speak the Model Context Protocol: started with an attempt, ended with it."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from runkon.errors import Fatal
from runkon.model import processes
from runkon.model.failures import StepFailure

if TYPE_CHECKING:
    from pathlib import Path

    from runkon.model.ports import StepRequest
    from runkon_agents.options import ToolServer

MOST_RESULT = 256 << 10  # characters of what a tool gives back
USUAL = ("PATH", "HOME", "USER", "LOGNAME", "SHELL", "LANG", "LC_ALL", "TZ", "TERM", "TMPDIR", "XDG_RUNTIME_DIR")


def toolsets_of(servers: Sequence[ToolServer], step: StepRequest, log: Path) -> list[Any]:
    """What the library needs of each. A program sees the usual variables, those it is allowed, and the step's marks;
    what it writes to standard error goes to `log`."""
    if not servers:
        return []
    from fastmcp.client.transports import StdioTransport
    from pydantic_ai.mcp import MCPToolset

    found = []
    for server in servers:
        if server.command is not None:
            environment = _environment(server, os.environ, step.marks)
            client: Any = StdioTransport(
                _program(server.name, server.command, environment, step),
                list(server.args),
                env=environment,
                cwd=str(step.working_dir.absolute()),
                keep_alive=False,
                log_file=log,
            )
            toolset: Any = MCPToolset(client, id=server.name, **_bounds(server))
        else:
            headers = _headers(server, os.environ)
            toolset = MCPToolset(server.url, id=server.name, headers=headers, **_bounds(server))
        if server.tools is not None:
            toolset = toolset.filtered(_is_one_of(frozenset(server.tools)))
        found.append(toolset.prefixed(server.name))
    return found


def tell_started(step: StepRequest) -> None:
    """Tell the engine of every process that carries this attempt's mark."""
    for one in processes.of_attempt(processes.last_owner(step.marks)):
        step.started(one.pid)


def end_all(step: StepRequest, grace: float) -> None:
    """End what is left of the attempt's processes; `grace` in seconds."""
    owner = processes.last_owner(step.marks)
    if owner is not None:
        processes.end(lambda: processes.of_attempt(owner), grace)


def _program(name: str, command: str, environment: Mapping[str, str], step: StepRequest) -> str:
    """The program itself: by its path from the step's folder, or looked up in PATH."""
    near = str(step.working_dir.absolute() / command) if os.sep in command else command
    found = shutil.which(near, path=environment.get("PATH", os.defpath))
    if found is None:
        raise StepFailure("exit", f"the tool server `{name}` can't be started: `{command}` is not installed")
    return found


def _is_one_of(names: frozenset[str]) -> Callable[[object, Any], bool]:
    return lambda _, tool: tool.name in names


def _bounds(server: ToolServer) -> dict[str, Any]:
    return {
        "tool_error_behavior": "failed",
        "init_timeout": server.timeout,
        "read_timeout": server.timeout,
        "process_tool_call": _call,
    }


async def _call(_: object, call: Callable[..., Awaitable[Any]], name: str, arguments: dict[str, Any]) -> Any:
    """The result of a tool, cut where it is longer than any model should have to read."""
    result = await call(name, arguments)
    text = result if isinstance(result, str) else json.dumps(result, ensure_ascii=False, default=str)
    if len(text) <= MOST_RESULT:
        return result
    return f"{text[:MOST_RESULT]}\n… (cut: the result has {len(text)} characters)"


def _environment(server: ToolServer, parent: Mapping[str, str], marks: Mapping[str, str]) -> dict[str, str]:
    names = (*USUAL, *server.env_allow)
    return {**{name: parent[name] for name in names if name in parent}, **server.env, **marks}


def _headers(server: ToolServer, environ: Mapping[str, str]) -> dict[str, str]:
    missing = [variable for variable in server.headers.values() if not environ.get(variable)]
    if missing:
        raise Fatal(f"the tool server `{server.name}` needs the variable `{missing[0]}`, which is not set")
    return {name: environ[variable] for name, variable in server.headers.items()}
