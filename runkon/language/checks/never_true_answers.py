"""Tests that no answer can pass which matches the schema of its step: markers and fields that the schema does not
have, values that a field can't have."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from runkon.language.checks.answers import Answers, answers_read, listed
from runkon.language.checks.context import Context
from runkon.language.checks.flow import Scope, Test, sites
from runkon.language.checks.never_true import comparisons
from runkon.language.checks.references import Read, reads
from runkon.language.diagnostics import Diagnostic, diagnose
from runkon.language.nodes import Compare, Condition, Constant, GateStep, ListLiteral, Reference
from runkon.language.suggest import closest
from runkon.schemas.deriving import can_hold
from runkon.schemas.fields import FieldShape

_TYPES = {"string": "text", "number": "a number", "boolean": "true or false", "array": "a list", "object": "an object"}


def check_answers(context: Context) -> Iterable[Diagnostic]:
    """One warning per test of a step, or of a gate with a form, that its schema makes false."""
    if not context.schemas and not any(isinstance(each, GateStep) and each.form for each in context.statements):
        return
    for site in sites(context):
        if not isinstance(site, Test):
            continue
        for read in reads(site.condition):
            if read.alone and (answers := _answers(read.parts, site.scope, context)):
                yield from _alone(read, answers)
        for compare in comparisons(site.condition):
            yield from _compared(compare, site.scope, context)


def _answers(parts: tuple[str, ...], scope: Scope, context: Context) -> Answers | None:
    """What is known of the results that a reference reads a field or a marker of."""
    return None if parts[0] in scope.variables else answers_read(parts, scope.producers(parts[0]), context)


def _alone(read: Read, answers: Answers) -> Iterator[Diagnostic]:
    """A marker, or the truth of a field."""
    name = ".".join(read.parts[1:])
    text, schema = ".".join(read.parts), answers.schema
    rule = None if answers.markers is None else answers.markers.get(name)
    missing = answers.lacks(read.parts[1:])
    if missing is None or answers.markers is None:
        return
    if rule is None:
        known = [*answers.markers, *answers.fields]
        close = closest(read.parts[1], known)
        help = f"did you mean `{read.parts[0]}.{close}`?" if close else f"it has {listed(known)}" if known else None
        reason = f"schema `{schema.name}` has no marker or field `{missing}`"
        yield diagnose("never-true", read.span, text=text, reason=reason, help=help)
    elif rule and not can_hold(rule, schema):
        help = "a rule is `F.length > N`, `F[s == v].length > N`, `F == v`, `F < x` or `F > x`, without quotes"
        yield diagnose("never-true", read.span, text=text, reason=f"its rule `{rule}` never holds", help=help)


def _compared(compare: Compare, scope: Scope, context: Context) -> Iterator[Diagnostic]:
    for side, other in ((compare.left, compare.right), (compare.right, compare.left)):
        if not isinstance(side, Reference) or compare.op == "!=" or _is_null(other):
            continue
        answers = _answers(side.parts, scope, context)
        if answers is None:
            continue
        name, path = ".".join(side.parts), side.parts[1:]
        missing = answers.lacks(path)
        if missing is not None:
            close = closest(missing, answers.fields)
            help = f"did you mean `{close}`?" if close else f"it has {listed(answers.fields)}"
            reason = f"schema `{answers.schema.name}` has no field `{missing}`"
            yield diagnose("never-true", side.span, text=_text(compare, name, side), reason=reason, help=help)
        elif (shape := answers.shape(path)) is not None and path[0] not in answers.others:
            yield from _value(compare, name, shape, other, is_left=side is compare.left)


def _value(compare: Compare, name: str, shape: FieldShape, other: Condition, *, is_left: bool) -> Iterator[Diagnostic]:
    """A field compared with constants of which it can equal none."""
    wanted = _constants(compare, other, is_left=is_left)
    if not wanted or any(_may_equal(shape, constant.value) for constant in wanted):
        return
    first = wanted[0].value
    help = None
    if shape.type == "enum":
        close = closest(str(first), shape.variants)
        reason = f"`{name}` is one of {listed(shape.variants)}"
        help = f'did you mean `"{close}"`?' if close else None
    else:
        reason = f"`{name}` is {_TYPES[shape.type]}"
        if shape.type == "boolean" and first in ("true", "false"):
            help = f"write `{first}` without quotes"
    yield diagnose("never-true", wanted[0].span, text=_equality(name, wanted, compare.op), reason=reason, help=help)


def _constants(compare: Compare, other: Condition, *, is_left: bool) -> tuple[Constant, ...]:
    """What a field has to equal one of for the comparison to hold; nothing if that is not what it says."""
    if compare.op == "==" and isinstance(other, Constant):
        return (other,)
    if compare.op == "in" and is_left and isinstance(other, ListLiteral):
        found = tuple(item for item in other.items if isinstance(item, Constant))
        return found if len(found) == len(other.items) else ()
    return ()


def _may_equal(shape: FieldShape, value: object) -> bool:
    match shape.type:
        case "enum":
            return isinstance(value, str) and value in shape.variants
        case "string":
            return isinstance(value, str)
        case "boolean":
            return isinstance(value, bool)
        case "number":
            return isinstance(value, int | float) and not isinstance(value, bool)
        case _:
            return not isinstance(value, str | int | float)


def _is_null(other: Condition) -> bool:
    if isinstance(other, ListLiteral):
        return any(_is_null(item) for item in other.items)
    return not isinstance(other, Constant) or other.value is None


def _equality(name: str, wanted: tuple[Constant, ...], op: str) -> str:
    values = ", ".join(constant.text for constant in wanted)
    return f"{name} {op} {values}" if op == "==" else f"{name} {op} [{values}]"


def _text(compare: Compare, name: str, side: Condition) -> str:
    other = compare.right if side is compare.left else compare.left
    if not isinstance(other, Constant):
        return name
    return f"{name} {compare.op} {other.text}" if side is compare.left else name
