"""Agents: what an agent file says, what a runtime is asked to do with it, and what it gives back.

An agent file is a prompt with a few settings. A runtime carries it out: a model API, a coding agent on the command
line, or the generator in the box. Runtimes come from plugins, through the hook `runkon_register_runtimes`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import field
from pathlib import Path
from typing import Literal, Protocol, TypeAlias

from runkon.errors import UserError
from runkon.frozen import value_class
from runkon.model.output import EMPTY, JsonValue, Usage
from runkon.model.ports import StepRequest
from runkon.schemas.fields import Schema

_CHOICES = ("runtime", "model", "default_runtime", "default_model")


class AgentRefused(UserError):
    """An agent that can't be called: `code` is that of the finding a check would report, `help` says what to do."""


Role: TypeAlias = Literal["actor", "reviewer"]


@value_class(frozen=True, slots=True, kw_only=True)
class AgentDefinition:
    """An agent file. `prompt` is its text without the front matter, before values are put in; `path` is where it was
    found. Only an `actor` may have `can_commit`, and such an agent may change files."""

    name: str
    prompt: str
    path: Path
    role: Role = "reviewer"
    can_commit: bool = False
    model: str | None = None
    runtime: str | None = None


@value_class(frozen=True, slots=True, kw_only=True)
class AgentChoice:
    """What a run says of runtimes and models for all its agents: `runtime` and `model` come before what an agent file
    says (flags and variables), `default_runtime` and `default_model` after it (settings)."""

    runtime: str | None = None
    model: str | None = None
    default_runtime: str | None = None
    default_model: str | None = None

    def as_json(self) -> dict[str, JsonValue]:
        """What the run's record keeps; only what was said."""
        return {name: value for name in _CHOICES if (value := getattr(self, name)) is not None}

    @classmethod
    def from_json(cls, stored: Mapping[str, JsonValue]) -> AgentChoice:
        """What `as_json` gave."""
        return cls(**{name: str(stored[name]) for name in _CHOICES if stored.get(name) is not None})


@value_class(frozen=True, slots=True, kw_only=True)
class AgentCall:
    """Whom a step calls: `name` as the file writes it, which is a path if `form` says so. `roots` are the folders in
    which files are looked up; `runtime` and `model` are what the step's own options say."""

    name: str
    form: Literal["name", "path"]
    workflow: str
    roots: tuple[Path, ...]
    plugin_dirs: tuple[str, ...] = ()
    runtime: str | None = None
    model: str | None = None
    choice: AgentChoice = AgentChoice()


@value_class(frozen=True, slots=True, kw_only=True)
class AgentRequest:
    """One attempt of one agent. `prompt` is the whole text to send. `schema` is what the answer must look like, None
    for free text. `model` is the name to give to the provider, None for the runtime's own default. `runtime` is the
    name by which the runtime was chosen, `settings` its table in the project's settings. `session` continues the
    conversation of the previous attempt. `step` has the rest: limits, folder, secrets, cancellation, progress, the
    marks for child processes."""

    step: StepRequest
    agent: AgentDefinition
    prompt: str
    schema: Schema | None = None
    model: str | None = None
    runtime: str = ""
    settings: Mapping[str, JsonValue] = field(default_factory=lambda: EMPTY)
    session: str | None = None


@value_class(frozen=True, slots=True, kw_only=True)
class AgentReply:
    """What came of it. `text` is what the agent said, in which the output block is looked for; `values` is a structured
    answer the runtime got by other means, and then `text` is not searched. `usage` says what it cost, None when nobody
    knows; `session` names the conversation for a retry; `model` is the one that answered."""

    text: str = ""
    values: Mapping[str, JsonValue] | None = None
    usage: Usage | None = None
    session: str | None = None
    model: str | None = None


@value_class(frozen=True, slots=True, kw_only=True)
class Availability:
    """Whether a runtime could be used here and now, for `doctor` and for messages. `ready` is None when it can't be
    told without asking the network; `detail` is one line: a version and path, a key present or absent, what to do."""

    ready: bool | None
    detail: str = ""


class AgentRuntime(Protocol):
    """Carries out agents. Safe for concurrent calls.

    `run` blocks until there is an answer. It polls `request.step.cancel`, or waits on it, and leaves no process,
    thread or connection behind. It raises `Transient` for what another try may mend (rate limit, overload, a broken
    connection), `Fatal` for what none can (credentials, quota), `Cancelled` when it was told to stop, `StepFailure`
    with the kind `timeout` or `schema` for those, and any other exception for an ordinary failure. An exception may
    carry an attribute `usage`: what the attempt cost all the same, and `session`, for the next attempt to go on with.

    Optional: an attribute `metered` (False: its calls cost nothing; without it they do), a method `describe(request)`
    with what its answers depend on besides prompt, model and schema (JSON; without it the settings of the runtime), a
    method `supplier(model)` that names who is behind a model (after a `Fatal` nobody else is refused; without it the
    runtime), a method `lacks()` with what must be installed first, `the runtime … needs …: how`, None if nothing, a
    method `unmet(model, settings)` with what is missing here before that model can be asked (a key), found without the
    network, None if nothing, and a method `kill()` that ends everything at once.
    """

    @property
    def name(self) -> str: ...

    @property
    def version(self) -> str: ...

    def run(self, request: AgentRequest) -> AgentReply: ...

    def offers(self, model: str) -> bool:
        """True if a bare model name belongs to this runtime."""
        ...

    def availability(self, settings: Mapping[str, JsonValue], *, check: bool = False) -> Availability:
        """Whether it could be used. The network is asked only with `check`."""
        ...

    def most_cost_usd(self, request: AgentRequest) -> float | None:
        """The most one attempt may cost, for a reservation before it begins; None when nobody can say."""
        ...


class AgentRuntimes(Protocol):
    """The runtimes there are, by name."""

    def find(self, name: str) -> AgentRuntime | None: ...
    def names(self) -> Sequence[str]: ...
