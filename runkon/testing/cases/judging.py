"""Whether a run ended as its test expects, expectation by expectation, each at its place in the file."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace

from runkon.engine.conditions import evaluate, same
from runkon.engine.environment import Environment, RunFacts
from runkon.engine.gate_terms import Verdict
from runkon.engine.results import Results, StepResult
from runkon.language import nodes
from runkon.language.case_nodes import CaseBlock
from runkon.language.diagnostics import Diagnostic, Severity
from runkon.language.keys import all_statements, result_key
from runkon.language.source import Span
from runkon.model.events import GateDecided, StateSet
from runkon.model.output import JsonValue, Output
from runkon.model.records import StepRecord
from runkon.model.status import StepStatus
from runkon.model.value_text import as_text
from runkon.testing.cases.values import object_of, texts_of, written
from runkon.testing.running import TextRun

CODE = "expectation-failed"
FAILED = (StepStatus.FAILED, StepStatus.TIMED_OUT)
_LONGEST = 200  # characters of a value in a sentence


def has_run(step: StepRecord) -> bool:
    """True if the step was begun: it has an attempt, or it ended as something that has none."""
    return step.attempts > 0 or step.status in (StepStatus.COMPLETED, *FAILED)


def judge(expected: CaseBlock, run: TextRun) -> list[Diagnostic]:
    """What did not come as expected, in the order of the file; the first says why the run failed, if it did."""
    found = list(_judge(expected, run))
    if found and run.record.error and not any(one.help for one in found):
        found[0] = replace(found[0], help=how_it_ended(run))
    return found


def how_it_ended(run: TextRun) -> str | None:
    """Why a run failed, as a line of help; None if it has no error."""
    return f"the run {run.record.status.value}: {_cut(run.record.error)}" if run.record.error else None


def _judge(expected: CaseBlock, run: TextRun) -> Iterator[Diagnostic]:
    for entry in expected.written:
        match entry.name:
            case "status":
                yield from _status(entry, run)
            case "error":
                yield from _error(entry, run)
            case "ran" | "skipped" | "failed":
                yield from _steps(entry, run)
            case "outputs":
                yield from _outputs(entry, run)
            case "that":
                yield from _condition(entry, run)


def not_met(span: Span, message: str, found: str, help: str | None = None) -> Diagnostic:
    """A failed expectation: the sentence, and what was found in its place."""
    return Diagnostic(CODE, Severity.ERROR, message, span, label=found, help=help)


def _status(entry: nodes.Entry, run: TextRun) -> Iterator[Diagnostic]:
    wanted, found = getattr(entry.value, "text", ""), run.record.status.value
    if wanted != found:
        yield not_met(entry.value.span, f"expected the run to be `{wanted}`", f"found `{found}`")


def _error(entry: nodes.Entry, run: TextRun) -> Iterator[Diagnostic]:
    wanted, found = getattr(entry.value, "text", ""), run.record.error
    if wanted not in (found or ""):
        said = f"found `{_cut(found)}`" if found else "found no error"
        yield not_met(entry.value.span, f"expected an error with `{_cut(wanted)}`", said)


def _steps(entry: nodes.Entry, run: TextRun) -> Iterator[Diagnostic]:
    for name, value in texts_of(entry.value) or ():
        steps = [step for step in run.steps if name in (str(step.path), step.info.key)]
        begun = [step for step in steps if has_run(step)]
        match entry.name:
            case "ran" if not begun:
                yield not_met(value.span, f"expected `{name}` to run", _fate(steps))
            case "skipped" if begun:
                yield not_met(value.span, f"expected `{name}` not to run", _fate(begun))
            case "failed" if not any(step.status in FAILED for step in begun):
                yield not_met(value.span, f"expected `{name}` to fail", _fate(begun or steps))


def _fate(steps: list[StepRecord]) -> str:
    """What became of a step, from all its visits the last one."""
    if not steps:
        return "the run never came to it"
    step = steps[-1]
    times = f" after {step.attempts} attempts" if step.attempts > 1 else ""
    why = f": {_cut(step.error.message)}" if step.error is not None else ""
    reason = f" ({step.skip_reason})" if step.status is StepStatus.SKIPPED and step.skip_reason else ""
    return f"it {_WORDS.get(step.status, f'is {step.status.value}')}{times}{reason}{why}"


_WORDS = {
    StepStatus.COMPLETED: "completed",
    StepStatus.FAILED: "failed",
    StepStatus.TIMED_OUT: "timed out",
    StepStatus.SKIPPED: "was skipped",
    StepStatus.CANCELLED: "was cancelled",
}


def _outputs(entry: nodes.Entry, run: TextRun) -> Iterator[Diagnostic]:
    found = run.record.outputs or {}
    assert isinstance(entry.value, nodes.MapValue)
    for wanted in entry.value.entries:
        value = object_of([wanted])[wanted.name]
        if wanted.name not in found:
            listed = ", ".join(f"`{name}`" for name in found)
            said = f"the outputs are {listed}" if listed else "the run has no outputs"
            yield not_met(wanted.name_span, f"expected an output `{wanted.name}`", said)
        elif not same(value, found[wanted.name]):
            sentence = f"expected output `{wanted.name}` to be {shown(value)}"
            yield not_met(wanted.value.span, sentence, f"found {shown(found[wanted.name])}")


def _condition(entry: nodes.Entry, run: TextRun) -> Iterator[Diagnostic]:
    choice = evaluate(entry.value, _environment(run))  # type: ignore[arg-type]  # the grammar gives a condition
    if not choice.result:
        read = ", ".join(f"{name} = {shown(value)}" for name, value in choice.operands.items())
        yield not_met(entry.value.span, f"expected `{_cut(choice.text)}`", f"found {read}" if read else "it is false")


def _environment(run: TextRun) -> Environment:
    """What a condition sees once the run is over: the last result of each step, the inputs, `outputs.NAME`,
    `state.NAME` and `workflow_status`."""
    results = Results()
    own = {result_key(statement) for statement in all_statements(run.program.workflow)}
    calls = tuple(f"{step.path}/" for step in run.steps if step.info.kind in ("call_workflow", "item"))
    decided = {event.path: event for event in run.events if isinstance(event, GateDecided)}
    for step in run.steps:
        gate = decided.get(step.path) if step.status is StepStatus.TIMED_OUT else None
        output = step.output if gate is None else _too_late(gate, step.ended_at or 0)
        is_hidden = step.info.key in own and str(step.path).startswith(calls)  # a called workflow's, of the same key
        if has_run(step) and not is_hidden:
            result = StepResult(
                step.info.key, step.status, output, step.error, step.attempts, step.info.iteration,
                step.info.kind in ("parallel", "foreach"),
            )  # fmt: skip
            results.put(step.info.key, result)
    extras: Mapping[str, JsonValue] = {
        "outputs": dict(run.record.outputs or {}),
        "workflow_status": run.record.status.value,
        "state": _channels(run),
    }
    facts = RunFacts(run_id=str(run.record.id), workflow=run.record.workflow)
    return Environment(facts, dict(run.record.inputs), results, extras=extras)


def _too_late(gate: GateDecided, at: int) -> Output:
    """What a run reads of a gate that nobody decided in time: its record holds an error, and no output."""
    return Verdict(gate.decision, gate.by, gate.via, at, gate.reason, is_late=True).output()


def _channels(run: TextRun) -> dict[str, JsonValue]:
    """The state channels as the last leg left them."""
    left = [event for event in run.events if isinstance(event, StateSet) and event.path is None]
    return dict(left[-1].updates) if left else {}


def shown(value: JsonValue) -> str:
    """A value for a sentence, as a test would write it."""
    text = written(value)
    return _cut(text if text is not None else as_text(value))


def _cut(text: str | None) -> str:
    line = (text or "").partition("\n")[0]
    return line if len(line) <= _LONGEST else line[: _LONGEST - 1] + "…"
