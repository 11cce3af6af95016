"""Agent files, snippets and schemas as a leg uses them: looked up and read once, then kept."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from runkon.errors import UserError
from runkon.executors.agents.agent_file import AgentProblem, read_agent
from runkon.language.lookup import locate, locate_agent
from runkon.model.agents import AgentRefused
from runkon.model.failures import StepFailure

if TYPE_CHECKING:
    from runkon.language.program import Located
    from runkon.model.agents import AgentCall, AgentDefinition
    from runkon.model.ports import StepRequest
    from runkon.schemas.fields import Schema

_Read = TypeVar("_Read")


class AgentFiles:
    """What was read, by what it was asked for. Safe for concurrent calls."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._kept: dict[tuple[object, ...], object] = {}

    def agent(self, call: AgentCall) -> AgentDefinition:
        """The agent that is called. Raises AgentRefused: `unknown-agent` with the places searched, `broken-agent` with
        what is wrong in the file and where."""
        key = ("agent", call.form, call.name, call.workflow, call.roots, call.plugin_dirs)
        return self._once(key, partial(_agent, call))

    def snippets(self, request: StepRequest) -> Sequence[str]:
        """The texts of the step's snippets, in order. Raises StepFailure (kind `value`) for one that isn't there."""
        return [
            self._once(("snippet", name, request.workflow, request.roots), partial(_snippet, name, request))
            for name in request.snippets
        ]

    def schema(self, request: StepRequest) -> Schema | None:
        """What the step's answer must look like. Raises StepFailure (kind `value`) if it isn't there or is broken."""
        name = request.schema
        if name is None:
            return None
        return self._once(("schema", name, request.workflow, request.roots), partial(_schema, name, request))

    def _once(self, key: tuple[object, ...], read: Callable[[], _Read]) -> _Read:
        with self._lock:
            if key not in self._kept:
                self._kept[key] = read()
            return self._kept[key]  # type: ignore[return-value]  # put there by the same `read`


def _agent(call: AgentCall) -> AgentDefinition:
    find = partial(_find, "agent", call.roots, call.workflow)
    located = locate_agent(call.name, call.form, call.plugin_dirs, find)
    if located.path is None or located.problem is not None:
        raise AgentRefused(
            "unknown-agent",
            f"there is no agent or executor `{call.name}`",
            help=located.problem or _searched(located.places),
        )
    try:
        return read_agent(located.path)
    except AgentProblem as problem:
        where = f"{located.places[-1]}:{problem.line}:{problem.column}"
        raise AgentRefused(
            "broken-agent",
            f"the agent file `{call.name}` can't be used: {problem.message} ({where})",
            help=problem.help,
        ) from None


def _snippet(name: str, request: StepRequest) -> str:
    path = _path(name, request)
    from runkon.language.loader import read_source  # late: the places decide first

    try:
        text = read_source(path, path.name).text.strip()
    except UserError as error:
        raise StepFailure("value", f"the prompt snippet `{name}` can't be used: {error.message}") from None
    return text


def _schema(name: str, request: StepRequest) -> Schema:
    from runkon.language.schema_files import find_schema  # late: only steps with a schema pay for reading one

    try:
        return find_schema(_roots(request), name, request.workflow)
    except UserError as error:
        raise StepFailure("value", error.message) from None


def _roots(request: StepRequest) -> Sequence[Path]:
    return request.roots or (request.working_dir.absolute(),)


def _path(name: str, request: StepRequest) -> Path:
    located = _find("snippet", _roots(request), request.workflow, name)
    if located.path is None or located.problem is not None:
        reason = located.problem or _searched(located.places)
        raise StepFailure("value", f"there is no prompt snippet `{name}`: {reason}")
    return located.path


def _find(kind: str, roots: Sequence[Path], workflow: str, name: str) -> Located:
    return locate(kind, roots, name, workflow)  # type: ignore[arg-type]  # a kind of file that `locate` knows


def _searched(places: Iterable[str]) -> str:
    return "\n".join(["looked for", *places])
