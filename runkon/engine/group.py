"""The branches of one block, open at most `limit` at once.

Leaf branches run on the run's pool, where a worker takes one after the other without a hand-off. A branch that is
itself a block gets a thread of its own, because it waits for others. A branch is over when its walk ended or was
given up; `on_over` is then told, on whatever thread that happened, and the block's thread goes on when all are.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from runkon.engine.cancellation import Token, Waiter
from runkon.engine.ends import GivenUp
from runkon.engine.scheduler import Strand
from runkon.engine.scope import Leg
from runkon.model.status import StepStatus

if TYPE_CHECKING:
    from runkon.engine.attempt import Attempts
    from runkon.engine.ends import Failure, Waits
    from runkon.engine.plan import Planned
    from runkon.engine.results import StepResult
    from runkon.engine.scope import Scope


class Branch(Strand):
    """One branch and how it went. `end` is `completed failed skipped`, or None if it never ran or was stopped;
    `is_recorded` then says that its record tells so already, `waits` that somebody has to decide about steps in it
    first. `is_taken` is false for an `if` none of whose arms holds."""

    __slots__ = (
        "attempts",
        "end",
        "failures",
        "group",
        "index",
        "is_leaf",
        "is_recorded",
        "is_taken",
        "planned",
        "result",
        "scope",
        "waits",
    )

    def __init__(self, index: int, planned: Planned, on_over: Callable[[Strand], None], *, is_leaf: bool) -> None:
        super().__init__(on_over)
        self.index = index
        self.planned = planned
        self.is_leaf = is_leaf
        self.attempts: Attempts | None = None  # of a leaf whose first attempt began with those of others
        self.end: StepStatus | None = None
        self.is_recorded = False
        self.is_taken = True
        self.waits: Waits | None = None
        self.failures: list[Failure] = []
        self.result: StepResult | None = None
        self.scope: Scope | None = None
        self.group: Group | None = None

    def step_aside(self) -> Callable[[], None]:
        return super().step_aside() if self.group is None else self.group.step_aside()


class Group:
    """Runs branches in declaration order as places become free."""

    def __init__(
        self,
        leg: Leg,
        token: Token,
        limit: int,
        work: Callable[[Branch], None],
        on_over: Callable[[Branch], None],
    ) -> None:
        self._leg = leg
        self._token = token
        self._limit = limit
        self._work = work
        self._on_over = on_over
        self._lock = threading.Lock()
        self._waiter = Waiter()
        self._waiting: list[Branch] = []
        self._next = 0
        self._open: dict[Branch, None] = {}
        self._aside = 0  # open ones that only wait for a decision
        self._back = threading.Condition(self._lock)
        self._lost: list[Branch] = []

    def run(self, branches: Sequence[Branch]) -> list[Branch]:
        """Return once every branch that began is over: those that were given up. Branches not begun when the token is
        cancelled never begin."""
        self._waiting, self._next = list(branches), 0
        for branch in branches:
            branch.group = self
        undo = self._token.on_cancel(self._stop_all)
        self._fill()
        try:
            while not self._is_over():
                self._waiter.wait()
        finally:
            undo()
        return self._lost

    def over(self, strand: Strand) -> None:
        """The strand's `on_over`."""
        assert isinstance(strand, Branch)
        if strand.lost is not None:
            self._lost.append(strand)
            if strand.is_leaf:
                self._leg.pool.lose_thread()
        self._on_over(strand)
        with self._lock:
            del self._open[strand]
            is_last = not self._open
            if self._aside:
                self._back.notify_all()
        if strand.lost is not None:
            self._fill()
        if is_last or strand.lost is not None:
            self._waiter.wake()

    def step_aside(self) -> Callable[[], None]:
        """An open branch only waits: another one may begin in its place. The result returns once there is a place for
        it again, or the block is cancelled."""
        with self._lock:
            self._aside += 1
            self._back.notify_all()
        self._fill()

        def back() -> None:
            with self._lock:
                self._back.wait_for(
                    lambda: self._token.reason is not None or len(self._open) - self._aside < self._limit
                )
                self._aside -= 1

        return back

    # ── places ────────────────────────────────────────────────────────────────────────────────────
    def _is_over(self) -> bool:
        with self._lock:
            return not self._open and not self._has_next()

    def _has_next(self) -> bool:
        return self._next < len(self._waiting) and self._token.reason is None

    def _take(self) -> Branch | None:
        """The next branch with a place for it, or None."""
        with self._lock:
            if not self._has_next() or len(self._open) - self._aside >= self._limit:
                return None
            branch = self._waiting[self._next]
            self._next += 1
            self._open[branch] = None
            return branch

    def _fill(self) -> None:
        """Begin branches while there are places."""
        while (branch := self._take()) is not None:
            self._begin(branch)

    def _begin(self, branch: Branch) -> None:
        if branch.is_leaf:
            self._leg.pool.submit(lambda: self._serve(branch))
        else:
            name = f"runkon-branch-{branch.planned.segment}"
            threading.Thread(target=self._serve, args=(branch,), name=name, daemon=True).start()

    def _serve(self, branch: Branch | None) -> None:
        """Run one branch, then whatever comes next and may run on this thread."""
        while branch is not None:
            is_leaf = branch.is_leaf
            try:
                self._work(branch)
            except GivenUp:
                if is_leaf:
                    raise
                return
            branch.finish()
            branch = self._take()
            if branch is not None and (branch.is_leaf is not is_leaf or (is_leaf and self._leg.pool.is_contended)):
                self._begin(branch)
                return
        if self._token.reason is not None or not self._open:
            self._waiter.wake()

    def _stop_all(self) -> None:
        """The block was cancelled: every open branch is told, and nothing else begins."""
        with self._lock:
            open_branches = list(self._open)
            self._back.notify_all()
        for branch in open_branches:
            branch.stop(self._leg.grace)
        self._waiter.wake()
