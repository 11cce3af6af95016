"""Secrets that a prompt snippet asks for: agents never see them. Agent files are looked into by whoever reads them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from runkon.errors import UserError
from runkon.language.checks.context import Context, option_span
from runkon.language.diagnostics import Diagnostic, Related, diagnose
from runkon.language.keys import step_options
from runkon.language.loader import read_source
from runkon.language.nodes import DoBlock, ParallelBlock, Statement
from runkon.language.program import Located
from runkon.language.source import SourceFile
from runkon.language.template import Placeholder, parse_template


def check_prompts(context: Context) -> Iterable[Diagnostic]:
    """One error per snippet and secret, at the `with` that brings it."""
    secrets = {name for name, declared in context.inputs.items() if declared.type == "secret"}
    if not secrets:
        return
    for statement in context.statements:
        for name in _snippets(statement):
            source = _source(context.locate("snippet", name))
            if source is None:
                continue
            for secret, piece in _asked(source, secrets):
                place = source.span(piece.start, piece.start + len(piece.raw))
                yield diagnose(
                    "secret-in-prompt",
                    option_span(statement, "with"),
                    related=(Related(place, source.line_text(place.line).strip()),),
                    reason=f"the prompt snippet `{name}` would put the secret `{secret}` into a prompt",
                )


def _snippets(statement: Statement) -> tuple[str, ...]:
    options = step_options(statement)
    if options is not None:
        return options.snippets
    return statement.snippets if isinstance(statement, DoBlock | ParallelBlock) else ()


def _source(located: Located) -> SourceFile | None:
    """The text of a snippet, None if it can't be read: that is told elsewhere."""
    if located.path is None or located.problem is not None or not located.places:
        return None
    try:
        return read_source(located.path, located.places[-1])
    except UserError:
        return None


def _asked(source: SourceFile, secrets: set[str]) -> Iterator[tuple[str, Placeholder]]:
    told: set[str] = set()
    for piece in parse_template(source.text):
        if isinstance(piece, Placeholder):
            name = piece.name.removeprefix("inputs.")
            if name in secrets and name not in told:
                told.add(name)
                yield name, piece
