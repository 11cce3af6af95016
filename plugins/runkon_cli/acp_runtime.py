"""The Agent Client Protocol as a runtime: any program that speaks it over its standard input and output."""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping

from runkon.errors import Fatal
from runkon.frozen import value_class
from runkon.model.agents import AgentReply, AgentRequest, Availability
from runkon.model.output import JsonValue
from runkon_cli.argv import Argv, read_argv
from runkon_cli.ask import Plan
from runkon_cli.conversation import Conversation, check_model
from runkon_cli.options import Options, Table, described, read_options
from runkon_cli.running import Running
from runkon_cli.runtime import NOT_RUN, availability_of

POLITE = 1.0  # seconds that an agent has to end its turn when it is asked to
MISSING = "the runtime `acp` needs the package agent-client-protocol: `pip install 'runkon[acp]'`"
_OWN = frozenset({"argv", "permissions"})
_PLACES = ("model", "max_turns", "agent", "working_dir")


@value_class(frozen=True, slots=True, kw_only=True)
class AcpSettings:
    """How the agent is started, and what it may do: `permissions` is `deny`, `allow`, `allow-read`, or None for what
    the agent file says."""

    argv: Argv
    permissions: str | None
    options: Options


class AcpRuntime:
    """Runs agents by a program that speaks the Agent Client Protocol. Safe for concurrent calls."""

    name = "acp"
    version = "1"

    def __init__(self) -> None:
        self._running = Running()

    def run(self, request: AgentRequest) -> AgentReply:
        """One attempt. Raises as `AgentRuntime.run` says; Fatal without its package, and for settings that can't
        work."""
        if request.step.dry_run:
            return AgentReply(text=NOT_RUN)
        who = request.runtime or self.name
        settings = read_acp(request.settings, who)
        options = settings.options
        model = request.model or options.default_model
        check_model(who, model, options, is_strict=True)
        if not is_installed():
            raise Fatal(MISSING)
        from runkon_cli.acp_ear import AcpEar, Wish  # late: brings the package, pydantic and asyncio

        wish = Wish(
            prompt=request.prompt,
            folder=str(request.step.working_dir.absolute()),
            session=request.session,
            model=None if "model" in settings.argv.places else model,
            mode=options.permission_mode,
            permissions=settings.permissions or ("allow" if request.agent.can_commit else "allow-read"),
            most_turns=request.step.max_turns or options.max_turns,
        )
        values = {
            "model": model or "",
            "max_turns": str(wish.most_turns),
            "agent": request.agent.name,
            "working_dir": wish.folder,
        }
        plan = Plan(
            who=who,
            binary=settings.argv.binary,
            arguments=lambda _: settings.argv.arguments(values),
            ear=lambda talk: AcpEar(talk, wish),
            is_dialogue=True,
            polite=POLITE,
            login="log in with the program itself, or let it see its key with `env_allow`",
        )
        return Conversation(request, options, plan, self._running).run()

    def describe(self, request: AgentRequest) -> Mapping[str, JsonValue]:
        """What of the settings an answer depends on."""
        return described(request.settings)

    def kill(self) -> None:
        """End every running program now, without grace. Safe from any thread."""
        self._running.kill()

    def offers(self, model: str) -> bool:  # noqa: ARG002 - as the interface names it
        """None by itself: the models are in the settings."""
        return False

    def availability(self, settings: Mapping[str, JsonValue], *, check: bool = False) -> Availability:
        """Whether the package and the program of the settings are there."""
        if not is_installed():
            return Availability(ready=False, detail=MISSING)
        if not settings:
            detail = '`[runtimes.NAME]` with `type = "acp"` and `argv` names a program that speaks the protocol'
            return Availability(ready=False, detail=detail)
        try:
            found = read_acp(settings, self.name)
        except Fatal as problem:
            return Availability(ready=False, detail=str(problem))
        return availability_of(found.argv.binary, found.options, (), found.options.install, check=check)

    def most_cost_usd(self, request: AgentRequest) -> float | None:  # noqa: ARG002 - as above
        """Nobody can say."""
        return None


def is_installed() -> bool:
    """True if the package is there; it is not imported."""
    return importlib.util.find_spec("acp") is not None


def read_acp(settings: Mapping[str, JsonValue], who: str) -> AcpSettings:
    """The settings of an agent of this protocol. Raises Fatal, naming the setting that can't work."""
    options = read_options(settings, who, _OWN)
    table = Table(settings, who)
    argv = read_argv(settings.get("argv"), options, table, _PLACES)
    chosen = table.one_of("permissions", "deny", "allow", "allow-read") if "permissions" in settings else None
    return AcpSettings(argv=argv, permissions=chosen, options=options)
