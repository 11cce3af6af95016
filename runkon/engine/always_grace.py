"""How long an always block may take: from its start, or, once the system ends the process, from then on."""

from __future__ import annotations

from functools import partial

from runkon.engine.cancellation import ALWAYS_GRACE, Action, Token
from runkon.model.ports import Clock

HURRIED = frozenset({"sigterm", "sighup"})  # kinds of reasons: who sends these does not wait for long
SIGTERM_GRACE = 20.0  # seconds the always block gets at most when the system ends the process


class AlwaysGrace:
    """The always blocks of a leg that are under way, its own and those of called workflows."""

    def __init__(self, clock: Clock, seconds: float) -> None:
        self._clock = clock
        self._seconds = seconds
        self._running: list[Token] = []

    def limit(self, token: Token, body: Token) -> Action:
        """Cut the block under `token`, which begins now, once its time is over. The result undoes it."""
        self._running.append(token)  # before the look at the reason: a stop in between is seen here or by `hurry`
        stop = body.reason
        is_hurried = stop is not None and stop.kind in HURRIED
        undo = self._cut(token, min(self._seconds, SIGTERM_GRACE) if is_hurried else self._seconds)

        def forget() -> None:
            self._running.remove(token)
            undo()

        return forget

    def hurry(self) -> None:
        """The process is about to be ended: what runs now gets no more than the time there is."""
        for token in list(self._running):
            self._cut(token, SIGTERM_GRACE)

    def _cut(self, token: Token, seconds: float) -> Action:
        return self._clock.call_at(self._clock.monotonic() + seconds, partial(token.cancel, ALWAYS_GRACE))
