"""What came back from an executor, as something that can be recorded: an `Output` or a `Failed`, and no secret in it.

Executors are other people's code: whatever they return or raise, looking at it must not end the engine.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import TypeAlias

from runkon.errors import Fatal, RunkonError, Transient
from runkon.model.failures import UNSTORABLE, StepFailure
from runkon.model.json_text import check_json, dumps
from runkon.model.output import Output, Usage, as_output
from runkon.model.records import StepError
from runkon.model.secrets import redact, redact_json
from runkon.named import NamedTuple

MAX_MESSAGE = 4_000
MIB = 1024 * 1024
MAX_VALUE = 64 * MIB  # bytes of an output as JSON
_LONGEST = 6  # bytes that one character can become in JSON
MAX_RETRY_AFTER = 7 * 86_400  # seconds


class Failed(NamedTuple):
    """An attempt that did not succeed. `retry_after` (seconds) is the least wait the executor asks for, `usage` what it
    says the attempt has cost all the same."""

    error: StepError
    retry_after: float | None = None
    is_given_up: bool = False
    usage: Usage | None = None


Answer: TypeAlias = Output | Failed


def answer_of(value: object, secrets: Mapping[str, str]) -> Answer:
    """What an executor returned, as it can be stored, secrets replaced by their marks; a failure of kind `value` if
    it can't be stored. Never raises."""
    try:
        output = _storable(value if type(value) is Output else as_output(value))
        _check_size(output)
        return _redacted(output, secrets) if secrets else output
    except BaseException as error:  # noqa: BLE001  values of other people's classes may do anything when looked at
        problem = StepError("value", _safe(f"{UNSTORABLE}: {_words(error)}", secrets))
        return Failed(problem, usage=usage_of(value))


def with_unknown_cost(answer: Answer) -> Answer:
    """The answer of a metered executor that said nothing of its cost: that is not known, and not nothing."""
    return answer._replace(usage=Usage()) if isinstance(answer, Failed) else replace(answer, usage=Usage())


def failure_of_error(error: BaseException, executor: str, secrets: Mapping[str, str]) -> Failed:
    """The failure an exception stands for. Never raises."""
    usage = usage_of(error)
    if isinstance(error, StepFailure):
        kind = error.kind if type(error.kind) is str else "exception"
        return Failed(StepError(kind, _safe(_words(error), secrets)), usage=usage)
    text = _safe(_text(error, executor), secrets)
    if isinstance(error, Fatal):
        return Failed(StepError("fatal", text), usage=usage)
    if isinstance(error, Transient):
        return Failed(StepError("transient", text), _wait(error.retry_after), usage=usage)
    return Failed(StepError("exception", text), usage=usage)


def usage_of(answer: object) -> Usage | None:
    """What an attempt that failed has cost: the `usage` of its exception, or of its output that can't be stored; None
    if there is none. Never raises."""
    try:
        usage = getattr(answer, "usage", None)
        if not isinstance(usage, Usage):
            return None
        _check_usage(usage)
    except BaseException:  # noqa: BLE001  other people's classes may do anything when looked at
        return None
    return usage


# ── values ────────────────────────────────────────────────────────────────────────────────────────
def _storable(output: Output) -> Output:
    """The same output if every part is of its type and can be written down, with what JSON changes changed already.
    Raises TypeError or ValueError."""
    changes: dict[str, object] = {}
    if output.values or not isinstance(output.values, Mapping):
        kept = check_json(output.values, "output")
        if not isinstance(kept, dict):
            raise TypeError("`values` of the output is not a mapping")
        changes["values"] = kept
    if type(output.markers) is not frozenset or not all(type(marker) is str for marker in output.markers):
        changes["markers"] = _markers(output.markers)
    if output.markers or output.context or output.text or type(output.context) is not str:
        changes |= _texts(output)
    if output.model is not None:
        changes["model"] = check_json(str(output.model), "`model` of the output")
    if type(output.degraded) is not bool:
        raise TypeError("`degraded` of the output is neither true nor false")
    if output.usage is not None:
        _check_usage(output.usage)
    return replace(output, **changes) if changes else output  # type: ignore[arg-type]  # each has its field's type


def _check_size(output: Output) -> None:
    """Raises ValueError for an output that is too large to be kept."""
    size = len(output.context) + len(output.text)
    for marker in output.markers:
        size += len(marker)
    if output.values:
        size += len(dumps(output.values))
    if size * _LONGEST <= MAX_VALUE:
        return
    texts = [output.context, output.text, *output.markers]
    size = len(dumps([texts, dict(output.values)]).encode())
    if size > MAX_VALUE:
        raise ValueError(f"the output is {size // MIB} MiB large, more than the {MAX_VALUE // MIB} MiB that are kept")


def _markers(markers: object) -> frozenset[str]:
    if isinstance(markers, str) or not isinstance(markers, Iterable):
        raise TypeError("`markers` of the output is not a set of texts")
    found = list(markers)
    if not all(isinstance(marker, str) for marker in found):
        raise TypeError("`markers` of the output is not a set of texts")
    return frozenset(str(marker) for marker in found)


def _texts(output: Output) -> dict[str, object]:
    """The texts that are not plain ones, as plain ones. What has no UTF-8 form is refused."""
    for marker in output.markers:
        if not marker.isascii():
            check_json(marker, "a marker of the output")
    changed: dict[str, object] = {}
    for name, text in (("context", output.context), ("text", output.text)):
        if not isinstance(text, str):
            raise TypeError(f"`{name}` of the output is not text")
        if type(text) is not str or not text.isascii():
            changed[name] = check_json(text, f"`{name}` of the output")
    return changed


def _check_usage(usage: object) -> None:
    if not isinstance(usage, Usage):
        raise TypeError("`usage` of the output is not a `Usage`")
    if usage.cost_usd is not None and not _is_amount(usage.cost_usd, (int, float)):
        raise ValueError(f"`cost_usd` of its usage is {usage.cost_usd!r}, not an amount")
    for name in ("input_tokens", "output_tokens", "turns"):
        number = getattr(usage, name)
        if not _is_amount(number, (int,)):
            raise ValueError(f"`{name}` of its usage is {number!r}, not a whole number from 0")


def _is_amount(number: object, types: tuple[type, ...]) -> bool:
    return type(number) in types and isinstance(number, int | float) and math.isfinite(number) and 0 <= number < 1e12


def _redacted(output: Output, secrets: Mapping[str, str]) -> Output:
    values = redact_json(output.values, secrets)
    assert isinstance(values, dict)
    return replace(
        output,
        markers=frozenset(redact(marker, secrets) for marker in output.markers),
        context=redact(output.context, secrets),
        text=redact(output.text, secrets),
        values=values,
    )


# ── errors ────────────────────────────────────────────────────────────────────────────────────────
def _text(error: BaseException, executor: str) -> str:
    words = _words(error)
    if isinstance(error, RunkonError) and words:
        return words
    kind = type(error).__name__
    return f"executor `{executor}` raised {kind}: {words}" if words else f"executor `{executor}` raised {kind}"


def _words(error: BaseException) -> str:
    try:
        return str.strip(str(error))
    except BaseException:  # noqa: BLE001  an exception whose text can't even be made
        return ""


def _safe(text: str, secrets: Mapping[str, str]) -> str:
    """Redacted before it is cut, so that no secret is cut in two."""
    text = redact(text.encode("utf-8", "replace").decode(), secrets)
    return text if len(text) <= MAX_MESSAGE else text[:MAX_MESSAGE] + " …"


def _wait(retry_after: object) -> float | None:
    if not isinstance(retry_after, int | float) or not 0 <= retry_after < math.inf:
        return None
    return float(min(retry_after, MAX_RETRY_AFTER))
