"""What a run has spent, as its record tells it: money, calls and tokens, and what is set aside for open attempts.

The same object is kept up to date by a leg and made from the events of the legs before, so both come to the same sums.
Money is counted in millionths of a dollar.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

from runkon.engine.call_retries import RETRY
from runkon.engine.limits import MICRO
from runkon.engine.plan import MADE
from runkon.model import events as ev
from runkon.named import NamedTuple

if TYPE_CHECKING:
    from runkon.model.ids import StepPath
    from runkon.model.output import JsonValue, Usage
    from runkon.model.ports import ActionExecutor

TOLD = frozenset(
    (
        *("attempt_started", "attempt_failed", "attempt_timed_out", "attempt_cancelled", "attempt_cut_off"),
        *("step_completed", "step_failed", "step_timed_out", "step_skipped", "step_cancelled"),
        "choice_made",
    )
)
CLOSED, INTERRUPTED, UNKNOWN = "closed", "interrupted", "unknown"  # how an attempt ended


class Reserve(NamedTuple):
    """What is set aside for one attempt. `alone`: nothing is known of its tokens, so no other call runs beside it;
    `is_unpriced`: nothing of its price, so that no budget bounds it."""

    executor: str
    cost: int = 0
    tokens: int = 0
    metered: bool = False
    is_call: bool = True
    alone: bool = False
    is_unpriced: bool = False

    def as_json(self) -> dict[str, JsonValue] | None:
        """What the record keeps; None for nothing."""
        if not (self.cost or self.tokens or self.metered):
            return None
        return {"cost_usd": self.cost / MICRO, "tokens": self.tokens, "metered": self.metered}


class Wanted(NamedTuple):
    """An attempt that is to begin; `said` is what its step says that it costs at most, in dollars."""

    path: StepPath
    executor: ActionExecutor
    is_call: bool
    said: float | None


class Account:
    """The sums. Not safe for concurrent use."""

    def __init__(self, said: Mapping[int, float] | None = None) -> None:
        self.said = said or {}  # by the number of the event that began a call: what people say it has cost, in dollars
        self._begun: dict[StepPath, int] = {}
        self.cost = 0
        self.calls = 0  # begun or about to begin
        self.tokens = 0
        self.open: dict[StepPath, Reserve] = {}
        self.most: dict[str, tuple[int, int]] = {}  # by executor: the highest cost and tokens of an attempt so far
        self.unpriced: set[str] = set()  # metered executors that have answered without a price

    @property
    def reserved(self) -> int:
        return sum(reserve.cost for reserve in self.open.values())

    @property
    def reserved_tokens(self) -> int:
        return sum(reserve.tokens for reserve in self.open.values())

    def begin(self, path: StepPath, reserve: Reserve) -> None:
        self.open[path] = reserve
        self.calls += reserve.is_call

    def withdraw(self, path: StepPath) -> None:
        """The attempt did not begin after all."""
        reserve = self.open.pop(path, None)
        if reserve is not None:
            self.calls -= reserve.is_call

    def end(self, path: StepPath, usage: Usage | None, how: str, *, answered: bool = False) -> None:
        """An attempt has ended: what it has used takes the place of what was set aside for it. Where nobody knows, that
        stays spent. `answered`: with a result, so that a missing price is no accident."""
        reserve = self.open.pop(path, None)
        if reserve is None:
            return
        cost = None if usage is None or usage.cost_usd is None else round(usage.cost_usd * MICRO)
        if cost is None and (said := self.said.get(self._begun.pop(path, 0))) is not None:
            cost, how = round(said * MICRO), CLOSED
        used = 0 if usage is None else usage.input_tokens + usage.output_tokens
        is_free = how == CLOSED and not reserve.metered
        if how == UNKNOWN:
            charged = max(reserve.cost, cost or 0)
        elif cost is not None:
            charged = cost
        else:
            charged = 0 if is_free else reserve.cost
        if cost is not None:
            before = self.most.get(reserve.executor, (0, 0))
            self.most[reserve.executor] = (max(before[0], cost), max(before[1], used))
        elif answered and reserve.metered:
            self.unpriced.add(reserve.executor)
        self.cost += charged
        self.tokens += used if used or is_free else reserve.tokens

    # ── from the record ───────────────────────────────────────────────────────────────────────────
    def read(self, envelopes: Iterable[ev.Envelope]) -> None:
        """Take over what earlier legs have recorded, events of the kinds `TOLD`. What they left open is lost."""
        for envelope in envelopes:
            if isinstance(envelope.event, ev.AttemptStarted):
                self._begun[envelope.event.path] = envelope.seq
            self._take(envelope.event)
        for path in tuple(self.open):
            self.end(path, None, UNKNOWN)

    def _take(self, event: ev.Event) -> None:
        match event:
            case ev.AttemptStarted(path=path):
                self.begin(path, _recorded(event))
            case ev.AttemptFailed() | ev.AttemptTimedOut() | ev.AttemptCancelled():
                self.end(event.path, event.usage, UNKNOWN if event.abandoned else CLOSED)
            case ev.AttemptCutOff(path=path, usage=usage, certainty=certainty):
                self.end(path, usage, certainty)
            case ev.StepCompleted(path=path, output=output):
                self.end(path, output.usage, CLOSED, answered=True)
            case ev.StepFailed() | ev.StepTimedOut() | ev.StepSkipped() | ev.StepCancelled():
                self.end(event.path, None, CLOSED)


def is_at_or_below(path: str, other: str) -> bool:
    return path == other or path.startswith(f"{other}/")


def within(path: str, call: str) -> bool:
    """True for a step of the workflow called at `call`; what the call itself makes below it (`MADE`) is none."""
    return path.startswith(f"{call}/") and path[len(call) + 1 :] not in MADE


class Past:
    """The events of earlier legs, found by where they happened."""

    def __init__(self, told: Sequence[ev.Envelope]) -> None:
        self._told = told
        self._places: list[tuple[str, int]] = sorted(
            (path, at) for at, one in enumerate(told) if (path := getattr(one.event, "path", None))
        )
        self._retries = [
            (at, one.event.path)
            for at, one in enumerate(told)
            if isinstance(one.event, ev.ChoiceMade) and one.event.construct == RETRY
        ]

    def within(self, call: StepPath) -> list[ev.Envelope]:
        """Those of the workflow called at `call` since its last retry, or that of a call around it."""
        since = max((at for at, path in self._retries if is_at_or_below(call, path)), default=-1)
        places = self._places
        found = places[bisect_left(places, (f"{call}/", 0)) : bisect_left(places, (f"{call}0", 0))]
        return [self._told[at] for at in sorted(at for path, at in found if at > since and within(path, call))]


def _recorded(event: ev.AttemptStarted) -> Reserve:
    kept: Mapping[str, JsonValue] = event.reserve or {}
    return Reserve(
        event.executor,
        round(_number(kept.get("cost_usd")) * MICRO),
        round(_number(kept.get("tokens"))),
        metered=kept.get("metered") is True,
        is_call=event.info.kind == "call",
    )


def _number(value: JsonValue) -> float:
    return value if isinstance(value, int | float) else 0
