"""A cassette as a file: one JSON document, readable and in a fixed order, without secrets and without places of the
machine it was made on.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

from runkon.cassettes.cassette import VERSION, Answer, Cassette
from runkon.engine.asking import PROJECT, asked_as, portable
from runkon.errors import EXIT_ENVIRONMENT, EXIT_USAGE, UserError
from runkon.model.ids import RunID, StepPath
from runkon.model.items import ItemsCollected, ListedItem
from runkon.model.output import EMPTY, JsonValue, Output
from runkon.model.records import GateAnswer, Seen, StepError, StepInfo

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
    return Cassette(
        name=name,
        workflow=whole["workflow"],
        file=whole["file"],
        inputs=whole.get("inputs", {}),
        answers=tuple(_read_answer(one) for one in whole.get("answers", ())),
        decisions=tuple(_read_decision(one) for one in whole.get("decisions", ())),
        lists=tuple(_read_list(one) for one in whole.get("lists", ())),
        is_whole=whole.get("is_whole", False),
        model=whole.get("model"),
        executors=whole.get("executors", {}),
    )


def _read_answer(one: Mapping[str, Any]) -> Answer:
    info = StepInfo(one["kind"], one["name"], one["key"], one["order"], 0, "", 1, 1)
    output, error = one.get("output"), one.get("error")
    if one["outcome"] not in ("completed", "failed", "stopped"):
        raise ValueError(f"an `outcome` is `{one['outcome']}`")
    asked = asked_as(one["request"]) if "request" in one else None
    if asked is not None and "digest" in one and one["digest"] != asked.digest:
        raise ValueError(f"the request of `{one['path']}` is not the one its digest was made of")
    return Answer(
        path=StepPath(one["path"]),
        info=info,
        executor=one.get("executor", ""),
        outcome=one["outcome"],
        version=one.get("version", "1"),
        effect=one.get("effect", "read"),
        asked=asked,
        seen=Seen(tuple(one.get("read", ())), one["seen"]) if "seen" in one else None,
        output=None if output is None and one["outcome"] != "completed" else _read_output(output or {}),
        error=None if error is None else StepError(error["kind"], error["message"]),
        elapsed_ms=one.get("elapsed_ms", 0),
    )


def _read_output(one: Mapping[str, Any]) -> Output:
    return Output(
        frozenset(one.get("markers", ())),
        one.get("context", ""),
        one.get("values", EMPTY),
        None,
        one.get("degraded", False),
        one.get("text", ""),
    )


def _read_decision(one: Mapping[str, Any]) -> GateAnswer:
    return GateAnswer(
        RunID(""),
        one["gate"],
        one["choice"],
        one["by"],
        one["via"],
        one.get("at", 0),
        one.get("occurrence", 0),
        one.get("reason", ""),
        one.get("form", EMPTY),
        one.get("ordinal", 0),
    )


def _read_list(one: Mapping[str, Any]) -> ItemsCollected:
    return ItemsCollected(
        path=StepPath(one["path"]),
        items=tuple(ListedItem(*item) for item in one.get("items", ())),
        blockers=tuple(cast("tuple[str, str]", tuple(pair)) for pair in one.get("blockers", ())),
        provider="cassette",
    )


def _unreadable(path: Path, why: str) -> UserError:
    return UserError(
        "cassette-unreadable",
        f"the cassette `{path}` can't be read: {why}",
        help="make it anew with `runkon run FILE --record --cassette FILE`",
        exit_code=EXIT_USAGE,
    )
