"""What is wrong with a test before anything runs: names that its workflow does not have, values nobody can use."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from runkon.engine.constructs import constructs
from runkon.engine.plan import names_of, plan_always, plan_body
from runkon.language import nodes
from runkon.language.case_nodes import Case, CaseBlock
from runkon.language.diagnostics import Diagnostic, Severity, diagnose
from runkon.language.keys import all_statements, result_key
from runkon.language.program import CheckedWorkflow
from runkon.language.source import Span
from runkon.language.suggest import closest
from runkon.model.status import RunStatus
from runkon.named import NamedTuple
from runkon.pattern import pattern
from runkon.testing.cases.answers import KINDS
from runkon.testing.cases.values import seconds_of, texts_of

STATUSES = tuple(
    status.value for status in RunStatus if status.value in ("completed", "failed", "cancelled", "waiting")
)
LISTS = ("ran", "skipped", "failed")
_LEG = pattern(r"\Aalways#[0-9]+/")
_ROUND = pattern(r"\[[^\]/]*\]")
_MOST = 8


class Known(NamedTuple):
    """The names a test may use for a workflow: of steps by key, of steps by path with `[]` for a round, of gates."""

    keys: frozenset[str]
    paths: frozenset[str]
    gates: frozenset[str]

    def has(self, name: str) -> bool:
        return name in self.keys or _LEG.sub("always#1/", _ROUND.sub("[]", name)) in self.paths


def known_names(program: CheckedWorkflow) -> Known:
    """What `program` and the workflows it calls have."""
    statements = [found for one in _with_called(program) for found in all_statements(one.workflow)]
    keys = {key for found in statements if (key := result_key(found)) is not None}
    gates = {gate.key for gate in gates_of(program)}
    workflow = program.workflow
    body = plan_body(workflow.body, constructs(), program.children)
    always = plan_always(workflow.always, constructs(), program.children)
    names = [names_of(body), names_of(always)]
    keys |= {key for one in names for key in (*one.steps, *one.blocks)}
    paths = {path for one in names for path in one.paths} | {f"always#1/{path}" for path in names[1].paths}
    return Known(frozenset(keys), frozenset(paths), frozenset(gates))


def gates_of(program: CheckedWorkflow) -> list[nodes.GateStep]:
    """Every gate of `program` and of the workflows it calls."""
    found = (found for one in _with_called(program) for found in all_statements(one.workflow))
    return [statement for statement in found if isinstance(statement, nodes.GateStep)]


def _with_called(program: CheckedWorkflow) -> list[CheckedWorkflow]:
    programs = [program]
    for one in programs:  # grows while it is read
        programs += [child for child in one.children.values() if child not in programs]
    return programs


def check_case(case: Case, program: CheckedWorkflow) -> Iterator[Diagnostic]:
    """The mistakes of a test, in no order."""
    known = known_names(program)
    given = case.entry("inputs")
    if given is not None and not (isinstance(given.value, nodes.MapValue) and _is_plain(given.value)):
        yield _invalid(given, "`{ name = value }`")
    for item in case.items:
        if not isinstance(item, CaseBlock):
            continue
        match item.word:
            case "answer" | "default":
                yield from _answer(item, known)
            case "decide":
                yield from _decision(item, known)
                yield from _approver(item, gates_of(program))
            case "expect":
                yield from _expectation(item, known)


def _answer(block: CaseBlock, known: Known) -> Iterator[Diagnostic]:
    if block.name is not None and not known.has(block.name):
        yield _unknown("step", block.name, block.name_span, known.keys | known.paths)
    for entry in block.written:
        if not _is_plain(entry.value):
            yield _invalid(entry, "a value")
        elif entry.name == "after" and seconds_of(entry.value) is None:
            yield _invalid(entry, "a duration such as `90s` or `48h`")
        elif entry.name == "markers" and texts_of(entry.value) is None:
            yield _invalid(entry, "a list of markers")
        elif entry.name == "context" and not isinstance(entry.value, nodes.Text | nodes.Word):
            yield _invalid(entry, "text")
    error, kind = block.entry("error"), block.entry("kind")
    if error is not None and not isinstance(error.value, nodes.Text):
        yield _invalid(error, "text")
    if error is not None and kind is not None and getattr(kind.value, "text", None) not in KINDS:
        yield _invalid(kind, _one_of(KINDS))


def _decision(block: CaseBlock, known: Known) -> Iterator[Diagnostic]:
    assert block.name is not None
    name = block.name.partition("#")[0]
    if name not in known.gates and name.rpartition("/")[2] not in known.gates:
        yield _unknown("gate", block.name, block.name_span, known.gates)
    after = block.entry("after")
    if after is not None and seconds_of(after.value) is None:
        yield _invalid(after, "a duration such as `90s` or `48h`")


def _approver(block: CaseBlock, gates: Sequence[nodes.GateStep]) -> Iterator[Diagnostic]:
    by = block.entry("by")
    gate = next((gate for gate in gates if gate.key == block.name), None)
    if gate is None or not gate.approvers:
        return
    if by is None:
        yield diagnose("missing-option", block.name_span, owner="decide", option="by", about="one of its approvers")
    elif getattr(by.value, "text", None) not in gate.approvers:
        yield _invalid(by, _one_of(gate.approvers))


def _expectation(block: CaseBlock, known: Known) -> Iterator[Diagnostic]:
    for entry in block.written:
        if entry.name == "status" and getattr(entry.value, "text", None) not in STATUSES:
            yield _invalid(entry, _one_of(STATUSES))
        elif entry.name == "error" and not isinstance(entry.value, nodes.Text):
            yield _invalid(entry, "a piece of the message, as text")
        elif entry.name == "outputs" and not (isinstance(entry.value, nodes.MapValue) and _is_plain(entry.value)):
            yield _invalid(entry, "`{ name = value }`")
        elif entry.name in LISTS:
            names = texts_of(entry.value)
            if names is None:
                yield _invalid(entry, "a list of steps")
            for name, value in names or ():
                if not known.has(name):
                    yield _unknown("step", name, value.span, known.keys | known.paths)


def _is_plain(value: nodes.Value) -> bool:
    match value:
        case nodes.ListValue(items=items):
            return all(_is_plain(item) for item in items)
        case nodes.MapValue(entries=entries):
            return all(_is_plain(entry.value) for entry in entries)
        case _:
            return isinstance(value, nodes.Text | nodes.Word | nodes.Number | nodes.DurationValue)


def _invalid(entry: nodes.Entry, expected: str) -> Diagnostic:
    return diagnose("invalid-value", entry.value.span, option=entry.name, expected=expected)


def _unknown(what: str, name: str, span: Span, known: Iterable[str]) -> Diagnostic:
    names = sorted({one.replace("[]", "[0]") for one in known})
    close = closest(name, names) or closest(name.rpartition("/")[2], names)
    listed = ", ".join(f"`{one}`" for one in names[:_MOST]) + (", …" if len(names) > _MOST else "")
    help = f"did you mean `{close}`?" if close else f"it has {listed}" if names else None
    message = f"the workflow has no {what} `{name}`"
    return Diagnostic(f"unknown-{what}", Severity.ERROR, message, span, help=help)


def _one_of(words: Sequence[str]) -> str:
    return "one of " + ", ".join(f"`{word}`" for word in words)
