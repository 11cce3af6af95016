"""The items of a `foreach`, so many at once: a branch is made when its turn comes and forgotten when it is over."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING

from runkon.engine.group import Branch, Group

if TYPE_CHECKING:
    from runkon.engine.cancellation import Token
    from runkon.engine.scheduler import Strand
    from runkon.engine.scope import Leg


class ItemGroup(Group):
    """Takes indexes from `ready` as places become free; more may be added while it runs. Nothing more is taken once
    `is_halted`."""

    def __init__(
        self,
        leg: Leg,
        token: Token,
        limit: int,
        work: Callable[[Branch], None],
        on_over: Callable[[Branch], None],
        make: Callable[[int], Branch],
    ) -> None:
        super().__init__(leg, token, limit, work, on_over)
        self.ready: deque[int] = deque()
        self.is_halted = False
        self.is_ordered = False  # the end of one item may make several ready
        self._make = make

    def over(self, strand: Strand) -> None:
        super().over(strand)
        if self.is_ordered:
            self._fill_but_one()

    def _has_next(self) -> bool:
        return bool(self.ready) and not self.is_halted and self._token.reason is None

    def _take(self) -> Branch | None:
        with self._lock:
            if not self._has_next() or len(self._open) - self._aside >= self._limit:
                return None
            branch = self._make(self.ready.popleft())
            self._open[branch] = None
            return branch

    def _fill_but_one(self) -> None:
        """Begin more than the strand that has ended goes on with, where places are free."""
        while True:
            with self._lock:
                has_room = len(self._open) + 1 < self._limit and len(self.ready) > 1
            if not has_room or (branch := self._take()) is None:
                return
            self._begin(branch)
