"""One attempt of an agent: requests to a model and calls of tools, until there is an answer or a limit."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic_ai import Agent, NativeOutput, StructuredDict, ToolOutput, UsageLimits
from pydantic_graph import End

from runkon.errors import Cancelled, RunkonError, Transient
from runkon.model.agents import AgentReply, AgentRequest
from runkon.model.failures import StepFailure
from runkon.model.secrets import redact, redact_json
from runkon.schemas.json_schema import as_json_schema
from runkon_agents import library, servers
from runkon_agents.failures import failure_of, takes_no_tools, was_refused, words_of
from runkon_agents.loop import OwnLoop, Stopped
from runkon_agents.prices import Tally, prompt_tokens
from runkon_agents.speech import Speech
from runkon_agents.wire import Flood, Wire

if TYPE_CHECKING:
    from runkon_agents.endpoint import Endpoint
    from runkon_agents.options import Options

LONGEST = 100_000  # tokens of an answer: no endpoint of one's own writes more, and many refuse a bound that large
FEWEST = 64  # tokens: with less left of the money, nothing is asked any more
_ANSWER = "Give your answer by calling this, with the fields that are asked for, instead of writing an output block."
_REASONS = {
    "length": "it was cut off at its longest; `max_tokens` and `max_cost_usd` bound it",
    "content_filter": "the provider's filter of contents stopped it",
    "error": "the provider broke it off",
}


class Conversation:
    """Asks the model of one request. Of use once; `stop` from any thread."""

    def __init__(self, request: AgentRequest, options: Options, endpoint: Endpoint, toolless: set[str]) -> None:
        self._request = request
        self._step = request.step
        self._options = options
        self._endpoint = endpoint
        self._toolless = toolless
        key = endpoint.key_text(os.environ)
        self._secrets: Mapping[str, str] = {
            **request.step.secrets,
            **({endpoint.key: key} if endpoint.key and key else {}),
        }
        self.tally = Tally(endpoint, options.prices)
        self._seen_tokens = 0  # of the conversation so far, as the provider counts
        self._speech = Speech(request.step.emit, self._secrets)
        self._clock: asyncio.Timeout | None = None
        self._wire: Wire | None = None
        self._has_begun = False  # the tool servers are there
        self._settings: dict[str, Any] = dict(library.settings_of(endpoint, options))
        self._loop = OwnLoop(f"agents {request.step.path}", self._bounded)

    def run(self) -> AgentReply:
        """The answer. Raises as `AgentRuntime.run` says; an exception carries `usage`."""
        forget = self._step.cancel.on_cancel(self.stop)
        try:
            return self._loop.run()
        except Exception as error:  # noqa: BLE001  whatever the library raises becomes one of ours
            failure = self._failure(error)
            failure.usage = self.tally.usage()  # type: ignore[attr-defined]  # a failed attempt costs, too
            raise failure from None
        finally:
            forget()
            if any(server.command for server in self._options.servers):
                servers.end_all(self._step, 0.0)

    def stop(self, grace: float = 5.0) -> None:
        """Close the connection and end; `run` raises Cancelled."""
        self._loop.stop(grace)

    def _failure(self, error: BaseException) -> RunkonError:
        while isinstance(error, BaseExceptionGroup):
            error = error.exceptions[0]
        who = f"{self._endpoint.provider}:{self._endpoint.model}"
        flood = error if isinstance(error, Flood) else self._wire.flood if self._wire else None
        if isinstance(error, Stopped):
            return Cancelled(f"`{who}` was stopped")
        if self._clock is not None and self._clock.expired():
            return StepFailure("timeout", f"`{who}` took longer than {self._options.timeout:g} s")
        if flood is not None:
            return StepFailure("exit", f"`{who}` can't be used: {flood}")
        if self._options.servers and not self._has_begun and not isinstance(error, RunkonError):
            return StepFailure("exit", redact(f"the tool servers can't be used: {words_of(error)}", self._secrets))
        if was_refused(error):
            self.tally.refuse()
        failure = failure_of(error, self._endpoint, is_asked=self.tally.is_open)
        failure.args = tuple(redact(arg, self._secrets) if isinstance(arg, str) else arg for arg in failure.args)
        if isinstance(failure, StepFailure):
            failure.message = redact(failure.message, self._secrets)
        return failure

    # ── on the loop ───────────────────────────────────────────────────────────────────────────────
    async def _bounded(self) -> AgentReply:
        self._clock = asyncio.timeout(self._options.timeout)
        async with self._clock, Wire(self._idle(), self._alive) as wire:
            self._wire = wire
            is_plain = self._plain()
            try:
                return await self._talk(wire, is_plain=is_plain)
            except Exception as error:
                if is_plain or self._options.servers or self.tally.turns or not takes_no_tools(error):
                    raise
            self.tally.refuse()
            self._toolless.add(self._name())
            self._step.emit("the endpoint takes no tools: asked again without")
            return await self._talk(wire, is_plain=True)

    async def _talk(self, wire: Wire, *, is_plain: bool) -> AgentReply:
        step = self._step
        model = library.model_of(self._endpoint, os.environ, wire)
        log = Path(os.devnull) if step.log_path is None else step.log_path.with_suffix(".tools.log")
        agent: Agent[object, Any] = Agent(
            model,
            output_type=self._output_type(is_plain=is_plain),
            toolsets=servers.toolsets_of(self._options.servers, step, log),
            retries={"tools": 3, "output": 0},
            model_settings=self._said,
        )
        limits = UsageLimits(request_limit=None)
        async with agent.iter(self._request.prompt, usage_limits=limits) as run:
            self._has_begun = True
            if any(server.command for server in self._options.servers):
                servers.tell_started(step)
            node = run.next_node
            while not isinstance(node, End):
                node = await self._advance(run, node)
        assert run.result is not None
        return self._reply(run.result.output, model.model_name)

    def _said(self, _: object) -> Any:
        """What the next request says besides its messages."""
        return self._settings

    async def _advance(self, run: Any, node: Any) -> Any:
        """The next step of the library's loop: a request, or the tools that an answer asks for."""
        stream: Any
        if Agent.is_model_request_node(node):
            self._before_request(node.request)
            if self._options.streams:
                async with node.stream(run.ctx) as stream:
                    async for event in stream:
                        self._speech.hear(event)
            found = await run.next(node)
            response = getattr(found, "model_response", None)
            if response is not None:
                self._after_request(response)
            return found
        if Agent.is_call_tools_node(node):
            async with node.stream(run.ctx) as events:
                async for event in events:
                    self._speech.hear(event)
        return await run.next(node)

    # ── limits ────────────────────────────────────────────────────────────────────────────────────
    def _before_request(self, request: Any) -> None:
        """Raises StepFailure where one more request would go beyond a limit; else bounds what it may cost."""
        tally, step, options = self.tally, self._step, self._options
        most = step.max_turns or options.max_turns
        if tally.turns >= most:
            turns = "1 turn" if most == 1 else f"{most} turns"
            raise StepFailure("exit", f"`{self._name()}` has no answer after {turns}, the most it may take")
        limits = [limit for limit in (step.max_cost_usd, options.max_cost_usd) if limit is not None]
        if limits:
            self._bound(min(limits), self._tokens_ahead(request))
        tally.begin()

    def _bound(self, limit: float, ahead: int) -> None:
        tally, name = self.tally, self._name()
        if tally.cost is None:
            raise StepFailure("exit", f"nobody knows what `{name}` has cost, so it is not asked again: {_PRICES}")
        base, rate = tally.price(ahead, 0), tally.price(0, 1_000_000)
        if base is None or rate is None:
            self._step.warn(f"the price of `{name}` is unknown, so `max_cost_usd` can't bound its request: {_PRICES}")
            return
        left = limit - tally.cost - base
        tokens = self._settings.get("max_tokens") if rate == 0 else int(max(0.0, left) / rate * 1_000_000)
        if left < 0 or (tokens is not None and tokens < FEWEST):
            raise StepFailure(
                "exit",
                f"one more request to `{name}` could cost more than `max_cost_usd`: ${tally.cost:.4f} of ${limit:.4f} "
                f"is spent, and what it is to read costs up to ${base:.4f}",
            )
        usual = library.most_tokens(self._endpoint, self._options)
        if tokens is not None and tokens < (usual or LONGEST):
            self._settings["max_tokens"] = tokens

    def _tokens_ahead(self, request: Any) -> int:
        """The most that the next request has to read: a token has at least one byte; of what was said before, the
        provider has counted the tokens, and the results of tools are new."""
        if not self.tally.turns:
            return prompt_tokens(self._request)
        new = (str(getattr(part, "content", "")) for part in request.parts)
        return self._seen_tokens + sum(len(text.encode("utf-8", "replace")) for text in new)

    def _after_request(self, response: Any) -> None:
        if self._options.streams and response.finish_reason is None:
            raise Transient(f"the stream of `{self._name()}` ended before the answer did")
        usage = response.usage
        self.tally.add(usage.input_tokens, usage.output_tokens, usage if usage.input_tokens else None)
        self._seen_tokens = usage.input_tokens + usage.output_tokens
        if not self._options.streams:
            self._speech.whole(response)
        self._speech.end()
        reason = _REASONS.get(response.finish_reason or "")
        if reason is not None:
            raise StepFailure("exit", f"the answer of `{self._name()}` is not whole: {reason}")

    # ── questions and answers ─────────────────────────────────────────────────────────────────────
    def _plain(self) -> bool:
        """True if the answer is to be text, whatever the schema."""
        if self._request.schema is None or self._options.structured == "text":
            return True
        return self._options.structured == "auto" and self._name() in self._toolless

    def _output_type(self, *, is_plain: bool) -> Any:
        schema = self._request.schema
        if is_plain or schema is None:
            return str
        fields = StructuredDict(as_json_schema(schema), name=schema.name)
        if self._options.structured == "native":
            return NativeOutput(fields)
        return [ToolOutput(fields, name="give_answer", description=_ANSWER, strict=False), str]

    def _reply(self, output: object, model: str) -> AgentReply:
        usage = self.tally.usage()
        if isinstance(output, str):
            return AgentReply(text=redact(output, self._secrets), usage=usage, model=model)
        values = redact_json(json.loads(json.dumps(output)), self._secrets)
        text = json.dumps(values, ensure_ascii=False)
        assert isinstance(values, dict)
        return AgentReply(text=text, values=values, usage=usage, model=model)

    def _name(self) -> str:
        return f"{self._endpoint.provider}:{self._endpoint.model}"

    def _idle(self) -> float:
        idle = self._step.options.get("idle_timeout")
        return float(idle) if isinstance(idle, int | float) and idle > 0 else self._options.idle_timeout

    def _alive(self) -> None:
        self._step.emit("")


_PRICES = "name it under `prices`"
