"""From a header, written options and a body to typed statements.

Each function reports what is wrong with the options and still returns a node, with harmless values in the places of
the bad ones, so that one mistake never hides the next.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from runkon.language import nodes
from runkon.language.diagnostics import Related, diagnose
from runkon.language.nodes import Condition, Entry, Statement, Value
from runkon.language.option_reader import Report, read_options, unknown_option
from runkon.language.options import Construct
from runkon.language.source import Span

_STEP_FIELDS = frozenset(nodes.StepOptions.__annotations__)


def call(span: Span, agent: nodes.AgentRef, written: tuple[Entry, ...], report: Report) -> nodes.CallStep:
    """A `call AGENT` step."""
    if agent.form == "path" and ".." in agent.text.split("/"):
        report(diagnose("path-traversal", agent.span, found=agent.text))
    name = agent.text if agent.form == "name" else ""
    options = _step_options(dict(read_options("call", written, agent.span, report, name=name)))
    return nodes.CallStep(span=span, agent=agent, options=options, written=written)


def call_workflow(
    span: Span, name: str, name_span: Span, written: tuple[Entry, ...], report: Report
) -> nodes.CallWorkflow:
    """A `call workflow NAME` step."""
    options = _step_options(dict(read_options("call workflow", written, name_span, report, name=name)))
    return nodes.CallWorkflow(span=span, workflow=name, name_span=name_span, options=options, written=written)


def script(span: Span, name: str, name_span: Span, written: tuple[Entry, ...], report: Report) -> nodes.ScriptStep:
    """A `script NAME` step."""
    fields: dict[str, Any] = dict(read_options("script", written, name_span, report, name=name))
    options = _step_options(fields)
    run = next((entry.value.span for entry in written if entry.name == "run"), name_span)
    fields.setdefault("run", "")
    return nodes.ScriptStep(
        span=span,
        name=name,
        name_span=name_span,
        run_span=run,
        options=options,
        written=written,
        **_own_fields(fields),
    )


def gate(span: Span, type_: str, name_span: Span, written: tuple[Entry, ...], report: Report) -> nodes.GateStep:
    """A `gate TYPE` step. `quality_gate` has options of its own and waits for nobody."""
    quality = type_ == "quality_gate"
    construct = "quality_gate" if quality else "gate"
    fields: dict[str, Any] = dict(read_options(construct, written, name_span, report, name=type_))
    fields.setdefault("key", type_)
    if quality:
        fields.setdefault("source", "")
        fields.setdefault("threshold", 0)
        fields["timeout"] = 0
    if isinstance(fields.get("choices"), str):
        fields["choices_from"] = fields.pop("choices")
    if fields.get("mode") == "review_decision":
        _reject_approvals(written, report)
    return nodes.GateStep(span=span, type=type_, name_span=name_span, written=written, **fields)


def foreach(
    span: Span,
    name: str,
    name_span: Span,
    over: Value | None,
    body: tuple[Statement, ...] | None,
    written: tuple[Entry, ...],
    report: Report,
) -> nodes.ForEachBlock:
    """`foreach NAME { over … workflow … }`, or with `over` given, `foreach NAME in LIST { … }` with a body."""
    construct = "foreach" if over is None else "foreach-in"
    fields: dict[str, Any] = dict(
        read_options(construct, written, name_span, report, name=name if over is None else "")
    )
    fields.setdefault("key", name)
    fields["max_parallel"] = max(1, fields.get("max_parallel", 1))  # 0 has always meant 1
    if over is None:
        fields.setdefault("over", nodes.Word(span=name_span, text=""))
        fields.setdefault("workflow", "")
    else:
        fields["over"] = over
    return nodes.ForEachBlock(span=span, name=name, name_span=name_span, body=body, written=written, **fields)


def while_loop(
    span: Span, condition: Condition, body: tuple[Statement, ...], written: tuple[Entry, ...], report: Report
) -> nodes.WhileBlock:
    """`while CONDITION { … }`."""
    fields: dict[str, Any] = dict(read_options("while", written, _keyword(span, "while"), report))
    fields.setdefault("max_iterations", 1)
    return nodes.WhileBlock(span=span, condition=condition, body=body, written=written, **fields)


def do_block(
    span: Span,
    name: str | None,
    condition: Condition | None,
    body: tuple[Statement, ...],
    written: tuple[Entry, ...],
    report: Report,
) -> nodes.DoBlock | nodes.DoWhileBlock:
    """`do { … }`, or with a condition the loop `do { … } while CONDITION`."""
    place = _keyword(span, "do")
    fields: dict[str, Any]
    if condition is None:
        fields = dict(read_options("do", written, place, report))
        return nodes.DoBlock(span=span, name=name, body=body, written=written, **fields)
    fields = dict(read_options("do-while", written, place, report))
    fields.setdefault("max_iterations", 1)
    return nodes.DoWhileBlock(span=span, condition=condition, body=body, written=written, **fields)


def parallel(
    span: Span, name: str | None, body: tuple[Statement, ...], written: tuple[Entry, ...], report: Report
) -> nodes.ParallelBlock:
    """`parallel [NAME] { … }` with at least one branch."""
    place = _keyword(span, "parallel")
    fields: dict[str, Any] = dict(read_options("parallel", written, place, report))
    if not body:
        report(diagnose("empty-parallel", place))
    elif fields.get("min_success", 0) > len(body):
        entry = next(entry for entry in written if entry.name == "min_success")
        report(
            diagnose(
                "min-success-unreachable", entry.value.span, wanted=fields["min_success"], branches=_branches(len(body))
            )
        )
    return nodes.ParallelBlock(span=span, name=name, body=body, written=written, **fields)


def meta(sections: Sequence[nodes.MetaSection], report: Report) -> nodes.Meta:
    """All `meta` blocks of a workflow together: a key of a later block replaces an earlier one."""
    fields: dict[str, Any] = {}
    for section in sections:
        found = read_options("meta", section.written, _keyword(section.span, "meta"), report)
        fields.update(found)
        trigger = found.get("trigger", "manual")
        if trigger != "manual":
            entry = next(entry for entry in section.written if entry.name == "trigger")
            report(diagnose("inactive-trigger", entry.value.span, trigger=trigger))
    return nodes.Meta(**fields)


def no_options(construct: str, written: Sequence[Entry], report: Report) -> None:
    """Report every option of a construct that has none: `if`, `unless`, `else`, `always`."""
    for entry in written:
        report(unknown_option(Construct(construct, ()), entry, construct))


def _step_options(fields: dict[str, Any]) -> nodes.StepOptions:
    return nodes.StepOptions(**{name: value for name, value in fields.items() if name in _STEP_FIELDS})


def _own_fields(fields: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in fields.items() if name not in _STEP_FIELDS}


def _reject_approvals(written: Sequence[Entry], report: Report) -> None:
    entries = {entry.name: entry for entry in written}
    mode = entries["mode"]
    name = next((name for name in ("min_approvals", "quorum") if name in entries), None)
    if name is not None:
        related = (Related(mode.span, "the review decision is the only vote"),)
        report(diagnose("conflicting-options", entries[name].span, related=related, option=name, other="mode"))


def _branches(count: int) -> str:
    return "1 branch" if count == 1 else f"{count} branches"


def _keyword(span: Span, word: str) -> Span:
    return span._replace(end=min(span.end, span.start + len(word)))
