"""Whom a model string means: provider, name of the model, address, and the variable that holds the key."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from runkon.errors import Fatal
from runkon.frozen import value_class

if TYPE_CHECKING:
    from runkon_agents.options import Options

LOCAL = {
    "ollama": ("OLLAMA_BASE_URL", "http://127.0.0.1:11434/v1"),
    "vllm": ("VLLM_BASE_URL", "http://127.0.0.1:8000/v1"),
    "llamacpp": ("LLAMACPP_BASE_URL", "http://127.0.0.1:8080/v1"),
}
KEYS = {
    "openai": ("OPENAI_API_KEY",),
    "anthropic": ("ANTHROPIC_API_KEY",),
    "google": ("GOOGLE_API_KEY", "GEMINI_API_KEY"),
    "groq": ("GROQ_API_KEY",),
    "mistral": ("MISTRAL_API_KEY",),
    "deepseek": ("DEEPSEEK_API_KEY",),
    "openrouter": ("OPENROUTER_API_KEY",),
    "xai": ("XAI_API_KEY",),
}
SHOWN = ("openai", "anthropic", "google")  # whose keys `doctor` names
NO_KEY = "no-key"  # sent where an endpoint of one's own has none
_SAME = {"openai-chat": "openai", "openai-responses": "openai"}
_OWN_ADDRESS = frozenset({"anthropic", "google"})  # speak another protocol than that of OpenAI
_OPENAI_ADDRESS = "OPENAI_BASE_URL"


@value_class(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """`provider` as the library calls it, or one of `LOCAL`. `is_compatible` means: it speaks the chat protocol of
    OpenAI at `base_url`. `key` is the name of the variable that holds its key, None for no key."""

    provider: str
    model: str
    base_url: str | None = None
    is_compatible: bool = False
    key: str | None = None

    def key_text(self, environ: Mapping[str, str]) -> str | None:
        return (environ.get(self.key) or None) if self.key else None


def supplier_of(model: str | None) -> str:
    """Who is behind a model, as far as its name tells."""
    provider, colon, _ = (model or "").partition(":")
    return _SAME.get(provider, provider) if colon and provider else "agents"


def endpoint_of(model: str | None, options: Options, environ: Mapping[str, str], who: str) -> Endpoint:
    """The endpoint of a model string. Raises Fatal for one that names no provider, and for a key that is not there."""
    if model is None or not model.strip():
        raise Fatal(f"`{who}` needs a model: `--model provider:name`, or `default_model` in `[runtimes.{who}]`")
    provider, colon, name = model.partition(":")
    if options.base_url is not None:
        return _own_endpoint(model, options, environ, who)
    if not colon or not provider or not name:
        raise Fatal(
            f"`{model[:80]}` is no model of `{who}`: write `provider:name`, such as `openai:NAME`, `anthropic:NAME` or "
            f"`ollama:NAME`, or give `[runtimes.{who}]` a `base_url`"
        )
    if provider in LOCAL:
        variable, usual = LOCAL[provider]
        address = environ.get(variable) or usual
        return Endpoint(provider=provider, model=name, base_url=address, is_compatible=True, key=options.api_key)
    key = _key(provider, options, environ, who)
    if provider in ("openai", "openai-chat") and environ.get(_OPENAI_ADDRESS):
        return Endpoint(provider="openai", model=name, base_url=environ[_OPENAI_ADDRESS], is_compatible=True, key=key)
    return Endpoint(provider=provider, model=name, key=key)


def _own_endpoint(model: str, options: Options, environ: Mapping[str, str], who: str) -> Endpoint:
    """At the address of the settings. Only the key that they name goes there."""
    provider, _, name = model.partition(":")
    if options.api_key is not None and not environ.get(options.api_key):
        raise _missing_key(who, (options.api_key,))
    if provider in _OWN_ADDRESS and name:
        return Endpoint(provider=provider, model=name, base_url=options.base_url, key=options.api_key)
    if not name or (provider not in LOCAL and _SAME.get(provider, provider) != "openai"):
        provider, name = "openai", model  # the colon belongs to the name, as in `llama3.2:3b`
    return Endpoint(
        provider=_SAME.get(provider, provider),
        model=name,
        base_url=options.base_url,
        is_compatible=True,
        key=options.api_key,
    )


def _key(provider: str, options: Options, environ: Mapping[str, str], who: str) -> str | None:
    names = (options.api_key,) if options.api_key is not None else KEYS.get(_SAME.get(provider, provider), ())
    found = next((name for name in names if environ.get(name)), None)
    if names and found is None:
        raise _missing_key(f"{who}: {provider}", names)
    return found


def _missing_key(who: str, names: tuple[str, ...]) -> Fatal:
    return Fatal(
        f"`{who}` has no key: the variable {' or '.join(f'`{name}`' for name in names)} is not set; set it, or try the "
        "workflow offline with `--model test`"
    )
