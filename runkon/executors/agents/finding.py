"""What a run can call: the executors that plugins registered, and every agent file of the project."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cached_property
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from runkon.executors.agents.choosing import Runtimes, Tables
    from runkon.executors.agents.executor import AgentExecutor
    from runkon.executors.agents.files import AgentFiles
    from runkon.language.program import AgentFault, AgentUse
    from runkon.model.agents import AgentCall, AgentDefinition
    from runkon.model.output import JsonValue
    from runkon.model.ports import ActionExecutor, Executors
    from runkon.model.state import Reducer
    from runkon.model.worktrees import Worktrees


class ExecutorsAndAgents:
    """The executors of one leg. What agent files need is imported when the first is called. Safe for concurrent
    calls."""

    def __init__(
        self,
        registered: Executors,
        runtimes: Mapping[str, object],
        tables: Tables,
        worktrees: Callable[[], Worktrees] | None = None,
    ) -> None:
        """`runtimes` are those that plugins registered, `tables` what the settings say of each by its name; `worktrees`
        gives who makes worktrees for steps."""
        self._registered = registered
        self._make_worktrees = worktrees
        self._given = runtimes, tables
        self._lock = threading.Lock()
        self._agents: dict[tuple[AgentDefinition, str, str | None, str | None], AgentExecutor] = {}

    def find(self, name: str) -> ActionExecutor | None:
        return self._registered.find(name)

    def names(self) -> Sequence[str]:
        return self._registered.names()

    def reducer(self, name: str) -> Reducer | None:
        """The reducer of that name that a plugin brought."""
        find = getattr(self._registered, "reducer", None)
        found: Reducer | None = None if find is None else find(name)
        return found

    def agent(self, call: AgentCall) -> ActionExecutor:
        """Who carries out the call of an agent file. Raises AgentRefused: `unknown-agent` with the places searched,
        `broken-agent`, `unknown-runtime` with those there are."""
        from runkon.executors.agents.choosing import choose  # late: see the class
        from runkon.executors.agents.executor import AgentExecutor

        agent = self._files.agent(call)
        chosen = choose(agent, call, self._runtimes)
        key = (agent, chosen.name, chosen.model, chosen.unused)
        with self._lock:
            if key not in self._agents:
                settings = self._runtimes.settings(chosen.name)
                self._agents[key] = AgentExecutor(agent, chosen, settings, self._files)
            return self._agents[key]

    @cached_property
    def worktrees(self) -> Worktrees | None:
        """Who makes worktrees for steps, if anybody does."""
        return None if self._make_worktrees is None else self._make_worktrees()

    def is_metered(self, name: str) -> bool:
        """True if calls of the executor, or of the runtime, of that name cost money."""
        executor = self._registered.find(name)
        if executor is not None:
            return bool(executor.metered)
        from runkon.executors.agents.choosing import is_metered  # late: see the class

        runtime = self._runtimes.find(name)
        return runtime is not None and is_metered(runtime)

    @cached_property
    def _runtimes(self) -> Runtimes:
        return runtimes_of(*self._given)

    @cached_property
    def _files(self) -> AgentFiles:
        from runkon.executors.agents.files import AgentFiles  # late: see the class

        return AgentFiles()


def runtimes_of(registered: Mapping[str, object], tables: Tables) -> Runtimes:
    """The runtimes there are, with what the settings make of them."""
    from runkon.executors.agents.choosing import Runtimes  # late: see above

    return Runtimes(registered, tables)


def judge_of(
    registered: Mapping[str, object], tables: Tables, choice: Mapping[str, JsonValue]
) -> Callable[[AgentUse], Iterable[AgentFault]]:
    """What the checks of a workflow ask about agent files; `choice` is what `AgentChoice.as_json` gave."""

    def judge(use: AgentUse) -> Iterable[AgentFault]:
        from runkon.executors.agents.judging import AgentJudge  # late: see above
        from runkon.model.agents import AgentChoice

        return AgentJudge(runtimes_of(registered, tables), AgentChoice.from_json(choice))(use)

    return judge
