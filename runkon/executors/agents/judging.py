"""What the checks of a workflow ask about an agent file that it calls: can it be used, who runs it, does it ask for a
secret."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from runkon.executors.agents.agent_file import AgentProblem, place_of, read_agent
from runkon.executors.agents.choosing import TEST, Runtimes, choose
from runkon.language.program import AgentFault, AgentUse
from runkon.language.template import Placeholder, parse_template
from runkon.model.agents import AgentCall, AgentChoice, AgentDefinition, AgentRefused

if TYPE_CHECKING:
    from pathlib import Path

    from runkon.model.output import JsonValue


class AgentJudge:
    """Looks at agent files with the eyes of a run that begins with `choice`."""

    def __init__(self, runtimes: Runtimes, choice: AgentChoice) -> None:
        self._runtimes = runtimes
        self._choice = choice

    def __call__(self, use: AgentUse) -> Iterator[AgentFault]:
        """What is wrong with this use of an agent file; nothing if a run could begin."""
        try:
            agent = read_agent(use.path)
        except AgentProblem as problem:
            reason = f"the agent file `{use.name}` can't be used: {problem.message}"
            place = (use.shown, problem.line, problem.column, problem.excerpt.strip() or "here")
            yield AgentFault("broken-agent", reason, problem.help, place)
            return
        yield from _secrets(agent, use)
        call = AgentCall(
            name=use.name,
            form="name",
            workflow="",
            roots=(),
            runtime=use.runtime,
            model=use.model,
            choice=self._choice,
        )
        try:
            chosen = choose(agent, call, self._runtimes)
        except AgentRefused as error:
            yield AgentFault(error.code, error.message, error.help)
            return
        lacks = getattr(chosen.runtime, "lacks", None)
        missing = None if lacks is None else lacks()
        if missing is not None:
            what, _, help = missing.partition(": ")
            yield AgentFault("unknown-runtime", f"{what}, for the agent file `{use.name}`", help or None)


def who_answers(path: Path, choice: Mapping[str, JsonValue], runtimes: Runtimes) -> tuple[str, str | None]:
    """Which runtime and model would answer the agent file in `path`, in words, and what keeps them from it here,
    None if nothing is known; `choice` is what `AgentChoice.as_json` gave. The network is not asked."""
    try:
        agent = read_agent(path)
        call = AgentCall(name=path.stem, form="name", workflow="", roots=(), choice=AgentChoice.from_json(choice))
        chosen = choose(agent, call, runtimes)
    except (AgentProblem, AgentRefused) as problem:
        return "", problem.message
    who = f"runtime {chosen.name}" + (f", model {chosen.model}" if chosen.model else "")
    if chosen.name == TEST:
        return "its answers are made up: model test", None
    settings = runtimes.settings(chosen.name)
    unmet = getattr(chosen.runtime, "unmet", None)
    if unmet is not None:
        return who, unmet(chosen.model, settings)
    found = chosen.runtime.availability(settings)
    return who, found.detail if found.ready is False else None


def _secrets(agent: AgentDefinition, use: AgentUse) -> Iterator[AgentFault]:
    told: set[str] = set()
    for piece in parse_template(agent.prompt):
        if not isinstance(piece, Placeholder):
            continue
        name = piece.name.removeprefix("inputs.")
        if name in use.secrets and name not in told:
            told.add(name)
            line, column, excerpt = place_of(agent, piece.raw)
            reason = f"the agent file `{use.name}` would put the secret `{name}` into its prompt"
            yield AgentFault("secret-in-prompt", reason, None, (use.shown, line, column, excerpt.strip() or "here"))
