"""One call of an executor, made safe: whatever it does, the engine gets an `Output`, a `Failed`, or is `Stopped`.

Without a time limit the executor runs on the step's own thread, with no timer and no hand-off. With one it runs on a
thread of its own, so that the step can go on (retry, fallback, on_fail) when the call has to be given up.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from typing import TypeAlias

from runkon.engine.answers import Answer, Failed, answer_of, failure_of_error, usage_of
from runkon.engine.cancellation import IDLE, TIMEOUT, CancelReason, Token
from runkon.engine.ends import GivenUp, Stopped
from runkon.engine.scheduler import Strand, Ticket, run_strand
from runkon.engine.scope import Leg
from runkon.errors import EXIT_INTERNAL
from runkon.failpoints import failpoint
from runkon.model.output import Output, Usage
from runkon.model.ports import StepRequest
from runkon.model.records import StepError
from runkon.named import NamedTuple

CLOCKS = frozenset({"timeout", "idle"})


class Limits(NamedTuple):
    """How long an attempt may take, in seconds: altogether, and without a sign of life."""

    timeout: float | None
    idle: float | None


MakeRequest: TypeAlias = Callable[[Token, Callable[[], None] | None], StepRequest]


def call_here(ticket: Ticket, request: StepRequest, strand: Strand, token: Token) -> Answer:
    """Call the executor on this thread. Raises `Stopped` if the token was cancelled and no result came, `GivenUp` if
    the grace ended first."""
    strand.current = ticket
    error: BaseException | None = None
    value: object = None
    process = os.getpid()
    if token.reason is None:
        try:
            failpoint("in_attempt", ticket.path, ticket.number)
            value = ticket.executor.execute(request)
            if type(value) is not Output and isinstance(value, Iterator):
                value = _last(value)
        except BaseException as raised:  # noqa: BLE001  a plugin may raise anything, also SystemExit
            error = raised
        if os.getpid() != process:  # the executor forked: what came back is a copy of it, and the run is not its
            os._exit(EXIT_INTERNAL)
    else:
        error = Stopped(token.reason)
    if not ticket.claim():
        raise GivenUp
    strand.current = None
    if error is None:
        return answer_of(value, request.secrets)
    if token.reason is not None:
        stopped = Stopped(token.reason)
        stopped.usage = usage_of(error)
        raise stopped
    return failure_of_error(error, ticket.executor.name, request.secrets)


def call_within(leg: Leg, ticket: Ticket, make_request: MakeRequest, parent: Token, limits: Limits) -> Answer:
    """Call the executor on a thread of its own, at most for `limits`. Raises `StoppedCall` if anything but its own
    clock stopped it. A call that is given up leaves no process behind: its step may be about to run again."""
    token = parent.child()
    clock = _AttemptClock(leg, token, limits)
    answers: list[Answer] = []
    paid: list[Usage | None] = []
    request = make_request(token, clock.noticed if limits.idle is not None else None)

    def work(strand: Strand) -> None:
        try:
            answer = call_here(ticket, request, strand, token)
        except Stopped as stopped:
            paid.append(stopped.usage)
            return
        if token.reason is None or token.reason.kind not in CLOCKS:  # what is given back when time is up is no result
            answers.append(answer)
        else:
            paid.append(answer.usage)

    clock.start()
    try:
        strand = run_strand(leg.grace, token, work, "runkon-attempt")
    finally:
        clock.stop()
        token.detach()
    if strand.error is not None:
        raise strand.error
    if answers:
        return answers[0]
    assert token.reason is not None
    is_given_up, usage = strand.lost is not None, next(iter(paid), None)
    if is_given_up:
        from runkon.engine.orphans import end_attempt  # late: hardly ever

        end_attempt(request.marks)
    if token.reason.kind in CLOCKS:
        return _out_of_time(token.reason.kind, limits)._replace(is_given_up=is_given_up, usage=usage)
    stopped = StoppedCall(token.reason, is_given_up=is_given_up)
    stopped.usage = usage
    raise stopped


class StoppedCall(Stopped):
    """A call with limits that something else stopped; `is_given_up` if it did not come back within the grace."""

    def __init__(self, reason: CancelReason, *, is_given_up: bool) -> None:
        super().__init__(reason)
        self.is_given_up = is_given_up


class _AttemptClock:
    """The timers of one attempt, on the process's timer thread."""

    def __init__(self, leg: Leg, token: Token, limits: Limits) -> None:
        self._clock = leg.clock
        self._token = token
        self._limits = limits
        self._undo: list[Callable[[], None]] = []
        self._last_sign = self._clock.monotonic()
        self._is_over = False

    def start(self) -> None:
        if self._limits.timeout is not None:
            due = self._last_sign + self._limits.timeout
            self._undo.append(self._clock.call_at(due, lambda: self._token.cancel(TIMEOUT)))
        if self._limits.idle is not None:
            self._watch(self._last_sign + self._limits.idle)

    def noticed(self) -> None:
        """The executor showed a sign of life."""
        self._last_sign = self._clock.monotonic()

    def stop(self) -> None:
        self._is_over = True
        for undo in self._undo:
            undo()

    def _watch(self, when: float) -> None:
        self._undo.append(self._clock.call_at(when, self._idle_due))
        del self._undo[:-2]

    def _idle_due(self) -> None:
        """One timer per idle time, not per sign of life: it looks when the last one was and waits for the rest."""
        assert self._limits.idle is not None
        due = self._last_sign + self._limits.idle
        if self._clock.monotonic() >= due:
            self._token.cancel(IDLE)
        elif not self._is_over:
            self._watch(due)


# ── ends ───────────────────────────────────────────────────────────────────────────────────────────
def _out_of_time(kind: str, limits: Limits) -> Failed:
    if kind == "idle":
        return Failed(StepError("idle", f"no sign of life for {_seconds(limits.idle)}"))
    return Failed(StepError("timeout", f"not done after {_seconds(limits.timeout)}"))


def _seconds(seconds: float | None) -> str:
    assert seconds is not None
    return f"{seconds * 1000:g}ms" if seconds < 1 else f"{seconds:g}s"


def _last(stream: Iterator[object]) -> object:
    """Outside a graph a stream of outputs counts as its last one."""
    value: object = None
    for value in stream:  # noqa: B007  the last one is wanted
        pass
    return value
