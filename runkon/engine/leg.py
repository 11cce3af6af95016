"""One leg of a run: the body, then the always block, then the event that ends it.

Each of the two walks is a strand of its own, so that a step that does not stop when told to holds up neither the
always block nor the end. The always block is not under the body's token: only its own grace, a lost lease or a kill
cuts it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING

from runkon.engine.always_grace import HURRIED
from runkon.engine.cancellation import (
    BUDGET,
    INTERNAL,
    INTERRUPT,
    KILL,
    LEASE_LOST,
    REPLAY,
    RUN_TIMEOUT,
    STORE_LOST,
    USER,
    Action,
    CancelReason,
    RunControl,
    Token,
    run_all,
)
from runkon.engine.clock import system_clock
from runkon.engine.config import RunConfig
from runkon.engine.ends import BodyFailed, Stopped, Waits
from runkon.engine.environment import Environment, RunFacts
from runkon.engine.inputs import BoundInputs
from runkon.engine.interpreter import run_body
from runkon.engine.leg_end import End, shown, stopped_end
from runkon.engine.outcome import close_lost, put_aside_unvisited
from runkon.engine.plan import Leaf, Planned, order_text
from runkon.engine.scheduler import Pool, Slots, Strand, in_background, run_strand
from runkon.engine.scope import Leg, Scope
from runkon.engine.unknown import UnknownNames
from runkon.engine.updates import begin_state, left_state
from runkon.engine.wishes import Wishes, is_beaten, not_taken_up
from runkon.errors import InternalError, LeaseLost, RunkonError, StoreUnavailable, UserError
from runkon.failpoints import failpoint
from runkon.language.program import CheckedWorkflow
from runkon.model.events import (
    Event,
    Note,
    RunCancelled,
    RunCompleted,
    RunFailed,
    RunInterrupted,
    RunWaiting,
)
from runkon.model.failures import StepFailure
from runkon.model.ids import StepPath
from runkon.model.ports import Clock, Executors, Recorder
from runkon.model.processes import mark_of_leg
from runkon.model.records import CancelRequest, Lease, RunRecord, StepRecord
from runkon.model.status import RunStatus

if TYPE_CHECKING:
    from runkon.engine.decisions import Decisions
    from runkon.engine.resume import Beginning

_ENDED = (RunStatus.COMPLETED, RunStatus.FAILED)  # a wish that such a run be given up is spent
HURRY = 0.5  # seconds an executor gets after a kill


class LegRun:
    """Runs one leg under its lease."""

    def __init__(
        self,
        *,
        record: RunRecord,
        program: CheckedWorkflow,
        config: RunConfig,
        body: tuple[Planned, ...],
        always: tuple[Planned, ...],
        lease: Lease,
        recorder: Recorder,
        executors: Executors,
        clock: Clock,
        begun: Beginning,
        inputs: BoundInputs,
        progress: Callable[[StepPath, str], None] | None,
        decisions: Decisions,
    ) -> None:
        self._record = record
        self._program = program
        self._config = config
        self._body = body
        self._always = always
        self._recorder = recorder
        self._clock = clock
        self._body_token = Token(clock)
        self._always_token = Token(clock)
        self._undo: list[Action] = []
        self._keyboard = 0
        self._unwritten: BaseException | None = None  # why the recorder can't write any more
        meta = program.workflow.meta
        limit = max(1, min(config.max_parallel, meta.max_parallel or config.max_parallel))
        self._leg = Leg(
            run=record.id,
            workflow=program.workflow.name,
            number=lease.leg,
            config=config,
            fail_fast=config.fail_fast,
            recorder=recorder,
            executors=executors,
            clock=clock,
            begun=begun,
            slots=Slots(limit),
            pool=Pool(limit),
            body_token=self._body_token,
            secrets=inputs.secrets,
            progress=progress,
        )
        self._decisions = decisions
        self._leg.decide_gate, self._leg.deadline_of = decisions.decide, decisions.deadline_of
        self._leg.settle_unseen = decisions.settle_unseen if decisions.has_unseen else None
        self._leg.withdraw = partial(decisions.withdraw, recorder)
        self._fence = lease.fence
        self._leg.always_token = self._always_token
        self._leg.mark = mark_of_leg(record.id, lease.fence)
        self._wishes = Wishes(recorder)
        self._is_given_up = record.cancel is not None and record.status not in _ENDED
        if record.cancel is not None and self._is_given_up:
            self.wished(record.cancel)
        self._env = Environment(_facts(record, program, config, recorder), dict(inputs))

    def reads(self, steps: Callable[[], Sequence[StepRecord]]) -> None:
        """How to read what is on record now."""
        self._leg.read_steps = steps

    def run(self, begun: Sequence[Event], control: RunControl) -> None:
        """Record `begun`, walk, record the end and give the lease back. Raises LeaseLost, StoreUnavailable, the
        UserError that ended the leg, InternalError, and KeyboardInterrupt if one came, after the end."""
        system_clock().start()  # its thread runs what a signal handler asks for
        try:
            failpoint("before_begin")
            self._recorder.append(*begun, *self._decisions.outdated())  # durable with the first beginning of a step
            failpoint("after_begin")
            self._wishes.open()
            self._watch_timeout()
            control.listen(self.asked)
            end = self._walk_body()
            if end.status is not None and self._always:
                self._walk_always(end.status)
            end, late = self._given_up(end)
            notes = self._end_processes()
            self._leg.end_trees(end.event)
            failpoint("before_end")
            self._recorder.close(*late, *notes, *self._unneeded(end), *left_state(self._env), end.event)
            failpoint("after_end")
        except LeaseLost:
            self._stop_everything(LEASE_LOST)
            self._end_processes(grace=0)
            raise
        except StoreUnavailable as error:
            self._stop_everything(STORE_LOST)
            self._end_processes()
            if self._unwritten is not None and self._unwritten is not error:  # what others only heard of
                raise self._unwritten from error
            raise
        except BaseException as error:
            self._stop_everything(INTERNAL)
            self._end_processes()
            with suppress(RunkonError):  # the lease is not to be kept for a leg that is over
                self._recorder.close(RunInterrupted(cause="crash", error=repr(error)))
            raise
        finally:
            control.listen(None)
            for undo in self._undo:
                undo()
            self._leg.pool.close()
        if end.error is not None:
            raise end.error
        if self._keyboard:
            raise KeyboardInterrupt

    # ── requests from outside ─────────────────────────────────────────────────────────────────────
    def asked(self, reason: CancelReason) -> None:
        """Somebody wants the run to stop. Reasons are set here and now; what follows from them happens on the timer
        thread, because this may be a signal handler."""
        if reason.kind == USER:
            self._wishes.keep(CancelRequest(self._clock.now_ms(), reason.by, reason.text, via=reason.via))
            actions = [self._wishes.record, *self._body_token.mark(reason)]
        elif reason.kind != KILL.kind:
            actions = [*self._body_token.mark(reason), *([self._leg.always.hurry] if reason.kind in HURRIED else [])]
        else:
            self._leg.grace.seconds = HURRY
            actions = [*self._body_token.mark(INTERRUPT), *self._always_token.mark(KILL), self._hurry]
        system_clock().call_at(0.0, lambda: run_all(actions))

    def wished(self, wish: CancelRequest) -> None:
        """Somebody has asked in the store that the run be given up; `kill` may be asked for later."""
        self._wishes.keep(wish)
        self._wishes.record()
        self.asked(CancelReason(USER, wish.reason, wish.by, wish.via))
        if wish.kill:
            self.asked(KILL)

    def _on_keyboard(self) -> None:
        """Nobody handles ^C, so it reached the waiting thread: the first pauses the run, the next one kills. It is
        raised once the leg has ended."""
        self._keyboard += 1
        self.asked(INTERRUPT if self._keyboard == 1 else KILL)

    def _hurry(self) -> None:
        """Attempts that were told to stop are to be gone now: process groups die, nothing else is waited for."""
        self._recorder.hurry()
        in_background(lambda: self._end_processes(grace=0), "runkon-kill")
        for ticket, strand in list(self._leg.grace.dying.items()):
            kill = getattr(ticket.executor, "kill", None)
            if callable(kill):
                in_background(kill, "runkon-kill")
            strand.hurry(self._leg.grace, ticket)

    def _stop_everything(self, reason: CancelReason) -> None:
        self._body_token.cancel(reason)
        self._always_token.cancel(reason)

    def failed_to_record(self, error: BaseException) -> None:
        """The recorder can't write any more: nothing may go on that nobody could write down."""
        self._unwritten = error
        if not isinstance(error, LeaseLost):
            self._stop_everything(STORE_LOST)
            return
        self._stop_everything(LEASE_LOST)
        in_background(lambda: self._end_processes(grace=0), "runkon-kill")  # another engine may begin the same steps

    @property
    def deadline_at(self) -> int | None:
        """The instant at which the run times out, in milliseconds UTC: counted from the first leg's start and kept by
        every later one, unless that was given a timeout of its own."""
        record, meta, own = self._record, self._program.workflow.meta, self._config.timeout
        timeout = meta.timeout if own is None else round(own * 1000)
        if timeout is None:
            return None
        now = self._clock.now_ms()
        is_new = own is not None and (self._config.timeout_anew or own != record.config.get("timeout"))
        if is_new:
            return now + timeout
        if record.deadline_at is not None:
            return record.deadline_at
        return timeout + (now if record.started_at is None else record.started_at)

    def _watch_timeout(self) -> None:
        due = self.deadline_at
        if due is None:
            return
        left = (due - self._clock.now_ms()) / 1000
        if left <= 0:
            self._body_token.cancel(RUN_TIMEOUT)
            return
        self._undo.append(self._clock.call_after(left, lambda: self._body_token.cancel(RUN_TIMEOUT)))

    def _unneeded(self, end: End) -> list[Event]:
        """What ends with the run: what nobody has decided, and records of steps it does not come to any more."""
        unvisited: list[Event] = []
        if self._leg.looks_again and isinstance(end.event, RunCompleted):
            unvisited = put_aside_unvisited(self._leg)
        if self._is_given_up and isinstance(end.event, RunCancelled):
            unvisited = not_taken_up(self._leg.recorded)
        if not isinstance(end.event, RunCompleted | RunFailed | RunCancelled):
            return unvisited
        reason = self._body_token.reason
        return [*unvisited, *self._decisions.at_the_end("the run ended", "ended" if reason is None else reason.kind)]

    def _given_up(self, end: End) -> tuple[End, list[Event]]:
        """The end as it is when somebody wants the run given up: that beats a failure and a pause, not a completion.
        And what is still to be recorded of the wish."""
        wish, late = self._wishes.close()
        if wish is None or end.error is not None or not is_beaten(end.event):
            return end, late
        if end.status is None and self._always:
            self._walk_always("cancelled")
        return End(RunCancelled(reason="user", by=wish.by), "cancelled"), late

    def _end_processes(self, grace: float | None = None) -> list[Note]:
        """End what this leg has started and nobody waits for any more; what to say about it."""
        was_stopped = self._body_token.reason is not None or self._always_token.reason is not None
        was_stopped = was_stopped or self._leg.has_given_up
        if not self._leg.has_processes and not was_stopped:
            return []
        from runkon.engine.orphans import end_leg, left_behind  # late: legs without processes need none of it

        grace = self._leg.grace.seconds if grace is None else grace
        return left_behind(end_leg(self._leg.run, self._fence, grace, is_stopped=was_stopped))

    # ── the body ──────────────────────────────────────────────────────────────────────────────────
    def _walk_body(self) -> End:
        def work(strand: Strand) -> None:
            scope = Scope(self._leg, self._env, self._body_token, strand)
            scope.check()
            begin_state(self._program.workflow, scope)
            run_body(self._body, scope)
            if scope.failures:
                raise BodyFailed(scope.failures[0])

        strand = run_strand(self._leg.grace, self._body_token, work, "runkon-body", self._on_keyboard)
        reason = self._body_token.reason
        if strand.lost is not None:
            assert reason is not None
            close_lost(self._leg, strand, reason)
            return stopped_end(reason)
        match strand.error:
            case None:
                return self._completed()
            case BodyFailed(failure=failure):
                if reason is not None and reason.kind in (USER, BUDGET, RUN_TIMEOUT.kind):
                    return stopped_end(reason)
                return End(RunFailed(reason=failure.reason, error=failure.message, at_path=failure.path), "failed")
            case Stopped(reason=why):
                return stopped_end(why)
            case Waits():
                return self._waiting() if reason is None else stopped_end(reason)
            case error:
                return self._broken(error)

    def _waiting(self) -> End:
        """Only decisions are left to wait for: the run has not ended, so no always block runs."""
        return End(RunWaiting(gates=self._decisions.names))

    def _completed(self) -> End:
        try:
            env, written = self._env.at(StepPath("")), self._program.workflow.outputs
            outputs = {entry.name: shown(env.value(entry.value)) for entry in written}
        except StepFailure as failure:
            return End(RunFailed(reason="invalid_value", error=f"`outputs`: {failure.message}"), "failed")
        return End(RunCompleted(outputs=outputs), "completed")

    def _broken(self, error: BaseException) -> End:
        """The walk ended for a reason that is no result of any step."""
        if isinstance(error, (LeaseLost, StoreUnavailable)):
            raise error
        if isinstance(error, UserError):
            self._body_token.cancel(REPLAY)
            return End(RunInterrupted(cause="replay", error=error.message), error=error)
        self._body_token.cancel(INTERNAL)
        internal = error if isinstance(error, InternalError) else InternalError(f"the engine failed: {error!r}")
        internal.__cause__ = error if internal is not error else error.__cause__
        return End(RunInterrupted(cause="crash", error=str(internal)), error=internal)

    # ── the always block ──────────────────────────────────────────────────────────────────────────
    def _walk_always(self, status: str) -> None:
        """Run the always block of this leg. Its failures are on record and change nothing; cut off by its grace, the
        steps it did not come to are recorded as skipped."""
        leg, token = self._leg, self._always_token
        self._undo.append(leg.always.limit(token, self._body_token))
        env = self._env.with_inputs({"workflow_status": status})
        prefix, order = f"always#{leg.number}/", f"~{order_text(leg.number)}."
        done: list[Planned] = []

        def scope_for(strand: Strand) -> Scope:
            return Scope(leg, env, token, strand, prefix=prefix, order=order)

        def work(strand: Strand) -> None:
            scope = scope_for(strand)
            failpoint("always_entered")
            for planned in self._always:
                scope.check()
                done.append(planned)
                planned.run(planned, scope)
            failpoint("always_left")

        strand = run_strand(leg.grace, token, work, "runkon-always", self._on_keyboard)
        if strand.lost is not None:
            assert token.reason is not None
            close_lost(self._leg, strand, token.reason)
        elif strand.error is not None and not isinstance(strand.error, (BodyFailed, Stopped, Waits)):
            raise strand.error
        if token.reason is not None:
            for planned in self._always[len(done) :]:
                if isinstance(planned, Leaf):
                    scope_for(strand).never_ran(planned, token.reason)


def _facts(record: RunRecord, program: CheckedWorkflow, config: RunConfig, recorder: Recorder) -> RunFacts:
    return RunFacts(
        run_id=record.id,
        workflow=program.workflow.name,
        dry_run=config.dry_run,
        strict=program.workflow.meta.strict,
        injected=config.injected,
        host_environment=config.environment,
        unknown=UnknownNames(recorder),
    )
