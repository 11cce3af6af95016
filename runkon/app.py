"""The composition root: settings, plugins, store and engine become one application. The only file that wires things.

Everything expensive is opened on first use, so that a command pays only for what it touches.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import field, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from runkon.errors import EXIT_NOT_FOUND, EXIT_USAGE, UserError
from runkon.frozen import value_class
from runkon.host import injected_variables
from runkon.model.ids import RunID, StepPath, is_in_always
from runkon.model.output import JsonValue
from runkon.model.ports import EventSink, RunStore
from runkon.model.records import RunRecord, StepRecord
from runkon.model.status import RunStatus, StepStatus
from runkon.named import NamedTuple
from runkon.settings import Settings

if TYPE_CHECKING:
    from runkon.engine.cancellation import RunControl
    from runkon.engine.config import RunConfig
    from runkon.engine.runner import Runner
    from runkon.language.cache import ParsedFiles
    from runkon.language.diagnostics import Diagnostic
    from runkon.language.program import Catalog, CheckedWorkflow, CheckResult, NameKind, ParseResult
    from runkon.language.project import Project
    from runkon.language.source import SourceFile
    from runkon.plugin.discovery import Loaded
    from runkon.plugin.registry import Registry

Progress = Callable[[StepPath, str], None]


@value_class(frozen=True, slots=True, kw_only=True)
class RunOptions:
    """What one `run` or `resume` asks for. `timeout` in seconds; `jobs` is how many executor calls run at once;
    `automatic` says that nobody asked for this leg."""

    dry_run: bool = False
    model: str | None = None
    executors: Mapping[str, str] = field(default_factory=dict)
    jobs: int | None = None
    until: str | None = None
    timeout: float | None = None
    automatic: bool = False


class FileCheck(NamedTuple):
    """One file, parsed and checked; `results` has one entry per workflow in it, the first is what `run` starts."""

    source: SourceFile
    parsed: ParseResult
    results: tuple[CheckResult, ...]

    @property
    def diagnostics(self) -> tuple[Diagnostic, ...]:
        """All findings of the file, by position, each once."""
        found = dict.fromkeys(self.parsed.diagnostics)
        for result in self.results:
            found.update(dict.fromkeys(result.diagnostics))
        return tuple(sorted(found, key=lambda d: (d.span.file != self.source.path, d.span.start, d.code)))

    @property
    def ok(self) -> bool:
        return self.parsed.ok and bool(self.results) and all(result.checked for result in self.results)


class PlanLine(NamedTuple):
    """What a resume would do with one recorded step: `reuse` or `rerun`, and why."""

    path: StepPath
    decision: str
    reason: str


class Surroundings(NamedTuple):
    """What a file sees: the folders in which things are looked up, first hit wins, and the plugins of those."""

    roots: tuple[Path, ...]
    loaded: Loaded
    project: Project


class App:
    """One project with its plugins and its store."""

    def __init__(self, settings: Settings, *, plugins: Sequence[str | object] = ()) -> None:
        self.settings = settings
        self._plugins = plugins
        self._surroundings: dict[tuple[Path, ...], Surroundings] = {}

    # ── parts, opened on first use ────────────────────────────────────────────────────────────────
    @property
    def loaded(self) -> Loaded:
        """Plugins with their warnings. Raises UserError for duplicate names and misspelt hooks."""
        return self._around((self.settings.root,)).loaded

    @property
    def registry(self) -> Registry:
        return self.loaded.registry

    @cached_property
    def store(self) -> RunStore:
        """The project's store. Raises UserError when it can't be opened."""
        from runkon.store.sqlite import SqliteRunStore

        return SqliteRunStore(self.settings.db, durability=self.settings.durability)

    @cached_property
    def parsed_files(self) -> ParsedFiles:
        from runkon.language.cache import ParsedFiles

        return ParsedFiles(self.settings.cache_dir)

    def around(self, file: str | Path) -> Surroundings:
        """What is around a workflow file: a project of its own (a nearer `.runkon` or `.conductor`) comes first."""
        return self._around(self._finder.roots(_named(file)))

    def _around(self, roots: tuple[Path, ...]) -> Surroundings:
        from runkon import executors
        from runkon.language.project import Project
        from runkon.plugin.discovery import load_plugins

        known = self._surroundings.get(roots)
        if known is None:
            settings = self.settings
            loaded = load_plugins(
                project=settings.root,
                beside=roots[0],
                extra=self._plugins,
                builtin=(executors,),
                blocked=settings.plugins_blocked,
            )
            kinds: tuple[NameKind, ...] = ("executor", "runtime", "provider", "gate", "reducer")
            names = {kind: tuple(loaded.registry.names_of(kind)) for kind in kinds}
            known = Surroundings(roots, loaded, Project(settings.root, names, self.parsed_files))
            self._surroundings[roots] = known
        return known

    @cached_property
    def _finder(self) -> Project:
        """Looks for files only, so that finding one loads no plugin."""
        from runkon.language.project import Project

        return Project(self.settings.root, {}, self.parsed_files)

    def close(self) -> None:
        """Close the store if it was opened."""
        if "store" in self.__dict__:
            self.store.close()

    # ── files ─────────────────────────────────────────────────────────────────────────────────────
    def find_workflow(self, target: str) -> Path:
        """The file behind `FILE` or `NAME`. Raises UserError `workflow-not-found` with the places searched."""
        return self._finder.find_workflow(target, Path.cwd())

    def check_file(
        self, path: Path, *, syntax_only: bool = False, executors: Mapping[str, str] | None = None
    ) -> FileCheck:
        """Read, parse and check one file; `executors` are those a run will use instead, by result key. Raises
        UserError if it can't be read; findings are in the result."""
        from runkon.language.loader import read_source

        return self.check_source(read_source(path, str(path)), syntax_only=syntax_only, executors=executors)

    def check_source(
        self, source: SourceFile, *, syntax_only: bool = False, executors: Mapping[str, str] | None = None
    ) -> FileCheck:
        """Parse and check a text that is already read."""
        from runkon.language.project import SyntaxOnly

        return self._check(source, SyntaxOnly() if syntax_only else self.around(source.path).project, executors)

    def _check(self, source: SourceFile, catalog: Catalog, executors: Mapping[str, str] | None = None) -> FileCheck:
        from runkon.language.check import check

        parsed = self.parsed_files.parse(source)
        workflows = parsed.workflows if parsed.is_whole else ()
        results = tuple(check(parsed, workflow, catalog, executors=executors or {}) for workflow in workflows)
        return FileCheck(source, parsed, results)

    # ── runs ──────────────────────────────────────────────────────────────────────────────────────
    def start(
        self,
        checked: CheckedWorkflow,
        inputs: Mapping[str, JsonValue],
        options: RunOptions,
        *,
        sinks: Sequence[EventSink] = (),
        control: RunControl | None = None,
        on_created: Callable[[RunID], None] | None = None,
        progress: Progress | None = None,
    ) -> RunRecord:
        """Create a run and execute its first leg. `on_created` hears the id as soon as the run is durable."""
        around = self.around(checked.source.path)
        runner = self._runner(around, sinks, progress)
        config = self._new_config(around, options)
        run = runner.create(checked, inputs, config)
        if on_created is not None:
            on_created(run)
        return runner.execute(run, checked, config, control)

    @staticmethod
    def new_control() -> RunControl:
        """What stops the run that `start` or `resume` is given it for."""
        from runkon.engine.cancellation import RunControl

        return RunControl()

    def resume(
        self,
        run: RunID,
        options: RunOptions,
        *,
        inputs: Mapping[str, JsonValue] = {},
        sinks: Sequence[EventSink] = (),
        control: RunControl | None = None,
        progress: Progress | None = None,
    ) -> RunRecord:
        """Continue a run by the door it began with: its stored text and settings, its finished steps answered from
        their records. A completed run is returned as it is. `inputs` gives its secrets again, which no record holds.
        Raises UserError `not-resumable` for a cancelled run, `fixed-input` for an input that is no secret of it."""
        record = self._record(run)
        if record.status is RunStatus.COMPLETED:
            return record
        if record.status is RunStatus.CANCELLED:
            raise UserError(
                "not-resumable",
                f"run `{run}` was cancelled, which is final",
                next=f"runkon run {record.file}",
                exit_code=EXIT_NOT_FOUND,
            )
        config = self._stored_config(record, options)
        checked = self.stored_program(run, executors=config.executors)
        runner = self._runner(self.around(checked.source.path), sinks, progress)
        runner.give_secrets(run, _secrets_again(record, inputs))
        return runner.execute(run, checked, config, control)

    def stored_program(self, run: RunID, *, executors: Mapping[str, str] | None = None) -> CheckedWorkflow:
        """The program a run was started with, from its stored text. Files on disk do not matter; executors do
        (`executors` by result key; unless given, those the run was started with). Raises UserError
        `program-unusable` when this version or its plugins can't run it any more."""
        from runkon.engine.config import RunConfig
        from runkon.language.project import StoredProgram
        from runkon.language.source import SourceFile

        sources = [SourceFile(path, text) for path, text in self.store.sources(run).items()]
        if executors is None:
            executors = RunConfig.from_json(self._record(run).config).executors
        found = self._check(sources[0], StoredProgram(self.around(sources[0].path).project), executors)
        if not found.ok or found.results[0].checked is None:
            first = next((d for d in found.diagnostics if d.severity == "error"), None)
            raise UserError(
                "program-unusable",
                f"the stored workflow of run `{run}` can't be used any more"
                + (f": {first.message} ({first.span.file}:{first.span.line})" if first else ""),
                help="install the plugin or the version of runkon that the run was started with",
                exit_code=EXIT_NOT_FOUND,
            )
        return found.results[0].checked

    def find_run(self, text: str) -> RunID:
        """The run meant by a unique prefix of its id, `@last` or `@last-failed`. Raises UserError `run-not-found`
        (exit code 6) or `ambiguous-run` (2)."""
        if text in ("@last", "@last-failed"):
            newest = self.store.runs(status="failed" if text == "@last-failed" else None, limit=1)
            if newest:
                return newest[0].id
            raise self.no_run("there is no run yet" if text == "@last" else "no run has failed")
        found = self.store.find(text) if text else ()
        if not found:
            raise self.no_run(f"no run has an id that begins with `{text}`")
        if len(found) > 1:
            raise UserError(
                "ambiguous-run",
                f"`{text}` stands for several runs: {', '.join(found)}",
                help="give more characters of the id",
                exit_code=EXIT_USAGE,
            )
        return found[0]

    def no_run(self, message: str) -> UserError:
        """The error `run-not-found`, with the step to take: without any run yet, the first one."""
        is_begun = self.settings.db.exists() or self._finder.workflow_names()
        step = "runkon runs" if is_begun else "runkon init"
        return UserError("run-not-found", message, next=step, exit_code=EXIT_NOT_FOUND)

    def plan_resume(self, run: RunID) -> tuple[PlanLine, ...]:
        """What a resume would do with each recorded step, in program order; those of `always` run anew at every end.
        Writes nothing, takes no lease."""
        return tuple(_plan(step) for step in self.store.steps(run) if not is_in_always(step.path))

    # ── wiring ────────────────────────────────────────────────────────────────────────────────────
    def _record(self, run: RunID) -> RunRecord:
        record = self.store.run(run)
        if record is None:
            raise self.no_run(f"there is no run `{run}`")
        return record

    def _runner(self, around: Surroundings, sinks: Sequence[EventSink], progress: Progress | None) -> Runner:
        from runkon.engine.runner import Runner

        return Runner(self.store, around.loaded.registry, sinks=sinks, progress=progress)

    def _new_config(self, around: Surroundings, options: RunOptions) -> RunConfig:
        from runkon.engine.config import RunConfig

        settings = self.settings
        return RunConfig(
            working_dir=settings.root,
            roots=around.roots,
            log_dir=settings.state_dir / "logs",
            max_parallel=options.jobs or settings.jobs,
            fail_fast=settings.fail_fast,
            dry_run=options.dry_run,
            model=options.model or settings.model,
            executors=options.executors,
            until=options.until,
            timeout=options.timeout,
            kill_grace=settings.kill_grace,
            always_grace=settings.always_grace,
            injected=injected_variables(settings.root),
        )

    def _stored_config(self, record: RunRecord, options: RunOptions) -> RunConfig:
        from runkon.engine.config import RunConfig

        stored = RunConfig.from_json(record.config)
        return replace(
            stored,
            max_parallel=options.jobs or stored.max_parallel,
            until=options.until,
            timeout=stored.timeout if options.timeout is None else options.timeout,
            timeout_anew=options.timeout is not None,
            automatic=options.automatic,
            executors={**stored.executors, **options.executors},
        )


def _plan(step: StepRecord) -> PlanLine:
    if step.is_settled:
        reason = "handled" if step.handled else str(step.status)
        return PlanLine(step.path, "reuse", reason)
    match step.status:
        case StepStatus.FAILED | StepStatus.TIMED_OUT:
            reason = f"{step.status}: {step.error.message}" if step.error else str(step.status)
        case StepStatus.RUNNING | StepStatus.INTERRUPTED:
            reason = "cut off before it ended"
        case _:
            reason = str(step.status)
    return PlanLine(step.path, "rerun", reason)


def _secrets_again(record: RunRecord, given: Mapping[str, JsonValue]) -> dict[str, str]:
    """The values of the secrets a run began with; every other input is what it was."""
    from runkon.model.secrets import secret_name
    from runkon.model.value_text import as_text

    secrets = {name for name, value in record.inputs.items() if secret_name(value) is not None}
    for name in given:
        if name not in secrets:
            raise UserError(
                "fixed-input",
                f"`{name}` can't be given to run `{record.id}` any more: its inputs are those it began with",
                help="its secrets are given again: " + ", ".join(f"`{secret}`" for secret in sorted(secrets))
                if secrets
                else "leave it out, or start a new run",
                exit_code=EXIT_USAGE,
            )
    return {name: as_text(value) for name, value in given.items()}


def _named(file: str | Path) -> SourceFile:
    from runkon.language.source import SourceFile

    return SourceFile(str(file), "")
