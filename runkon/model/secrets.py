"""Secrets as records see them: by name only, never by value."""

from __future__ import annotations

from collections.abc import Mapping

from runkon.model.output import JsonValue

_KEY = "$secret"
MIN_SECRET = 4  # characters: shorter ones would be found everywhere


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


def redact(text: str, secrets: Mapping[str, str]) -> str:
    """`text` with every value of `secrets` (name to value) replaced by its mark; those shorter than `MIN_SECRET` are
    left alone."""
    for name, value in sorted(secrets.items(), key=lambda pair: -len(pair[1])):
        if len(value) >= MIN_SECRET:
            text = text.replace(value, secret_mark(name))
    return text


def redact_json(value: JsonValue | Mapping[str, JsonValue], secrets: Mapping[str, str]) -> JsonValue:
    """A copy of `value` with every text in it redacted, keys too."""
    match value:
        case str():
            return redact(value, secrets)
        case list():
            return [redact_json(item, secrets) for item in value]
        case Mapping():
            return {redact(key, secrets): redact_json(item, secrets) for key, item in value.items()}
        case _:
            return value


def reveal(text: str, secrets: Mapping[str, str]) -> str:
    """`text` with every mark of a known secret replaced by its value: for the environment of a script only."""
    for name, value in secrets.items():
        text = text.replace(secret_mark(name), value)
    return text
