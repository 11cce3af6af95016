"""Tests that can't succeed, where that is certain: a gate asked for a marker it never gives, a status that does not
exist, a choice that an input does not have; and a marker of a script that can only be meant as its status."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from runkon.language.checks.context import Context
from runkon.language.checks.flow import Producer, Scope, Test, sites
from runkon.language.checks.references import Read, reads
from runkon.language.diagnostics import Diagnostic, diagnose
from runkon.language.keys import result_key
from runkon.language.nodes import And, Compare, Condition, Constant, Not, Or, Reference, ScriptStep
from runkon.language.places import names_file
from runkon.language.suggest import closest

STATUSES = ("completed", "failed", "skipped", "timed_out", "cancelled")
_BLOCK = "FLOW_OUTPUT"
_FACTS = frozenset({"status", "error", "context", "output", "attempts"})
_FIELDS: dict[Producer, tuple[str, ...]] = {
    "gate": ("approved", "rejected", "timed_out", "decision", "reason", "feedback", "by", "at"),
    "foreach": ("succeeded", "failed", "skipped", "total", "items"),
}


def check_never_true(context: Context) -> Iterable[Diagnostic]:
    """One warning per test that is false whatever happens."""
    for site in sites(context):
        if isinstance(site, Test):
            for read in reads(site.condition):
                yield from _fixed_fields(read, site.scope)
                yield from _status_as_marker(read, site.scope, context)
            for compare in comparisons(site.condition):
                yield from _impossible(compare, site.scope, context)


def _fixed_fields(read: Read, scope: Scope) -> Iterator[Diagnostic]:
    if len(read.parts) != 2:
        return
    producers = scope.producers(read.parts[0])
    if len(producers) != 1:
        return
    (producer,) = producers
    known = _FIELDS.get(producer)
    field = read.parts[1]
    if known is None or field in known or field in _FACTS:
        return
    what = "gate" if producer == "gate" else "`foreach`"
    close = closest(field, known)
    help = f"did you mean `{read.parts[0]}.{close}`?" if close else f"it has {_listed(known)}"
    reason = f"a {what} has no `{field}`"
    yield diagnose("never-true", read.span, text=".".join(read.parts), reason=reason, help=help)


def _status_as_marker(read: Read, scope: Scope, context: Context) -> Iterator[Diagnostic]:
    """`build.completed` alone as a test, of a script that gives no markers. Agents may give any marker, and so may a
    script file, so those are left alone."""
    if not read.alone or len(read.parts) != 2 or read.parts[1] not in STATUSES:
        return
    key, word = read.parts
    if scope.producers(key) != {"step"}:
        return
    behind = [statement for statement in context.statements if result_key(statement) == key]
    if all(isinstance(statement, ScriptStep) and _can_only_mean_status(statement, word) for statement in behind):
        yield diagnose("marker-not-status", read.span, key=key, word=word)


def _can_only_mean_status(script: ScriptStep, word: str) -> bool:
    """True if the script's text has no output block and its options let a later step see that status."""
    if names_file(script.run) or script.run.startswith("{{") or _BLOCK in script.run:
        return False
    if word == "skipped":
        return script.options.condition is not None
    return word == "completed" or script.options.on_fail == "continue"


def comparisons(condition: Condition) -> Iterator[Compare]:
    """Every comparison in a condition."""
    match condition:
        case Compare():
            yield condition
        case Not(operand=operand):
            yield from comparisons(operand)
        case And(operands=operands) | Or(operands=operands):
            for operand in operands:
                yield from comparisons(operand)
        case _:
            return


def _impossible(compare: Compare, scope: Scope, context: Context) -> Iterator[Diagnostic]:
    """`x == "text"` where x has a fixed set of texts and this is none of them."""
    if compare.op != "==":
        return
    for side, other in ((compare.left, compare.right), (compare.right, compare.left)):
        if not isinstance(side, Reference) or not isinstance(other, Constant) or not isinstance(other.value, str):
            continue
        choices = _choices(side.parts, scope, context)
        if choices and other.value not in choices:
            close = closest(other.value, choices)
            yield diagnose(
                "never-true",
                other.span,
                text=f'{".".join(side.parts)} == "{other.value}"',
                reason=f"`{'.'.join(side.parts)}` is one of {_listed(choices)}",
                help=f"did you mean `{close}`?" if close else None,
            )


def _choices(parts: tuple[str, ...], scope: Scope, context: Context) -> tuple[str, ...]:
    if len(parts) == 2 and parts[1] == "status" and scope.producers(parts[0]):
        return STATUSES
    name = parts[1] if len(parts) == 2 and parts[0] == "inputs" else parts[0] if len(parts) == 1 else None
    declared = context.inputs.get(name) if name is not None and name not in scope.variables else None
    return declared.choices if declared is not None and declared.type == "one_of" else ()


def _listed(names: Iterable[str]) -> str:
    return ", ".join(f"`{name}`" for name in names)
