"""Any program as a runtime: the settings say how it is called and where in its output the answer is."""

from __future__ import annotations

from collections.abc import Mapping

from runkon.errors import Fatal
from runkon.frozen import value_class
from runkon.model.agents import AgentReply, AgentRequest, Availability
from runkon.model.output import JsonValue
from runkon_cli.argv import Argv, read_argv
from runkon_cli.ask import Plan, is_argument
from runkon_cli.command_ear import CommandEar, Shape
from runkon_cli.conversation import Conversation, check_model
from runkon_cli.options import Options, Table, described, read_options
from runkon_cli.running import Running
from runkon_cli.runtime import NOT_RUN, availability_of

_OWN = frozenset(
    {"argv", "prompt_via", "output", "result", "session", "turns", "input_tokens", "output_tokens", "cost", "error",
     "turn", "progress"}
)  # fmt: skip
_PLACES = ("prompt", "prompt_file", "model", "session", "max_turns", "agent", "working_dir")


@value_class(frozen=True, slots=True, kw_only=True)
class Command:
    """A command as the settings describe it."""

    argv: Argv
    prompt_via: str
    shape: Shape
    options: Options


class CommandRuntime:
    """Runs agents by the command of a table `[runtimes.NAME]` with `type = "command"`. Safe for concurrent calls."""

    name = "command"
    version = "1"

    def __init__(self) -> None:
        self._running = Running()

    def run(self, request: AgentRequest) -> AgentReply:
        """One attempt. Raises as `AgentRuntime.run` says; Fatal for settings that can't work, naming the setting."""
        if request.step.dry_run:
            return AgentReply(text=NOT_RUN)
        who = request.runtime or self.name
        command = read_command(request.settings, who)
        options = command.options
        model = request.model or options.default_model
        check_model(who, model, options, is_strict=True)
        session = request.session if request.session and is_argument(request.session) else ""
        values = {
            "prompt": request.prompt if command.prompt_via == "arg" else "",
            "model": model or "",
            "session": session,
            "max_turns": str(request.step.max_turns or options.max_turns),
            "agent": request.agent.name,
            "working_dir": str(request.step.working_dir),
        }
        plan = Plan(
            who=request.runtime or command.argv.binary,
            binary=command.argv.binary,
            arguments=lambda file: command.argv.arguments({**values, "prompt_file": file}),
            ear=lambda talk: CommandEar(talk, command.shape),
            prompt=request.prompt if command.prompt_via == "stdin" else None,
            prompt_file=request.prompt if command.prompt_via == "file" else None,
            needs_zero=True,
        )
        return Conversation(request, options, plan, self._running).run()

    def describe(self, request: AgentRequest) -> Mapping[str, JsonValue]:
        """What of the settings an answer depends on."""
        return described(request.settings)

    def kill(self) -> None:
        """End every running program now, without grace. Safe from any thread."""
        self._running.kill()

    def offers(self, model: str) -> bool:  # noqa: ARG002 - as the interface names it
        """None by itself: the models are in the settings of each command."""
        return False

    def availability(self, settings: Mapping[str, JsonValue], *, check: bool = False) -> Availability:
        """Whether the settings can work and their program is there."""
        if not settings:
            detail = '`[runtimes.NAME]` with `type = "command"` and `argv` makes any program a runtime'
            return Availability(ready=False, detail=detail)
        try:
            command = read_command(settings)
        except Fatal as problem:
            return Availability(ready=False, detail=str(problem))
        return availability_of(command.argv.binary, command.options, (), command.options.install, check=check)

    def most_cost_usd(self, request: AgentRequest) -> float | None:  # noqa: ARG002 - as above
        """Nobody can say."""
        return None


def read_command(settings: Mapping[str, JsonValue], who: str = "command") -> Command:
    """The command in a table of settings. Raises Fatal, naming the setting that can't work."""
    options = read_options(settings, who, _OWN)
    table = Table(settings, who)
    argv = read_argv(settings.get("argv"), options, table, _PLACES)
    via = table.one_of("prompt_via", "arg", "stdin", "file")
    wanted = {"arg": "prompt", "file": "prompt_file"}.get(via)
    if wanted is not None and wanted not in argv.places:
        raise Fatal(f'`argv` of `{who}` has no `{{{{{wanted}}}}}`: with `prompt_via = "{via}"` the prompt goes there')
    return Command(argv=argv, prompt_via=via, shape=_shape(settings, table), options=options)


def _shape(settings: Mapping[str, JsonValue], table: Table) -> Shape:
    output = table.one_of("output", "text", "json", "jsonl")
    turn = settings.get("turn")
    if turn is not None and (not isinstance(turn, Mapping) or not turn):
        raise table.wrong("turn", 'a table of places to values, as `{type = "assistant"}`')
    shape = Shape(
        output=output,
        result=table.text("result"),
        session=table.text("session"),
        turns=table.text("turns"),
        input_tokens=table.text("input_tokens"),
        output_tokens=table.text("output_tokens"),
        cost=table.text("cost"),
        error=table.text("error"),
        turn=dict(turn) if isinstance(turn, Mapping) else None,
        progress=table.text("progress"),
    )
    if output == "jsonl" and shape.result is None:
        raise Fatal(f'`{table.who}` has `output = "jsonl"` and no `result`: the place of the answer in its line')
    return shape
