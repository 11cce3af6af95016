"""Replay: a run answered from the record of another one, or from a cassette, and what it shows to be different.

A strict replay runs in memory and in virtual time, and calls nobody; what it recorded is put into the store when it is
over. One that fills calls live what the record does not answer, so it runs and is recorded like any other run.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from runkon.cassettes.answering import (
    CAUSE,
    Miss,
    Mode,
    RecordedLists,
    Replay,
    ReplayedExecutors,
    recorded_runtimes,
)
from runkon.cassettes.cassette import Cassette, answers_in, decisions_of, lists_in
from runkon.cassettes.comparing import Divergence, compare, of_misses
from runkon.engine.cancellation import RunControl
from runkon.engine.config import RunConfig
from runkon.engine.runner import Runner
from runkon.errors import EXIT_ENVIRONMENT, EXIT_NOT_FOUND, UserError
from runkon.language.program import AgentFault, AgentUse, Catalog, CheckedWorkflow, LoadedWorkflow, Located
from runkon.model.ids import RunID, is_in_always
from runkon.model.output import JsonValue
from runkon.model.ports import EventSink, RunStore
from runkon.model.records import RunRecord
from runkon.model.secrets import secret_mark, secret_name
from runkon.model.status import RunStatus
from runkon.named import NamedTuple

if TYPE_CHECKING:
    from runkon.language.cache import ParsedFiles
    from runkon.language.program import NameKind, ResourceKind
    from runkon.language.source import SourceFile
    from runkon.parts import Progress, RunOptions, Surroundings
    from runkon.settings import Settings

STRICT: Mode = "strict"
FILL: Mode = "fill"
FOLDER = "cassettes"
_CUT_SHORT = frozenset({"budget", "crash_limit", "run_timeout"})  # ends that are not the workflow's own
_TTL_MS = 60_000


class Host(Protocol):
    """What the application gives."""

    @property
    def store(self) -> RunStore: ...
    @property
    def settings(self) -> Settings: ...
    @property
    def parsed_files(self) -> ParsedFiles: ...
    def around(self, file: str | Path) -> Surroundings: ...
    def record(self, run: RunID) -> RunRecord: ...
    def new_config(self, around: Surroundings, options: RunOptions) -> RunConfig: ...


class Source(NamedTuple):
    """What is to be replayed. `of` is the run or the file that answers; `notes` are for people."""

    cassette: Cassette
    program: CheckedWorkflow
    inputs: Mapping[str, JsonValue]
    config: RunConfig
    of: str
    notes: tuple[str, ...] = ()


class Played(NamedTuple):
    """What came of it: the new run, the first difference, how many attempts were answered, and, where the run that was
    replayed had come no further, where it ends; `saved_usd` is what the answers had cost when they were paid."""

    run: RunRecord
    divergence: Divergence | None
    answered: int
    end: Miss | None = None
    saved_usd: float = 0.0


class Replaying:
    """The use case, over one application."""

    def __init__(self, host: Host) -> None:
        self._host = host

    # ── what answers ──────────────────────────────────────────────────────────────────────────────
    def cassette_of(self, run: RunID) -> Cassette:
        """What the record of a run answers. Raises UserError `run-not-found`, `corrupt-run`."""
        store, record = self._host.store, self._host.record(run)
        envelopes = list(store.events(run))
        config = RunConfig.from_json(record.config)
        is_over = record.status is RunStatus.COMPLETED or record.status is RunStatus.FAILED
        is_whole = is_over and record.reason not in _CUT_SHORT
        answers = answers_in(envelopes)
        return Cassette(
            name=f"run {run}",
            workflow=record.workflow,
            file=record.file,
            inputs=record.inputs,
            answers=answers if is_whole else tuple(one for one in answers if not is_in_always(one.path)),
            decisions=decisions_of(store.gate_answers(run)),
            lists=lists_in(envelopes),
            is_whole=is_whole,
            model=config.model,
            executors=config.executors,
        )

    def of_run(self, run: RunID) -> Source:
        """A replay of a run: its stored workflow, its inputs and settings. Raises UserError: as `cassette_of`, and
        `program-unusable`."""
        cassette, record = self.cassette_of(run), self._host.record(run)
        sources = self._sources(run)
        program = self._program(sources, cassette, run)
        notes = [
            f"`{one.path}` has changed; the replay goes by the text of the run" for one in sources if _differs(one)
        ]
        return Source(cassette, program, record.inputs, RunConfig.from_json(record.config), run, tuple(notes))

    def of_file(self, path: Path, options: RunOptions) -> Source:
        """A replay of a cassette, with the workflow it names as it is now. Raises UserError `cassette-unreadable`,
        `workflow-not-found`, `program-unusable`."""
        from runkon.cassettes.files import read

        return self.of_cassette(read(path, self._host.settings.root), str(path), options)

    def of_cassette(
        self,
        cassette: Cassette,
        of: str,
        options: RunOptions,
        *,
        file: Path | None = None,
        inputs: Mapping[str, JsonValue] = {},
    ) -> Source:
        """The same for one that was read; `file` is the workflow in place of the one it names, `inputs` come before
        those it has."""
        from runkon.language.loader import read_source

        root = self._host.settings.root
        there = file or (Path(cassette.file) if Path(cassette.file).is_absolute() else root / cassette.file)
        program = self._program([read_source(there, shown_path(there))], cassette, None)
        chosen = replace(
            options, model=options.model or cassette.model, executors={**cassette.executors, **options.executors}
        )
        config = self._host.new_config(self._host.around(program.source.path), chosen)
        return Source(cassette, program, {**cassette.inputs, **inputs}, config, of)

    def _sources(self, run: RunID) -> Sequence[SourceFile]:
        from runkon.language.source import SourceFile

        return [SourceFile(path, text) for path, text in self._host.store.sources(run).items()]

    def _program(self, sources: Sequence[SourceFile], cassette: Cassette, run: RunID | None) -> CheckedWorkflow:
        """The workflow, checked as far as a replay depends on it: executors and runtimes need not be there."""
        from runkon.language.check import check, check_again
        from runkon.language.project import StoredProgram

        project = self._host.around(sources[0].path).project
        parsed = self._host.parsed_files.parse(sources[0])
        workflow = next((one for one in parsed.workflows if one.name == cassette.workflow), None)
        checked, findings = None, parsed.diagnostics
        if parsed.is_whole and workflow is not None:
            catalog: Catalog = _Recorded(project, cassette)
            if run is None:
                result = check(parsed, workflow, catalog, executors=cassette.executors)
                checked, findings = result.checked, result.diagnostics
            else:
                stored = StoredProgram(project, sources, self._host.parsed_files)
                checked, findings = check_again(
                    parsed, workflow, _Recorded(stored, cassette), executors=cassette.executors
                )
        if checked is not None:
            return checked
        first = next((one for one in findings if one.severity == "error"), None)
        why = f": {first.message} ({first.span.file}:{first.span.line})" if first else ""
        raise UserError(
            "program-unusable",
            f"the workflow `{cassette.workflow}` of {cassette.name} can't be replayed{why}",
            help="put back what is missing, or record it again",
            exit_code=EXIT_NOT_FOUND if run is not None else EXIT_ENVIRONMENT,
        )

    def leave_cassette(self, record: RunRecord) -> RunRecord:
        """Write the cassette that a run was to leave, from all its legs. Raises UserError `cassette-unwritable`."""
        from runkon.cassettes.files import write

        root, named = self._host.settings.root.absolute(), str(record.config["cassette"])
        cassette = self.cassette_of(record.id)
        file = Path(cassette.file).absolute()
        shown = str(file.relative_to(root)) if file.is_relative_to(root) else cassette.file
        write(replace(cassette, file=shown), root / named, root, record.id)
        return record

    # ── playing ───────────────────────────────────────────────────────────────────────────────────
    def play(
        self,
        source: Source,
        mode: Mode,
        *,
        sinks: Sequence[EventSink] = (),
        control: RunControl | None = None,
        on_created: Callable[[RunID], None] | None = None,
        progress: Progress | None = None,
        attends: bool = False,
    ) -> Played:
        """Replay as a new run, and return it with what was different. Raises what starting a run raises."""
        control = control if control is not None else RunControl()
        replay = Replay(source.cassette, mode, lambda: control.interrupt(CAUSE))
        config = replace(
            source.config,
            records=True,
            cassette=None,
            budget_usd=source.config.budget_usd if mode == FILL else None,
            max_calls=source.config.max_calls if mode == FILL else None,
            replay={"of": source.of, "mode": mode},
            attends=attends and mode == FILL,
        )
        executors = self._executors(source, replay)
        if mode == FILL:
            record = self._live(source, config, executors, sinks, control, on_created, progress)
        else:
            record = self._in_memory(source, config, executors, sinks, control, on_created, progress)
        end = next((miss for miss in replay.misses if miss.is_end), None)
        divergence = of_misses(replay.misses, source.cassette) if mode == STRICT else None
        return Played(record, divergence, replay.answered, end, round(replay.saved_usd, 6))

    def verify(self, run: RunID) -> Played:
        """Replay a run strictly and compare the two records. Raises as `of_run`."""
        source = self.of_run(run)
        played = self.play(source, STRICT)
        if played.divergence is not None:
            return played
        host, new = self._host, played.run.id
        before, now = ((host.record(one), host.store.steps(one), self._state(one)) for one in (run, new))
        found = compare(before, now, is_whole=source.cassette.is_whole)
        if found is not None and found.path is not None:
            events = host.store.events(run)
            first = next((one.seq for one in events if getattr(one.event, "path", None) == found.path), None)
            found = found._replace(seq=first)
        return played._replace(divergence=found)

    def _state(self, run: RunID) -> Mapping[str, JsonValue]:
        """What the state channels hold at the end."""
        found: dict[str, JsonValue] = {}
        for envelope in self._host.store.events_of(run, {"state_set"}):
            found |= getattr(envelope.event, "updates", {})
        return found

    def _executors(self, source: Source, replay: Replay) -> ReplayedExecutors:
        from runkon.executors.agents.finding import ExecutorsAndAgents

        registry = self._host.around(source.program.source.path).loaded.registry
        runtimes = {**recorded_runtimes(source.cassette), **registry.things("runtime")}
        return ReplayedExecutors(replay, ExecutorsAndAgents(registry, runtimes, self._host.settings.runtimes))

    def _in_memory(
        self,
        source: Source,
        config: RunConfig,
        executors: ReplayedExecutors,
        sinks: Sequence[EventSink],
        control: RunControl,
        on_created: Callable[[RunID], None] | None,
        progress: Progress | None,
    ) -> RunRecord:
        from runkon.store.memory import MemoryRunStore
        from runkon.testing.virtual_clock import VirtualClock

        memory, clock, store = MemoryRunStore(), VirtualClock(round(time.time() * 1000)), self._host.store
        providers = RecordedLists(source.cassette.lists)
        runner = Runner(memory, executors, sinks=sinks, clock=clock, progress=progress, providers=providers)
        inputs = {name: _without_secret(value) for name, value in source.inputs.items()}
        run = runner.create(source.program, inputs, replace(config, log_dir=None))
        _decide(memory, run, source.cassette, clock.now_ms())
        first = next(iter(memory.events(run)))
        store.create(run, first.event, first.at)  # type: ignore[arg-type]  # the first event of every run
        _decide(store, run, source.cassette, first.at)
        if on_created is not None:
            on_created(run)
        clock.run(lambda: runner.execute(run, source.program, config, control))
        self._keep(memory, run)
        return self._host.record(run)

    def _keep(self, memory: RunStore, run: RunID) -> None:
        """Put what was recorded in memory into the store, in one transaction."""
        from runkon.model.holder import this_holder

        store = self._host.store
        lease = store.acquire(run, this_holder(), round(time.time() * 1000), _TTL_MS)
        if lease is None:
            raise UserError("already-active", f"run `{run}` was taken by another engine", exit_code=EXIT_ENVIRONMENT)
        store.append(lease, list(memory.events(run, 1)), release=True)

    def _live(
        self,
        source: Source,
        config: RunConfig,
        executors: ReplayedExecutors,
        sinks: Sequence[EventSink],
        control: RunControl,
        on_created: Callable[[RunID], None] | None,
        progress: Progress | None,
    ) -> RunRecord:
        registry = self._host.around(source.program.source.path).loaded.registry
        providers = RecordedLists(source.cassette.lists, registry.things("provider"))
        runner = Runner(
            self._host.store,
            executors,
            sinks=sinks,
            progress=progress,
            providers=providers,
            resolvers=registry.things("gate"),  # type: ignore[arg-type]  # checked by `register`
        )
        run = runner.create(source.program, source.inputs, config)
        _decide(self._host.store, run, source.cassette, round(time.time() * 1000))
        if on_created is not None:
            on_created(run)
        return runner.execute(run, source.program, config, control)


class _Recorded(Catalog):
    """A catalog in which everything that the record has answers of counts as there."""

    def __init__(self, catalog: Catalog, cassette: Cassette) -> None:
        self._catalog = catalog
        self._executors = {one.executor for one in cassette.answers}

    def knows(self, kind: NameKind, name: str) -> bool:
        is_answered = kind in ("gate", "provider") or (kind == "executor" and name in self._executors)
        return is_answered or self._catalog.knows(kind, name)

    def names(self, kind: NameKind) -> Sequence[str]:
        return self._catalog.names(kind)

    def locate(self, kind: ResourceKind, name: str, workflow: str, caller: SourceFile | None = None) -> Located:
        return self._catalog.locate(kind, name, workflow, caller)

    def agent_faults(self, use: AgentUse) -> Iterable[AgentFault]:
        return [one for one in self._catalog.agent_faults(use) if one.code != "unknown-runtime"]

    def workflow(self, name: str, caller: SourceFile) -> LoadedWorkflow:
        return self._catalog.workflow(name, caller)


def _decide(store: RunStore, run: RunID, cassette: Cassette, now: int) -> None:
    """Give the recorded answers to gates: those for one opening wait until it is reached."""
    for answer in cassette.decisions:
        store.answer_gate(answer._replace(run=run, at=answer.at or now))


def _without_secret(value: JsonValue) -> JsonValue:
    """Nobody is called, so nobody needs to know the value of a secret."""
    name = secret_name(value)
    return value if name is None else secret_mark(name)


def shown_path(file: Path) -> str:
    """As somebody in the current folder would write it."""
    cwd = Path.cwd()
    return str(file.relative_to(cwd)) if file.is_relative_to(cwd) else str(file)


def _differs(source: SourceFile) -> bool:
    """True if the file is there and says something else."""
    from runkon.language.loader import read_source

    try:
        return read_source(Path(source.path), source.path).text != source.text
    except UserError:
        return False
