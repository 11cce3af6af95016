"""Secrets in the text of a command: others could read them there, so scripts have them in their environment only."""

from __future__ import annotations

from collections.abc import Iterable

from runkon.language.checks.context import Context
from runkon.language.checks.flow import Template, sites
from runkon.language.checks.templates import placeholder_span
from runkon.language.diagnostics import Diagnostic, diagnose
from runkon.language.template import Placeholder, parse_template
from runkon.pattern import pattern

_VARIABLE = pattern(r"[A-Za-z0-9_]+")


def check_commands(context: Context) -> Iterable[Diagnostic]:
    """One error per placeholder in `run` that a secret input gives its value to."""
    secrets = {name for name, declared in context.inputs.items() if declared.type == "secret"}
    if not secrets:
        return
    for site in sites(context):
        if not isinstance(site, Template) or site.script is None:
            continue
        for piece in parse_template(site.text):
            if not isinstance(piece, Placeholder):
                continue
            name = piece.name.removeprefix("inputs.")
            is_nearer = name in site.scope.variables and not piece.name.startswith("inputs.")
            if name in secrets and not is_nearer:
                span = placeholder_span(piece, site.text, site.span, context.source)
                yield diagnose("secret-in-command", span, raw=piece.raw, instead=_instead(name, piece.raw))


def _instead(name: str, raw: str) -> str:
    if _VARIABLE.fullmatch(name):
        return f'write "$RUNKON_{name.upper()}" in its place, outside of single quotes'
    return f'say `env = {{ SECRET = "{raw}" }}` and write "$SECRET" in its place, outside of single quotes'
