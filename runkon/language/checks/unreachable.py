"""Statements that no run comes to: bodies behind a condition that is always false, after one that is always true, or
behind one that was asked before; loops and lists of nothing."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from operator import eq, ge, gt, le, lt, ne
from typing import Any

from runkon.language.checks.context import Context
from runkon.language.condition_text import condition_text
from runkon.language.diagnostics import Diagnostic, diagnose
from runkon.language.keys import step_options
from runkon.language.nodes import (
    And,
    Compare,
    Condition,
    Constant,
    DoWhileBlock,
    ForEachBlock,
    IfBlock,
    ListValue,
    Not,
    Or,
    Statement,
    WhileBlock,
)

_OPERATORS: Mapping[str, Callable[[Any, Any], object]] = {"==": eq, "!=": ne, "<": lt, "<=": le, ">": gt, ">=": ge}


def check_unreachable(context: Context) -> Iterable[Diagnostic]:
    """One warning per body that never runs, at its first statement."""
    for statement in context.statements:
        match statement:
            case IfBlock():
                yield from _if(statement)
            case WhileBlock(body=body) | DoWhileBlock(body=body) if statement.max_iterations == 0:
                yield from _dead(body, "the loop has `max_iterations = 0`")
            case WhileBlock(body=body) if constant(statement.condition) is False:
                yield from _dead(body, f"`{condition_text(statement.condition)}` is always false")
            case ForEachBlock(body=body):
                yield from _dead(body or (statement,) if _is_empty(statement) else (), "there are no items")
            case _:
                options = step_options(statement)
                if options is not None and options.condition is not None and constant(options.condition) is False:
                    yield from _dead((statement,), f"`{condition_text(options.condition)}` is always false")


def _if(statement: IfBlock) -> Iterator[Diagnostic]:
    asked: list[Condition] = []
    settled: str | None = None
    for number, arm in enumerate(statement.arms):
        is_negated = statement.negated and number == 0
        value, text = constant(arm.condition), condition_text(arm.condition)
        if settled is not None:
            yield from _dead(arm.body, settled)
        elif value is is_negated:
            yield from _dead(arm.body, f"`{text}` is always {str(is_negated).lower()}")
        elif arm.condition in asked:
            yield from _dead(arm.body, f"`{text}` was asked before, and false")
        if value is (not is_negated) and settled is None:
            settled = f"`{text}` is always {str(value).lower()}"
        if not is_negated:
            asked.append(arm.condition)
    if settled is not None and statement.orelse is not None:
        yield from _dead(statement.orelse, settled)


def _is_empty(statement: ForEachBlock) -> bool:
    return statement.max_items == 0 or (isinstance(statement.over, ListValue) and not statement.over.items)


def constant(condition: Condition) -> bool | None:
    """The value of a condition that is the same in every run; None for any other."""
    match condition:
        case Constant(value=value):
            return bool(value)
        case Not(operand=operand):
            value = constant(operand)
            return None if value is None else not value
        case And(operands=operands):
            found = [constant(operand) for operand in operands]
            return False if False in found else None if None in found else True
        case Or(operands=operands):
            found = [constant(operand) for operand in operands]
            return True if True in found else None if None in found else False
        case Compare(left=Constant(value=left), right=Constant(value=right), op=op):
            return _compared(left, right, op)
        case _:
            return None


def _compared(left: object, right: object, op: str) -> bool | None:
    """Of constants of one type; what others come to is left to the run."""
    kinds = {_kind(left), _kind(right)}
    if len(kinds) > 1 or op not in _OPERATORS or (None in kinds and op not in ("==", "!=")):
        return None
    return bool(_OPERATORS[op](left, right))


def _kind(value: object) -> type | None:
    if isinstance(value, bool):
        return bool
    return float if isinstance(value, int | float) else str if isinstance(value, str) else None


def _dead(body: Iterable[Statement], reason: str) -> Iterator[Diagnostic]:
    for first in list(body)[:1]:
        yield diagnose("unreachable", first.span, reason=reason)
