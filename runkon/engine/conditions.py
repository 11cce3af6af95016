"""Conditions: how references are looked up, what counts as true, how values compare, and what a test saw.

Evaluation never fails: what is missing is `null`, what can't be compared is false.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Protocol, assert_never

from runkon.engine.results import Results, StepResult
from runkon.engine.variables import UNKNOWN, Found, Variables
from runkon.language.condition_text import condition_text
from runkon.language.nodes import And, Compare, Condition, Constant, ListLiteral, Not, Or, Reference
from runkon.model.output import JsonValue
from runkon.named import NamedTuple

if TYPE_CHECKING:
    from runkon.engine.state import State

_SHOWN_TEXT = 400  # characters of an operand that `explain` keeps
_FACTS = frozenset({"status", "error", "context", "output", "attempts"})


class Choice(NamedTuple):
    """A decision: its result, every reference it read with the value it saw (JSON, long texts cut), and the
    condition as source text."""

    result: bool
    operands: Mapping[str, JsonValue]
    text: str


class Names(Protocol):
    """What a condition can refer to."""

    @property
    def inputs(self) -> Mapping[str, JsonValue]: ...
    @property
    def extras(self) -> Mapping[str, JsonValue]: ...
    @property
    def results(self) -> Results: ...
    @property
    def state(self) -> State | None: ...
    def variables(self) -> Variables: ...
    def workflow_fact(self, name: str) -> JsonValue: ...
    def host_variable(self, name: str) -> JsonValue: ...


def evaluate(condition: Condition, names: Names) -> Choice:
    """Decide `condition`. Every part is read, also behind an `and` that is already false, so that the record shows
    all of it."""
    operands: dict[str, JsonValue] = {}
    result = _test(condition, names, operands)
    return Choice(result, operands, condition_text(condition))


# ── references ────────────────────────────────────────────────────────────────────────────────────
def look_up(parts: tuple[str, ...], names: Names) -> Found:
    """The value of a reference: an input, a loop variable, a run fact, or something of a step's latest result."""
    head, rest = parts[0], parts[1:]
    if not rest:
        return _plain(head, names)
    if head == "inputs":
        return _dig(_plain_input(rest[0], names), rest[1:])
    if head == "workflow":
        return Found(names.workflow_fact(rest[0])) if len(rest) == 1 else UNKNOWN
    if head == "state" and names.state is not None:
        return _dig(Found(names.state.get(rest[0])), rest[1:])
    dotted = _plain_input(".".join(parts), names)  # an item of the reference's `foreach` arrives as `item.id`
    if dotted.known:
        return dotted
    if head in names.extras:
        return _dig(Found(names.extras[head]), rest)
    result = names.results.get(head)
    if result is not None:
        return _of_result(result, rest)
    if head == "env" and len(rest) == 1:
        return Found(names.host_variable(rest[0]))
    return UNKNOWN


def read(parts: tuple[str, ...], names: Names) -> Found:
    """What a value or a template reads: as `look_up`, and markers too, which a comparison never takes for values."""
    found = look_up(parts, names)
    result = None if found.known else _tested_step(parts, names)
    if result is None:
        return found
    if parts[1:] == ("markers",):
        return Found(sorted(result.output.markers))  # type: ignore[arg-type]  # list is invariant
    return Found(value=True) if _marker(parts) in result.output.markers else found


def _plain(name: str, names: Names) -> Found:
    own = _plain_input(name, names)
    if own.known:
        return own
    return names.variables().find(name)


def _plain_input(name: str, names: Names) -> Found:
    for table in (names.extras, names.inputs):
        if name in table:
            return Found(table[name])
    return UNKNOWN


def _of_result(result: StepResult, rest: tuple[str, ...]) -> Found:
    field, deeper = rest[0], rest[1:]
    if field in _FACTS:
        return _dig(Found(_fact(result, field)), deeper)
    return _dig(Found(dict(result.output.values)), rest)


def _fact(result: StepResult, field: str) -> JsonValue:
    match field:
        case "status":
            return result.status.value
        case "error":
            return None if result.error is None else result.error.message
        case "context":
            return result.output.context
        case "attempts":
            return result.attempts
        case _:
            return dict(result.output.values)


def _dig(found: Found, parts: tuple[str, ...]) -> Found:
    value = found.value
    if not found.known:
        return UNKNOWN
    for part in parts:
        if not isinstance(value, Mapping) or part not in value:
            return UNKNOWN
        value = value[part]
    return Found(value)


# ── tests ─────────────────────────────────────────────────────────────────────────────────────────
def _test(node: Condition, names: Names, operands: dict[str, JsonValue]) -> bool:
    match node:
        case Not(operand=operand):
            return not _test(operand, names, operands)
        case And(operands=parts):
            return False not in [_test(part, names, operands) for part in parts]
        case Or(operands=parts):
            return True in [_test(part, names, operands) for part in parts]
        case Reference(parts=reference):
            return _test_reference(reference, names, operands)
        case _:
            return is_true(_value(node, names, operands))


def _test_reference(parts: tuple[str, ...], names: Names, operands: dict[str, JsonValue]) -> bool:
    text = ".".join(parts)
    result = _tested_step(parts, names)
    if result is not None and _marker(parts) in result.output.markers:
        operands[text] = True
        return True
    if result is not None and len(parts) == 2 and parts[1] in result.output.values:
        value: JsonValue = result.output.values[parts[1]]
    else:
        value = look_up(parts, names).value
    if result is not None and value is None:
        operands[text] = False  # neither marker nor field
        return False
    operands[text] = shown(value)
    return _input_is_true(value) if _names_input(parts, names) else is_true(value)


def _tested_step(parts: tuple[str, ...], names: Names) -> StepResult | None:
    if len(parts) < 2 or parts[0] in ("inputs", "workflow") or _names_input(parts, names):
        return None
    if parts[0] == "state" and names.state is not None:
        return None
    return None if parts[0] in names.extras else names.results.get(parts[0])


def _marker(parts: tuple[str, ...]) -> str:
    return ".".join(parts[1:])


def _names_input(parts: tuple[str, ...], names: Names) -> bool:
    if len(parts) == 2 and parts[0] == "inputs":
        return parts[1] not in names.extras
    text = ".".join(parts)
    return text in names.inputs and text not in names.extras


def _value(node: Condition, names: Names, operands: dict[str, JsonValue]) -> JsonValue:
    match node:
        case Constant(value=value):
            return value
        case Reference(parts=parts):
            found = look_up(parts, names).value
            operands[".".join(parts)] = shown(found)
            return found
        case ListLiteral(items=items):
            return [_value(item, names, operands) for item in items]
        case Compare(left=left, op=op, right=right):
            return compare(op, _value(left, names, operands), _value(right, names, operands))
        case Not() | And() | Or():
            return _test(node, names, operands)
        case _:
            assert_never(node)


# ── values ────────────────────────────────────────────────────────────────────────────────────────
def is_true(value: JsonValue) -> bool:
    """`false null 0 "" [] {}` are false, all else is true."""
    return bool(value)


def _input_is_true(value: JsonValue) -> bool:
    """An input given as text is true if it says so, in any case; a list or number has the truth of a value."""
    return value.lower() == "true" if isinstance(value, str) else is_true(value)


def compare(op: str, left: JsonValue, right: JsonValue) -> bool:
    """`left op right`. Text compares as text, numbers as numbers; what differs in type is unequal and not ordered."""
    try:
        return _compare(op, left, right)
    except RecursionError:  # nested deeper than anything can be told equal
        return op == "!="


def _compare(op: str, left: JsonValue, right: JsonValue) -> bool:
    match op:
        case "==":
            return same(left, right)
        case "!=":
            return not same(left, right)
        case "in":
            return _contains(right, left)
        case _:
            return _ordered(op, left, right)


def same(left: JsonValue, right: JsonValue) -> bool:
    """Equal in type and value, all the way down; 1 and 1.0 are the same number, 1 and true are not."""
    if isinstance(left, bool) or isinstance(right, bool):
        return left is right
    if isinstance(left, list) and isinstance(right, list):
        return len(left) == len(right) and all(same(a, b) for a, b in zip(left, right, strict=True))
    if isinstance(left, Mapping) and isinstance(right, Mapping):
        return left.keys() == right.keys() and all(same(left[key], right[key]) for key in left)
    return left == right


def _ordered(op: str, left: JsonValue, right: JsonValue) -> bool:
    if isinstance(left, str) and isinstance(right, str):
        order = (left > right) - (left < right)
    elif _is_number(left) and _is_number(right):
        order = (left > right) - (left < right)  # type: ignore[operator]  # both are numbers
    else:
        return False
    return {"<": order < 0, "<=": order <= 0, ">": order > 0, ">=": order >= 0}[op]


def _is_number(value: JsonValue) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _contains(container: JsonValue, value: JsonValue) -> bool:
    """A list contains an equal element, a text a piece of text, a map a key."""
    match container:
        case list():
            return any(same(value, element) for element in container)
        case str():
            return isinstance(value, str) and value in container
        case dict():
            return isinstance(value, str) and value in container
        case _:
            return False


def shown(value: JsonValue) -> JsonValue:
    """A value as the record of a choice keeps it: long texts are cut, big lists and maps become their size."""
    match value:
        case str():
            return value if len(value) <= _SHOWN_TEXT else value[:_SHOWN_TEXT] + "…"
        case list():
            return value if _is_small(value) else f"[{len(value)} elements]"
        case dict():
            return value if _is_small(value) else f"{{{len(value)} fields}}"
        case _:
            return value


def _is_small(value: list[JsonValue] | dict[str, JsonValue]) -> bool:
    try:
        return len(value) <= _SHOWN_TEXT and len(repr(value)) <= _SHOWN_TEXT
    except RecursionError:
        return False
