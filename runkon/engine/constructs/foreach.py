"""`foreach`: the same statements, or a workflow, once for every item of a list.

The list is recorded before anything of it runs and never collected again by a later leg. An item that is settled is
answered from its own record; nobody walks into it. Of what its statements left only the item's end is kept, so that
ten thousand items cost ten thousand small records and no table of results.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from runkon.engine.cancellation import FAIL_FAST, INTERNAL, UNTIL_REACHED
from runkon.engine.child import run_child
from runkon.engine.ends import BodyFailed, Failure, GivenUp, Stopped, Waits, reason_for
from runkon.engine.group import Branch
from runkon.engine.interpreter import run_body
from runkon.engine.item_group import ItemGroup
from runkon.engine.item_result import ItemEnd, judged
from runkon.engine.items import GONE, item_path, the_list, variables_of
from runkon.engine.outcome import close_lost, stopped_before, supersede
from runkon.engine.own_trees import item_scope, merge_items, with_place
from runkon.engine.plan import ForEachPlace, Planned, order_text
from runkon.engine.results import StepResult
from runkon.engine.scope import Scope, replay_mismatch
from runkon.engine.stopping import is_looking, look_up, stop_of
from runkon.engine.updates import join_state
from runkon.failpoints import failpoint
from runkon.language.nodes import ForEachBlock
from runkon.model.events import ItemsCollected, StepCompleted, StepFailed, StepSkipped
from runkon.model.failures import StepFailure
from runkon.model.output import EMPTY, NO_OUTPUT, Output
from runkon.model.records import StepError, StepInfo
from runkon.model.status import StepStatus

if TYPE_CHECKING:
    from runkon.engine.environment import Environment
    from runkon.engine.state import Update
    from runkon.engine.trees import Unmerged
    from runkon.model.ids import StepPath
    from runkon.model.output import JsonValue
    from runkon.model.records import StepRecord

BEHIND_A_FAILURE = "dependency"  # why an item is skipped that waits for one that failed
_CAUSES = 3  # of failed items in one message


def run_foreach(planned: Planned, scope: Scope) -> None:
    """Settle every item and judge the step: it fails if any item failed or could not run."""
    node, leg, path = planned.node, scope.leg, scope.path_of(planned)
    assert isinstance(node, ForEachBlock)
    record = leg.recorded.get(path)
    leg.visited.add(path)
    if record is not None and record.status is not StepStatus.PENDING and record.info.kind != "foreach":
        raise replay_mismatch(path, record.info, "foreach", planned.key)
    if scope.token.is_recall and (is_looking(scope) or (record is not None and record.is_settled)):
        look_up(planned, scope, record)
    if record is not None and record.is_settled and not _walks_again(scope):
        failpoint("during_replay", path)
        _leave(planned, scope, record.status, record.output, record.error)
        return
    try:
        found = the_list(planned, scope, path)
    except StepFailure as failure:
        help = getattr(failure, "help", None)
        error = StepError(failure.kind, f"{failure.message}\nhelp: {help}" if help else failure.message)
        leg.recorder.append(StepFailed(path=path, error=error, info=scope.info_of(planned), epoch=leg.epoch_of(path)))
        _leave(planned, scope, StepStatus.FAILED, NO_OUTPUT, error)
        return
    assert isinstance(planned, ForEachPlace)
    block = _Items(planned, scope, found)
    try:
        block.run()
    finally:
        block.token.detach()
    failpoint("before_join", path)
    block.join()
    failpoint("after_join", path)


def _walks_again(scope: Scope) -> bool:
    """True where what is settled is walked all the same: for what it would see now, and for the state it left."""
    return scope.leg.looks_again or scope.env.state is not None


def _leave(
    planned: Planned,
    scope: Scope,
    status: StepStatus,
    output: Output,
    error: StepError | None,
    failures: list[Failure] | None = None,
) -> None:
    """The result of the step, for later steps and for the walk. Raises `BodyFailed` as `Scope.fail` does."""
    leg, path = scope.leg, scope.path_of(planned)
    if scope.strand.markers is not None:
        scope.strand.markers |= output.markers
    result = StepResult(planned.key, status, output, error, 1, scope.iteration, block=True)
    scope.env.results.put(planned.key, result)
    if error is None:
        scope.env.results.tell(result)
        leg.ended(planned.key, path)
        return
    below = failures or []
    causes = "".join(f"\n{failure.message}" for failure in below[:_CAUSES])
    paths = tuple(one for failure in below for one in failure.paths)
    failure = Failure(path, f"`{planned.key}` failed: {error.message}{causes}", reason_for(error.kind), (*paths, path))
    leg.ended_badly(planned.key, path, failure)
    scope.fail(failure)


class _Items:
    """One execution of the step, with its list."""

    def __init__(self, planned: ForEachPlace, scope: Scope, found: ItemsCollected) -> None:
        node = planned.node
        assert isinstance(node, ForEachBlock)
        self.node = node
        self.planned = planned
        self.scope = scope
        self.found = found
        self.items = found.items
        self.path = scope.path_of(planned)
        self.order = scope.order_of(planned)
        self.token = scope.token.child()
        self.started = scope.leg.clock.monotonic()
        self.ends: dict[int, ItemEnd] = {}
        self.markers: set[str] = set()
        self.updates: dict[int, Sequence[Update]] = {}  # of state channels, by completed items
        self.failures: dict[int, list[Failure]] = {}
        self.waits_for: frozenset[StepPath] = frozenset()
        self.was_stopped = False
        self.error: BaseException | None = None
        self.lost: list[Branch] = []
        self._lock = threading.Lock()
        limit = max(1, min(node.max_parallel, len(found.items), scope.env.facts.max_parallel or node.max_parallel))
        self.group = ItemGroup(scope.leg, self.token, limit, self._work, self._over, self._branch)
        self.group.is_ordered = bool(found.blockers)
        at = {item.key: index for index, item in enumerate(found.items)}
        self.after: dict[int, list[int]] = {}
        self.before: dict[int, int] = {}  # how many items an item still waits for
        for first, then in found.blockers:
            self.after.setdefault(at[first], []).append(at[then])
            self.before[at[then]] = self.before.get(at[then], 0) + 1

    # ── running ───────────────────────────────────────────────────────────────────────────────────
    def run(self) -> None:
        """Items that are settled on record are answered first; then the others run, as they may."""
        later = [index for index in range(len(self.items)) if not self._is_answered(index)]
        for index in list(self.ends):
            self._follow(index, is_running=False)
        self.group.ready.extend(index for index in later if index not in self.ends and not self.before.get(index))
        self.lost = self.group.run(())

    def _is_answered(self, index: int) -> bool:
        leg, path = self.scope.leg, self._path(index)
        record = leg.recorded.get(path) if leg.recorded else None
        leg.visited.add(path)
        if record is None or not record.is_settled or _walks_again(self.scope):
            return False
        if record.skip_reason in (BEHIND_A_FAILURE, GONE):
            return False
        failpoint("during_replay", path)
        self._ended(index, record.status, record.output)
        return True

    def _path(self, index: int) -> StepPath:
        return item_path(self.path, self.items[index].key)

    def _branch(self, index: int) -> Branch:
        branch = Branch(index, self.planned, self.group.over, is_leaf=False)
        branch.markers = set()
        return branch

    def _work(self, branch: Branch) -> None:
        """One item's walk. Nothing but GivenUp leaves it."""
        try:
            self._settle(branch)
        except Stopped:
            self.was_stopped = True
        except Waits as waits:
            branch.waits = waits
        except GivenUp:
            raise
        except BaseException as error:  # noqa: BLE001  the store, the lease or we ourselves: raised at the join
            branch.error = error
            self.token.cancel(INTERNAL)

    def _settle(self, branch: Branch) -> None:
        """Walk and record the end. Raises `Stopped` and `Waits`."""
        index, path = branch.index, self._path(branch.index)
        began, values = self.scope.leg.clock.monotonic(), EMPTY
        failpoint("branch_started", path)
        self.scope.check()
        try:
            scope = branch.scope = self._scope_of(branch, index)
            branch.failures = scope.failures
            values = self._walk(index, scope)
        except BodyFailed as failed:
            if failed.failure not in branch.failures:
                branch.failures.append(failed.failure)
        except StepFailure as failure:  # a value of `inputs`
            branch.failures.append(Failure(path, failure.message, "invalid_value"))
        branch.end = StepStatus.FAILED if branch.failures else StepStatus.COMPLETED
        self._record(branch, EMPTY if branch.failures else values, began)
        failpoint("branch_done", path)

    def _walk(self, index: int, scope: Scope) -> Mapping[str, JsonValue]:
        """Run the statements of one item and return its last structured output."""
        if self.planned.child is None:
            run_body(self.planned.bodies[0], scope)
            return scope.env.results.own_values or EMPTY
        end = run_child(
            self.planned.child,
            scope,
            path=self._path(index),
            order=f"{self.order}.{order_text(index + 1)}",
            inputs=self._inputs_of(index, scope.env),
            inside=self.planned.inside,
        )
        if end.failure is not None:
            raise BodyFailed(end.failure)
        if scope.strand.markers is not None:
            scope.strand.markers |= end.output.markers
        return end.output.values or end.results.prior_values or EMPTY

    def _inputs_of(self, index: int, env: Environment) -> dict[str, JsonValue]:
        """What the workflow of an item is given: the `inputs` of the statement, and the fields as `item.NAME`."""
        value = self.items[index].value
        given = {entry.name: env.extras[entry.name] for entry in self.node.inputs}
        fields = value if isinstance(value, Mapping) else {"value": value}
        seen = variables_of(self.node, self.items[index])
        own: dict[str, JsonValue] = {name: one for name, one in seen.items() if name.startswith("item.")}
        return {**given, **{f"item.{name}": one for name, one in fields.items()}, **own}

    def _scope_of(self, branch: Branch, index: int) -> Scope:
        item = self.items[index]
        env = self.scope.env.fork().with_inputs(variables_of(self.node, item))
        told = env.at(self._path(index))
        env = env.with_inputs({entry.name: told.value(entry.value, unknown="keep") for entry in self.node.inputs})
        scope = Scope(
            self.scope.leg,
            env,
            self.token,
            branch,
            prefix=f"{self._path(index)}/",
            order=f"{self.order}.{order_text(index + 1)}.",
            iteration=index,
        )
        return item_scope(self._path(index), scope, self.node)

    def _record(self, branch: Branch, values: Mapping[str, JsonValue], began: float) -> None:
        """The end of an item, on record unless it stands there already."""
        leg, index = self.scope.leg, branch.index
        path, end = self._path(index), branch.end
        output = NO_OUTPUT
        if end is StepStatus.COMPLETED:
            output = Output(markers=frozenset(branch.markers or ()), values=values)
            output = with_place(branch.scope, path, output)
            branch.result = StepResult(path, end, output)
        record = leg.recorded.get(path)
        if record is not None and record.is_settled:
            if (record.status, record.output) == (end, output):
                return
            record = supersede(leg, record, "it came out differently")
        info, epoch = self._info(index), leg.epoch_of(path)
        if end is StepStatus.COMPLETED:
            elapsed = round((leg.clock.monotonic() - began) * 1000)
            leg.recorder.append(StepCompleted(path=path, output=output, info=info, epoch=epoch, elapsed_ms=elapsed))
            return
        error = StepError("exception", branch.failures[0].message)
        leg.recorder.append(StepFailed(path=path, error=error, info=info, epoch=epoch))

    def _info(self, index: int) -> StepInfo:
        item, span = self.items[index], self.node.span
        order = f"{self.order}.{order_text(index + 1)}"
        key = f"{self.planned.key}[{item.key}]"
        return StepInfo("item", item.label, key, order, index, span.file, span.line, span.column)

    # ── what follows from an item's end ───────────────────────────────────────────────────────────
    def _over(self, branch: Branch) -> None:
        """An item is over: what it left is taken, the rest of it forgotten."""
        with self._lock:
            if branch.waits is not None:
                self.waits_for |= branch.waits.paths
            self.error = self.error or branch.error
            scope, branch.scope = branch.scope, None
            if branch.end is None:
                return
            if branch.failures:
                paths = tuple(path for one in branch.failures for path in one.paths)
                first = branch.failures[0]._replace(paths=(*paths, self._path(branch.index)))
                self.failures[branch.index] = [first]
            if scope is not None and scope.env.state is not None and branch.end is StepStatus.COMPLETED:
                self.updates[branch.index] = tuple(scope.env.state.log)
            self._ended(branch.index, branch.end, NO_OUTPUT if branch.result is None else branch.result.output)
            self._follow(branch.index, is_running=True)

    def _ended(self, index: int, status: StepStatus, output: Output) -> None:
        self.ends[index] = ItemEnd(status, output.values or None)
        self.markers |= output.markers

    def _follow(self, index: int, *, is_running: bool) -> None:
        """Items that have waited for this one may run now, or are skipped, or go on waiting for ever."""
        if self.ends[index].status in (StepStatus.COMPLETED, StepStatus.SKIPPED):
            for then in self.after.get(index, ()):
                self.before[then] -= 1
                if is_running and not self.before[then] and then not in self.ends:
                    self.group.ready.append(then)
        elif self.node.on_child_fail == "halt":
            self.group.is_halted = True
        elif self.node.on_child_fail == "skip_dependents":
            self._skip_behind(index)

    def _skip_behind(self, index: int) -> None:
        """Skip everything that waits for an item that failed, however indirectly."""
        leg, stack = self.scope.leg, list(self.after.get(index, ()))
        while stack:
            then = stack.pop()
            if then in self.ends:
                continue
            stack += self.after.get(then, ())
            path = self._path(then)
            record = leg.recorded.get(path)
            self.ends[then] = ItemEnd(StepStatus.SKIPPED)
            if record is None or record.skip_reason != BEHIND_A_FAILURE or not record.is_settled:
                epoch = leg.epoch_of(path)
                leg.recorder.append(StepSkipped(path=path, reason=BEHIND_A_FAILURE, info=self._info(then), epoch=epoch))

    # ── the end ───────────────────────────────────────────────────────────────────────────────────
    def join(self) -> None:
        """Say how the step ended. Raises what ended an item unexpectedly, `Waits` if one waits and nothing stopped the
        step, `Stopped` if it was, then `BodyFailed`."""
        leg, scope, reason = self.scope.leg, self.scope, self.token.reason
        for branch in self.lost:
            close_lost(leg, branch, reason)
        if self.error is not None:
            raise self.error
        if self.waits_for and reason is None:
            raise Waits(self.waits_for)
        if self.waits_for and leg.withdraw is not None and reason in (FAIL_FAST, UNTIL_REACHED):
            leg.withdraw(self.waits_for, reason)
        scope.check()
        if self.was_stopped:
            raise stopped_before(stop_of(self.token))
        self._judge()

    def _judge(self) -> None:
        output, error = judged(self.node, self.found, self.ends, self.markers, is_halted=self.group.is_halted)
        unmerged = None if error is not None else self._merge()
        if unmerged is not None:
            output = replace(output, values={**(output.values or {}), **unmerged.fields})
            error = unmerged.error
        if error is None:  # a step that failed changes no channel
            problem = join_state(self.scope, [found for _, found in sorted(self.updates.items())])
            error = None if problem is None else StepError(problem.kind, problem.message)
        self._end(output, error)

    def _merge(self) -> Unmerged | None:
        """Merge the worktrees of completed items, in their order."""
        if self.node.isolation is None:
            return None
        ended = [index for index, end in sorted(self.ends.items()) if end.status is StepStatus.COMPLETED]
        return merge_items((self._scope_of(self._branch(index), index), self.items[index].label) for index in ended)

    def _end(self, output: Output, error: StepError | None) -> None:
        scope, path = self.scope, self.path
        leg = scope.leg
        record: StepRecord | None = leg.recorded.get(path)
        status = StepStatus.COMPLETED if error is None else StepStatus.FAILED
        is_told = record is not None and record.is_settled and (record.status, record.output) == (status, output)
        if record is not None and record.is_settled and not is_told:
            supersede(leg, record, "its items came out differently")
        if not is_told:
            info, epoch = scope.info_of(self.planned), leg.epoch_of(path)
            if error is not None:
                leg.recorder.append(StepFailed(path=path, error=error, info=info, epoch=epoch, output=output))
            else:
                elapsed = round((leg.clock.monotonic() - self.started) * 1000)
                leg.recorder.append(StepCompleted(path=path, output=output, info=info, epoch=epoch, elapsed_ms=elapsed))
        failures = [one for _, found in sorted(self.failures.items()) for one in found]
        _leave(self.planned, scope, status, output, error, failures)
