"""Placeholders that nothing fills in, and bare references that name nothing: warnings, since a host may know more."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from runkon.language.checks.answers import answers_read, listed
from runkon.language.checks.context import Context
from runkon.language.checks.flow import KeyUse, Passed, Scope, Template, sites
from runkon.language.checks.references import HOST_VARIABLES, fault_of
from runkon.language.diagnostics import Diagnostic, diagnose
from runkon.language.nodes import ListValue, MapValue, Text, Value, Word
from runkon.language.source import SourceFile, Span
from runkon.language.suggest import closest
from runkon.language.template import Placeholder, parse_template
from runkon.pattern import pattern

_VARIABLE = pattern(r"[^\W\d][\w-]*(\.[\w-]+)*")
_OPENED = pattern(r"\{\{\s*([^\W\d][\w-]*(?:\.[\w-]+)*)(\s*\?\?)?")
_CONSTANT = pattern(r"-?[0-9]+(\.[0-9]+)?|true|false")


def check_templates(context: Context) -> Iterable[Diagnostic]:
    """One warning per placeholder or reference that can have no value."""
    for site in sites(context):
        match site:
            case Template(text=text, span=span, scope=scope):
                yield from _template(text, span, scope, context)
            case Passed(value=value, scope=scope, use="input"):
                yield from _value(value, scope, context)
            case KeyUse(text=text, span=span, scope=scope, gate=gate) if gate.source is None:
                if fault_of(tuple(text.split(".")), scope, context):
                    yield _unknown(text, span, scope, context)
            case _:
                pass


def _value(value: Value, scope: Scope, context: Context) -> Iterator[Diagnostic]:
    match value:
        case Text(text=text, span=span):
            yield from _template(text, span, scope, context)
        case Word(text=text, span=span) if "." in text:
            parts = tuple(text.split("."))
            if fault_of(parts, scope, context):
                quoted = f'write `"{text}"` if it is meant as text'
                yield diagnose("unknown-variable", span, name=text, help=quoted)
            elif help := _not_in_schema(parts, scope, context):
                yield diagnose("unknown-variable", span, name=text, help=help)
        case ListValue(items=items):
            for item in items:
                yield from _value(item, scope, context)
        case MapValue(entries=entries):
            for entry in entries:
                yield from _value(entry.value, scope, context)
        case _:
            return


def _template(text: str, span: Span, scope: Scope, context: Context) -> Iterator[Diagnostic]:
    if "{{" not in text:
        return
    pieces = parse_template(text)
    for piece in pieces:
        if not isinstance(piece, Placeholder):
            continue
        place = placeholder_span(piece, text, span, context.source)
        if piece.default is None:
            if _has_no_value(piece, scope, context):
                yield _unknown(piece.name, place, scope, context)
        elif piece.default and piece.default == _written_default(piece) and not _CONSTANT.fullmatch(piece.default):
            yield diagnose("unquoted-default", place, name=piece.name, default=piece.default)
    if isinstance(pieces[-1], str) and "{{" in pieces[-1]:
        yield from _unclosed(pieces[-1], span, scope, context)


def _written_default(piece: Placeholder) -> str:
    """The default as it is written: equal to its meaning if it has no quotes."""
    return piece.raw[2:-2].partition("??")[2].strip()


def _unclosed(text: str, span: Span, scope: Scope, context: Context) -> Iterator[Diagnostic]:
    """A `{{` that nothing closes, if what follows names something; before other text it may well be meant."""
    found = _OPENED.search(text)
    if found is None:
        return
    name = found[1]
    head = name.partition(".")[0]
    if is_given(name, scope, context) or scope.producers(head) or head in ("inputs", "workflow"):
        written = context.source.text[span.start : span.end]
        at = written.rfind(found[0])
        place = span if at < 0 else context.source.span(span.start + at, span.start + at + len(found[0]))
        help = f"inside a string a default stands in single quotes: `{{{{{name} ?? 'text'}}}}`" if found[2] else None
        yield diagnose("unclosed-placeholder", place, name=name, help=help)


def _has_no_value(piece: Placeholder, scope: Scope, context: Context) -> bool:
    if not _VARIABLE.fullmatch(piece.name):
        return True  # `{{#if x}}` and the like: there is no such syntax
    if is_given(piece.name, scope, context) or _is_of_an_item(piece, context):
        return False
    if len(piece.parts) > 1:
        return bool(fault_of(piece.parts, scope, context) or _not_in_schema(piece.parts, scope, context))
    return not (scope.exports or scope.opaque or piece.name in scope.exported)


def _is_of_an_item(piece: Placeholder, context: Context) -> bool:
    """`item.id` and the like: whatever file calls this workflow by a `foreach` gives them."""
    return len(piece.parts) > 1 and piece.parts[0] == "item" and "item" not in context.producers


def _not_in_schema(parts: tuple[str, ...], scope: Scope, context: Context) -> str | None:
    """What to do about a field that the schema of its step does not have; None if it may be there."""
    if parts[0] in scope.variables or parts[0] in context.inputs:
        return None
    answers = answers_read(parts, scope.producers(parts[0]), context)
    missing = None if answers is None else answers.lacks(parts[1:])
    if answers is None or missing is None:
        return None
    close = closest(missing, answers.fields)
    known = f"did you mean `{close}`?" if close else f"it has {listed(answers.fields)}" if answers.fields else ""
    said = f"schema `{answers.schema.name}` has no field `{missing}`"
    return f"{said}; {known}" if known else said


def is_given(name: str, scope: Scope, context: Context) -> bool:
    """True if an input, the host or the block around gives the variable: what a person or runkon wrote, no step."""
    return name in context.inputs or name in HOST_VARIABLES or name in scope.variables


def _unknown(name: str, span: Span, scope: Scope, context: Context) -> Diagnostic:
    head, dot, rest = name.partition(".")
    close = closest(name, context.inputs)
    if dot and (said := _not_in_schema(tuple(name.split(".")), scope, context)) is not None:
        help = said
    elif dot and head in context.producers and not scope.producers(head):
        help = f"`{head}` has no result yet at this point"
    elif dot and (near := closest(head, scope.keys())) is not None:
        help = f"did you mean `{near}.{rest}`?"
    elif close is not None:
        help = f"did you mean `{close}`?"
    elif not _VARIABLE.fullmatch(name):
        help = "a placeholder is `{{name}}`, `{{step.field}}` or `{{name ?? 'default'}}`"
    else:
        help = f"declare it in `inputs`, or give it a default: `{{{{{name} ?? 'text'}}}}`"
    return diagnose("unknown-variable", span, name=name, help=help)


def placeholder_span(piece: Placeholder, text: str, span: Span, source: SourceFile) -> Span:
    """Where a placeholder of a quoted text stands in the file; the text's own span if escapes hide it."""
    written = source.text[span.start : span.end]
    before = text.count(piece.raw, 0, piece.start)
    at = -1
    for _ in range(before + 1):
        at = written.find(piece.raw, at + 1)
        if at < 0:
            return span
    return source.span(span.start + at, span.start + at + len(piece.raw))
