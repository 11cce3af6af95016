"""Whether and when a failed attempt is followed by another one."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from runkon.engine.answers import Failed
from runkon.failpoints import failpoint
from runkon.language.nodes import StepOptions
from runkon.model.events import AttemptFailed, AttemptTimedOut, Envelope, RetryScheduled, RunResumed, StepSuperseded
from runkon.model.ids import RunID, StepPath

if TYPE_CHECKING:
    from runkon.engine.open_step import OpenStep

COUNTED = frozenset({"attempt_failed", "attempt_timed_out", "step_superseded", "run_resumed"})
DELAY_MS = 1_000
MAX_DELAY_MS = 60_000
_FINAL = frozenset({"fatal", "budget", "state-conflict", "reducer-failed"})
_AS_TIMEOUT = {"idle": "timeout"}  # how `retry_on` names kinds


def may_retry(options: StepOptions, failure: Failed, retries_made: int) -> bool:
    """True if the options grant one more attempt after this failure."""
    kind = failure.error.kind
    if retries_made >= options.retries or kind in _FINAL:
        return False
    return "any" in options.retry_on or _AS_TIMEOUT.get(kind, kind) in options.retry_on


def schedule(attempts: OpenStep, failure: Failed) -> float:
    """Record that another attempt follows; the seconds to wait before it."""
    leg, options = attempts.scope.leg, attempts.leaf.options
    failures = attempts.failures  # this one included
    delay = delay_ms(options, failures - 1, leg.run, attempts.path, attempts.number)
    if failure.retry_after is not None:
        delay = max(delay, round(failure.retry_after * 1000))
    failpoint("before_retry", attempts.path, attempts.number)
    leg.recorder.append(
        RetryScheduled(
            path=attempts.path,
            due_at=leg.clock.now_ms() + delay,
            delay_ms=delay,
            retries_left=options.retries - failures,
            epoch=attempts.epoch,
        )
    )
    failpoint("after_retry", attempts.path, attempts.number)
    return delay / 1000


def failures_of(envelopes: Iterable[Envelope]) -> dict[StepPath, int]:
    """The failed attempts of each step since somebody asked for a leg: those that a leg nobody asked for has to count.
    `envelopes` are the events of the kinds `COUNTED`."""
    counts: dict[StepPath, int] = {}
    for envelope in envelopes:
        event = envelope.event
        if isinstance(event, AttemptFailed | AttemptTimedOut):
            counts[event.path] = counts.get(event.path, 0) + 1
        elif isinstance(event, StepSuperseded):
            counts.pop(event.path, None)
        elif isinstance(event, RunResumed) and not event.automatic:
            counts.clear()
    return counts


def delay_ms(options: StepOptions, step: int, run: RunID, path: StepPath, number: int) -> int:
    """The wait before a retry, in milliseconds; `step` counts the waits of this leg from 0. Jitter depends on run,
    path and number alone, so that it can be foretold."""
    written = (options.backoff, options.delay, options.max_delay, options.jitter)
    if all(value is None for value in written):
        return 0
    base = DELAY_MS if options.delay is None else options.delay
    limit = max(MAX_DELAY_MS, base) if options.max_delay is None else options.max_delay
    is_fixed = options.backoff == "fixed"
    delay = base if is_fixed else min(limit, base * 2 ** min(step, 40))
    has_jitter = options.jitter if options.jitter is not None else not is_fixed
    if has_jitter:
        import random  # late: most runs never wait

        delay = round(delay * random.Random(f"{run}:{path}:{number}").uniform(0.5, 1.0))
    return delay
