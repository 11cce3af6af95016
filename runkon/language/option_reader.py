"""Reads written options against the table: unknown, repeated, missing and unfit ones become diagnostics."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TypeAlias

from runkon.language import nodes
from runkon.language.diagnostics import Diagnostic, Related, diagnose
from runkon.language.option_types import BadValue, in_words
from runkon.language.options import TABLE, Construct, Option
from runkon.language.source import Span
from runkon.language.suggest import closest

Report: TypeAlias = Callable[[Diagnostic], None]

LISTED_NAMES = 5  # a construct with at most so many options lists them when an unknown one is met


def read_options(
    construct: str, written: Sequence[nodes.Entry], place: Span, report: Report, *, name: str = ""
) -> Mapping[str, object]:
    """The typed values of the written options by field name; only fields with a good value are there.

    Every problem goes to `report`: `place` is where a missing option is reported, `name` tells the statement apart
    from others of its kind."""
    table = TABLE[construct]
    owner = f"{table.title} {name}" if name else table.title
    values: dict[str, object] = {}
    first: dict[str, nodes.Entry] = {}
    for entry in written:
        option = table.find(entry.name)
        if option is None:
            report(unknown_option(table, entry, owner))
            continue
        earlier = first.setdefault(option.field or option.name, entry)
        if earlier is not entry:
            report(_repeated(owner, entry, earlier))
            continue
        for repeated in repeated_keys(entry.value):
            report(repeated)
        try:
            value = option.type.convert(entry.value)
        except BadValue as problem:
            report(_bad_value(option, entry, problem))
            continue
        if option.field is not None:
            values[option.field] = value
    meant = {closest(entry.name, table.names) for entry in written if table.find(entry.name) is None}
    for option in table.options:
        if option.required and (option.field or option.name) not in first and option.name not in meant:
            report(diagnose("missing-option", place, option=option.name, owner=owner, about=option.about))
    return values


def unknown_option(table: Construct, entry: nodes.Entry, owner: str) -> Diagnostic:
    """The finding for an option the construct does not have, with the closest name it has."""
    near = closest(entry.name, table.names)
    help_text = table.hints.get(entry.name)
    if help_text is None and near is not None:
        help_text = f"did you mean `{near}`?"
    elif help_text is None and not table.names:
        help_text = f"`{table.title}` has no options"
    elif help_text is None and len(table.names) <= LISTED_NAMES:
        help_text = f"`{table.title}` accepts only {in_words(table.names).replace(' or ', ' and ')}"
    return diagnose("unknown-option", entry.name_span, help=help_text, option=entry.name, owner=owner)


def repeated_keys(value: nodes.Value) -> Iterator[Diagnostic]:
    """One `duplicate-key` for each key that a map, or a map inside it, has twice."""
    if isinstance(value, nodes.ListValue):
        for item in value.items:
            yield from repeated_keys(item)
    elif isinstance(value, nodes.MapValue):
        yield from repeated_entries(value.entries)


def repeated_entries(entries: Sequence[nodes.Entry]) -> Iterator[Diagnostic]:
    """One `duplicate-key` for each name that stands twice among `entries` or inside one of their maps."""
    first: dict[str, nodes.Entry] = {}
    for entry in entries:
        earlier = first.setdefault(entry.name, entry)
        if earlier is not entry:
            related = (Related(earlier.name_span, "first given here"),)
            yield diagnose("duplicate-key", entry.name_span, related=related, key=entry.name)
        yield from repeated_keys(entry.value)


def _repeated(owner: str, entry: nodes.Entry, earlier: nodes.Entry) -> Diagnostic:
    related = (Related(earlier.name_span, "first given here"),)
    help_text = None
    if entry.name != earlier.name:
        help_text = f"`{entry.name}` and `{earlier.name}` are two words for the same option"
    return diagnose(
        "duplicate-option", entry.name_span, help=help_text, related=related, option=entry.name, owner=owner
    )


def _bad_value(option: Option, entry: nodes.Entry, problem: BadValue) -> Diagnostic:
    value = problem.at or entry.value
    help_text = problem.help
    if help_text is None and option.type.words and isinstance(value, nodes.Text | nodes.Word):
        near = closest(value.text, option.type.words)
        help_text = f"did you mean `{near}`?" if near else None
    return diagnose(
        problem.code,
        value.span,
        help=help_text,
        option=option.name,
        expected=problem.expected or option.type.expected,
        found=problem.found,
    )
