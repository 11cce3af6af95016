"""Going on with a run: what it was, what is wanted of it now, and whether that can be, before anything is written.

`prepare` reads and refuses; `carry_out` takes the run and executes the leg. Between the two a caller may show the plan
and ask.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from runkon.errors import EXIT_NOT_FOUND, EXIT_USAGE, UserError
from runkon.model.ids import RunID
from runkon.model.output import JsonValue
from runkon.model.ports import EventSink, RunStore
from runkon.model.records import RunRecord, StepRecord
from runkon.model.secrets import secret_name
from runkon.model.start_key import IMPORTED
from runkon.model.status import RunStatus, StepStatus
from runkon.model.value_text import as_text
from runkon.named import NamedTuple
from runkon.parts import Progress, ResumeWish, RunOptions, Surroundings

if TYPE_CHECKING:
    from runkon.engine.cancellation import RunControl
    from runkon.engine.config import RunConfig
    from runkon.engine.resume import Resumption
    from runkon.engine.runner import Runner
    from runkon.language.program import CheckedWorkflow
    from runkon.model.events import Envelope
    from runkon.model.plans import ResumePlan
    from runkon.replaying import Replaying
    from runkon.settings import Settings

_CUT_OFF = frozenset({RunStatus.RUNNING, RunStatus.CANCELLING})
_NO_EVENT = -1  # records that are not there yet are read again once they are
_ANY_SECRET = "not given yet"  # stands for every secret where nothing is executed


class Host(Protocol):
    """What the application gives."""

    @property
    def store(self) -> RunStore: ...
    @property
    def settings(self) -> Settings: ...
    def around(self, file: str | Path) -> Surroundings: ...
    def stored_program(self, run: RunID, *, executors: Mapping[str, str] | None = None) -> CheckedWorkflow: ...
    def record(self, run: RunID) -> RunRecord: ...
    def runner(self, around: Surroundings, sinks: Sequence[EventSink], progress: Progress | None) -> Runner: ...
    @property
    def replaying(self) -> Replaying: ...


class Prepared(NamedTuple):
    """A resume that nothing speaks against so far. `record` is the run as it was read, `program` what it goes on with;
    `notes` are for people. With `may_ask` a look at the plan is due: it may ask something."""

    record: RunRecord
    program: CheckedWorkflow
    config: RunConfig
    how: Resumption
    fork: bool
    secrets: Mapping[str, str]
    notes: tuple[str, ...]
    may_ask: bool = False

    @property
    def is_over(self) -> bool:
        """True for a completed run of which nothing is wanted but its result."""
        return self.record.status is RunStatus.COMPLETED and self.how.is_normal and not self.fork


class Resuming:
    """The use case, over one application."""

    def __init__(self, host: Host) -> None:
        self._host = host

    def prepare(
        self,
        run: RunID,
        options: RunOptions,
        wish: ResumeWish,
        inputs: Mapping[str, JsonValue],
        *,
        is_preview: bool = False,
    ) -> Prepared:
        """Read everything a resume depends on. A preview needs no secrets.

        Raises UserError: `not-resumable` for a cancelled run unless forked, `fixed-input` for an input that can't be
        changed, `missing-secret` and the like for those that don't fit, `program-unusable`."""
        host = self._host
        record = host.record(run)
        if record.status is RunStatus.CANCELLED and not wish.fork:
            raise UserError(
                "not-resumable",
                f"run `{run}` was cancelled, which is final",
                help="`--fork` makes a new run that keeps what this one has finished",
                next=f"runkon resume {run} --fork",
                exit_code=EXIT_NOT_FOUND,
            )
        if record.config.get("replay") is not None and not wish.fork:
            raise _is_replay(record)
        if record.config.get(IMPORTED) and not wish.fork:
            raise UserError(
                "not-resumable",
                f"run `{run}` was imported: what it did, it did elsewhere",
                help="`--fork` makes a new run that keeps what this one has finished",
                next=f"runkon resume {run} --fork",
                exit_code=EXIT_NOT_FOUND,
            )
        config = self._config(record, options)
        stored = host.stored_program(run, executors=config.executors)
        program = stored if wish.edited is None else wish.edited
        secrets, others = _sorted_out(record, inputs, may_change=wish.fork or wish.edited is not None)
        bound = None
        if others or wish.edited is not None:
            bound = self._bound(record, program, others, secrets, is_preview=is_preview)
        elif not is_preview and not (record.status is RunStatus.COMPLETED and wish.is_normal):
            self._check_secrets(record, program, secrets)
        how = self._how(record, wish, stored, bound)
        steps, seq = host.store.steps(run) if record.seq > 1 else (), record.seq
        notes = self._notes(record, program, wish)
        from runkon.engine.resume import Known  # late: as below

        if record.status in _CUT_OFF and not wish.fork:
            from runkon.engine.rescuing import steps_with_rescued  # late: after a leg that did not end

            rescued = steps_with_rescued(host.store, run)
            if rescued is not None:
                steps, seq = rescued[0], _NO_EVENT
                notes = (*notes, _taken_over(rescued[1])) if is_preview else notes
        how = how._replace(known=Known(seq, steps))
        may_ask = any(_is_in_question(step) for step in steps)
        return Prepared(record, program, config, how, wish.fork, secrets, notes, may_ask)

    def plan(self, prepared: Prepared) -> ResumePlan:
        """What would be done with every step. Writes nothing, takes no lease. Raises UserError `unknown-step`,
        `wrong-use`, `corrupt-run`."""
        runner = self._runner(prepared, (), None)
        plan = runner.plan(prepared.record, prepared.program, prepared.how)
        if prepared.how.known is None:
            return plan
        store, run, steps = self._host.store, prepared.record.id, prepared.how.known.steps
        if any(step.attempts > (step.status is StepStatus.COMPLETED) for step in steps):
            from runkon.engine.resume_plan import FAILED_ATTEMPT, with_failed_attempts  # late: where there are some

            plan = with_failed_attempts(plan, steps, store.events_of(run, FAILED_ATTEMPT))
        if prepared.fork or not prepared.may_ask:
            return plan
        from runkon.engine.resume_plan import with_answers  # late: where something may be asked

        return with_answers(plan, steps, store.gates(run), store.gate_answers(run))

    def carry_out(
        self,
        prepared: Prepared,
        *,
        sinks: Sequence[EventSink] = (),
        control: RunControl | None = None,
        progress: Progress | None = None,
        on_created: Callable[[RunID], None] | None = None,
    ) -> RunRecord:
        """Execute the leg, of a new run for a fork; `on_created` hears its id as soon as it is durable."""
        if prepared.is_over:  # perhaps by a process that was lost before it could leave the cassette
            return self._with_cassette(prepared.record, prepared.config)
        record, program, config, how = prepared.record, prepared.program, prepared.config, prepared.how
        runner = self._runner(prepared, sinks, progress)
        runner.give_secrets(record.id, prepared.secrets)
        run = record.id
        if prepared.fork:
            run = runner.fork(record, program, config, how)
            if on_created is not None:
                on_created(run)
        return self._with_cassette(runner.execute(run, program, config, control, how), config)

    def _with_cassette(self, record: RunRecord, config: RunConfig) -> RunRecord:
        return record if config.cassette is None else self._host.replaying.leave_cassette(record)

    def _config(self, record: RunRecord, options: RunOptions) -> RunConfig:
        from runkon.engine.config import RunConfig

        stored, settings = RunConfig.from_json(record.config), self._host.settings
        before = self._host.store.events_of(record.id, {"run_resumed"}) if record.leg > 1 else ()
        return replace(
            _config(options, stored),
            log_dir=stored.log_dir or settings.state_dir / "logs",  # a fork of what happened elsewhere has some here
            new_limits=_limits(stored, before, options),
            allow_unpriced=stored.allow_unpriced or settings.allow_unpriced,
            always_budget=stored.always_budget or settings.always_budget,
        )

    # ── what it is about ──────────────────────────────────────────────────────────────────────────
    def _runner(self, prepared: Prepared, sinks: Sequence[EventSink], progress: Progress | None) -> Runner:
        return self._host.runner(self._host.around(prepared.program.source.path), sinks, progress)

    def _how(
        self, record: RunRecord, wish: ResumeWish, stored: CheckedWorkflow, inputs: Mapping[str, JsonValue] | None
    ) -> Resumption:
        """A fork whose first leg never began still takes over what it was asked to."""
        from runkon.engine.resume import FORK, Resumption  # late: the engine is not needed to refuse

        before = None if wish.edited is None else stored
        asked = record.config.get(FORK)
        if record.status is not RunStatus.PENDING or not isinstance(asked, Mapping) or wish.fork:
            return Resumption(mode=wish.mode, step=wish.step, before=before, inputs=inputs)
        origin = None if record.forked_from is None else self._host.store.run(record.forked_from)
        if origin is None:
            return Resumption()
        old = self._host.stored_program(origin.id)
        step = asked.get("from")
        return Resumption(
            mode=str(asked.get("mode")),
            step=None if step is None else str(step),
            before=None if old.source.text == stored.source.text else old,
            inputs=None if origin.inputs == record.inputs else record.inputs,
        )

    def _bound(
        self,
        record: RunRecord,
        program: CheckedWorkflow,
        given: Mapping[str, JsonValue],
        secrets: Mapping[str, str],
        *,
        is_preview: bool,
    ) -> Mapping[str, JsonValue] | None:
        """All inputs from now on, None if they are what they were. Raises UserError as for a new run."""
        from runkon.engine.inputs import UNDECLARED, bind_inputs

        declared = program.workflow.inputs
        known = {declaration.name for declaration in declared} | UNDECLARED
        inputs = {name: value for name, value in record.inputs.items() if name in known} | dict(given)
        if is_preview:
            secrets = {**{one.name: _ANY_SECRET for one in declared if one.type == "secret"}, **secrets}
        bound = dict(bind_inputs(declared, inputs, secrets=secrets))
        return None if bound == record.inputs else bound

    @staticmethod
    def _check_secrets(record: RunRecord, program: CheckedWorkflow, secrets: Mapping[str, str]) -> None:
        if any(secret_name(value) is not None for value in record.inputs.values()):
            from runkon.engine.inputs import bind_inputs

            bind_inputs(program.workflow.inputs, record.inputs, strict=False, secrets=secrets)

    def _notes(self, record: RunRecord, program: CheckedWorkflow, wish: ResumeWish) -> tuple[str, ...]:
        """What is not as it was when the run began."""
        notes = []
        if wish.edited is None and _differs(program.source.path, program.source.text):
            notes.append(
                f"`{program.source.path}` has changed; the run goes by the text it began with "
                "(`--with-edits` takes the new one)"
            )
        known = record.config.get("versions")
        registry = self._host.around(program.source.path).loaded.registry
        for name, text in known.items() if isinstance(known, Mapping) else ():
            executor, before = registry.find(name), str(text).partition(" ")[0]
            if executor is not None and str(executor.version) != before:
                notes.append(
                    f"executor `{name}` has version {executor.version} now, the run began with {before}; "
                    "what it has finished is kept"
                )
        return tuple(notes)


def _taken_over(count: int) -> str:
    return f"{count} result{'' if count == 1 else 's'} kept outside the record will be taken over first"


def _is_replay(record: RunRecord) -> UserError:
    """The error for a run that other records answer: going on with it live would mix both."""
    return UserError(
        "not-resumable",
        f"run `{record.id}` is a replay, which is not continued",
        help="a replay of it answers what it has recorded; `--replay fill` calls the rest live",
        next=f"runkon replay {record.id} --replay fill",
        exit_code=EXIT_NOT_FOUND,
    )


def _limits(stored: RunConfig, before: Iterable[Envelope], options: RunOptions) -> Mapping[str, JsonValue]:
    """The limits that resumes have put in place of the run's first ones, up to this one."""
    limits = dict(stored.new_limits)
    for envelope in before:
        limits |= getattr(envelope.event, "limits", None) or {}
    given = {"budget_usd": options.budget_usd, "max_calls": options.max_calls}
    return limits | {name: value for name, value in given.items() if value is not None}


def _config(options: RunOptions, stored: RunConfig) -> RunConfig:
    return replace(
        stored,
        max_parallel=options.jobs or stored.max_parallel,
        until=options.until,
        timeout=stored.timeout if options.timeout is None else options.timeout,
        timeout_anew=options.timeout is not None,
        automatic=options.automatic,
        attends=options.attends,
        executors={**stored.executors, **options.executors},
    )


def _is_in_question(step: StepRecord) -> bool:
    """Cheap, and true too often: the plan knows better."""
    if step.status is StepStatus.WAITING:
        return True
    return step.effect == "write" and step.status in (StepStatus.RUNNING, StepStatus.INTERRUPTED)


def _sorted_out(
    record: RunRecord, given: Mapping[str, JsonValue], *, may_change: bool
) -> tuple[dict[str, str], dict[str, JsonValue]]:
    """The values of secrets, which no record holds, and the other inputs, which only some resumes may change."""
    names = {name for name, value in record.inputs.items() if secret_name(value) is not None}
    secrets = {name: as_text(value) for name, value in given.items() if name in names}
    others = {name: value for name, value in given.items() if name not in names}
    if others and not may_change:
        name = next(iter(others))
        again = ", ".join(f"`{secret}`" for secret in sorted(names))
        raise UserError(
            "fixed-input",
            f"`{name}` can't be given to run `{record.id}` any more: its inputs are those it began with",
            help=f"its secrets are given again: {again}" if names else "with `--fork` a new run takes other inputs",
            exit_code=EXIT_USAGE,
        )
    return secrets, others


def _differs(file: str, text: str) -> bool:
    """True if the file is there and says something else."""
    from runkon.language.loader import read_source

    try:
        return read_source(Path(file), file).text != text
    except UserError:
        return False
