"""A workflow's text, checked and run in memory, with everything that was recorded."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from runkon.engine.cancellation import RunControl
from runkon.engine.config import RunConfig
from runkon.engine.runner import Runner
from runkon.errors import EXIT_INVALID, UserError
from runkon.language.check import check
from runkon.language.diagnostics import Severity
from runkon.language.parser import parse
from runkon.language.program import CheckedWorkflow, LoadedWorkflow
from runkon.language.project import SyntaxOnly
from runkon.language.render import render
from runkon.language.source import SourceFile
from runkon.model.events import Event
from runkon.model.output import JsonValue
from runkon.model.ports import ActionExecutor, Clock, EventSink, Executors, RunStore
from runkon.model.records import RunRecord, StepRecord
from runkon.plugin.registry import Registry
from runkon.store.memory import MemoryRunStore


@dataclass(frozen=True, slots=True)
class TextRun:
    """What a run left behind: its record, its steps in program order, its events in order; `store`
    and `program` are there to resume it."""

    record: RunRecord
    steps: tuple[StepRecord, ...]
    events: tuple[Event, ...]
    store: RunStore
    program: CheckedWorkflow

    def step(self, path: str) -> StepRecord:
        """The step at a path. Raises KeyError with the paths there are."""
        found = {str(step.path): step for step in self.steps}
        if path not in found:
            raise KeyError(f"no step at `{path}`, only {', '.join(found) or 'none at all'}")
        return found[path]


class TextFiles(SyntaxOnly):
    """A catalog in which everything exists, and workflows are those of the given texts, by name."""

    def __init__(self, texts: Mapping[str, str]) -> None:
        self._texts = texts

    def workflow(self, name: str, caller: SourceFile) -> LoadedWorkflow:
        if name not in self._texts:
            return LoadedWorkflow(None, None, (caller.path,), f"no text of the test is the workflow `{name}`")
        source = SourceFile(f"{name}.wf", self._texts[name])
        found = next(iter(parse(source).workflows), None)
        return LoadedWorkflow(found, source)


def check_text(text: str, *, workflows: Mapping[str, str] | None = None, file: str = "test.wf") -> CheckedWorkflow:
    """The first workflow of `text`, checked; `workflows` are the texts of others it calls, by name. Executors, agents
    and files count as there. Raises UserError `invalid-workflow` with all findings drawn."""
    source = SourceFile(file, text)
    parsed = parse(source)
    found = list(parsed.diagnostics)
    if parsed.ok and parsed.workflows:
        result = check(parsed, parsed.workflows[0], TextFiles(workflows or {}))
        found += result.diagnostics
        if result.checked is not None:
            return result.checked
    drawn = "\n".join(render(one, source) for one in found if one.severity is Severity.ERROR)
    raise UserError("invalid-workflow", drawn or "the text holds no workflow", exit_code=EXIT_INVALID)


def run_text(
    text: str,
    executors: Executors | Sequence[ActionExecutor],
    inputs: Mapping[str, JsonValue] | None = None,
    *,
    workflows: Mapping[str, str] | None = None,
    store: RunStore | None = None,
    clock: Clock | None = None,
    config: RunConfig | None = None,
    control: RunControl | None = None,
    sinks: Sequence[EventSink] = (),
) -> TextRun:
    """Check `text` and run its first workflow to its end, in this thread and in memory.

    `executors` is a `ScriptedExecutor`, any other set of executors, or a list of them. With a `FakeClock` another
    thread must move the time. Raises UserError for a text with errors and for inputs that do not fit."""
    program = check_text(text, workflows=workflows)
    kept = store or MemoryRunStore()
    known = _as_executors(executors)
    runner = Runner(kept, known, sinks=sinks, clock=clock, providers=_providers(known))
    settings = config or RunConfig(working_dir=Path.cwd())
    run = runner.create(program, inputs or {}, settings)
    return recorded(runner.execute(run, program, settings, control), kept, program)


def resume_run(
    before: TextRun,
    executors: Executors | Sequence[ActionExecutor],
    *,
    clock: Clock | None = None,
    config: RunConfig | None = None,
    control: RunControl | None = None,
) -> TextRun:
    """One more leg of a run that `run_text` left unfinished."""
    known = _as_executors(executors)
    runner = Runner(before.store, known, clock=clock, providers=_providers(known))
    settings = config or RunConfig(working_dir=Path.cwd())
    record = runner.execute(before.record.id, before.program, settings, control)
    return recorded(record, before.store, before.program)


def recorded(record: RunRecord, store: RunStore, program: CheckedWorkflow) -> TextRun:
    """Everything the store holds of a run."""
    events = tuple(envelope.event for envelope in store.events(record.id))
    return TextRun(record, tuple(store.steps(record.id)), events, store, program)


def _providers(known: Executors) -> Mapping[str, object]:
    things = getattr(known, "things", None)  # of a registry, or of a set of executors that has more to offer
    return things("provider") if callable(things) else {}


def _as_executors(executors: Executors | Sequence[ActionExecutor]) -> Executors:
    if not isinstance(executors, (list, tuple)):
        return executors  # type: ignore[return-value]  # not a sequence, so a set of executors
    registry = Registry()
    for one in executors:
        registry.register_executor(one, "test")
    return registry
