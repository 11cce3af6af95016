"""A coding agent of the table as a runtime of agent files."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from typing import Protocol

from runkon.errors import Fatal
from runkon.model.agents import AgentReply, AgentRequest, Availability
from runkon.model.output import JsonValue
from runkon_cli import program
from runkon_cli.ask import Ask, Plan, is_argument
from runkon_cli.conversation import Conversation, LostSession, check_model
from runkon_cli.environment import environment_of
from runkon_cli.options import Options, described, read_options
from runkon_cli.running import Running
from runkon_cli.streams import JsonLines
from runkon_cli.talk import Cause, Talk

NOT_RUN = "not run: this is a dry run"


class KnownAgent(Protocol):
    """A row of the table; see `runkon_cli.rows`."""

    @property
    def name(self) -> str: ...
    @property
    def install(self) -> str: ...
    @property
    def login(self) -> str: ...
    @property
    def keys(self) -> tuple[str, ...]: ...
    @property
    def arguments(self) -> Callable[[Ask], list[str]]: ...
    @property
    def read(self) -> Callable[[Mapping[str, object], Talk], None]: ...
    @property
    def exits(self) -> Mapping[int, Cause]: ...
    @property
    def takes_any_model(self) -> bool: ...
    @property
    def bounds_cost(self) -> bool: ...
    def offers(self, model: str) -> bool: ...
    def lost_session(self, said: str) -> bool: ...


class CliRuntime:
    """Runs agents by the program of one row. Safe for concurrent calls."""

    version = "1"

    def __init__(self, row: KnownAgent) -> None:
        self._row = row
        self.name = row.name
        self._running = Running()

    def run(self, request: AgentRequest) -> AgentReply:
        """One attempt; a session that is not there any more is begun anew. Raises as `AgentRuntime.run` says."""
        if request.step.dry_run:
            return AgentReply(text=NOT_RUN)
        who = request.runtime or self.name
        options = read_options(request.settings, who)
        model = request.model or options.default_model
        check_model(who, model, options, is_strict=not self._row.takes_any_model)
        session = request.session if request.session and is_argument(request.session) else None
        try:
            return self._attempt(request, options, model, session)
        except LostSession as lost:
            if session is None:
                raise
            request.step.emit(f"{lost}; a new one is begun")
            return self._attempt(request, options, model, None)

    def describe(self, request: AgentRequest) -> Mapping[str, JsonValue]:
        """What of the settings an answer depends on."""
        return described(request.settings)

    def kill(self) -> None:
        """End every running program now, without grace. Safe from any thread."""
        self._running.kill()

    def offers(self, model: str) -> bool:
        return self._row.offers(model)

    def availability(self, settings: Mapping[str, JsonValue], *, check: bool = False) -> Availability:
        """Whether the program is there; with `check` also its version, as it says it itself."""
        try:
            options = read_options(settings, self.name)
        except Fatal as problem:
            return Availability(ready=False, detail=str(problem))
        install = options.install or self._row.install
        return availability_of(options.binary or self.name, options, self._row.keys, install, check=check)

    def most_cost_usd(self, request: AgentRequest) -> float | None:
        """The limit of the step, if the program is told about it."""
        return request.step.max_cost_usd if self._row.bounds_cost else None

    def _attempt(self, request: AgentRequest, options: Options, model: str | None, session: str | None) -> AgentReply:
        row, step = self._row, request.step
        ask = Ask(
            model=model,
            session=session,
            max_turns=step.max_turns or options.max_turns,
            max_cost_usd=step.max_cost_usd,
            permission_mode=options.permission_mode,
            may_write=request.agent.can_commit,
            plugin_dirs=step.plugin_dirs,
            more=options.args,
        )
        plan = Plan(
            who=request.runtime or row.name,
            binary=options.binary or row.name,
            arguments=lambda _: row.arguments(ask),
            ear=lambda talk: JsonLines(talk, row.read),
            prompt=request.prompt,
            install=row.install,
            login=row.login,
            keys=row.keys,
            exits=row.exits,
            lost_session=row.lost_session,
        )
        return Conversation(request, options, plan, self._running).run()


def availability_of(binary: str, options: Options, keys: tuple[str, ...], install: str, *, check: bool) -> Availability:
    """Whether a program is there, which one, and whether its key is set; a login of its own can't be seen."""
    environment = environment_of(os.environ, (*keys, *options.env_allow), options.env, {})
    found = program.find(binary, environment.get("PATH", os.defpath))
    if found is None:
        return Availability(ready=False, detail=f"`{binary}` is not installed" + (f"; {install}" if install else ""))
    if not os.access(found, os.X_OK):
        return Availability(ready=False, detail=f"`{found}` is not an executable file")
    detail = found
    if check:
        detail += f", {program.version_of(found, environment)}"
    if not keys:
        return Availability(ready=True, detail=detail)
    has_key = bool(environment.get(keys[0]))
    own = f"{keys[0]} is set" if has_key else f"{keys[0]} is not set, so its own login counts"
    return Availability(ready=True if has_key else None, detail=f"{detail}, {own}")
