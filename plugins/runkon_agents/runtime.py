"""The runtime `agents`: asks the API of a model provider, or an endpoint of one's own."""

from __future__ import annotations

import os
import threading
from collections.abc import Mapping
from typing import TYPE_CHECKING

from runkon.errors import Fatal
from runkon.model.agents import AgentReply, AgentRequest, Availability
from runkon.model.output import JsonValue, Usage
from runkon_agents import library
from runkon_agents.endpoint import KEYS, SHOWN, Endpoint, endpoint_of, supplier_of
from runkon_agents.options import Options, described, read_options, without_credentials

if TYPE_CHECKING:
    from runkon_agents.conversation import Conversation

NAME = "agents"
NOT_RUN = "not run: this is a dry run"


class AgentsRuntime:
    """Runs agents by model APIs. Safe for concurrent calls. What talks to them is imported with the first call."""

    name = NAME
    version = "1"
    metered = True

    def __init__(self) -> None:
        self._running: set[Conversation] = set()
        self._unknown: set[str] = set()  # models that their provider does not have
        self._toolless: set[str] = set()  # models whose endpoint takes no tools
        self._lock = threading.Lock()

    def run(self, request: AgentRequest) -> AgentReply:
        """One attempt. Raises as `AgentRuntime.run` says."""
        request.step.cancel.raise_if_cancelled()
        if request.step.dry_run:
            return AgentReply(text=NOT_RUN)
        try:
            options, endpoint = self._read(request)
            missing = library.lacks()
            if missing is not None:
                raise Fatal(missing)
        except Fatal as error:
            error.usage = Usage(cost_usd=0.0)  # type: ignore[attr-defined]  # nothing was sent
            raise
        from runkon_agents.conversation import Conversation  # late: brings the library and asyncio
        from runkon_agents.failures import UnknownModel

        conversation = Conversation(request, options, endpoint, self._toolless)
        with self._lock:
            self._running.add(conversation)
        try:
            return conversation.run()
        except UnknownModel:
            self._unknown.add(request.model or options.default_model or "")
            raise
        finally:
            with self._lock:
                self._running.discard(conversation)

    def describe(self, request: AgentRequest) -> Mapping[str, JsonValue]:
        """What of the settings an answer depends on."""
        return described(request.settings, request.runtime or NAME)

    def kill(self) -> None:
        """Break every conversation off. Safe from any thread."""
        with self._lock:
            running = list(self._running)
        for conversation in running:
            conversation.stop(0.0)

    def supplier(self, model: str | None) -> str:
        """The provider; of a model that it does not have, the model alone, as others of it may work."""
        return model if model is not None and model in self._unknown else supplier_of(model)

    def offers(self, model: str) -> bool:  # noqa: ARG002 - as the interface names it
        """None by its bare name: a model is `provider:name`, or in the settings."""
        return False

    def lacks(self) -> str | None:
        """What is to be installed before it can run, None if nothing."""
        return library.lacks()

    def unmet(self, model: str | None, settings: Mapping[str, JsonValue]) -> str | None:
        """What is missing here before the model can be asked: the library, its key, a provider. None if nothing."""
        try:
            options = read_options(settings, NAME)
            endpoint_of(model or options.default_model, options, os.environ, NAME)
        except Fatal as problem:
            return str(problem)
        return library.lacks()

    def availability(self, settings: Mapping[str, JsonValue], *, check: bool = False) -> Availability:
        """Whether the library is there, which keys are set, and, with `check`, which endpoints answer."""
        missing = library.lacks()
        if missing is not None:
            return Availability(ready=False, detail=missing)
        try:
            options = read_options(settings, NAME)
        except Fatal as problem:
            return Availability(ready=False, detail=str(problem))
        from importlib.metadata import version  # late: `doctor` and choices without a model

        detail = f"pydantic-ai-slim {version('pydantic-ai-slim')}"
        if options.base_url is not None:
            detail += f"; endpoint {without_credentials(options.base_url)}"
            detail += f"; {_presence((options.api_key,))}" if options.api_key else "; no key"
            ready = None if not options.api_key or os.environ.get(options.api_key) else False
        else:
            shown = [(options.api_key,)] if options.api_key else [KEYS[name] for name in SHOWN]
            detail += f"; {', '.join(_presence(names) for names in shown)}"
            ready = True if any(os.environ.get(name) for names in shown for name in names) else None
        if not check:
            return Availability(ready=ready, detail=detail)
        from runkon_agents.checking import check_endpoints  # late: asks the network

        return check_endpoints(options, detail, ready=ready)

    def most_cost_usd(self, request: AgentRequest) -> float | None:
        """The most one attempt may cost: its limit, else the price of one request, as long as no tools make more."""
        options, endpoint = self._read(request)
        if library.lacks() is not None:
            return None
        from runkon_agents.prices import price_of, prompt_tokens  # late: only where a budget asks

        most = library.most_tokens(endpoint, options)
        price = price_of(endpoint, options.prices, prompt_tokens(request), most or 1_000_000)
        if price is None or (most is None and price > 0):
            return None
        limits = [limit for limit in (request.step.max_cost_usd, options.max_cost_usd) if limit is not None]
        if options.servers and price > 0:
            return min(limits, default=None)
        return min([price, *limits])

    def _read(self, request: AgentRequest) -> tuple[Options, Endpoint]:
        who = request.runtime or NAME
        options = read_options(request.settings, who)
        return options, endpoint_of(request.model or options.default_model, options, os.environ, who)


def _presence(names: tuple[str | None, ...]) -> str:
    """Whether one of these variables is set; never what it holds."""
    found = next((name for name in names if name and os.environ.get(name)), None)
    return f"{found} present" if found else f"{' or '.join(name for name in names if name)} absent"
