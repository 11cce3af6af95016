"""Conditions within conditions have a limit, which everything that walks them may rely on."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from runkon.language.checks.context import Context
from runkon.language.diagnostics import Diagnostic, diagnose
from runkon.language.keys import step_options
from runkon.language.nodes import (
    And,
    Compare,
    Condition,
    DoWhileBlock,
    IfBlock,
    ListLiteral,
    Not,
    Or,
    ParallelBlock,
    Statement,
    WhileBlock,
)
from runkon.language.source import Span

MAX_NESTING = 100  # operators around an operand; the parser holds blocks, lists and parentheses to the same number


def check_nesting(context: Context) -> Iterable[Diagnostic]:
    """The first condition with more operators inside each other than the limit: `not not not …`. Never recurses."""
    for statement in context.statements:
        for condition in _conditions(statement):
            if _is_too_deep(condition):
                span = condition.span
                marked = Span(span.file, span.start, span.start + 1, span.line, span.column)
                yield diagnose("nesting-too-deep", marked, limit=MAX_NESTING, help="write a shorter condition")
                return


def _conditions(statement: Statement) -> Iterator[Condition]:
    options = step_options(statement)
    if options is not None and options.condition is not None:
        yield options.condition
    match statement:
        case IfBlock(arms=arms):
            yield from (arm.condition for arm in arms)
        case WhileBlock(condition=condition) | DoWhileBlock(condition=condition):
            yield condition
        case ParallelBlock(until=until) if until is not None:
            yield until
        case _:
            return


def _is_too_deep(condition: Condition) -> bool:
    level: list[Condition] = [condition]
    for _ in range(MAX_NESTING):
        level = [operand for each in level for operand in _operands(each)]
        if not level:
            return False
    return True


def _operands(condition: Condition) -> tuple[Condition, ...]:
    match condition:
        case Not(operand=operand):
            return (operand,)
        case And(operands=operands) | Or(operands=operands):
            return operands
        case Compare(left=left, right=right):
            return (left, right)
        case ListLiteral(items=items):
            return items
        case _:
            return ()
