"""Inputs of a run: given values are converted to their declared types, missing ones take their defaults."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping, Sequence

from runkon.errors import EXIT_USAGE, UserError
from runkon.language.nodes import DurationValue, InputDecl, ListValue, MapValue, Number, Text, Value, Word
from runkon.model.output import JsonValue
from runkon.model.secrets import secret_name, secret_reference

# What the reference's hosts supply without a declaration.
UNDECLARED = frozenset(
    {
        "ticket_id", "ticket_source_id", "ticket_source_type", "ticket_title", "ticket_body", "ticket_url",
        "ticket_raw_json", "repo_id", "repo_path", "repo_name", "feature_base_branch", "worktree_branch",
        "worktree_id", "pr_number",
    }
)  # fmt: skip


class BoundInputs(Mapping[str, JsonValue]):
    """The inputs of one run, ready to be recorded: a secret stands in them by name only. `secrets` holds their
    values, which go to executors and nowhere else."""

    def __init__(self, values: Mapping[str, JsonValue], secrets: Mapping[str, str]) -> None:
        self._values = values
        self.secrets = secrets

    def __getitem__(self, name: str) -> JsonValue:
        return self._values[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)


class _Problem(Exception):
    """A value that does not fit its declaration; the text says what was expected."""


def bind_inputs(
    declared: Sequence[InputDecl],
    given: Mapping[str, JsonValue],
    *,
    strict: bool = True,
    secrets: Mapping[str, str] = {},
) -> BoundInputs:
    """The inputs of a run: declared ones in order of declaration, then what else was given.

    Text is converted to the declared type. `strict` refuses names nobody declared. A secret may be given by
    reference, its value is then taken from `secrets`. Raises one UserError (exit code 2) that names every problem:
    `missing-input`, `unknown-input`, `invalid-input` or `missing-secret`, after the first of them."""
    values: dict[str, JsonValue] = {}
    kept: dict[str, str] = {}
    problems: list[tuple[str, str]] = []
    for declaration in declared:
        try:
            _bind_one(declaration, given, secrets, values, kept, problems)
        except _Problem as problem:
            problems.append(("invalid-input", f"input `{declaration.name}` {problem}"))
    names = {declaration.name for declaration in declared}
    for name, value in given.items():
        if name in names:
            continue
        if strict and name not in UNDECLARED:
            problems.append(("unknown-input", _unknown(name, sorted(names))))
        else:
            values[name] = value
    if problems:
        raise _refusal(problems, declared)
    return BoundInputs(values, kept)


def _bind_one(
    declaration: InputDecl,
    given: Mapping[str, JsonValue],
    secrets: Mapping[str, str],
    values: dict[str, JsonValue],
    kept: dict[str, str],
    problems: list[tuple[str, str]],
) -> None:
    name = declaration.name
    if name in given:
        value = given[name]
    elif declaration.required:
        problems.append(("missing-input", f"input `{name}` is required and was not given"))
        return
    elif declaration.default is not None:
        value = default_value(declaration.default)
    elif declaration.type == "boolean":
        value = False
    else:
        return
    if declaration.type != "secret":
        values[name] = convert(declaration, value)
        return
    referred = secret_name(value)
    if referred is not None and referred not in secrets:
        problems.append(("missing-secret", f"secret `{name}` is never stored and has to be given again"))
        return
    kept[name] = secrets[referred] if referred is not None else str(convert(declaration, value))
    values[name] = secret_reference(name)


def default_value(value: Value) -> JsonValue:
    """A default as written in the file: text for scalars (the declared type converts it), lists element by element."""
    match value:
        case Text(text=text) | Word(text=text) | Number(text=text) | DurationValue(text=text):
            return text
        case ListValue(items=items):
            return [default_value(item) for item in items]
        case MapValue(entries=entries):
            return {entry.name: default_value(entry.value) for entry in entries}
        case _:
            return None


# ── types ─────────────────────────────────────────────────────────────────────────────────────────
def convert(declaration: InputDecl, value: JsonValue) -> JsonValue:
    """`value` as the declared type. Raises an internal problem with what was expected if it does not fit."""
    match declaration.type:
        case "boolean":
            return _boolean(value)
        case "number":
            return _number(value)
        case "integer":
            return _integer(value)
        case "list":
            return _list(value)
        case "one_of":
            return _one_of(value, declaration.choices)
        case "string" | "secret":
            return _text(value)


def _text(value: JsonValue) -> JsonValue:
    """Text stays; what a program hands over as a number, list or map keeps its type."""
    return value


def _boolean(value: JsonValue) -> bool:
    if isinstance(value, bool):
        return value
    if isinstance(value, str) and value.strip().lower() in ("true", "false"):
        return value.strip().lower() == "true"
    raise _Problem(f"must be `true` or `false`, not {_quoted(value)}")


def _number(value: JsonValue) -> int | float:
    if isinstance(value, str):
        try:
            value = int(value)
        except ValueError:
            try:
                value = float(value)
            except ValueError:
                raise _Problem(f"must be a number, not {_quoted(value)}") from None
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise _Problem(f"must be a number, not {_quoted(value)}")
    return value


def _integer(value: JsonValue) -> int:
    try:
        number = _number(value)
    except _Problem:
        raise _Problem(f"must be a whole number, not {_quoted(value)}") from None
    if isinstance(number, float) and not number.is_integer():
        raise _Problem(f"must be a whole number, not {_quoted(value)}")
    return int(number)


def _list(value: JsonValue) -> list[JsonValue]:
    if isinstance(value, str):
        try:
            value = json.loads(value)
        except (ValueError, RecursionError):
            raise _Problem(f'must be a list in JSON, like ["a", "b"], not {_quoted(value)}') from None
    if not isinstance(value, list):
        raise _Problem(f'must be a list in JSON, like ["a", "b"], not {_quoted(value)}')
    return value


def _one_of(value: JsonValue, choices: tuple[str, ...]) -> str:
    text = value if isinstance(value, str) else json.dumps(value)
    if text not in choices:
        raise _Problem(f"must be one of {', '.join(f'`{choice}`' for choice in choices)}, not {_quoted(value)}")
    return text


def _quoted(value: JsonValue) -> str:
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return f"`{text if len(text) <= 60 else text[:57] + '…'}`"


# ── the error ─────────────────────────────────────────────────────────────────────────────────────
def _unknown(name: str, known: Sequence[str]) -> str:
    from difflib import get_close_matches  # late: only for a mistake

    close = get_close_matches(name, known, n=1)
    return f"unknown input `{name}`" + (f", did you mean `{close[0]}`?" if close else "")


def _refusal(problems: list[tuple[str, str]], declared: Sequence[InputDecl]) -> UserError:
    missing = [text for code, text in problems if code == "missing-input"]
    help_text = f"inputs of this workflow: {', '.join(f'`{d.name}`' for d in declared)}" if declared else None
    if missing:
        help_text = f"{help_text}; give them with `-i name=value`"
    return UserError(problems[0][0], "; ".join(text for _, text in problems), help=help_text, exit_code=EXIT_USAGE)
