"""Secrets as records see them: by name only, never by value."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from runkon.model.output import JsonValue

_KEY = "$secret"
MIN_SECRET = 6  # characters: shorter ones would be found everywhere


def secret_reference(name: str) -> dict[str, JsonValue]:
    """What stands for the secret `name` in records and variables."""
    return {_KEY: name}


def secret_name(value: object) -> str | None:
    """The name of the secret that `value` stands for, or None if it is an ordinary value."""
    if isinstance(value, Mapping) and len(value) == 1:
        name = value.get(_KEY)
        return name if isinstance(name, str) else None
    return None


def secret_mark(name: str) -> str:
    """What stands for the secret `name` inside text."""
    return f"«secret:{name}»"


def marks_of(secrets: Mapping[str, str]) -> Sequence[tuple[str, str]]:
    """Every form of every value of `secrets` (name to value) with the mark that takes its place, longest first; of
    values shorter than `MIN_SECRET` none."""
    secrets = {name: value for name, value in secrets.items() if len(value) >= MIN_SECRET}
    if not secrets:
        return ()
    from runkon.model.secret_forms import forms_of  # late: few runs have secrets

    pairs = [(form, secret_mark(name)) for name, value in secrets.items() for form in forms_of(value)]
    return sorted(pairs, key=lambda pair: -len(pair[0]))


def redact(text: str, secrets: Mapping[str, str]) -> str:
    """`text` with every value of `secrets` (name to value), in all its forms, replaced by its mark; those shorter than
    `MIN_SECRET` are left alone."""
    return _replaced(text, marks_of(secrets))


def redact_json(value: JsonValue | Mapping[str, JsonValue], secrets: Mapping[str, str]) -> JsonValue:
    """A copy of `value` with every text in it redacted, keys too."""
    return _replaced_in(value, marks_of(secrets))


def reveal(text: str, secrets: Mapping[str, str]) -> str:
    """`text` with every mark of a known secret replaced by its value: for the environment of a script only."""
    for name, value in secrets.items():
        text = text.replace(secret_mark(name), value)
    return text


def _replaced(text: str, marks: Sequence[tuple[str, str]]) -> str:
    for form, mark in marks:
        text = text.replace(form, mark)
    return text


def _replaced_in(value: JsonValue | Mapping[str, JsonValue], marks: Sequence[tuple[str, str]]) -> JsonValue:
    match value:
        case str():
            return _replaced(value, marks)
        case list():
            return [_replaced_in(item, marks) for item in value]
        case Mapping():
            return {_replaced(key, marks): _replaced_in(item, marks) for key, item in value.items()}
        case _:
            return value
