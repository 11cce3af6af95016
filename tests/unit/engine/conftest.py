"""Workflows from text, run against scripted answers and a memory store."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

import pytest

from runkon.engine.cancellation import RunControl
from runkon.engine.config import RunConfig
from runkon.engine.runner import Runner
from runkon.language.parser import parse
from runkon.language.program import CheckedWorkflow
from runkon.language.source import SourceFile
from runkon.model.events import Event
from runkon.model.fold import fold
from runkon.model.ids import RunID, StepPath
from runkon.model.output import JsonValue
from runkon.model.ports import Clock, EventSink, Executors, RunStore
from runkon.model.records import GateAnswer, RunRecord, StepRecord
from runkon.store.memory import MemoryRunStore, _Kept
from runkon.testing import ScriptedExecutor


class Flow:
    """One workflow with its store: run it, resume it, look at what it left."""

    def __init__(self, text: str, folder: Path) -> None:
        source = SourceFile("flow.wf", text)
        parsed = parse(source)
        assert parsed.ok, parsed.diagnostics
        self.program = CheckedWorkflow(parsed.workflows[0], source)
        self.store: RunStore = MemoryRunStore()
        self.config = RunConfig(working_dir=folder, kill_grace=0.2)
        self.executor: Executors = ScriptedExecutor(default=None)
        self.clock: Clock | None = None
        self.sinks: tuple[EventSink, ...] = ()
        self.progress: Callable[[StepPath, str], None] | None = None
        self.inputs: Mapping[str, JsonValue] = {}
        self.providers: Mapping[str, object] = {}
        self.run_id = RunID("")

    def answers(self, answers: Mapping[str, object], **options: object) -> ScriptedExecutor:
        """Use a scripted executor; steps without an answer complete with nothing."""
        options.setdefault("default", None)
        scripted = ScriptedExecutor(answers, **options)  # type: ignore[arg-type]
        self.executor = scripted
        return scripted

    def configure(self, **changes: object) -> Flow:
        self.config = replace(self.config, **changes)  # type: ignore[arg-type]
        return self

    def write(self, name: str, text: str) -> Path:
        """A file in the folder the run works in."""
        path = self.config.working_dir / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
        return path

    def runner(self) -> Runner:
        return Runner(
            self.store,
            self.executor,
            sinks=self.sinks,
            clock=self.clock,
            progress=self.progress,
            providers=self.providers,
        )

    def start(self, control: RunControl | None = None) -> RunRecord:
        runner = self.runner()
        self.run_id = runner.create(self.program, self.inputs, self.config)
        return runner.execute(self.run_id, self.program, self.config, control)

    def resume(self, control: RunControl | None = None) -> RunRecord:
        return self.runner().execute(self.run_id, self.program, self.config, control)

    def begin(self, control: RunControl | None = None) -> Callable[[], RunRecord]:
        """Start on another thread; the result waits for the end."""
        records: list[RunRecord] = []
        thread = threading.Thread(target=lambda: records.append(self.start(control)), daemon=True)
        thread.start()

        def end() -> RunRecord:
            thread.join(30)
            assert records, "the run did not end"
            return records[0]

        return end

    def kill_at(self, count: int) -> Flow:
        """The store becomes what it was when the process had died after `count` events; answers to gates stay."""
        assert isinstance(self.store, MemoryRunStore)
        envelopes = list(self.store.events(self.run_id))[:count]
        last, answers = envelopes[-1], self.store._runs[self.run_id].answers
        store = MemoryRunStore()
        store._runs[self.run_id] = _Kept(
            state=fold(envelopes), envelopes=envelopes, fence=last.fence, leg=last.leg, holder=None, answers=answers
        )
        self.store = store
        return self

    def kill_in(self, path: str) -> Flow:
        """As if the process had died while the newest attempt of the step at `path` ran."""
        begun = [at for at, e in enumerate(self.events, 1) if e.kind == "attempt_started" and e.path == path]  # type: ignore[union-attr]
        return self.kill_at(begun[-1])

    def answer(self, path: str, choice: str, occurrence: int = 1, **form: JsonValue) -> None:
        """Somebody decides about the unseen end of the step at `path`."""
        said = GateAnswer(self.run_id, f"unknown:{path}", choice, "ann", "cli", 0, occurrence, "because", form)
        self.store.answer_gate(said)

    # ── what is on record ─────────────────────────────────────────────────────────────────────────
    @property
    def record(self) -> RunRecord:
        found = self.store.run(self.run_id)
        assert found is not None
        return found

    @property
    def events(self) -> list[Event]:
        return [envelope.event for envelope in self.store.events(self.run_id)]

    @property
    def kinds(self) -> list[str]:
        return [event.kind for event in self.events]

    @property
    def steps(self) -> dict[str, StepRecord]:
        return {str(step.path): step for step in self.store.steps(self.run_id)}

    @property
    def statuses(self) -> dict[str, str]:
        return {path: str(step.status) for path, step in self.steps.items()}


@pytest.fixture
def flow(tmp_path: Path) -> Callable[..., Flow]:
    """`flow("call a call b")` is a workflow with that body; `inputs`, `always` and `outputs` may stand in it."""

    def make(body: str) -> Flow:
        return Flow(f"workflow w {{\n{body}\n}}\n", tmp_path)

    return make
