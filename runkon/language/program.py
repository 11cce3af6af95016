"""Parsed and checked programs, and what a check may ask about the world around a file."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import field
from pathlib import Path
from typing import Literal, Protocol, TypeAlias

from runkon.frozen import value_class
from runkon.language.diagnostics import OPTION_CODES, Diagnostic, Severity
from runkon.language.nodes import Workflow
from runkon.language.source import SourceFile
from runkon.named import NamedTuple

ResourceKind: TypeAlias = Literal["agent", "snippet", "schema", "script"]
NameKind: TypeAlias = Literal["executor", "runtime", "provider", "gate", "reducer", "variable"]


@value_class(frozen=True, slots=True)
class ParseResult:
    """The workflows of one file, the first is the entry; a workflow with errors inside may be missing."""

    source: SourceFile
    workflows: tuple[Workflow, ...] = ()
    diagnostics: tuple[Diagnostic, ...] = ()

    @property
    def ok(self) -> bool:
        return not any(d.severity is Severity.ERROR for d in self.diagnostics)

    @property
    def is_whole(self) -> bool:
        """True if no text was lost or made up: all errors are about options and their values, so that checks of the
        tree say nothing that another error caused."""
        return all(d.code in OPTION_CODES for d in self.diagnostics if d.severity is Severity.ERROR)


class Located(NamedTuple):
    """Where a named file is, or None with the places searched, as people should read them."""

    path: Path | None
    places: tuple[str, ...]
    problem: str | None = None  # why a file that is there can't be used: not executable, not readable


class LoadedWorkflow(NamedTuple):
    """A workflow found for `call workflow`, or None with what went wrong. Without workflow, places and problem:
    nothing is known about it, not even that it is missing."""

    workflow: Workflow | None
    source: SourceFile | None
    places: tuple[str, ...] = ()
    problem: str | None = None


class AgentUse(NamedTuple):
    """A call of an agent file that was found: `name` as written, `path` and how people read it, what the step itself
    says of runtime and model, and the names of the workflow's secret inputs."""

    name: str
    path: Path
    shown: str
    runtime: str | None
    model: str | None
    secrets: frozenset[str]


class AgentFault(NamedTuple):
    """Why such a call can't work, as a finding: its code, its sentence, what to do; `place` is file, line, column and
    text of the line in the agent file."""

    code: str
    reason: str
    help: str | None
    place: tuple[str, int, int, str] | None = None


class Catalog(Protocol):
    """What exists outside the file: the registry and the project folders, as a check sees them."""

    def knows(self, kind: NameKind, name: str) -> bool: ...
    def names(self, kind: NameKind) -> Sequence[str]: ...
    def locate(self, kind: ResourceKind, name: str, workflow: str, caller: SourceFile | None = None) -> Located:
        """Find an agent, snippet, schema or script by name or path, for the workflow of that name in that file."""
        ...

    def workflow(self, name: str, caller: SourceFile) -> LoadedWorkflow:
        """The target of a `call workflow NAME` in `caller`."""
        ...

    def agent_faults(self, use: AgentUse) -> Iterable[AgentFault]:
        """Why a call of an agent file can't work; where nobody looks into agent files, that nothing can run them."""
        if self.names("runtime") or self.knows("runtime", ""):
            return ()
        reason = f"nothing here can run the agent file `{use.name}`: no runtime is registered"
        return (AgentFault("unknown-runtime", reason, None),)


class Facts(NamedTuple):
    """Static facts of a workflow and of those it calls, whose gates and scripts are `called/name`; None where no bound
    exists. `missing` lists `kind:name` of what was not found; executors, providers and reducers are those that were."""

    calls_max: int | None
    concurrency_max: int | None
    gates: tuple[str, ...]
    scripts: tuple[str, ...]
    inputs_required: tuple[str, ...]
    executors: tuple[str, ...]
    missing: tuple[str, ...]
    providers: tuple[str, ...] = ()
    reducers: tuple[str, ...] = ()


@value_class(frozen=True, slots=True)
class CheckedWorkflow:
    """A workflow without errors: the only thing the engine runs. `source` is the entry file; `children` are the
    workflows it calls, by name."""

    workflow: Workflow
    source: SourceFile
    warnings: tuple[Diagnostic, ...] = ()
    children: Mapping[str, CheckedWorkflow] = field(default_factory=dict)


@value_class(frozen=True, slots=True)
class CheckResult:
    """`checked` is None if any diagnostic is an error. Diagnostics are sorted by position. `cause` is an error of the
    file itself, or of the file it calls, however far down, that has one."""

    checked: CheckedWorkflow | None
    diagnostics: tuple[Diagnostic, ...]
    facts: Facts
    cause: Diagnostic | None = None
