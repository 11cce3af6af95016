"""Inputs of a run: given values are converted to their declared types, missing ones take their defaults."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import suppress

from runkon.errors import EXIT_USAGE, UserError
from runkon.language.channel_types import constant
from runkon.language.nodes import DurationValue, InputDecl, Number, Text, Value, Word
from runkon.language.suggest import closest
from runkon.model.json_text import check_json
from runkon.model.output import JsonValue
from runkon.model.secrets import MIN_SECRET, secret_name, secret_reference
from runkon.model.value_text import as_text

# What the reference's hosts supply without a declaration.
UNDECLARED = frozenset(
    {
        "ticket_id", "ticket_source_id", "ticket_source_type", "ticket_title", "ticket_body", "ticket_url",
        "ticket_raw_json", "repo_id", "repo_path", "repo_name", "feature_base_branch", "worktree_branch",
        "worktree_id", "pr_number",
    }
)  # fmt: skip

_NUMBER = re.compile(r"-?[0-9]+(\.[0-9]+)?([eE][+-]?[0-9]+)?")


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
    binding = _Binding(given, secrets)
    for declaration in declared:
        binding.take(declaration)
    names = {declaration.name for declaration in declared}
    for name in given:
        if name not in names:
            binding.take_undeclared(name, names, strict=strict)
    if binding.problems:
        raise _refusal(binding.problems, declared)
    return BoundInputs(binding.values, binding.kept)


class _Binding:
    """Inputs as far as they are bound, with what is wrong so far as (code, sentence)."""

    def __init__(self, given: Mapping[str, JsonValue], secrets: Mapping[str, str]) -> None:
        self.values: dict[str, JsonValue] = {}
        self.kept: dict[str, str] = {}
        self.problems: list[tuple[str, str]] = []
        self._given = given
        self._secrets = secrets

    def take(self, declaration: InputDecl) -> None:
        name = declaration.name
        value = self._given.get(name)  # null is as good as not given
        try:
            value = value if isinstance(value, float) else check_json(value, "it")
        except ValueError as problem:
            self.problems.append(("invalid-input", f"input `{name}` can't be stored: {problem}"))
            return
        if value is None and declaration.required:
            self.problems.append(("missing-input", f"input `{name}` is required and was not given"))
            return
        if value is None and declaration.default is not None:
            value = default_value(declaration.default)
        if value is None and declaration.type == "boolean":
            value = False
        if value is None:
            return
        if declaration.type == "secret":
            self._take_secret(name, value)
            return
        try:
            self.values[name] = check_json(convert(declaration, value), "it")
        except _Problem as problem:
            self.problems.append(("invalid-input", f"input `{name}` {problem}"))
        except ValueError as problem:
            self.problems.append(("invalid-input", f"input `{name}` can't be stored: {problem}"))

    def take_undeclared(self, name: str, declared: Collection[str], *, strict: bool) -> None:
        if strict and name not in UNDECLARED:
            self.problems.append(("unknown-input", _unknown(name, sorted(declared))))
            return
        try:
            self.values[name] = check_json(self._given[name], "it")
        except ValueError as problem:
            self.problems.append(("invalid-input", f"input `{name}` can't be stored: {problem}"))

    def _take_secret(self, name: str, value: JsonValue) -> None:
        """Keep the value apart. One passed on by a calling workflow goes on under the name it was first given by."""
        first_name = secret_name(value)
        text = as_text(value) if first_name is None else self._secrets.get(first_name)
        if text is not None and len(text) < MIN_SECRET:
            problem = f"secret `{name}` has fewer than {MIN_SECRET} characters: it could not be told from other text"
            self.problems.append(("invalid-input", problem))
            return
        if first_name is None:
            self.kept[name] = as_text(value)
        elif first_name in self._secrets:
            self.kept[first_name] = self._secrets[first_name]
        else:
            self.problems.append(("missing-secret", f"secret `{name}` is never stored and has to be given again"))
            return
        self.values[name] = secret_reference(first_name or name)


def default_value(value: Value) -> JsonValue:
    """A default as written in the file: text for scalars (the declared type converts it); in a list nothing but how a
    value is written says its type."""
    match value:
        case Text(text=text) | Word(text=text) | Number(text=text) | DurationValue(text=text):
            return text
        case _:
            return constant(value)


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
            return value  # text, or what a program or a calling workflow handed over


def _boolean(value: JsonValue) -> bool:
    if isinstance(value, bool):
        return value
    if isinstance(value, str) and value.strip().lower() in ("true", "false"):
        return value.strip().lower() == "true"
    raise _Problem(f"must be `true` or `false`, not {_quoted(value)}")


def _number(value: JsonValue) -> int | float:
    if isinstance(value, str) and _NUMBER.fullmatch(value.strip()):
        text = value.strip()
        with suppress(ValueError):  # more digits than Python converts
            value = float(text) if any(char in text for char in ".eE") else int(text)
    if isinstance(value, bool) or not isinstance(value, int | float) or not _is_finite(value):
        raise _Problem(f"must be a number, not {_quoted(value)}")
    return value


def _is_finite(value: int | float) -> bool:
    return isinstance(value, int) or math.isfinite(value)  # an int may be larger than every float


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
    close = closest(name, known)
    return f"input `{name}` is unknown" + (f", did you mean `{close}`?" if close else "")


def _refusal(problems: list[tuple[str, str]], declared: Sequence[InputDecl]) -> UserError:
    missing = [text for code, text in problems if code == "missing-input"]
    help_text = f"inputs of this workflow: {', '.join(f'`{d.name}`' for d in declared)}" if declared else None
    if missing:
        help_text = f"{help_text}; give them with `-i name=value`"
    elif all(code == "missing-secret" for code, _ in problems):
        help_text = "give every secret again with `-i name=value`"
    return UserError(problems[0][0], "; ".join(text for _, text in problems), help=help_text, exit_code=EXIT_USAGE)
