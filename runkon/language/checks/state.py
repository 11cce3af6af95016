"""State channels: declared once, with values and reducers of their type, and declared at all where they are used."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from runkon.language.channel_types import IN_WORDS, REDUCERS, constant, fits
from runkon.language.checks.context import Context
from runkon.language.checks.flow import KeyUse, Passed, Template, Test, sites
from runkon.language.checks.references import reads
from runkon.language.checks.templates import placeholder_span
from runkon.language.diagnostics import Diagnostic, Related, diagnose
from runkon.language.nodes import (
    Channel,
    Entry,
    ListValue,
    MapValue,
    Reference,
    SetStatement,
    Text,
    Value,
    Word,
)
from runkon.language.source import Span
from runkon.language.suggest import closest
from runkon.language.template import Placeholder, parse_template


def check_state(context: Context) -> Iterable[Diagnostic]:
    """Channels declared twice, initial values and reducers of another type, updates and reads of unknown channels."""
    declared: dict[str, Channel] = {}
    for channel in context.workflow.state:
        first = declared.setdefault(channel.name, channel)
        if first is not channel:
            related = (Related(first.span, "declared here"),)
            yield diagnose("duplicate-channel", channel.span, name=channel.name, related=related)
        yield from _declaration(channel)
    for statement in context.statements:
        if isinstance(statement, SetStatement):
            for entry in statement.updates:
                yield from _update(entry, declared)
    yield from _unknown_reads(context, declared)


def _declaration(channel: Channel) -> Iterator[Diagnostic]:
    types = REDUCERS.get(channel.reducer)
    if types is not None and channel.type not in types and channel.reducer_span is not None:
        expected = " or ".join(f"`{each}`" for each in types)
        yield diagnose(
            "reducer-type",
            channel.reducer_span,
            reducer=channel.reducer,
            name=channel.name,
            type=channel.type,
            expected=expected,
        )
    if channel.initial is not None and not fits(channel.type, constant(channel.initial)):
        label = f"first value of the channel `{channel.name}`"
        yield _wrong(channel, channel.initial.span, label)


def _update(entry: Entry, declared: dict[str, Channel]) -> Iterator[Diagnostic]:
    channel = declared.get(entry.name)
    if channel is None:
        yield _unknown(entry.name, entry.name_span, declared)
        return
    value = entry.value
    is_open = isinstance(value, Word) or (isinstance(value, Text) and "{{" in value.text)
    if not is_open and not fits(channel.type, constant(value)):
        yield _wrong(channel, value.span, f"update of the channel `{channel.name}`")


def _wrong(channel: Channel, span: Span, label: str) -> Diagnostic:
    return diagnose("invalid-value", span, option=channel.name, expected=IN_WORDS[channel.type], label=label)


def _unknown(name: str, span: Span, declared: Iterable[str]) -> Diagnostic:
    close = closest(name, list(declared))
    if close is not None:
        return diagnose("unknown-channel", span, name=name, help=f"did you mean `{close}`?")
    return diagnose("unknown-channel", span, name=name)


def _unknown_reads(context: Context, declared: dict[str, Channel]) -> Iterator[Diagnostic]:
    """`state.x` of a channel nobody declared. Without a `state` section another result may be called `state`, and
    in texts the placeholder is warned about as any other."""
    for site in sites(context):
        if not declared and (site.scope.producers("state") or "state" in site.scope.variables):
            continue
        match site:
            case Test(condition=condition):
                for read in reads(condition):
                    yield from _read(read.parts, read.span, declared)
            case Passed(value=value, use=use) if declared or use != "input":
                yield from _value(value, declared, context)
            case Template(text=text, span=span) if declared:
                yield from _template(text, span, declared, context)
            case KeyUse(text=text, span=span):
                yield from _read(tuple(text.split(".")), span, declared)
            case _:
                pass


def _read(parts: tuple[str, ...], span: Span, declared: dict[str, Channel]) -> Iterator[Diagnostic]:
    if len(parts) > 1 and parts[0] == "state" and parts[1] not in declared:
        yield _unknown(parts[1], span, declared)


def _value(value: Value, declared: dict[str, Channel], context: Context) -> Iterator[Diagnostic]:
    match value:
        case Word(text=text, span=span):
            yield from _read(tuple(text.split(".")), span, declared)
        case Reference(parts=parts, span=span):
            yield from _read(parts, span, declared)
        case Text(text=text, span=span) if declared:
            yield from _template(text, span, declared, context)
        case ListValue(items=items):
            for item in items:
                yield from _value(item, declared, context)
        case MapValue(entries=entries):
            for entry in entries:
                yield from _value(entry.value, declared, context)
        case _:
            return


def _template(text: str, span: Span, declared: dict[str, Channel], context: Context) -> Iterator[Diagnostic]:
    for piece in parse_template(text):
        if isinstance(piece, Placeholder):
            yield from _read(piece.parts, placeholder_span(piece, text, span, context.source), declared)
