"""Text of agents and people on its way into a shell: warned about where quoting cannot hold it."""

from __future__ import annotations

from collections.abc import Iterable

from runkon.language.checks.context import Context
from runkon.language.checks.flow import Scope, Template, sites
from runkon.language.checks.templates import is_given, placeholder_span
from runkon.language.diagnostics import Diagnostic, diagnose
from runkon.language.shell_text import protected_placeholders
from runkon.language.template import Placeholder, parse_template

_FROM_STEPS = frozenset({"prior_context", "prior_contexts", "prior_output", "gate_feedback", "failure_reason"})


def check_tainted_shell(context: Context) -> Iterable[Diagnostic]:
    """A placeholder inside quotes of shell text whose value comes from a step or a gate. In the open it is safe: there
    the engine quotes every value itself."""
    for site in sites(context):
        if not isinstance(site, Template) or site.script is None or "{{" not in site.text:
            continue
        pieces = [piece for piece in parse_template(site.text) if isinstance(piece, Placeholder)]
        for piece, is_protected in zip(pieces, protected_placeholders(site.text), strict=True):
            if is_protected or not _comes_from_step(piece, site.scope, context):
                continue
            variable = "".join(char if char.isalnum() else "_" for char in piece.name).upper()
            yield diagnose(
                "tainted-shell",
                placeholder_span(piece, site.text, site.span, context.source),
                name=piece.name,
                raw=piece.raw,
                variable=variable,
            )


def _comes_from_step(piece: Placeholder, scope: Scope, context: Context) -> bool:
    if piece.name in _FROM_STEPS:
        return True
    if is_given(piece.name, scope, context):
        return False
    if len(piece.parts) > 1:
        return bool(scope.producers(piece.parts[0]))
    return scope.exports
