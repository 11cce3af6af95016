"""What went wrong with a provider, as what the engine understands: worth another try, or not before somebody acts."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING

import httpx2
from pydantic_ai import exceptions as library

from runkon.errors import Fatal, RunkonError, Transient
from runkon.model.failures import StepFailure
from runkon.model.value_text import harmless

if TYPE_CHECKING:
    from runkon_agents.endpoint import Endpoint

SHOWN = 1000  # characters of what a provider said, in a message
_TRANSIENT_STATUS = frozenset({408, 409, 425, 429})
_NO_MONEY = ("insufficient_quota", "insufficient_funds", "insufficient_credits", "credit balance", "billing_hard_limit")


class UnknownModel(Fatal):
    """The provider does not have this model: others of it may work."""


def was_refused(error: BaseException) -> bool:
    """True if nothing was made for the request, so that it costs nothing."""
    if isinstance(error, library.ModelConnectionError):
        return error.phase in ("pool", "connect")
    return isinstance(error, library.ModelHTTPError) and not error.in_stream


def takes_no_tools(error: BaseException) -> bool:
    """True if an endpoint refused a request because of the tools in it."""
    if not isinstance(error, library.ModelHTTPError) or error.status_code not in (400, 404, 422, 500, 501):
        return False
    return "tool" in _said(error).lower()


def failure_of(error: BaseException, endpoint: Endpoint, *, is_asked: bool) -> RunkonError:
    """The failure for an exception of the library. `is_asked` is true while a request is under way."""
    who = f"{endpoint.provider}:{endpoint.model}"
    if isinstance(error, RunkonError):
        return error
    if isinstance(error, library.ModelAPIError):
        return _of_provider(error, endpoint, who)
    if isinstance(error, library.ContentFilterError):
        return StepFailure("exit", f"`{who}` refused to answer: its filter of contents stopped it")
    if isinstance(error, library.UnexpectedModelBehavior):
        if is_asked:
            return Transient(f"the answer of `{who}` can't be read: {words_of(error)}")
        return StepFailure("schema", f"the answer of `{who}` does not fit: {words_of(_deepest(error))}")
    if isinstance(error, library.UserError | ImportError):
        return Fatal(f"`{who}` can't be used: {words_of(error)}")
    if isinstance(error, httpx2.HTTPError | OSError | EOFError | UnicodeError | json.JSONDecodeError):
        return Transient(f"the conversation with `{who}` broke off: {words_of(error)}")
    return StepFailure("exception", f"`{who}` failed: {type(error).__name__}: {words_of(error)}")


def _of_provider(error: library.ModelAPIError, endpoint: Endpoint, who: str) -> RunkonError:
    said, status = _said(error), getattr(error, "status_code", None)
    code = f" ({status})" if status else ""
    is_poor = isinstance(error, library.ModelQuotaExceededError) or any(word in said.lower() for word in _NO_MONEY)
    if is_poor or status == 402:
        return Fatal(f"`{endpoint.provider}` has no quota or credit left{code}: {said}; look at the account's billing")
    if isinstance(error, library.ModelAuthenticationError) or status in (401, 403):
        return Fatal(f"`{endpoint.provider}` refused the key{code}: {said}; {_key_help(endpoint)}")
    if isinstance(error, library.ModelTimeoutError | library.ModelRequestTimeout):
        return Transient(f"`{who}` did not answer in time{_at(endpoint)}: {said}")
    if isinstance(error, library.ModelNotFoundError) or status == 404:
        return UnknownModel(f"`{endpoint.provider}` has no model `{endpoint.model}`{_at(endpoint)}{code}: {said}")
    if isinstance(error, library.ModelContextWindowExceededError):
        return StepFailure("exit", f"the prompt is too long for `{who}`{code}: {said}")
    if isinstance(error, library.ModelConnectionError):
        if error.phase in ("pool", "connect"):
            return Transient(f"`{who}` can't be reached{_at(endpoint)}: {_cause(error)}{_start_help(endpoint)}")
        return Transient(f"`{who}` broke off in the middle{_at(endpoint)}: {_cause(error)}")
    is_passing = status is None or status in _TRANSIENT_STATUS or status >= 500
    is_refused = isinstance(error, library.ModelRequestRejectedError)
    if isinstance(error, library.ModelRateLimitError) or (is_passing and not is_refused):
        return Transient(f"`{who}` could not answer{code}: {said}", retry_after=error.retry_after)
    return StepFailure("exit", f"`{who}` refused the request{code}: {said}")


def _said(error: library.ModelAPIError) -> str:
    """The provider's own sentence, if there is one in its answer."""
    body = error.body
    if isinstance(body, Mapping):
        inner = body.get("error")
        inner = inner if isinstance(inner, Mapping) else body
        words = [str(inner[name]) for name in ("code", "type", "message") if inner.get(name)]
        if not words and isinstance(body.get("error"), str):
            words = [body["error"]]
        if words:
            return _shown(": ".join(dict.fromkeys(words)))
    if isinstance(body, str) and body.strip():
        return _shown(body)
    return _shown(error.message)


def _deepest(error: BaseException) -> BaseException:
    """The reason behind `exceeded maximum retries`."""
    seen = 0
    while error.__cause__ is not None and seen < 5:
        error, seen = error.__cause__, seen + 1
    return error


def _key_help(endpoint: Endpoint) -> str:
    if endpoint.key is None:
        return "name the variable that holds its key with `api_key_env`"
    return f"look at the variable `{endpoint.key}`"


def _start_help(endpoint: Endpoint) -> str:
    return "; is its server running?" if endpoint.is_compatible else ""


def _cause(error: BaseException) -> str:
    """The reason behind `connection error`."""
    return words_of(_deepest(error)).removesuffix(".")


def _at(endpoint: Endpoint) -> str:
    from runkon_agents.options import without_credentials

    return f" at {without_credentials(endpoint.base_url)}" if endpoint.base_url else ""


def words_of(error: BaseException) -> str:
    """What an exception says, as one line that is safe to print."""
    text = str(error).partition("For further information visit")[0]
    return _shown(text) or type(error).__name__


def _shown(text: str) -> str:
    text = " ".join(harmless(text).split()).encode("utf-8", "replace").decode()
    return text if len(text) <= SHOWN else text[:SHOWN] + "…"
