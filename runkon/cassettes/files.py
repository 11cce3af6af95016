"""A cassette as a file: one JSON document, readable and in a fixed order, without secrets and without places of the
machine it was made on.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, cast

from runkon.cassettes.cassette import VERSION, Answer, Cassette
from runkon.engine.asking import PROJECT, asked_as, portable
from runkon.errors import EXIT_ENVIRONMENT, EXIT_USAGE, UserError
from runkon.model.ids import RunID, StepPath
from runkon.model.items import ItemsCollected, ListedItem
from runkon.model.json_text import dumps
from runkon.model.output import EMPTY, JsonValue, Output, Usage
from runkon.model.records import GateAnswer, Seen, StepError, StepInfo
from runkon.schemas.checking import shown

SCHEMA = f"runkon.cassette/{VERSION}"
SUFFIX = ".json"


# ── writing ───────────────────────────────────────────────────────────────────────────────────────
def write(cassette: Cassette, path: Path, root: Path, run: str) -> None:
    """Put `cassette` into the file `path`, whole or not at all; where `root` and `run` stand in texts, marks are
    written. Raises UserError `cassette-unwritable`."""
    whole = portable(_as_json(cassette), str(root), run)
    text = json.dumps(whole, ensure_ascii=False, indent=2) + "\n"
    beside = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        beside.write_text(text, encoding="utf-8")
        beside.replace(path)
    except OSError as error:
        with suppress(OSError):
            beside.unlink()
        raise UserError(
            "cassette-unwritable",
            f"the cassette `{path}` can't be written: {(error.strerror or str(error)).lower()}",
            help="the run is recorded all the same, and is a cassette itself",
            next=f"runkon replay {run}",
            exit_code=EXIT_ENVIRONMENT,
        ) from error


def _as_json(cassette: Cassette) -> dict[str, JsonValue]:
    found: dict[str, Any] = {
        "schema": SCHEMA,
        "workflow": cassette.workflow,
        "file": cassette.file,
        "inputs": dict(cassette.inputs),
        "is_whole": cassette.is_whole,
        "model": cassette.model,
        "executors": dict(cassette.executors),
        "answers": [_answer(one) for one in cassette.answers],
        "decisions": [
            {**one._asdict(), "run": None, "form": dict(one.form), "reason": one.reason or None}
            for one in cassette.decisions
        ],
        "lists": [
            {"path": one.path, "items": [[*item] for item in one.items], "blockers": [[*pair] for pair in one.blockers]}
            for one in cassette.lists
        ],
    }
    found["decisions"] = [_without_none(one) for one in found["decisions"]]
    return _without_none(found)


def _answer(one: Answer) -> dict[str, JsonValue]:
    info = one.info
    output: dict[str, JsonValue] | None = None
    if one.output is not None:
        output = {
            "markers": [*sorted(one.output.markers)] or None,
            "context": one.output.context or None,
            "values": dict(one.output.values) or None,
            "text": one.output.text or None,
            "degraded": one.output.degraded or None,
            "cost_usd": (one.output.usage.cost_usd or None) if one.output.usage is not None else None,
        }
    return _without_none(
        {
            "path": one.path,
            "kind": info.kind,
            "name": info.name,
            "key": info.key,
            "order": info.order,
            "executor": one.executor or None,
            "version": one.version,
            "effect": one.effect,
            "digest": None if one.asked is None else one.asked.digest,
            "request": None if one.asked is None else dict(one.asked.request),
            "read": None if one.seen is None else [*one.seen.names],
            "seen": None if one.seen is None else one.seen.digest,
            "outcome": one.outcome,
            "output": None if output is None else _without_none(output),
            "error": None if one.error is None else {"kind": one.error.kind, "message": one.error.message},
            "elapsed_ms": one.elapsed_ms,
        }
    )


def _without_none(found: Mapping[str, Any]) -> dict[str, JsonValue]:
    return {name: value for name, value in found.items() if value is not None and value != {} and value != []}


# ── reading ───────────────────────────────────────────────────────────────────────────────────────
def read(path: Path, root: Path) -> Cassette:
    """The cassette in a file, its marks put back for the project in `root`. Raises UserError `cassette-unreadable`,
    which says what is wrong with it."""
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        why = (error.strerror or str(error)).lower() if isinstance(error, OSError) else "it is not UTF-8 text"
        raise _unreadable(path, why) from error
    try:
        whole = json.loads(text)
        if not isinstance(whole, dict) or whole.get("schema") != SCHEMA:
            raise _unreadable(path, f"its `schema` is not `{SCHEMA}`")
        return _cassette(path.name, _restored(whole, str(root)))
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise _unreadable(path, f"{type(error).__name__}: {error}") from error


def _restored(value: Any, root: str) -> Any:
    """Marks back in place; but requests stay as they are written, as those of the new run will be."""
    if isinstance(value, str):
        return value.replace(PROJECT, root)
    if isinstance(value, list):
        return [_restored(item, root) for item in value]
    if isinstance(value, dict):
        return {name: item if name == "request" else _restored(item, root) for name, item in value.items()}
    return value


def _cassette(name: str, whole: Mapping[str, Any]) -> Cassette:
    dumps(whole).encode()  # what can't be recorded is refused here
    executors = _in(whole, "executors", dict, {})
    return Cassette(
        name=name,
        workflow=_in(whole, "workflow", str),
        file=_in(whole, "file", str),
        inputs=_in(whole, "inputs", dict, {}),
        answers=tuple(_read_answer(one) for one in _maps(whole, "answers")),
        decisions=tuple(_read_decision(one) for one in _maps(whole, "decisions")),
        lists=tuple(_read_list(one) for one in _maps(whole, "lists")),
        is_whole=_in(whole, "is_whole", bool, False),
        model=_in(whole, "model", str, None),
        executors={key: _in(executors, key, str) for key in executors},
    )


def _read_answer(one: Mapping[str, Any]) -> Answer:
    kind, name, key, order = (_in(one, field, str) for field in ("kind", "name", "key", "order"))
    info = StepInfo(kind, name, key, order, 0, "", 1, 1)
    output, error = _in(one, "output", dict, None), _in(one, "error", dict, None)
    if one["outcome"] not in ("completed", "failed", "stopped"):
        raise ValueError(f"an `outcome` is `{one['outcome']}`")
    asked = asked_as(_in(one, "request", dict)) if "request" in one else None
    if asked is not None and "digest" in one and one["digest"] != asked.digest:
        raise ValueError(f"the request of `{one['path']}` is not the one its digest was made of")
    return Answer(
        path=StepPath(_in(one, "path", str)),
        info=info,
        executor=_in(one, "executor", str, ""),
        outcome=one["outcome"],
        version=_in(one, "version", str, "1"),
        effect=_in(one, "effect", str, "read"),
        asked=asked,
        seen=Seen(_texts(one, "read"), _in(one, "seen", str)) if "seen" in one else None,
        output=None if output is None and one["outcome"] != "completed" else _read_output(output or {}),
        error=None if error is None else StepError(_in(error, "kind", str), _in(error, "message", str)),
        elapsed_ms=_in(one, "elapsed_ms", int, 0),
    )


def _read_output(one: Mapping[str, Any]) -> Output:
    return Output(
        frozenset(_texts(one, "markers")),
        _in(one, "context", str, ""),
        _in(one, "values", dict, EMPTY),
        Usage(cost_usd=_in(one, "cost_usd", float)) if "cost_usd" in one else None,
        _in(one, "degraded", bool, False),
        _in(one, "text", str, ""),
    )


def _read_decision(one: Mapping[str, Any]) -> GateAnswer:
    return GateAnswer(
        RunID(""),
        _in(one, "gate", str),
        _in(one, "choice", str),
        _in(one, "by", str),
        _in(one, "via", str),
        _in(one, "at", int, 0),
        _in(one, "occurrence", int, 0),
        _in(one, "reason", str, ""),
        _in(one, "form", dict, EMPTY),
        _in(one, "ordinal", int, 0),
    )


def _read_list(one: Mapping[str, Any]) -> ItemsCollected:
    return ItemsCollected(
        path=StepPath(_in(one, "path", str)),
        items=tuple(ListedItem(*item) for item in _in(one, "items", list, [])),
        blockers=tuple(cast("tuple[str, str]", tuple(pair)) for pair in _in(one, "blockers", list, [])),
        provider="cassette",
    )


_MUST: Any = object()


def _in(one: Mapping[str, Any], name: str, kind: type, otherwise: Any = _MUST) -> Any:
    """What is called `name` in there, or `otherwise`. Raises ValueError for another kind of thing."""
    value = one[name] if otherwise is _MUST else one.get(name, otherwise)
    if value is not otherwise and type(value) is not kind:
        raise ValueError(f"`{name}` is {shown(value)}")
    return value


def _maps(one: Mapping[str, Any], name: str) -> list[dict[str, Any]]:
    found = _in(one, name, list, [])
    return [_in({name: item}, name, dict) for item in found]


def _texts(one: Mapping[str, Any], name: str) -> tuple[str, ...]:
    found = _in(one, name, list, [])
    return tuple(_in({name: item}, name, str) for item in found)


def _unreadable(path: Path, why: str) -> UserError:
    return UserError(
        "cassette-unreadable",
        f"the cassette `{path}` can't be read: {why}",
        help="make it anew with `runkon run FILE --record --cassette FILE`",
        exit_code=EXIT_USAGE,
    )
