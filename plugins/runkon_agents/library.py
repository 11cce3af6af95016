"""The models of pydantic-ai-slim, made for one attempt: with our HTTP client, and without retries of their own."""

from __future__ import annotations

import difflib
import importlib.util
import inspect
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from runkon.errors import Fatal
from runkon_agents.endpoint import KEYS, LOCAL, NO_KEY, Endpoint
from runkon_agents.options import MAX_TOKENS, Options

if TYPE_CHECKING:
    from pydantic_ai.models import Model
    from pydantic_ai.settings import ModelSettings

    from runkon_agents.wire import Wire

MISSING = "the runtime `agents` needs the package pydantic-ai-slim: `pip install 'runkon[agents]'`"


def lacks() -> str | None:
    """What is to be installed, None if all is there. Nothing is imported."""
    try:
        is_there = importlib.util.find_spec("pydantic_ai") is not None
    except (ImportError, ValueError):
        is_there = False
    return None if is_there else MISSING


def model_of(endpoint: Endpoint, environ: Mapping[str, str], wire: Wire) -> Model[Any]:
    """The model behind an endpoint. Raises Fatal for a provider that is unknown, or whose package is missing."""
    key = endpoint.key_text(environ)
    try:
        if endpoint.is_compatible:
            return _compatible(endpoint, key or NO_KEY, wire)
        return _known(endpoint, key, wire)
    except ImportError as error:
        raise Fatal(f"`{endpoint.provider}` needs one more package: {_line(error)}") from None
    except Exception as error:
        if isinstance(error, Fatal):
            raise
        raise Fatal(f"`{endpoint.provider}:{endpoint.model}` can't be used: {_line(error)}") from None


def settings_of(endpoint: Endpoint, options: Options) -> ModelSettings:
    """What every request says besides its messages."""
    found: dict[str, Any] = {"max_retries": 0}
    most = most_tokens(endpoint, options)
    written = {"max_tokens": most, "temperature": options.temperature, "top_p": options.top_p}
    found |= {name: value for name, value in written.items() if value is not None}
    if options.thinking is not None:
        found["thinking"] = options.thinking
    return found  # type: ignore[return-value]  # each is one of its keys


def most_tokens(endpoint: Endpoint, options: Options) -> int | None:
    """The most that one answer may have. Small models of one's own have windows of all sizes, so nothing is said."""
    return options.max_tokens or (None if endpoint.is_compatible else MAX_TOKENS)


def _compatible(endpoint: Endpoint, key: str, wire: Wire) -> Model[Any]:
    from pydantic_ai.models.openai import OpenAIChatModel
    from pydantic_ai.profiles import merge_profile
    from pydantic_ai.profiles.openai import OpenAIModelProfile
    from pydantic_ai.providers.openai import OpenAIProvider

    provider = OpenAIProvider(base_url=endpoint.base_url, api_key=key, http_client=wire)
    whole = OpenAIModelProfile(  # other servers know the older name of the field alone
        openai_chat_streaming_requires_finish_reason=True, openai_chat_supports_max_completion_tokens=False
    )
    model = OpenAIChatModel(endpoint.model, provider=provider, profile=lambda usual: merge_profile(usual, whole))
    provider.client.max_retries = 0
    return model


def _known(endpoint: Endpoint, key: str | None, wire: Wire) -> Model[Any]:
    from pydantic_ai.models import infer_model
    from pydantic_ai.providers import infer_provider_class

    def provider_of(name: str) -> Any:
        try:
            made = infer_provider_class(name)
        except ValueError:
            close = difflib.get_close_matches(name, (*KEYS, *LOCAL), n=1)
            help = f"did you mean `{close[0]}`?" if close else f"known are {', '.join((*KEYS, *LOCAL))} and others"
            raise Fatal(f"there is no provider `{name}`; {help}") from None
        takes = inspect.signature(made.__init__).parameters
        given = {"http_client": wire, "api_key": key, "base_url": endpoint.base_url}
        provider = made(**{name: value for name, value in given.items() if name in takes and value is not None})
        if hasattr(provider.client, "max_retries"):
            provider.client.max_retries = 0
        return provider

    return infer_model(f"{endpoint.provider}:{endpoint.model}", provider_factory=provider_of)


def _line(error: BaseException) -> str:
    text = " ".join(str(error).split())
    return text[:400] or type(error).__name__
