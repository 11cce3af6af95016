"""Runs the tests of a `.wftest` file, one after the other, each in a store and a time of its own."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Protocol

from runkon.cassettes.answering import RecordedLists
from runkon.cassettes.cassette import inputs_without_secrets
from runkon.cassettes.files import read
from runkon.engine.config import RunConfig
from runkon.engine.runner import Runner
from runkon.errors import EXIT_USAGE, UserError
from runkon.frozen import value_class
from runkon.language.case_nodes import Case, ParsedCases
from runkon.language.checks.unsupported import unsupported
from runkon.language.diagnostics import Diagnostic, Severity
from runkon.language.nodes import MapValue, Text, Word
from runkon.language.program import CheckedWorkflow
from runkon.language.render import render
from runkon.language.source import SourceFile, Span
from runkon.model.output import JsonValue
from runkon.model.status import RunStatus
from runkon.store.memory import MemoryRunStore
from runkon.testing.cases.answers import CaseAnswers
from runkon.testing.cases.checking import check_case
from runkon.testing.cases.deciding import Decisions
from runkon.testing.cases.forms import check_forms
from runkon.testing.cases.judging import how_it_ended, judge, not_met
from runkon.testing.cases.values import object_of
from runkon.testing.running import TextRun, recorded
from runkon.testing.virtual_clock import VirtualClock

UNANSWERED = "unanswered-step"
_MOST_LEGS = 1000  # of one test, each ended at a gate


class Found(Protocol):
    """A workflow that a test names, the folder its runs work in, those its files are looked up in, and the item
    providers it sees, by name."""

    @property
    def program(self) -> CheckedWorkflow: ...
    @property
    def root(self) -> Path: ...
    @property
    def roots(self) -> tuple[Path, ...]: ...
    @property
    def providers(self) -> Mapping[str, object]: ...


class Workflows(Protocol):
    """Finds workflows as `run` does."""

    def find(self, name: str, beside: Path) -> Found:
        """The workflow `name` for a test in the folder `beside`, checked; executors and agents need not exist. Raises
        UserError."""
        ...


@value_class(frozen=True, slots=True, kw_only=True)
class CaseResult:
    """How a test went. `findings` are empty if it passed; `is_error` if it could not be judged. `run` is what was
    recorded, None if nothing ran; `seconds` what it took."""

    name: str
    source: SourceFile
    span: Span
    findings: tuple[Diagnostic, ...] = ()
    is_error: bool = False
    run: TextRun | None = None
    case: Case | None = None
    seconds: float = 0.0

    @property
    def passed(self) -> bool:
        return not self.findings

    @property
    def outcome(self) -> str:
        """`passed`, `failed` or `error`."""
        return "passed" if self.passed else "error" if self.is_error else "failed"

    def text(self, *, color: bool = False) -> str:
        """The findings for people, each with its place and an excerpt; empty if there are none."""
        return "\n\n".join(render(found, self.source, color=color) for found in self.findings)


def run_file(
    parsed: ParsedCases, workflows: Workflows, *, select: Callable[[str], bool] = lambda _: True
) -> Iterator[CaseResult]:
    """The results of the selected tests of a file, in its order. Mistakes in the file itself come first, as one result
    named like the file; a test with such a mistake is not run."""
    errors = [found for found in parsed.diagnostics if found.severity is Severity.ERROR]
    broken = {case.span for case in parsed.cases for found in errors if _covers(case.span, found.span)}
    if errors:
        yield CaseResult(
            name=Path(parsed.source.path).name,
            source=parsed.source,
            span=errors[0].span,
            findings=tuple(errors),
            is_error=True,
        )
    for case in parsed.cases:
        if case.span not in broken and select(case.name.text):
            yield run_case(case, parsed.source, workflows)


def run_case(case: Case, source: SourceFile, workflows: Workflows) -> CaseResult:
    """Run one test that parsed. Never raises for what is wrong with the test or its workflow."""
    began = time.perf_counter()
    findings, is_error, run = _outcome(case, source, workflows)
    return CaseResult(
        name=case.name.text,
        source=source,
        span=case.name.span,
        findings=tuple(sorted(findings, key=lambda found: found.span.start)),
        is_error=is_error,
        run=run,
        case=case,
        seconds=time.perf_counter() - began,
    )


def mistakes_of(case: Case, source: SourceFile, workflows: Workflows) -> list[Diagnostic]:
    """What is wrong with a test that parsed, as far as it shows before anything runs. Never raises."""
    found = _found(case, source, workflows)
    return found if isinstance(found, list) else []


def _outcome(case: Case, source: SourceFile, workflows: Workflows) -> tuple[list[Diagnostic], bool, TextRun | None]:
    found = _found(case, source, workflows)
    if isinstance(found, list):
        return found, True, None
    try:
        run, answers, decisions = _run(case, source, found)
    except UserError as error:
        return [_refused(case, error)], True, None
    except TimeoutError as error:
        return [_error("test-stuck", case.name.span, str(error))], True, None
    if answers.unanswered:
        order = {step.path: step.info.order for step in run.steps}
        paths = sorted(answers.unanswered, key=lambda path: (order.get(path, ""), path))
        return [_unanswered(case, [(path, answers.unanswered[path]) for path in paths])], True, run
    expected = next(case.blocks("expect"), None)
    wrong = [] if expected is None else judge(expected, run)
    if expected is None and run.record.status is not RunStatus.COMPLETED:
        said = f"found `{run.record.status.value}`"
        wrong = [not_met(case.name.span, "expected the run to be `completed`", said, run.record.error)]
    return [*wrong, *decisions.unused(None if wrong else how_it_ended(run))], False, run


def _found(case: Case, source: SourceFile, workflows: Workflows) -> Found | list[Diagnostic]:
    """The workflow of a test, or what is wrong with either."""
    named = case.entry("workflow")
    assert named is not None  # a test without one is reported by the parser
    if not isinstance(named.value, Text | Word):
        return [_error("invalid-value", named.value.span, "invalid `workflow`: expected a name or a file")]
    try:
        found = workflows.find(named.value.text, Path(source.path).parent)
    except UserError as error:
        return [_error(error.code, named.value.span, error.message, error.help)]
    refused = unsupported(found.program.workflow, found.program.children)
    if refused:
        place = f"{refused[0].span.file}:{refused[0].span.line}"
        return [_error(refused[0].code, named.value.span, f"{refused[0].message} ({place})")]
    roots = found.roots or (found.root,)
    return [*check_case(case, found.program), *check_forms(case, found.program, roots)] or found


def _refused(case: Case, error: UserError) -> Diagnostic:
    """A run that could not begin: for its inputs, mostly."""
    entry = case.entry("inputs") if error.exit_code == EXIT_USAGE else None
    return _error(error.code, case.name.span if entry is None else entry.value.span, error.message, error.help)


def cassette_of(case: Case, source: SourceFile) -> Path | None:
    """The file that answers the steps of a test which it does not answer itself, beside the test; None without one."""
    entry = case.entry("cassette")
    if entry is None or not isinstance(entry.value, Text | Word):
        return None
    return Path(source.path).parent / entry.value.text


def _run(case: Case, source: SourceFile, found: Found) -> tuple[TextRun, CaseAnswers, Decisions]:
    cassette = None if (path := cassette_of(case, source)) is None else read(path, found.root)
    store, clock, answers = MemoryRunStore(), VirtualClock(), CaseAnswers(case, cassette)
    lists = () if cassette is None else cassette.lists
    runner = Runner(store, answers, clock=clock, providers=RecordedLists(lists, found.providers))
    config = RunConfig(working_dir=found.root, roots=found.roots)
    given = case_inputs(case) if cassette is None else {**inputs_without_secrets(cassette), **case_inputs(case)}
    run = runner.create(found.program, given, config)
    decided = {str(block.name).partition("#")[0].rpartition("/")[2] for block in case.blocks("decide")}
    for decision in () if cassette is None else cassette.decisions:
        if decision.gate not in decided:
            store.answer_gate(decision._replace(run=run, at=clock.now_ms()))
    decisions = Decisions(case, found, store, run, clock)
    record = clock.run(lambda: runner.execute(run, found.program, config))
    legs = 1
    while record.status is RunStatus.WAITING and legs < _MOST_LEGS and decisions.next_one():
        record = clock.run(lambda: runner.execute(run, found.program, config))
        legs += 1
    return recorded(record, store, found.program), answers, decisions


def case_inputs(case: Case) -> dict[str, JsonValue]:
    """The inputs that a test gives."""
    entry = case.entry("inputs")
    return object_of(entry.value.entries) if entry is not None and isinstance(entry.value, MapValue) else {}


def _unanswered(case: Case, steps: Sequence[tuple[str, str]]) -> Diagnostic:
    message = "; ".join(f"the step `{path}` {why}" for path, why in steps)
    help = f"add `answer {steps[0][0]} {{ … }}`, or `default {{ … }}` for every step without one"
    return _error(UNANSWERED, case.name.span, message, help)


def _error(code: str, span: Span, message: str, help: str | None = None) -> Diagnostic:
    return Diagnostic(code, Severity.ERROR, message, span, help=help)


def _covers(outer: Span, inner: Span) -> bool:
    return outer.start <= inner.start <= outer.end
