"""The composition root: settings, plugins, store and engine become one application. The only file that wires things.

Everything expensive is opened on first use, so that a command pays only for what it touches.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from runkon.errors import EXIT_NOT_FOUND, EXIT_USAGE, UserError
from runkon.host import injected_variables
from runkon.model.ids import RunID
from runkon.model.output import JsonValue
from runkon.model.ports import EventSink, RunStore
from runkon.model.records import CancelRequest, RunRecord
from runkon.parts import FileCheck, Progress, ResumeWish, RunOptions, Surroundings, agent_choice, missing_plugins
from runkon.settings import Settings

if TYPE_CHECKING:
    from runkon.engine.cancellation import RunControl
    from runkon.engine.config import RunConfig
    from runkon.engine.runner import Runner
    from runkon.language.cache import ParsedFiles
    from runkon.language.check import Known
    from runkon.language.program import Catalog, CheckedWorkflow, LoadedWorkflow, NameKind
    from runkon.language.project import Judge, Project
    from runkon.language.source import SourceFile
    from runkon.plugin.discovery import Loaded
    from runkon.plugin.registry import Registry
    from runkon.replaying import Replaying
    from runkon.resuming import Resuming
    from runkon.starting import Starting
    from runkon.store.care.upkeep import Upkeep
    from runkon.worktrees.trees import GitWorktrees

__all__ = ["App", "FileCheck", "Progress", "ResumeWish", "RunOptions", "Surroundings"]
NORMAL_WISH = ResumeWish()


class App:
    """One project with its plugins and its store."""

    def __init__(self, settings: Settings, *, plugins: Sequence[str | object] = (), is_alone: bool = False) -> None:
        """`is_alone`: this process has nothing else to do, so whatever it starts during a leg belongs to the leg."""
        self.settings = settings
        self._is_alone = is_alone
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
        from runkon.store.connections import check_place
        from runkon.store.sqlite import SqliteRunStore

        settings = self.settings
        check_place(settings.db, allow_network=settings.allow_network_store)
        return SqliteRunStore(settings.db, durability=settings.durability, patience=settings.store_patience)

    @cached_property
    def upkeep(self) -> Upkeep:
        """What can be done for the project's database."""
        from runkon.store.care.upkeep import Upkeep

        settings = self.settings
        return Upkeep(settings.db, settings.durability, allow_network=settings.allow_network_store)

    @cached_property
    def parsed_files(self) -> ParsedFiles:
        from runkon.language.cache import ParsedOnce

        return ParsedOnce(self.settings.cache_dir)

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
            registry = loaded.registry
            names: dict[NameKind, Sequence[str]] = {
                "executor": registry.names_of("executor"),
                "runtime": sorted({*registry.names_of("runtime"), *settings.runtimes}),
                "provider": registry.names_of("provider"),
                "gate": registry.names_of("gate"),
                "reducer": registry.names_of("reducer"),
                "variable": settings.env,
            }
            judge = self._judge(registry, agent_choice(settings))
            known = Surroundings(roots, loaded, Project(settings.root, names, self.parsed_files, judge))
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

    def called(self, name: str, caller: SourceFile) -> LoadedWorkflow:
        """The workflow that `call workflow NAME` in `caller` means; for looking only: no plugin is loaded."""
        return self._finder.workflow(name, caller)

    def check_file(
        self,
        path: Path,
        *,
        syntax_only: bool = False,
        executors: Mapping[str, str] | None = None,
        known: dict[Project, Known] | None = None,
    ) -> FileCheck:
        """Read, parse and check one file; `executors` are those a run will use instead, by result key. `known`, one for
        several files, keeps what is found about the workflows they call. Raises UserError if it can't be read; findings
        are in the result."""
        from runkon.language.check import Known
        from runkon.language.loader import read_source

        source = read_source(path, str(path))
        if known is None or syntax_only:
            return self.check_source(source, syntax_only=syntax_only, executors=executors)
        project = self.around(source.path).project
        return self._check(source, project, executors, known.setdefault(project, Known()))

    def check_source(
        self, source: SourceFile, *, syntax_only: bool = False, executors: Mapping[str, str] | None = None
    ) -> FileCheck:
        """Parse and check a text that is already read."""
        from runkon.language.project import SyntaxOnly

        return self._check(source, SyntaxOnly() if syntax_only else self.around(source.path).project, executors)

    def _check(
        self,
        source: SourceFile,
        catalog: Catalog,
        executors: Mapping[str, str] | None = None,
        known: Known | None = None,
    ) -> FileCheck:
        from runkon.language.check import check

        parsed = self.parsed_files.parse(source)
        workflows = parsed.workflows if parsed.is_whole else ()
        results = tuple(check(parsed, one, catalog, executors=executors or {}, known=known) for one in workflows)
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
        runner = self.runner(around, sinks, progress)
        config = self.new_config(around, options)
        run = runner.create(checked, inputs, config)
        if on_created is not None:
            on_created(run)
        record = runner.execute(run, checked, config, control)
        return record if config.cassette is None else self.replaying.leave_cassette(record)

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
        wish: ResumeWish = NORMAL_WISH,
        inputs: Mapping[str, JsonValue] = {},
        sinks: Sequence[EventSink] = (),
        control: RunControl | None = None,
        progress: Progress | None = None,
    ) -> RunRecord:
        """Continue a run by the door it began with: its stored text and settings, its finished steps answered from
        their records. A completed run is returned as it is, unless `wish` says what to do with it; a fork is a new run.
        `inputs` gives its secrets again, which no record holds. Raises what `Resuming.prepare` raises."""
        prepared = self.resuming.prepare(run, options, wish, inputs)
        return self.resuming.carry_out(prepared, sinks=sinks, control=control, progress=progress)

    def give_up(self, run: RunID, wish: CancelRequest) -> RunRecord:
        """Cancel a run that nobody advances, without its program: its always block does not run. Raises UserError
        `already-active` if somebody does, `corrupt-run`, `not-resumable`."""
        from runkon.engine.giving_up import give_up

        return give_up(self.store, run, wish, 0 if wish.kill else self.settings.kill_grace)

    @cached_property
    def starting(self) -> Starting:
        """Starting a run once, by a key."""
        from runkon.starting import Starting

        return Starting(self)

    @cached_property
    def resuming(self) -> Resuming:
        """The same in two steps, with a look at the plan in between."""
        from runkon.resuming import Resuming

        return Resuming(self)

    @cached_property
    def replaying(self) -> Replaying:
        """Runs answered from records and cassettes."""
        from runkon.replaying import Replaying

        return Replaying(self)

    def stored_program(self, run: RunID, *, executors: Mapping[str, str] | None = None) -> CheckedWorkflow:
        """The program a run was started with, from its stored text. Files on disk do not matter; executors do
        (`executors` by result key; unless given, those the run was started with). Raises UserError
        `program-unusable` when this version or its plugins can't run it any more."""
        from runkon.engine.config import RunConfig
        from runkon.language.check import check_again
        from runkon.language.project import StoredProgram
        from runkon.language.source import SourceFile

        sources = [SourceFile(path, text) for path, text in self.store.sources(run).items()]
        if executors is None:
            executors = RunConfig.from_json(self.record(run).config).executors
        parsed = self.parsed_files.parse(sources[0])
        checked, findings = None, parsed.diagnostics
        if parsed.is_whole and parsed.workflows:
            around = self.around(sources[0].path)
            judge = self._judge(around.loaded.registry, RunConfig.from_json(self.record(run).config).agents)
            catalog = StoredProgram(around.project.judged_by(judge), sources, self.parsed_files)
            checked, findings = check_again(parsed, parsed.workflows[0], catalog, executors=executors)
        if checked is None:
            first = next((d for d in findings if d.severity == "error"), None)
            raise UserError(
                "program-unusable",
                f"the stored workflow of run `{run}` can't be used any more"
                + (f": {first.message} ({first.span.file}:{first.span.line})" if first else ""),
                help=missing_plugins(self.record(run), self.around(sources[0].path).loaded.registry),
                exit_code=EXIT_NOT_FOUND,
            )
        return checked

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

    # ── wiring ────────────────────────────────────────────────────────────────────────────────────
    def record(self, run: RunID) -> RunRecord:
        """The run of that id. Raises UserError `run-not-found`."""
        record = self.store.run(run)
        if record is None:
            raise self.no_run(f"there is no run `{run}`")
        return record

    def runner(self, around: Surroundings, sinks: Sequence[EventSink], progress: Progress | None) -> Runner:
        """The engine, with the executors that a file sees."""
        from runkon.engine.runner import Runner
        from runkon.executors.agents.finding import ExecutorsAndAgents

        registry = around.loaded.registry
        return Runner(
            self.store,
            ExecutorsAndAgents(registry, registry.things("runtime"), self.settings.runtimes, self._worktrees),
            sinks=sinks,
            progress=progress,
            is_alone=self._is_alone,
            providers=registry.things("provider"),
            resolvers=registry.things("gate"),  # type: ignore[arg-type]  # checked by `register`
        )

    def _worktrees(self) -> GitWorktrees:
        from runkon.worktrees.trees import GitWorktrees  # late: few workflows need git

        return GitWorktrees(self.settings.state_dir / "worktrees")

    def _judge(self, registry: Registry, choice: Mapping[str, JsonValue]) -> Judge:
        """Who looks into agent files when a workflow is checked."""
        from runkon.executors.agents.finding import judge_of

        return judge_of(registry.things("runtime"), self.settings.runtimes, choice)

    def new_config(self, around: Surroundings, options: RunOptions) -> RunConfig:
        """The settings of a new run."""
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
            agents=agent_choice(settings, options),
            executors=options.executors,
            until=options.until,
            attends=options.attends,
            timeout=options.timeout,
            kill_grace=settings.kill_grace,
            always_grace=settings.always_grace,
            injected=injected_variables(settings.root),
            versions=_versions(around.loaded.registry),
            budget_usd=options.budget_usd,
            max_calls=options.max_calls,
            records=options.records,
            cassette=options.cassette,
            uses_cache=options.uses_cache,
            allow_unpriced=settings.allow_unpriced,
            always_budget=settings.always_budget,
            environment={name: os.environ[name] for name in settings.env if name in os.environ},
        )


def _named(file: str | Path) -> SourceFile:
    from runkon.language.source import SourceFile

    return SourceFile(str(file), "")


def _versions(registry: Registry) -> dict[str, str]:
    """The executors there are now, with version and plugin: what a later leg compares with."""
    known = {name: (registry.find(name), registry.origin("executor", name)) for name in registry.names()}
    return {
        name: f"{executor.version} {origin.plugin}"
        for name, (executor, origin) in known.items()
        if executor is not None and origin is not None
    }
