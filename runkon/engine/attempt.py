"""One step from beginning to end: answered from the record, or attempted until it settles.

The order is always the same. The record that an attempt begins is durable before the executor is called. Its end is
queued and becomes durable with the next beginning, so that a chain costs one transaction per step.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from runkon.engine.account import Wanted
from runkon.engine.answers import Answer, Failed, with_unknown_cost
from runkon.engine.callee import callee, fallback, most_cost, supplier
from runkon.engine.dispatch import Limits, StoppedCall, call_here, call_within
from runkon.engine.ends import BodyFailed, GivenUp, Stopped
from runkon.engine.open_step import OpenStep
from runkon.engine.outcome import (
    close_failed,
    close_failed_attempt,
    close_stopped,
    complete,
    failure_of,
    leave_given_up,
    look_again,
    replay,
    skip_by_condition,
    stopped_before,
    supersede,
)
from runkon.engine.plan import Leaf, Step, agent_leaf
from runkon.engine.request import make_request
from runkon.engine.resume import crash_failure
from runkon.engine.retry import may_retry, schedule
from runkon.engine.scheduler import Ticket
from runkon.engine.scope import Scope, replay_mismatch
from runkon.engine.stopping import look_up, unsettled
from runkon.engine.updates import judged, write_output
from runkon.failpoints import failpoint
from runkon.language.nodes import AgentRef
from runkon.model.events import AttemptStarted
from runkon.model.failures import StepFailure
from runkon.model.ids import StepPath
from runkon.model.output import JsonValue, Output, Usage
from runkon.model.ports import ActionExecutor
from runkon.model.records import Asked, StepError, StepRecord
from runkon.model.status import StepStatus

if TYPE_CHECKING:
    from runkon.engine.cancellation import CancelReason
    from runkon.engine.results import StepResult


def run_leaf(leaf: Leaf, scope: Scope) -> None:
    """Settle a step and put its result where later steps find it. Raises `BodyFailed` or `Stopped`."""
    result = settle(leaf, scope)
    scope.env.results.put(leaf.key, result)
    if scope.env.state is not None:
        write_output(scope.path_of(leaf), result, scope)
    end_leaf(leaf, scope, result)


def end_leaf(leaf: Leaf, scope: Scope, result: StepResult) -> None:
    """What follows from a step's result for its walk."""
    leg = scope.leg
    if result.error is not None and leaf.options.on_fail != "continue":
        if isinstance(leaf.options.on_fail, AgentRef):
            tell_agent(leaf, scope, result)
        failure = failure_of(leaf, scope, result)
        leg.ended_badly(leaf.key, failure.path, failure)
        scope.fail(failure)
    elif leg.until is not None:
        leg.ended(leaf.key, scope.path_of(leaf))


def tell_agent(leaf: Step, scope: Scope, result: StepResult) -> None:
    """Run the agent of `on_fail`; however it ends, the step still fails."""
    ref = leaf.options.on_fail
    assert isinstance(ref, AgentRef)
    assert result.error is not None
    path = scope.path_of(leaf)
    agent = agent_leaf(ref, leaf, run_leaf)
    facts: dict[str, JsonValue] = {
        "failed_step": leaf.key,
        "failure_reason": result.error.message,
        "retry_count": str(leaf.options.retries),
    }
    inner = scope.with_env(scope.env.with_inputs(facts)).inside(f"{path}/", f"{scope.order_of(leaf)}.", scope.iteration)
    told, step = scope.leg.recorded.get(StepPath(f"{path}/on_fail")), scope.leg.recorded.get(path)
    if told is not None and told.is_settled and not (step is not None and step.is_settled):
        supersede(scope.leg, told, "the step failed again")
    try:
        run_leaf(agent, inner)
    except BodyFailed:
        return  # recorded as what it is


def settle(leaf: Leaf, scope: Scope) -> StepResult:
    """The result of a step: from the record if it is settled there, else by attempts. Raises `Stopped`."""
    leg = scope.leg
    path = leaf.path if leaf.path is not None else StepPath(scope.prefix + leaf.segment)
    record = leg.recorded.get(path) if leg.recorded else None
    if record is not None:
        status = record.status
        is_same = record.info.kind == leaf.kind and record.info.name == leaf.name
        if not is_same and status is not StepStatus.PENDING:
            raise replay_mismatch(path, record.info, leaf.kind, leaf.name)
        if status is StepStatus.COMPLETED and record.damage is None and not leg.looks_again:  # nearly all
            return replay(leaf, scope, record)
        if scope.token.is_recall:
            look_up(leaf, scope, record)
        elif leg.looks_again:
            record = look_again(leaf, scope, record)
        if record.is_settled and (record.status is not StepStatus.SKIPPED or record.skip_reason != "condition"):
            return replay(leaf, scope, record)
        if record.status is StepStatus.CANCELLED and record.handled is not None:
            raise stopped_before()
    condition = leaf.options.condition
    if condition is not None:
        choice = scope.env.evaluate(condition)
        scope.chose(path, "if", choice, result=choice.result)
        if not choice.result:
            return skip_by_condition(leaf, scope, path, record)
    if scope.token.is_recall:
        raise unsettled(leaf, scope, record)
    if record is not None and record.status is StepStatus.SKIPPED:
        record = supersede(leg, record, "its condition holds now")
    return settle_attempts(Attempts(leaf, scope, path, record))


def settle_attempts(attempts: Attempts) -> StepResult:
    """The result of a step that is not settled on record. Raises `Stopped`."""
    try:
        return attempts.settle()
    except Stopped as stopped:
        if not stopped.is_recorded and attempts.number > attempts.first:  # between two attempts
            attempts.scope.never_ran(attempts.leaf, stopped.reason)
            stopped.is_recorded = True
        raise


_WHY = {
    StepStatus.INTERRUPTED: "cut_off",
    StepStatus.CANCELLED: "cancelled",
    StepStatus.WAITING: "answered",
    StepStatus.BACKOFF: "retry",
    StepStatus.FAILED: "failed",
    StepStatus.TIMED_OUT: "failed",
}


class Attempts(OpenStep):
    """The attempts of one step in this leg. Retries are granted afresh, whatever earlier legs tried, unless nobody
    asked for this one."""

    __slots__ = ()

    def settle(self) -> StepResult:
        options = self.leaf.options
        name = callee(self.leaf, self.scope)
        early = None if self.record is None else self._take_up(self.record)
        if early is not None and not isinstance(early, Failed):
            return early
        if early is None and options.cache and (found := _from_cache(self, name)) is not None:
            return found
        answer: Answer = early if early is not None else self.attempt(name, why=self.why)
        while isinstance(answer, Failed) and may_retry(options, answer, self.failures - 1):
            self.wait(schedule(self, answer))
            self.learn(answer.error)
            answer = self.attempt(name, why="retry")
        if isinstance(answer, Failed) and options.fallback is not None:
            self.learn(answer.error)
            answer = self.attempt(fallback(self.leaf, self.scope), why="fallback")
            if not isinstance(answer, Failed):
                return complete(self, answer, is_degraded=True)
        if isinstance(answer, Failed):
            return close_failed(self, answer)
        return complete(self, answer)

    def _take_up(self, record: StepRecord) -> StepResult | Failed | None:
        """Go on with what an earlier leg left: the result of a step that must not be attempted again now, or the
        failure after which it has no retries left. Raises `Waits` if somebody has to decide first, `Stopped` if told to
        stop while waiting for a retry."""
        leg = self.scope.leg
        if leg.settle_unseen is not None and (settled := leg.settle_unseen(self)) is not None:
            return settled
        if record.status is StepStatus.INTERRUPTED and (lost := crash_failure(record, self.leaf.options)) is not None:
            return close_failed(self, Failed(lost))
        if leg.config.automatic and record.error is not None:
            if record.status in (StepStatus.FAILED, StepStatus.TIMED_OUT):
                return close_failed(self, Failed(record.error))
            if self.failures > self.leaf.options.retries:
                return Failed(record.error)
        self.why = _WHY.get(record.status)
        if record.status is StepStatus.BACKOFF and record.due_at is not None:
            self.wait((record.due_at - leg.clock.now_ms()) / 1000)
        return None

    def begin_early(self) -> AttemptStarted | None:
        """Take a slot for the first attempt and give its beginning to a caller that records several at once; None if
        it has to begin by itself."""
        leg = self.scope.leg
        executor = leg.executor(callee(self.leaf, self.scope))
        if executor is None or supplier(executor) in leg.exhausted or self.leaf.options.cache:
            return None
        if not leg.slots.try_acquire():
            return None
        if leg.ledger is not None:
            self.reserve = leg.ledger.hold_at_once(self._wanted(executor))
            if self.reserve is None:
                leg.slots.release()
                return None
        self.is_begun = True
        return self._started(executor, None)

    def drop(self, reason: CancelReason) -> None:
        """Close an attempt that began early and came to nothing, because everything was stopped before."""
        self.is_begun = False
        self.scope.leg.slots.release()
        free = Usage(cost_usd=0.0) if self.path in self.scope.leg.metered else None
        close_stopped(self.scope.leg, self.path, self.number, self.epoch, reason, is_given_up=False, usage=free)

    def wait(self, seconds: float) -> None:
        """Wait before an attempt; raises `Stopped` if told to stop meanwhile."""
        if seconds > 0:
            self.scope.leg.recorder.commit()
            failpoint("in_backoff", self.path, self.number)
            self.scope.token.wait(seconds)
        self.scope.check()

    # ── one attempt ───────────────────────────────────────────────────────────────────────────────
    def attempt(self, name: str, *, why: str | None = None) -> Answer:
        """One attempt, recorded: its beginning before the call, and its failure. A success is left to `complete`."""
        leg = self.scope.leg
        executor = leg.executor(name)
        if executor is None:
            return Failed(StepError("fatal", leg.exhausted.get(name) or f"no executor is called `{name}`"))
        tree = self.scope.env.facts.tree
        if tree is not None and (refused := tree.refused()) is not None:
            return refused
        if leg.exhausted and supplier(executor) in leg.exhausted:
            return self._refused(leg.exhausted[supplier(executor)])
        if not self.is_begun and (refused := self._make_room(executor)) is not None:
            return refused
        started = leg.clock.monotonic()
        answer = judged(self._recorded_call(executor, why), self.path, self.scope.env)
        if executor.metered and answer.usage is None and not leg.config.dry_run:
            answer = with_unknown_cost(answer)
        self.elapsed_ms = round((leg.clock.monotonic() - started) * 1000)
        if isinstance(answer, Failed):
            if answer.error.kind == "fatal":
                leg.exhausted[supplier(executor)] = answer.error.message
            close_failed_attempt(self, answer)
        self.number += 1
        return answer

    def _make_room(self, executor: ActionExecutor) -> Failed | None:
        """Set aside what the attempt may use, and take a slot; why not, if it can't be. Raises `Stopped`."""
        leg = self.scope.leg
        if leg.ledger is not None:
            held = leg.ledger.hold(self._wanted(executor), self.scope.token, leg.body_token.cancel)
            if isinstance(held, Failed):
                return held
            self.reserve = held
        is_in, token = False, self.scope.token
        try:
            leg.slots.acquire(token)
            why = leg.exhausted.get(supplier(executor)) if leg.exhausted else None  # known since this one waits?
            is_in = token.reason is None and why is None
            if not is_in:
                leg.slots.release()
            if token.reason is not None:
                raise Stopped(token.reason)
        finally:
            if leg.ledger is not None and not is_in:
                leg.ledger.withdraw(self.path)
        return None if why is None else Failed(StepError("fatal", why))

    def _wanted(self, executor: ActionExecutor) -> Wanted:
        return Wanted(self.path, executor, self.leaf.kind == "call", most_cost(self, executor))

    def _refused(self, why: str) -> Failed:
        """The executor has failed for good in this leg, so it is not called."""
        answer = Failed(StepError("fatal", why))
        if self.is_begun:  # together with others, before that was known
            self.is_begun = False
            self.scope.leg.slots.release()
            self.elapsed_ms = 0
            close_failed_attempt(self, answer)
            self.number += 1
        return answer

    def _recorded_call(self, executor: ActionExecutor, why: str | None) -> Answer:
        """With a slot: record the beginning, call. Raises `Stopped` (recorded) or `GivenUp`."""
        leg = self.scope.leg
        is_begun, self.is_begun = self.is_begun, False
        try:
            if not is_begun:
                failpoint("before_start", self.path, self.number)
                leg.recorder.commit(self._started(executor, why))
                failpoint("after_start", self.path, self.number)
            try:
                failpoint("before_dispatch", self.path, self.number)
                answer = self._call(executor) if self.leaf.schema is None else _fitted(self, executor)
                failpoint("after_return", self.path, self.number)
            except StepFailure as failure:  # a value the request needs
                help = getattr(failure, "help", None)
                answer = Failed(
                    StepError(failure.kind, f"{failure.message}\nhelp: {help}" if help else failure.message)
                )
            except Stopped as stopped:
                given_up = isinstance(stopped, StoppedCall) and stopped.is_given_up
                path, number, epoch, reason, usage = self.path, self.number, self.epoch, stopped.reason, stopped.usage
                close_stopped(leg, path, number, epoch, reason, is_given_up=given_up, usage=usage)
                stopped.is_recorded = True
                raise
        except GivenUp:  # whoever gave this thread up has freed its slot
            raise
        except BaseException:
            leg.slots.release()
            raise
        leg.slots.release()
        return answer

    def _call(self, executor: ActionExecutor) -> Answer:
        scope, options = self.scope, self.leaf.options
        if scope.leg.config.dry_run and (answer := self._dry_answer(executor)) is not None:
            return answer
        ticket = self.ticket = Ticket(executor, self.path, self.number, self.epoch, partial(leave_given_up, self))
        if options.timeout is None and options.idle_timeout is None:
            return call_here(ticket, make_request(self, scope.token, None), scope.strand, scope.token)
        limits = Limits(_seconds(options.timeout), _seconds(options.idle_timeout))
        return call_within(scope.leg, ticket, partial(make_request, self), scope.token, limits)

    def _started(self, executor: ActionExecutor, why: str | None) -> AttemptStarted:
        leaf, scope = self.leaf, self.scope
        timeout = leaf.options.timeout
        if executor.metered and not scope.leg.config.dry_run:
            scope.leg.metered.add(self.path)
        elif scope.leg.metered:
            scope.leg.metered.discard(self.path)
        return AttemptStarted(
            path=self.path,
            number=self.number,
            info=leaf.info if leaf.info is not None else scope.info_of(leaf),
            executor=executor.name,
            epoch=self.epoch,
            deadline_at=None if timeout is None else scope.leg.clock.now_ms() + timeout,
            why=why,
            effect=self._effect(executor),
            executor_version=None if executor.version == "1" else str(executor.version),
            reserve=None if self.reserve is None else self.reserve.as_json(),
            asked=_asked(self, executor),
        )

    def _effect(self, executor: ActionExecutor) -> str | None:
        """What this attempt may do to the world, None for the usual `read`: the step's own word comes first. Where a
        dry run calls nothing, nothing is done."""
        if self.scope.leg.config.dry_run and (self._dry_answer(executor) or getattr(executor, "rehearses", False)):
            return None
        effect = self.leaf.options.effect or executor.effect
        return None if effect == "read" else effect

    def _dry_answer(self, executor: ActionExecutor) -> Output | None:
        """In a dry run nothing is spent and no script runs: the answer says so."""
        if self.leaf.kind == "script":
            return Output(text="dry run: the script was not executed")
        if getattr(executor, "rehearses", False) or not executor.metered:
            return None
        return Output(text=f"dry run: `{executor.name}` was not called")


def _asked(attempts: Attempts, executor: ActionExecutor) -> Asked | None:
    """What the next attempt asks of `executor`, None where nobody needs to know."""
    config = attempts.scope.leg.config
    is_asked = (executor.metered and not config.dry_run) or getattr(executor, "rehearses", False)  # agents always
    if not (is_asked or config.records or attempts.leaf.options.cache):
        return None
    from runkon.engine.asking import described_to  # late: scripts and plain functions are not described

    return described_to(attempts, executor)


def _from_cache(attempts: Attempts, name: str) -> StepResult | None:
    from runkon.engine.caching import from_cache  # late: few steps ask for it

    return from_cache(attempts, name)


def _fitted(attempts: Attempts, executor: ActionExecutor) -> Answer:
    from runkon.engine.fitting import call_fitted  # late: few steps have a schema

    dry = attempts._dry_answer(executor) if attempts.scope.leg.config.dry_run else None
    return call_fitted(attempts, partial(attempts._call, executor), dry)


def _seconds(milliseconds: int | None) -> float | None:
    return None if milliseconds is None else milliseconds / 1000
