"""Defaults of inputs that do not fit their declared type.

Binding would refuse them too, but only in the first run that leaves the input out.
"""

from __future__ import annotations

import json
from collections.abc import Iterable

from runkon.language.checks.context import Context
from runkon.language.diagnostics import Diagnostic, diagnose
from runkon.language.nodes import DurationValue, InputDecl, ListValue, Number, Text, Value, Word
from runkon.language.option_types import in_words
from runkon.pattern import pattern

_NUMBER = pattern(r"-?[0-9]+(\.[0-9]+)?([eE][+-]?[0-9]+)?")


def check_input_defaults(context: Context) -> Iterable[Diagnostic]:
    """Every default must be a value that could be given for the input."""
    for declared in context.workflow.inputs:
        if declared.default is None:
            continue
        expected = _expected(declared)
        if expected is not None and not _fits(declared, declared.default):
            label = f"default of the input `{declared.name}`"
            yield diagnose("invalid-value", declared.default.span, option="default", expected=expected, label=label)


def _expected(declared: InputDecl) -> str | None:
    """What a default has to be, as people read it; None where anything will do."""
    match declared.type:
        case "boolean":
            return in_words(("true", "false"))
        case "number":
            return "a number"
        case "integer":
            return "a whole number"
        case "list":
            return "a list"
        case "one_of":
            return in_words(declared.choices) if declared.choices else None
        case _:
            return None


def _fits(declared: InputDecl, default: Value) -> bool:
    if isinstance(default, ListValue):
        return declared.type == "list"
    if not isinstance(default, Text | Word | Number | DurationValue):
        return False
    text = default.text
    match declared.type:
        case "boolean":
            return text.strip().lower() in ("true", "false")
        case "number":
            return _NUMBER.fullmatch(text.strip()) is not None
        case "integer":
            return _NUMBER.fullmatch(text.strip()) is not None and float(text).is_integer()
        case "list":
            return _is_json_list(text)
        case _:
            return text in declared.choices


def _is_json_list(text: str) -> bool:
    try:
        return isinstance(json.loads(text), list)
    except (ValueError, RecursionError):
        return False
