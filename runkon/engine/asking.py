"""What an attempt is asked, as it is recorded: everything its answer depends on, and nothing that differs from run to
run.

An executor says it by its method `describe`; of one that has none it is what the workflow's text gives it by name, and
what it reads besides is told by the end of the step. Agents and calls that cost money are always described, others
where it is needed: with `cache`, while answers are recorded, in a replay.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import partial
from typing import TYPE_CHECKING, cast

from runkon.digest import hex_digest
from runkon.engine.request import make_request
from runkon.engine.reuse import sees_the_same
from runkon.model.json_text import canonical, loads
from runkon.model.output import JsonValue
from runkon.model.records import Asked
from runkon.model.secrets import redact_json

if TYPE_CHECKING:
    from runkon.engine.open_step import OpenStep
    from runkon.model.ports import ActionExecutor, StepRequest

DOMAIN = "runkon:request:1\n"
PROJECT = "«project»"  # in the place of the project's folder
RUN = "«run»"  # in the place of the run's id


def described(attempts: OpenStep, executor: ActionExecutor) -> Asked | None:
    """What the next attempt asks of `executor`; None where it can't be made: then the attempt itself fails, and says
    why."""
    attempts.prompt, attempts.described = None, frozenset()
    scope, leaf = attempts.scope, attempts.leaf
    describe = getattr(executor, "describe", None)
    try:
        request = make_request(attempts, scope.token, None)
        found = dict(describe(request)) if callable(describe) else _by_name(attempts, request)
        if isinstance(inputs := found.get("inputs"), Mapping) and leaf.kind == "script":
            host = {"workflow_run_id", *scope.env.facts.injected}  # they differ from machine to machine
            found["inputs"] = {name: value for name, value in inputs.items() if name not in host} or None
        prompt = found.get("prompt")
        whole = {"kind": leaf.kind, "executor": executor.name, "version": str(executor.version), **found}
        whole = {name: value for name, value in whole.items() if value is not None}
        plain = loads(canonical(redact_json(whole, scope.leg.secrets)))
    except Exception:  # noqa: BLE001  of a plugin, or of a value that can't be made
        return None
    attempts.prompt = prompt if isinstance(prompt, str) else None
    attempts.described = frozenset(attempts.reads or ())
    return asked_as(portable(plain, str(scope.leg.config.working_dir.absolute()), scope.leg.run))


def described_to(attempts: OpenStep, executor: ActionExecutor) -> Asked | None:
    """The same; an executor that answers from a record hears of it, and how to compare what the step would read."""
    asked = described(attempts, executor)
    hear = getattr(executor, "hear", None)
    if callable(hear):
        hear(attempts.path, asked, partial(sees_the_same, attempts.leaf, attempts.scope))
    return asked


def asked_as(request: Mapping[str, JsonValue]) -> Asked:
    """A request with its digest."""
    return Asked(hex_digest((DOMAIN + canonical(request)).encode()), request)


def portable(request: Mapping[str, JsonValue], folder: str, run: str) -> Mapping[str, JsonValue]:
    """The request as another run, on another machine, would make it."""
    swaps = [(re.compile(re.escape(run)), RUN)] if run else []
    if len(folder) > 1:
        swaps.append((re.compile(re.escape(folder.rstrip("/")) + r"(?![\w.-])"), PROJECT))
    return cast("Mapping[str, JsonValue]", _swapped(dict(request), swaps))


def _swapped(value: JsonValue, swaps: list[tuple[re.Pattern[str], str]]) -> JsonValue:
    match value:
        case str():
            for found, mark in swaps:
                value = found.sub(mark, value)
            return value
        case list():
            return [_swapped(item, swaps) for item in value]
        case dict():
            return {key: _swapped(item, swaps) for key, item in value.items()}
        case _:
            return value


def _by_name(attempts: OpenStep, request: StepRequest) -> dict[str, JsonValue]:
    """What the text of the workflow gives an executor that says nothing of itself."""
    env, options = attempts.scope.env, attempts.leaf.options
    given = {entry.name: env.value(entry.value) for entry in options.inputs}
    found: dict[str, JsonValue] = {
        "name": request.name,
        "inputs": given or None,
        "snippets": list(request.snippets) or None,
        "schema": request.schema,
        "model": request.model,
        "max_turns": request.max_turns,
        "identity": request.identity,
    }
    return found
