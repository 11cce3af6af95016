"""Runs: made, and advanced one leg at a time. Start and resume use the same door.

A leg takes the lease, says that it begins, walks the body, walks the always block, and gives the lease back with its
last event. Both walks have a thread of their own: whoever called waits, sees signals, and can go on without a step
that does not stop when told to.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from contextlib import nullcontext, suppress
from dataclasses import replace
from functools import partial
from types import MappingProxyType
from typing import TYPE_CHECKING

from runkon.engine.callee import costs, may_cost
from runkon.engine.cancellation import RunControl
from runkon.engine.clock import system_clock
from runkon.engine.config import RunConfig
from runkon.engine.constructs import constructs
from runkon.engine.decisions import Decisions
from runkon.engine.inputs import BoundInputs, bind_inputs
from runkon.engine.item_sources import ItemSources
from runkon.engine.lease import lost, take
from runkon.engine.leg import LegRun
from runkon.engine.limits import limits_below, own_limits
from runkon.engine.own_trees import check_worktrees
from runkon.engine.plan import Planned, names_of, plan_always, plan_body
from runkon.engine.recorder import BatchRecorder
from runkon.engine.rescuing import where_rescued
from runkon.engine.resume import (
    FORK,
    NORMAL_RESUME,
    Beginning,
    Resumption,
    refuse_unless_resumable,
    sources_of,
)
from runkon.engine.retry import COUNTED, failures_of
from runkon.engine.watcher import watcher
from runkon.errors import EXIT_USAGE, LeaseLost, RunkonError, StoreUnavailable, UserError
from runkon.failpoints import failpoint
from runkon.language.program import CheckedWorkflow
from runkon.language.suggest import closest
from runkon.model.events import AttemptCutOff, AttemptStarted, Event, RunCreated, RunResumed, RunStarted
from runkon.model.ids import RunID, StepPath, new_run_id
from runkon.model.output import JsonValue, Usage
from runkon.model.ports import Clock, EventSink, Executors, RunStore
from runkon.model.processes import marked
from runkon.model.records import Lease, RunRecord
from runkon.model.start_key import START_KEY, started_before
from runkon.model.status import RunStatus
from runkon.pattern import pattern

if TYPE_CHECKING:
    from runkon.engine.ledger import Ledger
    from runkon.model.decisions import GateResolver
    from runkon.model.plans import ResumePlan

MOST_NAMES = 20  # in one message
_ROUND = pattern(r"\[[^\]]*\]")


class Runner:
    """Creates and executes runs over one store and one set of executors. Safe for concurrent calls on different
    runs, unless this process `is_alone` with one: then whatever it starts during a leg is taken for the leg's."""

    def __init__(
        self,
        store: RunStore,
        executors: Executors,
        *,
        sinks: Sequence[EventSink] = (),
        clock: Clock | None = None,
        progress: Callable[[StepPath, str], None] | None = None,
        is_alone: bool = False,
        providers: Mapping[str, object] = MappingProxyType({}),
        resolvers: Mapping[str, GateResolver] = MappingProxyType({}),
    ) -> None:
        self._resolvers = resolvers
        self._store = store
        self._executors = executors
        self._sinks = tuple(sinks)
        self._clock = clock if clock is not None else system_clock()
        self._progress = progress
        self._is_alone = is_alone
        self._providers = providers
        self._secrets: dict[RunID, Mapping[str, str]] = {}

    def create(
        self, program: CheckedWorkflow, inputs: Mapping[str, JsonValue], config: RunConfig, key: str | None = None
    ) -> RunID:
        """A new run, durable on return. Raises UserError for inputs that are missing, unknown or of the wrong type, and
        for a workflow that can't be run here; StartedBefore for a `key` that has its run. Nothing is written then."""
        workflow = program.workflow
        _check_config(config, *_planned(program))
        check_worktrees(program, config, self._executors)
        bound = bind_inputs(workflow.inputs, inputs)
        run = new_run_id()
        created = RunCreated(
            workflow=workflow.name,
            sources=sources_of(program),
            inputs=dict(bound),
            config=config.as_json() if key is None else {**config.as_json(), START_KEY: key},
            dry=config.dry_run,
        )
        there = self._store.create(run, created, self._clock.now_ms())
        if there != run:
            raise started_before(self._store, there, created)
        failpoint("after_create")
        self._secrets[run] = bound.secrets
        return run

    def fork(
        self, origin: RunRecord, program: CheckedWorkflow, config: RunConfig, how: Resumption = NORMAL_RESUME
    ) -> RunID:
        """A new run that will take over what `origin` has settled, durable on return; its first leg does it, by the
        same `how`. The origin is not touched. Raises UserError for a step or inputs that do not fit."""
        from runkon.engine.beginning import make_course  # late: as a resume

        body, always = _planned(program)
        _check_config(config, body, always)
        steps, now = self._store.steps(origin.id), self._clock.now_ms()
        make_course(steps, body, how, seq=origin.seq, now=now, given=origin.inputs)
        run = new_run_id()
        inputs = self._inputs(origin.id, program, origin, how)
        created = RunCreated(
            workflow=program.workflow.name,
            sources=sources_of(program),
            inputs=dict(inputs),
            config={**config.as_json(), FORK: {"mode": how.mode, "from": how.step, "edited": how.takes_edits}},
            dry=config.dry_run,
            forked_from=origin.id,
        )
        self._store.create(run, created, now)
        failpoint("after_create")
        self._secrets[run] = inputs.secrets
        return run

    def plan(self, record: RunRecord, program: CheckedWorkflow, how: Resumption = NORMAL_RESUME) -> ResumePlan:
        """What a resume, or a fork, would do with every step. Writes nothing and takes no lease. Raises UserError
        `unknown-step`, `wrong-use`, `corrupt-run`."""
        from runkon.engine.beginning import make_course  # late: as a resume

        if record.seq > 1:
            self._store.check_log(record.id)
        body, _ = _planned(program)
        of = record.id if record.status is not RunStatus.PENDING else record.forked_from or record.id
        is_known, now = how.known is not None and of == record.id, self._clock.now_ms()
        steps = how.known.steps if how.known is not None and is_known else self._store.steps(of)
        return make_course(steps, body, how, seq=record.seq, now=now, given=record.inputs).plan

    def give_secrets(self, run: RunID, secrets: Mapping[str, str]) -> None:
        """The secret inputs of a run that is to be resumed; records hold their names only."""
        self._secrets[run] = dict(secrets)

    def execute(
        self,
        run: RunID,
        program: CheckedWorkflow,
        config: RunConfig,
        control: RunControl | None = None,
        how: Resumption = NORMAL_RESUME,
    ) -> RunRecord:
        """Advance a run by one leg and return its record. Settled steps are answered from the record and not run again,
        unless `how` says so. A completed run is returned as it is, if `how` says nothing.

        Raises UserError: `run-not-found` and `not-resumable` (exit code 6), `already-active` (8) if somebody else
        holds the run or took it over, `unknown-step`, `replay-mismatch`, `missing-secret`, `corrupt-run`, and
        StoreUnavailable. What is refused before the run was taken has changed nothing."""
        record = refuse_unless_resumable(run, self._store.run(run))
        if record.status is RunStatus.COMPLETED and how.is_normal:
            return record
        body, always = _planned(program)
        _check_config(config, body, always)
        inputs = self._inputs(run, program, record, how)
        self._check(record, program, body, how)
        failpoint("planned")
        failpoint("before_lease")
        lease = take(self._store, run, self._clock, record)
        failpoint("after_lease", None, lease.leg)
        try:
            rescued = self._store.rescued(lease)
            held, record = record.holder, refuse_unless_resumable(run, self._store.run(run))
            if record.status is RunStatus.COMPLETED and how.is_normal:  # by another process, since it was read first
                self._store.append(lease, (), release=True)
                return record
            begun = self._under(lease, held, self._beginning(record, program, body, how), config, record.seq)
            items = self._items(record, how)
            begun = begun._replace(ledger=self._ledger(record, program, config), items=items, past=self._store)
            decisions = Decisions(self._store, run, begun, self._resolvers, attends=config.attends)
            recorder = BatchRecorder(self._store, lease, self._clock, record.seq, self._sinks)
        except BaseException:
            self._store.append(lease, (), release=True)
            raise
        leg = LegRun(
            record=record,
            program=program,
            config=config,
            body=body,
            always=always,
            lease=lease,
            recorder=recorder,
            executors=self._executors,
            clock=self._clock,
            begun=begun,
            inputs=inputs,
            progress=self._progress,
            decisions=decisions,
        )
        leg.reads(partial(self._store.steps, run))
        first = _begun(record, lease, config, leg, begun, how)
        after = self._walk(leg, recorder, [*begun.closed, first, *begun.changed, *rescued], control)
        if after.status is not RunStatus.WAITING or not decisions.has_news(self._clock, inputs.secrets):
            return after
        return self._with_answers(after, program, config, control)

    def _check(self, record: RunRecord, program: CheckedWorkflow, body: Sequence[Planned], how: Resumption) -> None:
        """Refuse what can be refused before the run is taken."""
        if record.seq > 1:
            self._store.check_log(record.id)
            if not how.is_normal:
                self._beginning(record, program, body, how)

    def _with_answers(
        self, after: RunRecord, program: CheckedWorkflow, config: RunConfig, control: RunControl | None
    ) -> RunRecord:
        """The run after one more leg, because an answer came while the one that waits for it ended."""
        try:
            return self.execute(after.id, program, replace(config, timeout_anew=False), control)
        except UserError as error:
            if error.code != "already-active":
                raise
        return after

    def _walk(
        self, leg: LegRun, recorder: BatchRecorder, first: Sequence[Event], control: RunControl | None
    ) -> RunRecord:
        run = recorder.lease.run
        recorder.on_failure = leg.failed_to_record
        if recorder.lease.leg > 1:
            failpoint("after_takeover")
        stop_watching = watcher().watch(self._store, run, leg.wished)
        try:
            with marked(run, recorder.lease.fence) if self._is_alone else nullcontext():
                leg.run(first, control if control is not None else RunControl())
        except LeaseLost as error:
            taken = lost(self._store, run)
            taken.help = where_rescued(recorder, taken.help)
            raise taken from error
        except StoreUnavailable as error:
            self._give_back(recorder)
            help = where_rescued(recorder, error.help)
            raise StoreUnavailable(error.message, help=help, next=f"runkon resume {run}") from error
        except RunkonError:
            if recorder.has_failed:
                self._give_back(recorder)
            raise
        finally:
            stop_watching()
        after = self._store.run(run)
        if after is None:
            raise StoreUnavailable(f"the record of run `{run}` is gone: the database was emptied while it was in use")
        return after

    def _give_back(self, recorder: BatchRecorder) -> None:
        """Nothing of this leg can be written any more, but perhaps that it is over."""
        with suppress(RunkonError):
            self._store.append(recorder.lease, (), release=True)

    def _beginning(
        self, record: RunRecord, program: CheckedWorkflow, body: Sequence[Planned], how: Resumption
    ) -> Beginning:
        """What the next leg begins with, as the record is now."""
        if record.status is RunStatus.PENDING and record.forked_from is None:
            return Beginning({})
        from runkon.engine.beginning import begin_again, begin_fork  # late: a new run has nothing behind it

        now = self._clock.now_ms()
        if record.status is RunStatus.PENDING:
            return begin_fork(self._store, record, body, how, now)
        return begin_again(self._store, record, program, body, how, now)

    def _ledger(self, record: RunRecord, program: CheckedWorkflow, config: RunConfig) -> Ledger | None:
        """What the run may still use; None where nothing limits it. A dry run spends nothing."""
        meta = program.workflow.meta
        if config.dry_run or not (config.has_limits or own_limits(meta) is not None or limits_below(program)):
            return None
        from runkon.engine.ledger import open_ledger  # late: most runs have no limits

        return open_ledger(meta, config, self._store, record)

    def _under(self, lease: Lease, held: str | None, begun: Beginning, config: RunConfig, seq: int) -> Beginning:
        """The beginning, with what only the holder of `lease` can see to; `held` is who had the run before, `seq` the
        number of the last event on record."""
        if begun.crashed:
            begun = self._without_orphans(begun, lease, held, config.kill_grace)
            begun = begun._replace(closed=self._with_costs(lease.run, begun.closed, seq))
        if config.automatic:
            begun = begun._replace(failed_before=failures_of(self._store.events_of(lease.run, COUNTED)))
        return begun

    def _without_orphans(self, begun: Beginning, lease: Lease, held: str | None, grace: float) -> Beginning:
        """The beginning once nothing that a lost leg has started runs any more, as far as anybody can tell."""
        from runkon.engine.orphans import end_lost, with_evidence  # late: after a crash only

        lost = end_lost(self._store, lease, held, begun.steps, grace)
        return begun._replace(
            closed=tuple(with_evidence(begun.closed, lost.evidence)),
            changed=(*begun.changed, *lost.notes),
            unconfirmed=lost.evidence,
        )

    def _with_costs(self, run: RunID, events: Iterable[Event], seq: int) -> tuple[Event, ...]:
        """The same; what a metered executor was lost with has cost something that nobody knows. `seq` is the number of
        the last event on record."""
        events = tuple(events)
        if not may_cost(self._executors):
            return events
        paths = {one.path for one in events if isinstance(one, AttemptCutOff)}
        names: dict[StepPath, str] = {}
        count = 4
        while paths - names.keys():  # what was open began a moment ago, as a rule
            for one in (envelope.event for envelope in self._store.events(run, seq - count)):
                if isinstance(one, AttemptStarted) and one.path in paths:
                    names[one.path] = one.executor
            if count >= seq:
                break
            count *= 16

        def is_metered(path: StepPath) -> bool:
            return costs(self._executors, names.get(path, ""))

        return tuple(
            replace(one, usage=Usage()) if isinstance(one, AttemptCutOff) and is_metered(one.path) else one
            for one in events
        )

    def _items(self, record: RunRecord, how: Resumption) -> ItemSources:
        is_anew, is_from = how.mode == "restart", how.step is not None
        return ItemSources(self._store, record, self._providers, is_anew=is_anew, is_from=is_from)

    def _inputs(self, run: RunID, program: CheckedWorkflow, record: RunRecord, how: Resumption) -> BoundInputs:
        """The inputs as recorded, or as this leg gives them; only the values of secrets come from outside."""
        inputs = record.inputs if how.inputs is None else how.inputs
        return bind_inputs(program.workflow.inputs, inputs, strict=False, secrets=self._secrets.get(run, {}))


def _planned(program: CheckedWorkflow) -> tuple[tuple[Planned, ...], tuple[Planned, ...]]:
    """The statements of the body and of the always block, made ready to run."""
    workflow, children = program.workflow, program.children
    return plan_body(workflow.body, constructs(), children), plan_always(workflow.always, constructs(), children)


def _begun(
    record: RunRecord, lease: Lease, config: RunConfig, leg: LegRun, begun: Beginning, how: Resumption
) -> RunStarted | RunResumed:
    if record.status is RunStatus.PENDING:
        return RunStarted(owner=lease.holder, deadline_at=leg.deadline_at)
    return RunResumed(
        owner=lease.holder,
        reused=begun.reused,
        rerun=begun.rerun,
        asked=begun.asked,
        mode=how.name,
        crashed=begun.crashed,
        automatic=config.automatic,
        deadline_at=leg.deadline_at,
        limits=dict(config.new_limits) or None,
    )


def _check_config(config: RunConfig, body: Sequence[Planned], always: Sequence[Planned]) -> None:
    """Refuse settings for steps that are not there, and a timeout nobody can wait for."""
    if config.timeout is not None and not math.isfinite(config.timeout):
        raise UserError(
            "invalid-timeout", f"the timeout of a run is `{config.timeout}`, not seconds", exit_code=EXIT_USAGE
        )
    if config.until is not None:
        names = names_of(body)
        known = names.steps | names.blocks
        if config.until not in known and _ROUND.sub("[]", config.until) not in names.paths:
            raise _unknown_step("step or named block", config.until, known, names.paths)
    if config.executors:
        inside, after = names_of(body), names_of(always)
        known = inside.steps | inside.below | after.steps | after.below
        for key in config.executors:
            if key not in known:
                raise _unknown_step("step", key, known)


def _unknown_step(what: str, name: str, known: set[str], paths: Collection[str] = ()) -> UserError:
    choices = sorted(path.replace("[]", "[0]") for path in paths) if "/" in name else sorted(known)
    close = closest(name, choices)
    listed = ", ".join(f"`{one}`" for one in choices[:MOST_NAMES]) + (", …" if len(choices) > MOST_NAMES else "")
    hint = f"did you mean `{close}`?" if close else f"this workflow has {listed}" if choices else None
    return UserError("unknown-step", f"no {what} is called `{name}`", help=hint, exit_code=EXIT_USAGE)
