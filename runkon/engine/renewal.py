"""Keeping a lease: when it is renewed, and what is said while the store does not answer.

An own monotonic clock decides, so that a clock that jumps loses no run. A lease that could not be renewed in time is
not given up: nothing begins without a transaction that checks it, and as long as nobody took the run, it is still ours.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import replace

from runkon.model.ports import Clock
from runkon.model.records import Lease

RETRY = 1.0  # seconds between tries once a renewal was refused


class Renewal:
    """The lease of one leg, `ttl_ms` from each renewal on. `wake` is called on the clock's thread when one is due."""

    def __init__(self, lease: Lease, clock: Clock, ttl_ms: int, wake: Callable[[], None]) -> None:
        self.lease = lease
        self._clock = clock
        self._ttl_ms = ttl_ms
        self._wake = wake
        self._renewed = clock.monotonic()
        self._due = self._renewed + ttl_ms / 3000
        self._told = 0  # how many of the warnings were given
        self._undo: Callable[[], None] | None = None
        self._set_timer()

    def is_due(self) -> bool:
        return self._clock.monotonic() >= self._due

    def with_commit(self) -> Lease:
        """The lease to write with a commit, which renews it for free. Not more than once a second, so that most commits
        cost no new object."""
        now = self._clock.monotonic()
        if now - self._renewed >= 1.0:
            self._renewed, self._due = now, now + self._ttl_ms / 3000
            self.lease = replace(self.lease, expires_at=self._clock.now_ms() + self._ttl_ms)
        return self.lease

    def renewed(self, lease: Lease) -> None:
        """The store has taken the new expiry."""
        self._renewed = self._clock.monotonic()
        self._due = self._renewed + self._ttl_ms / 3000
        if self._told:
            self._told = 0
            print(f"note: run `{lease.run}` is held again as it should be", file=sys.stderr)
        self.lease = lease
        self._set_timer()

    def missed(self, error: Exception) -> None:
        """The store did not take it: try again soon, and say so when it lasts."""
        now = self._clock.monotonic()
        self._due = now + RETRY
        silent, ttl = now - self._renewed, self._ttl_ms / 1000
        step = 2 if silent > ttl else 1 if silent > ttl / 2 else 0
        if step > self._told:
            self._told = step
            then = "another process may take it over" if step == 2 else "nothing new begins until it answers"
            print(
                f"warning: the store has not answered for run `{self.lease.run}` for {silent:.0f} s, {then}: {error}",
                file=sys.stderr,
            )
        self._set_timer()

    def stop(self) -> None:
        if self._undo is not None:
            self._undo()

    def _set_timer(self) -> None:
        if self._undo is not None:
            self._undo()
        self._undo = self._clock.call_at(self._due, self._look)

    def _look(self) -> None:
        if self.is_due():
            self._wake()
        else:
            self._set_timer()  # a commit renewed meanwhile
