"""Rules for conditions: matched tokens → condition nodes."""

from __future__ import annotations

from dataclasses import replace
from typing import Literal, cast

from runkon.language.builder_values import ValueRules
from runkon.language.diagnostics import diagnose
from runkon.language.nodes import And, Compare, Condition, Constant, ListLiteral, Not, Operand, Or, Reference
from runkon.language.strings import canonical_duration, canonical_number, number_value, quoted, string_text
from runkon.language.tokens import Token

_CONSTANT_WORDS: dict[str, bool | None] = {"true": True, "false": False, "null": None}
_TESTS = "a reference or a comparison"
_NO_TEST = "text, a number or a list alone is neither true nor false"
_Operator = Literal["==", "!=", "<", "<=", ">", ">=", "in"]


class ConditionRules(ValueRules):
    """Conditions are flat: `a and b and c` is one `And` of three, also when parentheses group two of them."""

    def disjunction(self, *parts: Condition | Token) -> Or:
        operands = _unfolded(parts, Or)
        return Or(span=operands[0].span._replace(end=operands[-1].span.end), operands=operands)

    def conjunction(self, *parts: Condition | Token) -> And:
        operands = _unfolded(parts, And)
        return And(span=operands[0].span._replace(end=operands[-1].span.end), operands=operands)

    def negation(self, word: Token, operand: Condition) -> Not:
        return Not(span=self._between(word, operand.span.end), operand=operand)

    def compare(self, left: Operand, operator: Token, right: Operand) -> Compare:
        span = left.span._replace(end=right.span.end)
        return Compare(span=span, left=left, op=cast(_Operator, operator.text), right=right)

    def group(self, opening: Token, condition: Condition, closing: Token) -> Condition:
        return replace(condition, span=self._between(opening, closing.end))

    def reference(self, *names: Token) -> Reference | Constant:
        first = names[0]
        if len(names) == 1 and first.text in _CONSTANT_WORDS:
            return Constant(span=self._at(first), value=_CONSTANT_WORDS[first.text], text=first.text)
        return Reference(span=self._between(first, names[-1].end), parts=tuple([name.text for name in names]))

    listed_reference = reference

    def condition_literal(self, token: Token) -> Constant:
        span = self._at(token)
        if token.kind == "NUMBER":
            return Constant(span=span, value=number_value(token.text), text=canonical_number(token.text))
        if token.kind == "DURATION":
            seconds, rest = divmod(self._milliseconds(token, span), 1000)
            return Constant(
                span=span, value=seconds + rest / 1000 if rest else seconds, text=canonical_duration(token.text)
            )
        text = string_text(token.text)
        return Constant(span=span, value=text, text=quoted(text))

    def condition_list(self, *parts: Token | Operand) -> ListLiteral:
        return ListLiteral(span=self._brackets(parts), items=cast("tuple[Operand, ...]", parts[1:-1]))

    def lone_condition(self, condition: Condition) -> Condition:
        return condition

    def _as_test(self, condition: Condition) -> Condition:
        """The condition itself, after a report for each text, number or list that stands where a test is due."""
        waiting = [condition]
        while waiting:
            part = waiting.pop()
            if isinstance(part, And | Or):
                waiting.extend(part.operands)
            elif isinstance(part, Not):
                waiting.append(part.operand)
            elif isinstance(part, ListLiteral) or (
                isinstance(part, Constant) and not (part.value is None or isinstance(part.value, bool))
            ):
                self._report(diagnose("invalid-value", part.span, help=_NO_TEST, option="condition", expected=_TESTS))
        return condition


def _unfolded(parts: tuple[Condition | Token, ...], kind: type[And] | type[Or]) -> tuple[Condition, ...]:
    operands: list[Condition] = []
    for part in parts[::2]:
        if isinstance(part, kind):
            operands.extend(part.operands)
        else:
            operands.append(cast(Condition, part))
    return tuple(operands)
