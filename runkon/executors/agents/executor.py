"""Carries out `call NAME` where NAME is an agent file: composes the prompt, asks the runtime, reads the answer."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

from runkon.executors.agents.answer import output_of
from runkon.executors.agents.choosing import Chosen, is_metered
from runkon.executors.agents.generator import free, made_up, plain_answer
from runkon.executors.agents.prompt import compose
from runkon.model.agents import AgentRequest
from runkon.model.output import JsonValue, Output
from runkon.model.secrets import redact

if TYPE_CHECKING:
    from runkon.executors.agents.files import AgentFiles
    from runkon.model.agents import AgentDefinition
    from runkon.model.ids import StepPath
    from runkon.model.ports import StepRequest

_NO_PARAMETER = frozenset({"env", "headers"})  # of a runtime's table: may hold credentials
NO_VERSION = "unknown"
_CREDENTIALS = ("key", "token", "secret", "password")


class AgentExecutor:
    """One agent with the runtime and the model that were chosen for it, for the length of a leg. Safe for concurrent
    calls. `name` is the runtime's; a dry run calls it all the same, since it asks nobody then."""

    rehearses = True

    def __init__(self, agent: AgentDefinition, chosen: Chosen, settings: Mapping[str, JsonValue], files: AgentFiles):
        self.agent = agent
        self.model = chosen.model
        self.name = chosen.name
        self._runtime = chosen.runtime
        self._unused = chosen.unused
        self._settings = settings
        self._files = files
        self._lock = threading.Lock()
        self._sessions: dict[StepPath, str] = {}

    @property
    def version(self) -> str:
        try:
            return str(self._runtime.version)
        except Exception:  # noqa: BLE001  of a plugin: the attempt does not fail for it
            return NO_VERSION

    @property
    def effect(self) -> str:
        return "write" if self.agent.can_commit else "read"

    @property
    def metered(self) -> bool:
        return is_metered(self._runtime)

    @property
    def supplier(self) -> str:
        """Who is behind the model, by the account of this runtime's table: after a fatal error nothing else is asked of
        them in the same leg."""
        name = getattr(self._runtime, "supplier", None)
        return self.name if name is None else f"{self.name}: {name(self.model)}"

    def execute(self, request: StepRequest) -> Output:
        """One attempt. In a dry run the prompt is composed and the answer made up. Raises what the runtime raises, and
        StepFailure: kind `schema` for an answer that can't be read, `value` for what the prompt needs and is not there
        or may not be in it."""
        request.cancel.raise_if_cancelled()
        asked = self._asked(request)
        if request.dry_run:
            return self._rehearsed(asked)
        if self._unused is not None:
            request.warn(f"the model `{self._unused}` is not one of the runtime `{self.name}`, which answers instead")
        logged = _size(request)
        try:
            reply = self._runtime.run(asked)
        except Exception as error:
            self._keep_session(request.path, getattr(error, "session", None))
            raise
        self._keep_session(request.path, reply.session)
        if _size(request) == logged:
            _log(reply.text, request)
        if reply.model is None:
            reply = replace(reply, model=self.model or self.name)
        return output_of(reply, asked)

    def describe(self, request: StepRequest) -> Mapping[str, JsonValue]:
        """Everything the answer depends on, and nothing that differs from run to run."""
        asked = self._asked(request)
        schema = asked.schema
        return {
            "prompt": asked.prompt,
            "agent": self.agent.name,
            "runtime": self.name,
            "model": self.model,
            "schema": None if schema is None else {"name": schema.name, "digest": schema.digest},
            "parameters": self._parameters(asked),
        }

    def most_cost_usd(self, request: StepRequest) -> float | None:
        """The most one attempt may cost, None when nobody can say."""
        return self._runtime.most_cost_usd(self._asked(request))

    def kill(self) -> None:
        """End everything at once. Safe from any thread."""
        kill = getattr(self._runtime, "kill", None)
        if kill is not None:
            kill()

    # ── one request ───────────────────────────────────────────────────────────────────────────────
    def _asked(self, request: StepRequest) -> AgentRequest:
        """What the runtime gets. The prompt is the one on record if there is one."""
        schema = self._files.schema(request)
        prompt = request.prompt
        if prompt is None:
            prompt = compose(self.agent, request, self._files.snippets(request), schema)
        with self._lock:
            session = self._sessions.get(request.path)
        return AgentRequest(
            step=request,
            agent=self.agent,
            prompt=prompt,
            schema=schema,
            model=self.model,
            runtime=self.name,
            settings=self._settings,
            session=session,
        )

    def _rehearsed(self, asked: AgentRequest) -> Output:
        text = f"dry run: `{self.agent.name}` was not asked"
        if asked.schema is not None:
            return Output(values=made_up(asked.schema), usage=free(), text=text)
        return Output(context=plain_answer(asked.agent.name), usage=free(), text=text)

    def _keep_session(self, path: StepPath, session: object) -> None:
        """For the next attempt of the same step, which goes on with the conversation."""
        if isinstance(session, str) and session:
            with self._lock:
                self._sessions[path] = session

    def _parameters(self, asked: AgentRequest) -> dict[str, JsonValue]:
        step = asked.step
        describe = getattr(self._runtime, "describe", None)
        own = _plain_settings(asked.settings) if describe is None else dict(describe(asked))
        found: dict[str, JsonValue] = {"can_commit": self.agent.can_commit, **own}
        given: dict[str, JsonValue] = {
            "max_turns": step.max_turns,
            "max_cost_usd": step.max_cost_usd,
            "identity": step.identity,
            "plugin_dirs": list(step.plugin_dirs) or None,
        }
        return found | {name: value for name, value in given.items() if value is not None}


def _size(request: StepRequest) -> int:
    """Bytes in the log of the step: a runtime that writes one by itself makes them more."""
    try:
        return 0 if request.log_path is None else request.log_path.stat().st_size
    except OSError:
        return 0


def _log(text: str, request: StepRequest) -> None:
    """Keep the whole answer where the output of scripts is kept, without secrets."""
    from runkon.executors.capture import LogFile  # late: as scripts do

    log = LogFile(request.log_path, request.warn)
    text = redact(text, request.secrets)
    log.write(text.encode("utf-8", "replace") + (b"" if text.endswith("\n") or not text else b"\n"))
    log.close()


def _plain_settings(settings: Mapping[str, JsonValue]) -> dict[str, JsonValue]:
    """A runtime's table without what may be a credential."""
    return {
        name: value
        for name, value in settings.items()
        if name not in _NO_PARAMETER and not any(word in name.lower() for word in _CREDENTIALS)
    }
