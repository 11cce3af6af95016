"""A condition written out canonically: what `explain` shows and what the formatter prints."""

from __future__ import annotations

from typing import assert_never

from runkon.language.nodes import And, Compare, Condition, Constant, ListLiteral, Not, Or, Reference

# How tightly a form binds; an operand that binds less tightly than its place demands gets parentheses.
_OR, _AND, _NOT, _COMPARE, _OPERAND = range(5)


def condition_text(condition: Condition) -> str:
    """`condition` as one line of source text, with only the parentheses it needs; parsing it gives it back."""
    return _write(condition, _OR)


def _write(node: Condition, place: int) -> str:
    text, strength = _form(node)
    return f"({text})" if strength < place else text


def _form(node: Condition) -> tuple[str, int]:
    match node:
        case Reference(parts=parts):
            return ".".join(parts), _OPERAND
        case Constant(text=text):
            return text, _OPERAND
        case ListLiteral(items=items):
            return "[" + ", ".join(_write(item, _OPERAND) for item in items) + "]", _OPERAND
        case Compare(left=left, op=op, right=right):
            return f"{_write(left, _OPERAND)} {op} {_write(right, _OPERAND)}", _COMPARE
        case Not(operand=operand):
            return f"not {_write(operand, _NOT)}", _NOT
        case And(operands=operands):
            return " and ".join(_write(operand, _NOT) for operand in operands), _AND
        case Or(operands=operands):
            return " or ".join(_write(operand, _AND) for operand in operands), _OR
        case _:
            assert_never(node)
