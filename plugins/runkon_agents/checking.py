"""Whether an endpoint answers: for `runkon doctor --check`."""

from __future__ import annotations

import asyncio
import os
from typing import Any

from runkon.errors import Fatal
from runkon.model.agents import Availability
from runkon_agents import library
from runkon_agents.endpoint import KEYS, SHOWN, Endpoint
from runkon_agents.failures import failure_of
from runkon_agents.loop import OwnLoop
from runkon_agents.options import Options
from runkon_agents.wire import Wire

PATIENCE = 10.0  # seconds for each
_ANY = {
    "openai": "gpt-6-luna",
    "anthropic": "claude-sonnet-5-5",
    "google": "gemini-3.8-flash",
}  # needed to make a client


def check_endpoints(options: Options, detail: str, *, ready: bool | None) -> Availability:
    """Ask each endpoint that could be used for its list of models, which costs nothing."""
    if options.base_url is not None:
        endpoint = Endpoint(
            provider="openai", model="any", base_url=options.base_url, is_compatible=True, key=options.api_key
        )
        problem = _problem(endpoint)
        return Availability(ready=problem is None, detail=f"{detail}; {problem or 'it answers'}")
    found: list[str] = []
    answers: list[bool] = []
    for provider in SHOWN:
        key = next((name for name in KEYS[provider] if os.environ.get(name)), None)
        if key is not None:
            problem = _problem(Endpoint(provider=provider, model=_ANY[provider], key=key))
            found.append(f"{provider}: {problem or 'it answers'}")
            answers.append(problem is None)
    if not found:
        return Availability(ready=ready, detail=detail)
    return Availability(ready=any(answers), detail="; ".join([detail, *found]))


def _problem(endpoint: Endpoint) -> str | None:
    """Why it does not answer, None if it does."""
    try:
        OwnLoop("agents check", lambda: _ask(endpoint)).run()
    except Exception as error:  # noqa: BLE001  whatever it is, it is the answer
        if isinstance(error, Fatal):
            return str(error)
        key = endpoint.key_text(os.environ)
        status = getattr(error, "status_code", None) or getattr(error, "code", None)
        if status in (401, 403):
            return f"the key in `{endpoint.key}` is refused" if key else "it wants a key"
        if isinstance(status, int):
            return f"it answers with status {status}"
        text = str(failure_of(error, endpoint, is_asked=True))
        return text.replace(key, "…") if key else text
    return None


async def _ask(endpoint: Endpoint) -> None:
    async with asyncio.timeout(PATIENCE), Wire(PATIENCE, lambda: None) as wire:
        client: Any = getattr(library.model_of(endpoint, os.environ, wire), "client", None)
        models = getattr(getattr(client, "aio", client), "models", None)
        if models is not None:
            await models.list()
