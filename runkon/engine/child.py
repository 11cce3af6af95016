"""A workflow inside a run: its body and its always block, walked below the statement that calls it.

It has an environment of its own and a token under its caller's. Its walk is a strand of its own, as that of a leg is,
so that a step that does not stop when told to holds up neither its always block nor its caller. It has ended once its
body ended well, badly, by its timeout or for good; a pause is no end, and its always block does not run then.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

from runkon.engine.cancellation import ALWAYS_GRACE, CHILD_BUDGET, CHILD_TIMEOUT, FINAL, KILL, CancelReason
from runkon.engine.ends import BodyFailed, Failure, Stopped
from runkon.engine.environment import Environment
from runkon.engine.inputs import BoundInputs, bind_inputs
from runkon.engine.interpreter import run_body
from runkon.engine.leg_end import shown
from runkon.engine.limits import own_limits
from runkon.engine.outcome import close_lost, supersede
from runkon.engine.plan import ALWAYS, LAST, ChildBodies, Planned, plan_child
from runkon.engine.results import Results
from runkon.engine.scheduler import Strand, run_strand
from runkon.engine.scope import Leg, Scope
from runkon.engine.updates import begin_state
from runkon.errors import UserError
from runkon.failpoints import failpoint
from runkon.model.events import StepHandled
from runkon.model.failures import StepFailure
from runkon.model.ids import StepPath
from runkon.model.output import NO_OUTPUT, JsonValue, Output
from runkon.model.secrets import secret_name, secret_reference
from runkon.model.status import StepStatus
from runkon.named import NamedTuple

if TYPE_CHECKING:
    from runkon.language.program import CheckedWorkflow


class ChildEnd(NamedTuple):
    """How a called workflow ended: markers and context of its last completed step with its outputs as values, what its
    steps left behind, and why it failed if it did."""

    output: Output
    results: Results
    failure: Failure | None


def run_child(
    child: CheckedWorkflow,
    scope: Scope,
    *,
    path: StepPath,
    order: str,
    inputs: Mapping[str, JsonValue],
    inside: ChildBodies | None = None,
    timeout: int | None = None,
    identity: str | None = None,
    max_cost: float | None = None,
) -> ChildEnd:
    """Run `child` below `path`, from the record as far as it is settled there. `inputs` are given as values and bound
    here; `inside` are its statements where they are planned already; `timeout` is in milliseconds, counted from its
    first step as that of its own file, `max_cost` in dollars. Raises `Stopped` and `Waits` as any walk does."""
    scope.check()
    leg = scope.leg
    try:
        bound = _bound(child, leg, path, inputs)
    except UserError as error:
        return ChildEnd(NO_OUTPUT, Results(), Failure(path, error.message, "invalid_value"))
    if inside is None:
        inside = _planned_once(child, leg)
    if leg.until is not None:
        leg.calls.append(path)
    meta = child.workflow.meta
    bounds = [one for one in (scope.env.facts.max_parallel, meta.max_parallel) if one is not None]
    facts = replace(
        scope.env.facts,
        workflow=child.workflow.name,
        strict=meta.strict,
        max_parallel=min(bounds, default=None),
        identity=identity or scope.env.facts.identity,
    )
    walk = _Child(child, scope, Environment(facts, dict(bound)), path, order, inside)
    return walk.run(timeout, max_cost)


class _Child:
    """One execution of a called workflow."""

    def __init__(
        self, child: CheckedWorkflow, scope: Scope, env: Environment, path: StepPath, order: str, inside: ChildBodies
    ) -> None:
        self.child = child
        self.scope = scope
        self.leg = scope.leg
        self.env = env
        self.path = path
        self.order = order
        self.inside = inside
        self.token = scope.token.child()
        self.failures: list[Failure] = []

    def run(self, timeout: int | None, max_cost: float | None) -> ChildEnd:
        limits = [one for one in (timeout, self.child.workflow.meta.timeout) if one is not None]
        out_of_time = CancelReason(CHILD_TIMEOUT, f"`{self.path}` took longer than its timeout")
        clock, token, undo = self.leg.clock, self.token, None
        if limits:
            due = clock.monotonic() + (min(limits) - self._spent()) / 1000
            undo = clock.call_at(due, lambda: token.cancel(out_of_time))
        ledger = self.leg.ledger
        bounds = None if ledger is None else own_limits(self.child.workflow.meta, max_cost)
        if ledger is not None and bounds is not None:
            ledger.enter(self.path, bounds, token.cancel)
        try:
            failpoint("child_entered", self.path)
            stopped = self._walk_body()
        finally:
            if undo is not None:
                undo()
            token.detach()
        try:
            return self._ended(stopped, out_of_time)
        finally:
            if ledger is not None and bounds is not None:
                ledger.leave(self.path)

    def _spent(self) -> int:
        """Milliseconds since the workflow began in an earlier leg that a crash or a pause has ended."""
        leg, call = self.leg, self.leg.recorded.get(self.path)
        if call is not None and call.status is not StepStatus.PENDING:  # it has ended, and is given all its time
            return 0
        body = (leg.recorded[one] for one in leg.below(self.path) if not one.startswith(f"{self.path}/{ALWAYS}"))
        begun = min((step.started_at for step in body if step.started_at is not None), default=None)
        return 0 if begun is None else max(0, leg.clock.now_ms() - begun)

    def _ended(self, stopped: CancelReason | None, out_of_time: CancelReason) -> ChildEnd:
        failure = self._failure(stopped, out_of_time)
        if failure is not None or stopped is None:
            stopped = None
        elif stopped.kind not in FINAL:
            raise Stopped(stopped)
        values: dict[str, JsonValue] = {}
        if failure is None and stopped is None:
            try:
                values = {
                    entry.name: shown(self.env.at(self.path).value(entry.value))
                    for entry in self.child.workflow.outputs
                }
            except StepFailure as problem:
                failure = Failure(self.path, f"`outputs`: {problem.message}", "invalid_value")
        if self.inside.always:
            self._walk_always("cancelled" if stopped else "failed" if failure else "completed")
        if stopped is not None:
            raise Stopped(stopped)
        failpoint("child_left", self.path)
        last = self.env.results.last
        output = NO_OUTPUT if last is None else Output(markers=last.output.markers, context=last.output.context)
        return ChildEnd(replace(output, values=values) if values else output, self.env.results, failure)

    def _failure(self, stopped: CancelReason | None, out_of_time: CancelReason) -> Failure | None:
        """Why the child failed; None if it ended well, or was stopped from outside."""
        outside = self.scope.token.reason
        if stopped is out_of_time and outside is None:
            return Failure(self.path, str(out_of_time), "timeout", self._failed_paths())
        if stopped is not None and stopped.kind == CHILD_BUDGET and self.token.reason is stopped and outside is None:
            return Failure(self.path, str(stopped), "budget", self._failed_paths())
        if stopped is not None or not self.failures:
            return None
        return self.failures[0]._replace(paths=self._failed_paths())

    def _failed_paths(self) -> tuple[StepPath, ...]:
        return tuple(dict.fromkeys(path for failure in self.failures for path in failure.paths))

    # ── the body ──────────────────────────────────────────────────────────────────────────────────
    def _walk_body(self) -> CancelReason | None:
        """Why it was stopped, None if it came to its end; what failed is in `failures`."""
        failures = self.failures

        def work(strand: Strand) -> None:
            strand.is_inner = True
            prefix, order = f"{self.path}/", f"{self.order}."
            inner = Scope(self.leg, self.env, self.token, strand, prefix=prefix, order=order, failures=failures)
            begin_state(self.child.workflow, inner)
            run_body(self.inside.body, inner)

        strand = run_strand(self.leg.grace, self.token, work, "runkon-child")
        if strand.lost is not None:
            reason = self.token.reason
            assert reason is not None
            close_lost(self.leg, strand, reason)
            return reason
        match strand.error:
            case None:
                return None
            case BodyFailed(failure=failure):
                if failure not in failures:
                    failures.append(failure)
                return self.scope.token.reason
            case Stopped(reason=why):
                return self.token.reason or why
            case error:
                raise error

    # ── the always block ──────────────────────────────────────────────────────────────────────────
    def _walk_always(self, status: str) -> None:
        """Run the child's always block, once for this end of it. Its failures are on record and change nothing."""
        leg = self.leg
        self._put_aside_always()
        token = leg.always_token.child()
        undo = leg.always.limit(token, leg.body_token)
        env = self.env.with_inputs({"workflow_status": status})
        prefix, order = f"{self.path}/{ALWAYS}", f"{self.order}.{LAST}"
        failures: list[Failure] = []
        done: list[Planned] = []

        def scope_for(strand: Strand) -> Scope:
            strand.is_inner = True
            return Scope(leg, env, token, strand, prefix=prefix, order=order, failures=failures)

        def work(strand: Strand) -> None:
            scope = scope_for(strand)
            for planned in self.inside.always:
                scope.check()
                done.append(planned)
                planned.run(planned, scope)

        try:
            strand = run_strand(leg.grace, token, work, "runkon-child-always")
        finally:
            undo()
            token.detach()
        reason = token.reason
        if strand.lost is not None:
            assert reason is not None
            close_lost(self.leg, strand, reason)
        elif strand.error is not None and not isinstance(strand.error, (BodyFailed, Stopped)):
            raise strand.error
        if reason is not None and reason is not ALWAYS_GRACE:
            why = leg.body_token.reason  # a kill cuts off, what came before it says how the run ends
            raise Stopped(why if why is not None and reason is KILL else reason)
        for planned in self.inside.always[len(done) :] if reason is not None else ():
            scope_for(strand).never_ran(planned, reason or ALWAYS_GRACE)
        for path in dict.fromkeys(path for failure in failures for path in failure.paths):
            record = leg.recorded.get(path)
            if record is None or record.handled is None:
                leg.recorder.append(StepHandled(path=path, handled="always", epoch=leg.epoch_of(path)))

    def _put_aside_always(self) -> None:
        """Where an earlier end of the child ran its always block, and its body has gone on since."""
        leg, path = self.leg, self.path
        below = leg.below(path)
        if not below:
            return
        prefix = f"{path}/{ALWAYS}"
        call = leg.recorded.get(path)
        has_moved = call is not None and not call.is_settled
        has_moved = has_moved or any(not leg.recorded[one].is_settled for one in below if not one.startswith(prefix))
        for one in below if has_moved else ():
            record = leg.recorded[one]
            if one.startswith(prefix) and record.status != "pending":
                supersede(leg, record, "its workflow has ended again")


def _bound(child: CheckedWorkflow, leg: Leg, path: StepPath, inputs: Mapping[str, JsonValue]) -> BoundInputs:
    """The child's inputs. A text that is given for a secret becomes one of the run's secrets, named after its place.
    Raises UserError."""
    given = dict(inputs)
    bound = bind_inputs(child.workflow.inputs, given, strict=False, secrets=leg.secrets)
    new = {
        declared.name
        for declared in child.workflow.inputs
        if declared.type == "secret" and declared.name in bound and secret_name(given.get(declared.name)) is None
    }
    if not new:
        return bound
    named = {name: f"{path}.{name}" for name in new}
    leg.add_secrets({named[name]: bound.secrets[name] for name in new})
    values = {name: secret_reference(named[name]) if name in new else value for name, value in bound.items()}
    return BoundInputs(values, leg.secrets)


def _planned_once(child: CheckedWorkflow, leg: Leg) -> ChildBodies:
    """The child's statements with places that are known only when they run; planned once per leg."""
    from runkon.engine.constructs import constructs  # late: they import this module

    found = leg.planned.get(id(child))
    if found is None:
        found = leg.planned[id(child)] = plan_child(child, constructs())
    return found
