"""Any program as a runtime: the settings say how it is called and where in its output the answer is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import field

from runkon.errors import Fatal
from runkon.frozen import value_class
from runkon.model.agents import AgentReply, AgentRequest, Availability
from runkon.model.output import JsonValue
from runkon.pattern import pattern
from runkon_cli.ask import Plan, is_argument
from runkon_cli.command_ear import CommandEar, Shape
from runkon_cli.conversation import Conversation, check_model
from runkon_cli.options import Options, Table, read_options
from runkon_cli.running import Running
from runkon_cli.runtime import NOT_RUN, availability_of

_OWN = frozenset(
    {"argv", "prompt_via", "output", "result", "session", "turns", "input_tokens", "output_tokens", "cost", "error",
     "turn", "progress"}
)  # fmt: skip
_PLACE = pattern(r"\{\{\s*([A-Za-z_]+)\s*\}\}")
_PLACES = ("prompt", "prompt_file", "model", "session", "max_turns", "agent", "working_dir")
Part = str | tuple[str, ...]


@value_class(frozen=True, slots=True, kw_only=True)
class Command:
    """A command as the settings describe it. A group of `argv` is left out when a value in it is empty."""

    argv: tuple[Part, ...]
    prompt_via: str
    shape: Shape
    options: Options = field(default_factory=Options)

    @property
    def binary(self) -> str:
        first = self.argv[0]
        return first if isinstance(first, str) else first[0]

    def arguments(self, values: Mapping[str, str]) -> list[str]:
        """The arguments after the program's name; empty ones are left out."""
        words: list[str] = []
        for part in self.argv[1:]:
            if isinstance(part, str):
                words.append(_filled(part, values))
            elif all(values[name] for text in part for name in _PLACE.findall(text)):
                words += [_filled(text, values) for text in part]
        return [word for word in words if word]


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
        command = read_command(request.settings)
        options = command.options
        model = request.model or options.default_model
        check_model(command.binary, model, options, is_strict=True)
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
            who=command.binary,
            binary=command.binary,
            arguments=lambda file: command.arguments({**values, "prompt_file": file}),
            ear=lambda talk: CommandEar(talk, command.shape),
            prompt=request.prompt if command.prompt_via == "stdin" else None,
            prompt_file=request.prompt if command.prompt_via == "file" else None,
            needs_zero=True,
        )
        return Conversation(request, options, plan, self._running).run()

    def kill(self) -> None:
        """End every running program now, without grace. Safe from any thread."""
        self._running.kill()

    def offers(self, model: str) -> bool:  # noqa: ARG002 - as the interface names it
        """None by itself: the models are in the settings of each command."""
        return False

    def availability(self, settings: Mapping[str, JsonValue], *, check: bool = False) -> Availability:
        """Whether the settings can work and their program is there."""
        try:
            command = read_command(settings)
        except Fatal as problem:
            return Availability(ready=False, detail=str(problem))
        return availability_of(command.binary, command.options, (), command.options.install, check=check)

    def most_cost_usd(self, request: AgentRequest) -> float | None:  # noqa: ARG002 - as above
        """Nobody can say."""
        return None


def read_command(settings: Mapping[str, JsonValue]) -> Command:
    """The command in a table of settings. Raises Fatal, naming the setting that can't work."""
    who = "command"
    options = read_options(settings, who, _OWN)
    table = Table(settings, who)
    argv = _argv(settings.get("argv"), table)
    if options.binary is not None:
        argv = (options.binary, *argv[1:])
    if options.args:
        argv = (*argv, *options.args)
    via = table.one_of("prompt_via", "arg", "stdin", "file")
    texts = [text for part in argv for text in ([part] if isinstance(part, str) else part)]
    places = {name for text in texts for name in _PLACE.findall(text)}
    for name in sorted(places - set(_PLACES)):
        raise Fatal(f"`argv` of `{who}` has `{{{{{name}}}}}`, which nothing stands for; known are {', '.join(_PLACES)}")
    wanted = {"arg": "prompt", "file": "prompt_file"}.get(via)
    if wanted is not None and wanted not in places:
        raise Fatal(f'`argv` of `{who}` has no `{{{{{wanted}}}}}`: with `prompt_via = "{via}"` the prompt goes there')
    return Command(argv=argv, prompt_via=via, shape=_shape(settings, table), options=options)


def _argv(value: JsonValue | None, table: Table) -> tuple[Part, ...]:
    wanted = "a list of texts, or of lists of texts that belong together, beginning with the program"
    if not isinstance(value, Sequence) or isinstance(value, str) or not value or not isinstance(value[0], str):
        raise table.wrong("argv", wanted)
    parts: list[Part] = []
    for part in value:
        texts = [part] if isinstance(part, str) else part
        if not isinstance(texts, Sequence) or not texts or not all(isinstance(t, str) and "\0" not in t for t in texts):
            raise table.wrong("argv", wanted)
        parts.append(part if isinstance(part, str) else tuple(str(text) for text in texts))
    if not value[0] or _PLACE.search(value[0]):
        raise table.wrong("argv", wanted)
    return tuple(parts)


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
        raise Fatal('`command` has `output = "jsonl"` and no `result`: the place of the answer in its line')
    return shape


def _filled(text: str, values: Mapping[str, str]) -> str:
    return _PLACE.sub(lambda found: values[found[1]], text)
