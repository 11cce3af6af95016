"""Rewrites what tests expect from what happened. The rest of the file stays, in the layout that `fmt` gives it."""

from __future__ import annotations

from collections.abc import Iterable

from runkon.language.case_parser import parse_cases
from runkon.language.condition_text import condition_text
from runkon.language.formatter import format_cases
from runkon.language.keys import all_statements, result_key
from runkon.language.nodes import CallStep, CallWorkflow, Entry, ForEachBlock, GateStep, ScriptStep
from runkon.language.source import SourceFile
from runkon.testing.cases.judging import FAILED, has_run
from runkon.testing.cases.running import UNANSWERED, CaseResult
from runkon.testing.cases.values import written, written_object
from runkon.testing.running import TextRun

_STEPS = (CallStep, ScriptStep, CallWorkflow, GateStep, ForEachBlock)


def updated(source: SourceFile, results: Iterable[CaseResult]) -> str | None:
    """The text of the file in which every test that failed expects what happened; None if nothing changes. A test that
    passed keeps what it expects, and so does one that could not be judged. Conditions stay as they are."""
    text = source.text
    for result in sorted(results, key=lambda one: one.span.start, reverse=True):
        case, run = result.case, result.run
        if case is None or run is None or result.passed or any(f.code == UNANSWERED for f in result.findings):
            continue
        expected = next(case.blocks("expect"), None)
        if expected is None:
            at = case.span.end - 1
            text = f"{text[:at].rstrip()}\n{_expect(run, ())}\n{text[at:]}"
        else:
            span = expected.span
            text = text[: span.start] + _expect(run, expected.written) + text[span.end :]
    if text == source.text:
        return None
    return format_cases(parse_cases(SourceFile(source.path, text))) or text


def _expect(run: TextRun, before: Iterable[Entry]) -> str:
    lines = [f"status = {run.record.status.value}"]
    ran = dict.fromkeys(step.info.key for step in run.steps if has_run(step))  # a key stays when a step is moved
    keys = dict.fromkeys(result_key(one) for one in all_statements(run.program.workflow) if isinstance(one, _STEPS))
    failed = dict.fromkeys(step.info.key for step in run.steps if step.status in FAILED)
    skipped = [key for key in keys if key is not None and key not in ran]
    for name, found in (("ran", [*ran]), ("skipped", skipped), ("failed", [*failed])):
        if found:
            lines.append(f"{name} = {written([*found])}")
    outputs = {key: value for key, value in (run.record.outputs or {}).items() if written_object({key: value})}
    if outputs:
        lines.append(f"outputs {written_object(outputs)}")
    lines += [f"that = {condition_text(entry.value)}" for entry in before if entry.name == "that"]  # type: ignore[arg-type]
    return "expect {\n" + "\n".join(lines) + "\n}"
