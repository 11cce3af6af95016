"""What follows from an answer: its markers and the text that later steps are told.

A marker rule has one of these forms, where F is a member of the answer and `op` is `>`, `==` or `<`:
    findings[severity == high].length > 0       F[s == v].length op N
    findings.length > 0                         F.length op N: elements of a list, bytes of a text
    approved == false                           F == v: v is written without quotes
    coverage < 79.5                             F < x, F > x
Whatever else it says does not hold.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from operator import eq, gt, lt
from typing import Literal

from runkon.named import NamedTuple
from runkon.pattern import pattern
from runkon.schemas.fields import Schema

_COUNT = pattern(r"(?P<f>[^\[\]]+)\[(?P<s>[^\]=]+)==(?P<v>[^\]]*)\]\s*\.length\s*(?P<op>>|==|<)\s*(?P<n>[0-9]+)")
_LENGTH = pattern(r"(?P<f>.+)\.length\s*(?P<op>>|==|<)\s*(?P<n>[0-9]+)")
_EQUAL = pattern(r"(?P<f>[^=]*)==(?P<v>.*)", re.DOTALL)
_ORDER = pattern(r"(?P<f>[^<>]*)(?P<op>[<>])(?P<x>.*)")
_DECIMAL = pattern(r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?")
_COMPARE: Mapping[str, Callable[[float, float], bool]] = {">": gt, "==": eq, "<": lt}
_LONGEST = 400  # digits of a number that are read one by one


class Rule(NamedTuple):
    """A marker rule taken apart. `wanted` is what the field, its length or a count is compared with; counted are the
    elements whose text `sub` is `value`."""

    form: Literal["count", "length", "equal", "order"]
    field: str
    op: str
    wanted: str
    sub: str = ""
    value: str = ""


def read_rule(text: str) -> Rule | None:
    """The first form that a rule has, None for one that can never hold."""
    text = text.strip()
    if found := _COUNT.fullmatch(text):
        return Rule("count", found["f"].strip(), found["op"], found["n"], found["s"].strip(), found["v"].strip())
    if found := _LENGTH.fullmatch(text):
        return Rule("length", found["f"].strip(), found["op"], found["n"])
    if found := _EQUAL.fullmatch(text):
        return Rule("equal", found["f"].strip(), "==", found["v"].strip())
    found = _ORDER.fullmatch(text)
    if found and _DECIMAL.fullmatch(found["x"].strip()):
        return Rule("order", found["f"].strip(), found["op"], found["x"].strip())
    return None


def holds(text: str, values: Mapping[str, object]) -> bool:
    """True if a marker rule holds for an answer. Never raises: what can't be evaluated does not hold."""
    rule = read_rule(text)
    if rule is None or rule.field not in values:
        return False
    value = values[rule.field]
    match rule.form:
        case "count":
            return isinstance(value, list) and _compares(sum(_has(item, rule.sub, rule.value) for item in value), rule)
        case "length":
            return isinstance(value, list | str) and _compares(_length(value), rule)
        case "equal":
            return _equals(value, rule.wanted)
        case "order":
            return isinstance(value, int | float) and not isinstance(value, bool) and _compares(value, rule)


def can_hold(text: str, schema: Schema) -> bool:
    """False for a marker rule that no answer fits: of no known form, or a variant that its field does not have."""
    rule = read_rule(text)
    if rule is None:
        return False
    shape = next((field.shape for field in schema.fields if field.name == rule.field), None)
    if shape is None or rule.form != "equal" or shape.type != "enum":
        return True
    return rule.wanted in shape.variants


def markers_of(schema: Schema, values: Mapping[str, object]) -> frozenset[str]:
    """The markers of an answer: those whose rules hold, or the usual ones where the schema has no rules of its own."""
    if schema.markers is not None:
        return frozenset(name for name, rule in schema.markers.items() if holds(rule, values))
    found = set()
    if values.get("approved") is False:
        found.add("not_approved")
    findings = values.get("findings")
    if isinstance(findings, list) and findings:
        found.add("has_findings")
        found |= {f"has_{level}_findings" for level in ("critical", "high") if _any(findings, level)}
    return frozenset(found)


def context_of(schema: Schema, values: Mapping[str, object]) -> str:
    """The text for later steps: the field `context`, else `summary`, else the first text in the order of the fields."""
    for name in ("context", "summary", *(field.name for field in schema.fields)):
        text = values.get(name)
        if isinstance(text, str):
            return text
    return ""


def _any(findings: list[object], level: str) -> bool:
    return any(_has(item, "severity", level) for item in findings)


def _has(item: object, member: str, wanted: str) -> bool:
    return isinstance(item, Mapping) and item.get(member) == wanted


def _length(value: list[object] | str) -> int:
    return len(value.encode("utf-8", "replace")) if isinstance(value, str) else len(value)


def _equals(value: object, wanted: str) -> bool:
    if wanted in ("true", "false"):
        return value is (wanted == "true")
    if isinstance(value, int | float) and not isinstance(value, bool):
        return _DECIMAL.fullmatch(wanted) is not None and value == _number(wanted)
    return isinstance(value, str) and value == wanted


def _compares(value: float, rule: Rule) -> bool:
    return _COMPARE[rule.op](value, _number(rule.wanted))


def _number(text: str) -> float:
    """Whole numbers exactly, as far as Python reads their digits."""
    return int(text) if len(text) < _LONGEST and text.lstrip("+-").isdigit() else float(text)
