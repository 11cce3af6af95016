"""`call workflow`: another workflow inside this run, with inputs, results and an always block of its own.

The call has a record like a named block: how it ended. On the way to it nothing is recorded but its steps, which stand
below its path; a leg that comes back walks them again and is answered by their records, so that later steps find the
same as the first time. A retry puts the steps of the failed attempt aside and runs all of them again.
"""

from __future__ import annotations

from dataclasses import replace
from itertools import count

from runkon.engine.answers import Failed
from runkon.engine.attempt import run_leaf, settle, tell_agent
from runkon.engine.call_retries import Made, choice, forget_below
from runkon.engine.child import ChildEnd, run_child
from runkon.engine.ends import Failure, Stopped
from runkon.engine.outcome import SKIP_BY_CONDITION, failure_of, replay, skip_by_condition, stopped_before, supersede
from runkon.engine.own_trees import with_place
from runkon.engine.plan import ALWAYS, ChildCall, agent_leaf
from runkon.engine.results import Results, StepResult
from runkon.engine.retry import delay_ms, may_retry
from runkon.engine.scope import Scope, replay_mismatch
from runkon.engine.stopping import look_into, unsettled
from runkon.engine.updates import judged, write_output
from runkon.failpoints import failpoint
from runkon.language.nodes import AgentRef
from runkon.model.events import Event, StepCompleted, StepFailed, StepHandled, StepSuperseded, StepTimedOut
from runkon.model.failures import StepFailure
from runkon.model.ids import StepPath
from runkon.model.output import NO_OUTPUT, JsonValue, Output
from runkon.model.records import Asked, Seen, StepError, StepRecord, fresh_step
from runkon.model.status import StepStatus

_KINDS = {"invalid_value": "value", "timeout": "timeout", "budget": "budget"}  # of errors, by the reason of a failure


def run_call_workflow(call: ChildCall, scope: Scope) -> None:
    """Settle the call and put its result where later steps find it. Raises as any step does."""
    if call.options.isolation is None:
        _walk(call, scope)
        return
    from runkon.engine.isolation import run_isolated  # late: few steps have a worktree

    run_isolated(call, scope, _walk)


def _walk(call: ChildCall, scope: Scope) -> None:
    _Call(call, scope).run()


class _Call:
    """One execution of a `call workflow`."""

    def __init__(self, call: ChildCall, scope: Scope) -> None:
        self.call = call
        self.scope = scope
        self.leg = scope.leg
        self.path = scope.path_of(call)
        self.started = scope.leg.clock.monotonic()
        self.paths: tuple[StepPath, ...] = ()  # steps inside whose failure nobody took
        self.made = 1  # attempts, those of earlier legs included
        self.asked: Asked | None = None  # of a call with `cache`: what it asks

    def run(self) -> None:
        call, scope, leg = self.call, self.scope, self.leg
        leg.visited.add(self.path)
        result = self._answered()
        if result is None:
            try:
                result = self._attempts()
            except Stopped as stopped:
                if not stopped.is_recorded:
                    scope.never_ran(call, stopped.reason)
                    stopped.is_recorded = True
                raise
        scope.env.results.put(call.key, result)
        write_output(self.path, result, scope)
        if result.error is None or call.options.on_fail == "continue":
            if leg.until is not None:
                leg.ended(call.key, self.path)
            return
        if isinstance(call.options.on_fail, AgentRef):
            tell_agent(call, scope, result)
        failure = failure_of(call, scope, result)._replace(paths=(self.path, *self.paths))
        leg.ended_badly(call.key, self.path, failure)
        scope.fail(failure)

    @property
    def number(self) -> int:
        """How often the child was begun: as often as its steps were put aside, and once. Found alike on record."""
        leg, always = self.leg, f"{self.path}/{ALWAYS}"
        below = (one for one in leg.below(self.path) if not one.startswith(always))
        return max((leg.recorded[one].epoch for one in below), default=self.made)

    # ── from the record ───────────────────────────────────────────────────────────────────────────
    def _answered(self) -> StepResult | None:
        """The result where nothing inside is to be looked at: failed and taken, skipped, done by the fallback."""
        call, scope, leg = self.call, self.scope, self.leg
        record = leg.recorded.get(self.path)
        is_done = record is not None and record.is_settled and record.status is StepStatus.COMPLETED
        if scope.token.is_recall and not is_done:
            look_into(call, scope)
        if record is not None:
            is_same = record.info.kind == call.kind and record.info.name == call.name
            if not is_same and record.status is not StepStatus.PENDING:
                raise replay_mismatch(self.path, record.info, call.kind, call.name)
            is_final = record.is_settled and (not is_done or record.output.degraded)
            if is_final and record.skip_reason != SKIP_BY_CONDITION:
                leg.visited.update(leg.below(self.path))
                return replace(replay(call, scope, record), attempts=self.number)
            if record.status is StepStatus.CANCELLED and record.handled is not None:
                raise stopped_before()
        condition = call.options.condition
        if condition is not None and (leg.looks_again or not is_done):
            choice = scope.env.evaluate(condition)
            scope.chose(self.path, "if", choice, result=choice.result)
            if not choice.result:
                if record is not None and is_done:
                    record = supersede(leg, record, "its condition does not hold any more")
                return skip_by_condition(call, scope, self.path, record)
        if record is not None and record.status is StepStatus.SKIPPED:
            supersede(leg, record, "its condition holds now")
        if record is not None and is_done and record.cached_from is not None and not leg.below(self.path):
            if not leg.looks_again or self._asks_the_same(record):
                return replay(call, scope, record)
            supersede(leg, record, "its workflow or its inputs have changed")
        return None

    # ── attempts ──────────────────────────────────────────────────────────────────────────────────
    def _attempts(self) -> StepResult:
        options, leg = self.call.options, self.leg
        before = leg.retried.pop(self.path, None)
        if before is not None and not self.scope.token.is_recall:
            self._wait(before.due_at)
        for number in count(1 if before is None else before.number + 1):
            self.made = number
            if options.cache and (found := self._cached()) is not None:
                return found
            end = self._attempt()
            if end.failure is None:
                return self._completed(end)
            error = StepError(_KINDS.get(end.failure.reason, "exception"), end.failure.message)
            self.paths = end.failure.paths
            if self.scope.token.is_recall:
                raise unsettled(self.call, self.scope, self.leg.recorded.get(self.path))
            if not may_retry(options, Failed(error), number - 1):
                break
            self._wait(self._put_aside(error, number))
        told = self._by_fallback(error)
        return self._failed(error) if told is None else told

    def _cached(self) -> StepResult | None:
        """The result of an equal earlier call, recorded as this one's; None if there is none, or this one has begun."""
        call, scope, leg = self.call, self.scope, self.leg
        if scope.token.is_recall or any(leg.recorded[one].status != "pending" for one in leg.below(self.path)):
            return None
        from runkon.engine.caching_calls import asked_of, from_cache  # late: few calls ask for it

        self.asked = asked_of(call, scope, self._inputs)
        found = from_cache(call, scope, self.path, self.asked)
        return None if found is None else replace(self._write(*found), attempts=0)

    def _asks_the_same(self, record: StepRecord) -> bool:
        from runkon.engine.caching_calls import asked_of  # late: few calls ask for it

        asked = asked_of(self.call, self.scope, self._inputs)
        return asked is not None and record.seen is not None and record.seen.digest == asked.digest

    def _inputs(self) -> dict[str, JsonValue]:
        env = self.scope.env.at(self.path)
        return {entry.name: env.value(entry.value, unknown="keep") for entry in self.call.options.inputs}

    def _attempt(self) -> ChildEnd:
        call, scope = self.call, self.scope
        try:
            inputs = self._inputs()
        except StepFailure as failure:
            return ChildEnd(NO_OUTPUT, Results(), Failure(self.path, failure.message, "invalid_value"))
        end = run_child(
            call.child,
            scope,
            path=self.path,
            order=scope.order_of(call),
            inputs=inputs,
            inside=call.inside,
            timeout=call.options.timeout,
            identity=call.options.identity,
            max_cost=call.options.max_cost_usd,
        )
        answer = judged(end.output, self.path, scope.env)
        if end.failure is None and isinstance(answer, Failed):
            return end._replace(failure=Failure(self.path, answer.error.message, "invalid_value"))
        return end

    def _wait(self, due_at: int) -> None:
        """Until the retry that is on record is due."""
        seconds = (due_at - self.leg.clock.now_ms()) / 1000
        if seconds > 0:
            failpoint("in_backoff", self.path, self.made)
            self.scope.token.wait(seconds)
        self.scope.check()

    def _put_aside(self, error: StepError, number: int) -> int:
        """Every record of the failed attempt, and that another one follows, in one transaction, so that a crash leaves
        all of it or nothing. When it is due."""
        leg, options = self.leg, self.call.options
        leg.recorder.commit()
        failpoint("before_retry", self.path, self.made)
        why = f"`{self.call.key}` is tried again: {error.message}"
        delay = delay_ms(options, number - 1, leg.run, self.path, number)
        made = Made(number, leg.clock.now_ms() + delay)
        forget_below(leg.retried, self.path)
        events: list[Event] = [choice(self.path, error, made, delay_ms=delay, left=options.retries - number)]
        for record in leg.read_steps():
            if record.path.startswith(f"{self.path}/"):
                events.append(StepSuperseded(path=record.path, why=why, epoch=record.epoch))
                leg.recorded[record.path] = fresh_step(record)
        leg.recorder.commit(*events)
        if leg.ledger is not None:
            leg.ledger.begin_anew(self.path)
        failpoint("after_retry", self.path, self.made)
        return made.due_at

    def _by_fallback(self, error: StepError) -> StepResult | None:
        """The result of the agent that gets one more attempt, None if there is none or it fails, too."""
        call, scope = self.call, self.scope
        ref = call.options.fallback
        if ref is None:
            return None
        agent = agent_leaf(ref, call, run_leaf, "fallback")
        facts: dict[str, JsonValue] = {
            "failed_step": call.key,
            "failure_reason": error.message,
            "retry_count": str(call.options.retries),
        }
        env = scope.env.with_inputs(facts)
        inner = scope.with_env(env).inside(f"{self.path}/", f"{scope.order_of(call)}.", scope.iteration)
        result = settle(agent, inner)
        if result.status is not StepStatus.COMPLETED:
            self.paths = (*self.paths, scope_path(inner, agent.segment))
            return None
        self._take_failures("fallback")
        return self._write(replace(result.output, degraded=True, usage=None))

    # ── ends ──────────────────────────────────────────────────────────────────────────────────────
    def _completed(self, end: ChildEnd) -> StepResult:
        self.scope.env.results.adopt(end.results)
        return self._write(end.output)

    def _write(self, output: Output, origin: str | None = None) -> StepResult:
        """The result, on record unless it stands there already; `origin` is the run and step it was taken from."""
        call, scope, leg = self.call, self.scope, self.leg
        output = with_place(scope, self.path, output)
        if scope.strand.markers is not None:
            scope.strand.markers |= output.markers
        record = leg.recorded.get(self.path)
        is_known = record is not None and record.is_settled
        if record is not None and is_known and leg.looks_again and record.output != output:
            supersede(leg, record, "its steps came out differently")
            is_known = False
        if record is not None and is_known:
            output = record.output
        else:
            elapsed = round((leg.clock.monotonic() - self.started) * 1000)
            epoch, info = leg.epoch_of(self.path), scope.info_of(call)
            done = StepCompleted(path=self.path, output=output, info=info, epoch=epoch, elapsed_ms=elapsed)
            leg.recorder.append(done if self.asked is None else self._with_request(done, self.asked, origin))
        return StepResult(call.key, StepStatus.COMPLETED, output, None, self.number, scope.iteration)

    def _with_request(self, done: StepCompleted, asked: Asked, origin: str | None) -> StepCompleted:
        """The end of a call that can be found again, or that was found."""
        from runkon.engine.caching_calls import may_be_found  # late: few calls ask for it

        if origin is not None:
            return replace(done, cached_from=origin, seen=Seen((), asked.digest))
        is_found = not done.output.degraded and may_be_found(self.leg, self.path)
        return replace(done, asked=asked) if is_found else done

    def _failed(self, error: StepError) -> StepResult:
        call, scope, leg = self.call, self.scope, self.leg
        record: StepRecord | None = leg.recorded.get(self.path)
        if record is not None and record.is_settled:
            supersede(leg, record, "its steps came out differently")
        handled = "continue" if call.options.on_fail == "continue" else None
        is_late = error.kind == "timeout"
        made = StepTimedOut if is_late else StepFailed
        info, epoch = scope.info_of(call), leg.epoch_of(self.path)
        if handled is not None:
            self._take_failures(handled)
        leg.recorder.append(made(path=self.path, error=error, info=info, epoch=epoch, handled=handled))
        status = StepStatus.TIMED_OUT if is_late else StepStatus.FAILED
        return StepResult(call.key, status, NO_OUTPUT, error, self.number, scope.iteration)

    def _take_failures(self, by: str) -> None:
        """What failed inside is settled, because the call is."""
        leg = self.leg
        for path in self.paths:
            record = leg.recorded.get(path)
            if record is None or record.handled is None:
                leg.recorder.append(StepHandled(path=path, handled=by, epoch=leg.epoch_of(path)))


def scope_path(scope: Scope, segment: str) -> StepPath:
    return StepPath(scope.prefix + segment)
