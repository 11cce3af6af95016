"""What a coding agent sees of this process's environment: a list of names, not everything."""

from __future__ import annotations

from collections.abc import Collection, Mapping

USUAL = (
    "PATH", "HOME", "USER", "LOGNAME", "SHELL", "LANG", "LANGUAGE", "LC_*", "TZ", "TERM", "COLORTERM", "NO_COLOR",
    "TMPDIR", "TMP", "TEMP", "XDG_*", "SSL_CERT_FILE", "SSL_CERT_DIR", "NODE_EXTRA_CA_CERTS", "REQUESTS_CA_BUNDLE",
    "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY", "http_proxy", "https_proxy", "all_proxy", "no_proxy",
)  # fmt: skip
_SHORTEST = 12  # characters of a secret
_SECRET_ENDS = ("KEY", "TOKEN", "SECRET", "PASSWORD", "CREDENTIALS")


def environment_of(
    parent: Mapping[str, str], allowed: Collection[str], overlay: Mapping[str, str], marks: Mapping[str, str]
) -> dict[str, str]:
    """The variables of `parent` that `allowed` and the usual names let through, `overlay` over them, and over all of
    it the marks by which the processes of an attempt are found."""
    names = {*USUAL, *allowed}
    prefixes = tuple(name[:-1] for name in names if name.endswith("*"))
    kept = {name: value for name, value in parent.items() if name in names or (prefixes and name.startswith(prefixes))}
    return {**kept, **overlay, **marks}


def secrets_in(environment: Mapping[str, str]) -> dict[str, str]:
    """The variables that hold a secret, by their names: what a program prints of them must not be kept. Short values
    are none (`none`, `ollama`): replacing them would spoil what an agent says."""
    return {name: value for name, value in environment.items() if len(value) >= _SHORTEST and names_secret(name)}


def names_secret(name: str) -> bool:
    """True for a name whose value is a secret by its end, as `OPENAI_API_KEY` or `api-key`."""
    return name.upper().endswith(_SECRET_ENDS)
