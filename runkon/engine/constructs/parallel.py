"""`parallel`: branches at the same time, joined in the order they are written.

Branches see the results from before the block and never each other's. What they leave is applied at the join, in
declaration order, whatever finished first, so a run always gives the same tables.
"""

from __future__ import annotations

import threading
from dataclasses import replace

from runkon.engine.attempt import Attempts, end_leaf, settle, settle_attempts
from runkon.engine.cancellation import FAIL_FAST, INTERNAL, UNTIL_REACHED, CancelReason, Recall, Token, run_all
from runkon.engine.ends import BodyFailed, Failure, GivenUp, Stopped, Waits, reason_for
from runkon.engine.group import Branch, Group
from runkon.engine.interpreter import run_body
from runkon.engine.outcome import SKIP_BY_CONDITION, close_lost, look_again, stopped_before, supersede
from runkon.engine.own_trees import branch_scope, is_isolated, merge_branches
from runkon.engine.plan import ChildCall, Leaf, Planned
from runkon.engine.results import Results, StepResult
from runkon.engine.scope import Scope
from runkon.engine.stopping import is_looking, look_into, record_stop, stop_of, stopped_result, untouched
from runkon.engine.updates import join_state, updates_of_branch
from runkon.failpoints import failpoint
from runkon.language.nodes import AgentRef, ParallelBlock
from runkon.model.events import StepCompleted, StepFailed, StepHandled
from runkon.model.failures import StepFailure
from runkon.model.ids import StepPath
from runkon.model.output import JsonValue, Output
from runkon.model.records import StepError
from runkon.model.status import StepStatus


def run_parallel(planned: Planned, scope: Scope) -> None:
    """Run the branches and judge the block: it succeeds when completed and skipped ones reach `min_success`."""
    block = _Block(planned, scope)
    token = block.token
    if scope.token.is_recall:
        look_into(planned, scope, is_seen=True)
    try:
        block.run()
    finally:
        token.detach()
    failpoint("before_join", block.path)
    block.join()
    failpoint("after_join", block.path)


class _Block:
    """One execution of a parallel block."""

    def __init__(self, planned: Planned, scope: Scope) -> None:
        node = planned.node
        assert isinstance(node, ParallelBlock)
        self.node = node
        self.planned = planned
        self.scope = scope
        self.path = scope.path_of(planned)
        self.token: Token = scope.token.child()
        leg = scope.leg
        self.started = leg.clock.monotonic()
        self.limit = min(node.max_parallel or leg.pool.limit, scope.env.facts.max_parallel or leg.pool.limit)
        self.group = Group(leg, self.token, self.limit, self._work, self._over)
        self.lost: list[Branch] = []
        self.inner = scope.inside(f"{self.path}/", f"{scope.order_of(planned)}.", scope.iteration)
        self.branches = [
            Branch(index, branch, self.group.over, is_leaf=isinstance(branch, Leaf))
            for index, branch in enumerate(planned.bodies[0])
        ]
        gathers = node.name is not None or scope.strand.markers is not None
        for branch in self.branches:
            branch.markers = set() if gathers else None
        self.required = len(self.branches) if node.min_success is None else node.min_success
        self._lock = threading.Lock()
        self._failed = 0

    # ── running ───────────────────────────────────────────────────────────────────────────────────
    def run(self) -> None:
        """Branches that are settled in the record are answered first, on this thread; then the others run."""
        leg, later, answered = self.scope.leg, [], []
        if leg.looks_again:
            self.lost = self.group.run(self._look_again())
        has_ended = self.node.until is not None and not leg.looks_again and bool(leg.below(self.path))
        for branch in self.branches:
            if branch.is_over:
                continue
            if self._is_answered(branch):
                self._work(branch)
                answered.append(branch)
            elif has_ended and self._recall(branch, None):
                answered.append(branch)
            else:
                later.append(branch)
        for branch in answered:  # once all are known, so that none is taken for stopped because of another
            self._over(branch)
        self._begin_together(later[: min(self.limit, self.scope.leg.pool.limit)])
        self.lost = self.group.run(later)

    def _look_again(self) -> list[Branch]:
        """Put branches aside that would see something else now. Where `until` decides, those are returned that come to
        run; what was skipped because of it is not skipped for good then."""
        leg, scope = self.scope.leg, self.inner
        first, skipped = [], []
        for branch in self.branches:
            leaf = branch.planned
            record = leg.recorded.get(scope.path_of(leaf))
            if isinstance(leaf, Leaf) and record is not None:
                record = look_again(leaf, branch_scope(leaf, scope, self.node), record)
            if record is None or not record.is_settled:
                first.append(branch)
            elif record.status is StepStatus.SKIPPED and record.skip_reason == UNTIL_REACHED.kind:
                skipped.append(record)
        if self.node.until is None:
            return []
        for record in skipped if first else ():
            supersede(leg, record, "its block runs again")
        return first

    def _recall(self, branch: Branch, why: CancelReason | None) -> bool:
        """Walk a branch as far as it is on record, and say whether that is to its end. Without `why` nothing of it is
        kept unless it is."""
        branch.scope = self._scope_of(branch, Recall(self.scope.leg.clock, why))
        self._work(branch)
        if branch.end is None and why is None:
            branch.scope, branch.result, branch.failures, branch.is_recorded = None, None, [], False
            branch.markers = None if branch.markers is None else set()
        return branch.end is not None or branch.error is not None

    def _is_answered(self, branch: Branch) -> bool:
        recorded = self.scope.leg.recorded
        if not recorded or not branch.is_leaf or _tells_agent(branch.planned):
            return False
        record = recorded.get(self.inner.path_of(branch.planned))
        return record is not None and record.is_settled and record.skip_reason != SKIP_BY_CONDITION

    def _begin_together(self, first: list[Branch]) -> None:
        """Record the first attempts of the first branches in one transaction, instead of one after the other.

        Only outside other blocks: every worker of the pool is then free for them, so that no branch keeps a slot
        while it waits for a worker."""
        if isinstance(self.scope.strand, Branch) or self.scope.strand.is_inner or self.token.reason is not None:
            return
        recorded, events = self.scope.leg.recorded, []
        for branch in first:
            leaf = branch.planned
            if isinstance(leaf, Leaf) and leaf.options.condition is None and not is_isolated(leaf, self.node):
                scope = branch.scope = self._scope_of(branch)
                path = scope.path_of(leaf)
                attempts = None if path in recorded else Attempts(leaf, scope, path, None)
                if attempts is not None and (started := attempts.begin_early()) is not None:
                    branch.attempts = attempts
                    events.append(started)
        if events:
            self.scope.leg.recorder.commit(*events)

    def _work(self, branch: Branch) -> None:
        """One branch's walk, on its own thread. Nothing but GivenUp leaves it."""
        scope = branch.scope = branch.scope or self._scope_of(branch)
        try:
            failpoint("branch_started", scope.path_of(branch.planned))
            if branch.attempts is None:
                scope.check()
            if isinstance(branch.planned, Leaf):
                attempts = branch.attempts
                branch.result = settle(branch.planned, scope) if attempts is None else settle_attempts(attempts)
                end_leaf(branch.planned, scope, branch.result)
            else:
                run_body((branch.planned,), scope)
            ended = (
                scope.env.results.get(branch.planned.key) if isinstance(branch.planned, ChildCall) else branch.result
            )
            branch.end = (
                StepStatus.FAILED if scope.failures else _end_of(ended) if branch.is_taken else StepStatus.SKIPPED
            )
            failpoint("branch_done", scope.path_of(branch.planned))
        except BodyFailed as failed:
            branch.end = StepStatus.FAILED
            if failed.failure not in scope.failures:
                scope.failures.append(failed.failure)
        except Stopped as stopped:
            branch.is_recorded = stopped.is_recorded
        except Waits as waits:
            branch.waits = waits
            branch.is_recorded = True
        except GivenUp:
            raise
        except BaseException as error:  # noqa: BLE001  the store, the lease or we ourselves: raised at the join
            branch.error = error
            self.token.cancel(INTERNAL)
        branch.failures = scope.failures

    def _scope_of(self, branch: Branch, token: Token | None = None) -> Scope:
        """A leaf reads the table of the block's scope and writes nothing; any other branch writes a fork."""
        writes = not branch.is_leaf or _tells_agent(branch.planned)
        env = self.inner.env.fork() if writes else self.inner.env
        scope = self.inner.on(branch, env, token or self.token)
        return branch_scope(branch.planned, scope, self.node)

    def _over(self, branch: Branch) -> None:
        if branch.end is StepStatus.FAILED:
            with self._lock:
                self._failed += 1
                is_hopeless = len(self.branches) - self._failed < self.required
            if is_hopeless and self.node.fail_fast:
                self.token.cancel(FAIL_FAST)
        if self.node.until is not None and branch.end is not None:
            try:
                self._look_at_until()
            except BaseException as error:  # noqa: BLE001  the store or the lease: raised at the join
                branch.error = error
                self.token.cancel(INTERNAL)

    def _look_at_until(self) -> None:
        """Test `until` over what has ended so far, applied in declaration order, before another branch begins."""
        condition = self.node.until
        assert condition is not None
        with self._lock:
            if self.token.reason is not None:
                return
            env = self.scope.env.fork()
            for branch in self.branches:
                if branch.end is not None:
                    self._apply(branch, env.results)
            choice = env.evaluate(condition)
            if not choice.result:
                return
            self.scope.chose(self.path, "until", choice, result=True)
            actions = self.token.mark(UNTIL_REACHED)
        run_all(actions)

    # ── the join ──────────────────────────────────────────────────────────────────────────────────
    def join(self) -> None:
        """Apply what the branches left and say how the block ended. Raises what ended a branch unexpectedly, then
        `Waits` if one of them waits and nothing stopped the block, then `Stopped` if it was, then `BodyFailed`."""
        scope = self.scope
        self._close_lost()
        for branch in self.branches:
            if branch.error is not None:
                raise branch.error
        self._close_waiting()
        reason = stop_of(self.token)
        is_known = reason in (FAIL_FAST, UNTIL_REACHED) and bool(scope.leg.below(self.path))
        for branch in self.branches:
            if is_known and branch.end is None and branch.scope is None:
                self._recall(branch, reason)
            if branch.end is None and branch.planned.kind:
                begun = branch.attempts.number if branch.attempts is not None else int(branch.is_recorded)
                branch.result = stopped_result(branch.planned, self.inner, reason, attempts=begun)
            self._apply(branch, scope.env.results)
        stopped = [branch for branch in self.branches if branch.end is None]
        if stopped:
            if scope.leg.looks_again:  # what they came to before is as it was, though nobody walks there now
                scope.leg.visited.update(one for one in scope.leg.recorded if one.startswith(f"{self.path}/"))
            self._record_stopped(stopped)
            scope.check()
        self._judge(len(stopped))

    def _close_lost(self) -> None:
        leg, reason = self.scope.leg, self.token.reason
        for branch in self.branches:
            if branch.attempts is not None and branch.attempts.is_begun:
                assert reason is not None
                branch.attempts.drop(reason)
                branch.is_recorded = True
        for branch in self.lost:
            close_lost(leg, branch, reason)
            branch.end = None
            branch.is_recorded = True

    def _close_waiting(self) -> None:
        """A branch that waits is undecided, and so is the block, unless it needs the branch no more."""
        reason, leg = self.token.reason, self.scope.leg
        waiting = [branch.waits for branch in self.branches if branch.waits is not None]
        waits_for = frozenset[StepPath]().union(*(waits.paths for waits in waiting))
        if not waits_for:
            return
        if reason is None:
            raise Waits(waits_for)
        if leg.withdraw is not None and reason in (FAIL_FAST, UNTIL_REACHED):
            leg.withdraw(waits_for, reason)
            for waits in waiting:
                for leave in waits.leave:
                    leave(reason)

    def _record_stopped(self, stopped: list[Branch]) -> None:
        reason = self.token.reason
        if reason is None:  # they stand as an earlier leg left them, which stopped a block around this one
            raise stopped_before(stop_of(self.token))
        for branch in stopped:
            if not branch.is_recorded:
                record_stop(branch.planned, self.inner, reason)

    def _apply(self, branch: Branch, results: Results) -> None:
        """What the branch left; a stopped one leaves what had completed in it."""
        if branch.scope is not None and branch.scope.env.results is not self.inner.env.results:
            results.join([branch.scope.env.results])
        if branch.result is not None:
            results.put(branch.planned.key, branch.result)

    def _judge(self, stopped: int) -> None:
        ends = [branch.end for branch in self.branches]
        succeeded = ends.count(StepStatus.COMPLETED)
        was_enough = stopped > 0 and self.token.reason == UNTIL_REACHED
        skipped = ends.count(StepStatus.SKIPPED) + (stopped if was_enough else 0)
        failed = len(ends) - succeeded - skipped
        counts: dict[str, JsonValue] = {
            "succeeded": succeeded, "failed": failed, "skipped": skipped, "total": len(ends),
        }  # fmt: skip
        markers = frozenset(marker for branch in self.branches for marker in branch.markers or ())
        if self.scope.strand.markers is not None:
            self.scope.strand.markers |= markers
        output = Output(markers=markers, values=counts)
        is_enough = succeeded + skipped >= self.required
        unmerged = merge_branches(self.branches, self.node) if is_enough else None
        problem = self._join_state() if is_enough and unmerged is None else None
        if unmerged is not None:
            self._fail(replace(output, values={**counts, **unmerged.fields}), unmerged.error)
        elif problem is not None:
            self._fail(output, StepError(problem.kind, problem.message))
        elif is_enough:
            self._absorb()
            self._end(StepStatus.COMPLETED, output, None)
            if self.node.name is not None:
                self.scope.leg.ended(self.node.name, self.path)
        else:
            self._fail(output, self._too_few(succeeded + skipped))

    def _join_state(self) -> StepFailure | None:
        """Take over what the branches of a block that is satisfied wrote into state channels, tolerated ones too."""
        if self.scope.env.state is None:
            return None
        inner, written = self.inner, []
        for one in self.branches:
            if one.end is not None:
                env = inner.env if one.scope is None else one.scope.env
                written.append(updates_of_branch(inner.path_of(one.planned), one.result, env, inner.env))
        return join_state(self.scope, written)

    def _too_few(self, good: int) -> StepError:
        names = ", ".join(f"`{branch.planned.key}`" for branch in self.branches if branch.end is StepStatus.FAILED)
        message = f"{good} of {len(self.branches)} branches succeeded, {self.required} needed"
        return StepError("exception", message + (f"; failed: {names}" if names else ""))

    def _absorb(self) -> None:
        """The block is satisfied: what failed in it is settled, because later steps have seen the block succeed."""
        leg = self.scope.leg
        if is_looking(self.scope) and any(branch.failures for branch in self.branches):
            raise untouched()
        for branch in self.branches:
            for path in (path for failure in branch.failures for path in failure.paths):
                record = leg.recorded.get(path)
                if record is None or record.handled is None:
                    leg.recorder.append(StepHandled(path=path, handled="min_success", epoch=leg.epoch_of(path)))
            for failure in branch.failures:
                leg.taken(failure)

    def _fail(self, output: Output, error: StepError) -> None:
        failures = [failure for branch in self.branches for failure in branch.failures]
        self._end(StepStatus.FAILED, output, error)
        paths = tuple(path for failure in failures for path in failure.paths)
        own = (self.path,) if self.node.name is not None else ()
        causes = "".join(f"\n{failure.message}" for failure in failures)
        text = f"`{self.planned.key}` failed: {error.message}{causes}"
        failure = Failure(self.path, text, reason_for(error.kind), paths + own)
        if own:
            self.scope.leg.ended_badly(self.planned.key, self.path, failure)
        self.scope.fail(failure)

    def _end(self, status: StepStatus, output: Output, error: StepError | None) -> None:
        """The result of a named block, on record and for later steps."""
        name, scope = self.node.name, self.scope
        if name is None:
            return
        leg, path = scope.leg, self.path
        record = leg.recorded.get(path)
        leg.visited.add(path)
        scope.env.results.put(name, StepResult(name, status, output, error, 1, scope.iteration, block=True))
        if record is not None and record.is_settled:
            if not leg.looks_again or (record.status, record.output) == (status, output):
                return
            supersede(leg, record, "its branches came out differently")
        info = scope.info_of(self.planned)
        epoch = leg.epoch_of(path)
        if error is not None:
            leg.recorder.append(StepFailed(path=path, error=error, info=info, epoch=epoch, output=output))
            return
        elapsed = round((leg.clock.monotonic() - self.started) * 1000)
        leg.recorder.append(StepCompleted(path=path, output=output, info=info, epoch=epoch, elapsed_ms=elapsed))


def _end_of(result: StepResult | None) -> StepStatus:
    """How a branch without an untaken failure counts: one whose failure is to be passed over counts as skipped."""
    return StepStatus.COMPLETED if result is None or result.status is StepStatus.COMPLETED else StepStatus.SKIPPED


def _tells_agent(planned: Planned) -> bool:
    return isinstance(planned, Leaf) and isinstance(planned.options.on_fail, AgentRef)
