"""The inputs of a run as the command line gives them: `-i key=value`, `-i key=@file`, `--inputs file.json`."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

from runkon.cli.streams import standard_input
from runkon.errors import EXIT_USAGE, UserError
from runkon.model.output import JsonValue

STDIN = "-"


def given_inputs(pairs: Mapping[str, str], file: str | None) -> dict[str, JsonValue]:
    """All inputs; a pair wins over the file. `@file` is the file's text, `@@` a text that begins with `@`.

    Raises UserError `unreadable-input` or `invalid-input`."""
    found: dict[str, JsonValue] = _from_json(file) if file is not None else {}
    for name, text in pairs.items():
        if text.startswith("@@"):
            found[name] = text[1:]
        elif text.startswith("@"):
            found[name] = _read(text[1:], f"`-i {name}=@{text[1:]}`")
        else:
            found[name] = text
    return found


def _from_json(file: str) -> dict[str, JsonValue]:
    where = "standard input" if file == STDIN else f"`{file}`"
    text = _read(file, "`--inputs`")
    try:
        value: JsonValue = json.loads(text, parse_constant=_refuse_constant)
    except (ValueError, RecursionError) as error:
        raise UserError(
            "invalid-input", f"{where} is not valid JSON: {_reason(error)}", exit_code=EXIT_USAGE
        ) from error
    if not isinstance(value, dict):
        raise UserError(
            "invalid-input",
            f"{where} holds no JSON object",
            help='give the inputs by name: {"scope": "full"}',
            exit_code=EXIT_USAGE,
        )
    return value


def _reason(error: Exception) -> str:
    if isinstance(error, json.JSONDecodeError):
        return f"{error.msg[:1].lower()}{error.msg[1:]} (line {error.lineno}, column {error.colno})"
    return "it is nested too deep" if isinstance(error, RecursionError) else str(error)


def _refuse_constant(name: str) -> JsonValue:
    raise ValueError(f"{name} is not a JSON value")


def _read(file: str, asked_by: str) -> str:
    try:
        raw = standard_input(asked_by) if file == STDIN else Path(file).read_bytes()
        return raw.decode("utf-8-sig")
    except OSError as error:
        raise UserError(
            "unreadable-input",
            f"the file `{file}` of {asked_by} can't be read: {(error.strerror or str(error)).lower()}",
            exit_code=EXIT_USAGE,
        ) from error
    except UnicodeDecodeError as error:
        raise UserError(
            "unreadable-input",
            f"the file `{file}` of {asked_by} is not UTF-8 text (byte {error.start})",
            exit_code=EXIT_USAGE,
        ) from error
