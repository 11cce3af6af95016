"""Limits of a run: nothing begins that could exceed them.

Before an attempt begins, the most it may use is set aside, under one lock, so that branches can't exceed a limit
together. What does not fit waits for the next attempt to end and give its place back, holding no slot; once none is
open, nothing can fit any more, and the run ends. An attempt's end settles it with what it has really used.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

from runkon.engine.account import MICRO, Account, Reserve, Wanted
from runkon.engine.answers import Failed
from runkon.engine.cancellation import BUDGET, CancelReason, Waiter
from runkon.engine.ends import Stopped
from runkon.model.events import Note
from runkon.model.ids import is_in_always
from runkon.model.records import StepError
from runkon.named import NamedTuple

if TYPE_CHECKING:
    from runkon.engine.cancellation import Token
    from runkon.engine.config import RunConfig
    from runkon.language.nodes import Meta
    from runkon.model.events import Envelope
    from runkon.model.ids import StepPath
    from runkon.model.output import Usage
    from runkon.model.ports import Recorder

DEFAULT_COST = MICRO // 4  # what a call is taken to cost whose executor has named no price yet, $0.25
DEFAULT_TOKENS = 4_000
WARN_AT = 0.8


class Limits(NamedTuple):
    """The most a run may use; None: any amount. `cost` in millionths of a dollar."""

    cost: int | None = None
    calls: int | None = None
    tokens: int | None = None


def limits_of(meta: Meta, config: RunConfig) -> Limits:
    """The lower of what the workflow and the command line say; what a resume was given replaces both."""
    given, new = {"budget_usd": config.budget_usd, "max_calls": config.max_calls}, config.new_limits

    def lowest(name: str) -> float | None:
        again = new.get(name)
        if isinstance(again, int | float):
            return again
        return min((one for one in (getattr(meta, name), given.get(name)) if one is not None), default=None)

    cost, calls, tokens = lowest("budget_usd"), lowest("max_calls"), lowest("max_tokens")
    return Limits(
        None if cost is None else round(cost * MICRO),
        None if calls is None else int(calls),
        None if tokens is None else int(tokens),
    )


def open_ledger(meta: Meta, config: RunConfig, told: Iterable[Envelope]) -> Ledger:
    """The ledger of a leg; `told` are the events of the legs before, of the kinds `account.TOLD`."""
    account = Account()
    account.read(told)
    return Ledger(limits_of(meta, config), account, config)


class Ledger:
    """What one leg may still use. Safe for concurrent calls."""

    def __init__(self, limits: Limits, account: Account, config: RunConfig) -> None:
        self.limits = limits
        self.account = account
        self._allow_unpriced = config.allow_unpriced
        self._exempts_always = config.always_budget
        self._lock = threading.Lock()
        self._waiting: list[Waiter] = []
        self._warned = {name for name, part in self._parts() if part >= WARN_AT}

    # ── before an attempt ─────────────────────────────────────────────────────────────────────────
    def hold(self, wanted: Wanted, token: Token, end_run: Callable[[CancelReason], object]) -> Reserve | Failed:
        """Set aside what the next attempt may use, once it fits. Raises `Stopped` if told to stop meanwhile, or if it
        can never fit: then `end_run` is told why. In the always block the step fails instead."""
        while True:
            if token.reason is not None:
                raise Stopped(token.reason)
            waiter = Waiter()
            with self._lock:
                taken = self._take(wanted)
                if isinstance(taken, Reserve):
                    return taken
                is_over = not self.account.open
                if not is_over:
                    self._waiting.append(waiter)
            if is_over:
                if is_in_always(wanted.path):
                    return Failed(StepError("fatal", taken))
                reason = CancelReason(BUDGET, taken)
                end_run(reason)
                raise Stopped(reason if token.reason is None else token.reason)
            undo = token.on_cancel(waiter.wake)
            waiter.wait()
            undo()

    def hold_at_once(self, wanted: Wanted) -> Reserve | None:
        """The same without waiting; None if it does not fit now."""
        with self._lock:
            taken = self._take(wanted)
        return taken if isinstance(taken, Reserve) else None

    def withdraw(self, path: StepPath) -> None:
        """The attempt does not begin after all."""
        with self._lock:
            self.account.withdraw(path)
        self._wake()

    def _take(self, wanted: Wanted) -> Reserve | str:
        """With the lock held: set it aside, or say why not."""
        path, reserve = wanted.path, self._estimate(wanted)
        if not (self._exempts_always and is_in_always(path)):
            why = self._against(reserve, path)
            if why is not None:
                return why
        self.account.begin(path, reserve)
        return reserve

    def _estimate(self, wanted: Wanted) -> Reserve:
        """What an attempt may use at most: what the step says, what its executor says, what its calls have come to in
        this run so far; else a guess, and then nothing runs beside it."""
        executor, account, limits = wanted.executor, self.account, self.limits
        name = executor.name
        if not wanted.is_call:
            return Reserve(name, is_call=False)
        metered = bool(executor.metered)
        said = wanted.said if wanted.said is not None else getattr(executor, "max_cost_usd", None)
        cost = round(said * MICRO) if isinstance(said, int | float) else None
        told = getattr(executor, "max_tokens", None)
        tokens = told if isinstance(told, int) else None
        most = account.most.get(name)
        if most is not None:
            cost = most[0] if cost is None else cost
            tokens = most[1] if tokens is None else tokens
        is_guess = metered and (
            (cost is None and limits.cost is not None) or (tokens is None and limits.tokens is not None)
        )
        if cost is None:
            cost = min(DEFAULT_COST, _left(limits.cost, account.cost)) if metered and limits.cost is not None else 0
        if tokens is None:
            is_open = metered and limits.tokens is not None
            tokens = min(DEFAULT_TOKENS, _left(limits.tokens, account.tokens)) if is_open else 0
        return Reserve(name, cost, int(tokens), metered, True, is_guess)

    def _against(self, reserve: Reserve, path: StepPath) -> str | None:
        """Why this can't be set aside now."""
        account, limits, name = self.account, self.limits, reserve.executor
        if not reserve.is_call:
            return None
        if limits.calls is not None and account.calls >= limits.calls:
            calls = "1 call" if limits.calls == 1 else f"{limits.calls} calls"
            return f"the limit of {calls} is reached before step `{path}`"
        if limits.cost is not None and reserve.metered and name in account.unpriced and not self._allow_unpriced:
            return (
                f"unpriced-call: `{name}` does not say what its calls cost, so the budget can't bound step `{path}`; "
                "the setting `allow_unpriced = true` lets it run all the same"
            )
        if limits.cost is not None and (reserve.cost or reserve.metered):
            total = account.cost + account.reserved
            if total + reserve.cost > limits.cost or account.cost >= limits.cost:
                return (
                    f"the budget of {_usd(limits.cost)} leaves no room for step `{path}`: {_usd(total)} is spent, "
                    f"and a call of `{name}` may cost {_usd(reserve.cost)}"
                )
        if limits.tokens is not None and (reserve.tokens or reserve.metered):
            used = account.tokens + account.reserved_tokens
            if used + reserve.tokens > limits.tokens or account.tokens >= limits.tokens:
                return (
                    f"the limit of {limits.tokens} tokens leaves no room for step `{path}`: {used} are used, "
                    f"and a call of `{name}` may use {reserve.tokens}"
                )
        others = [one for one in account.open.values() if one.is_call]
        if any(one.alone for one in others) or (reserve.alone and others):
            return f"nothing is known of the price of `{name}` yet, so step `{path}` waits for other calls"
        return None

    # ── after an attempt ──────────────────────────────────────────────────────────────────────────
    def settle(
        self, recorder: Recorder, path: StepPath, usage: Usage | None, how: str, *, answered: bool = False
    ) -> None:
        """The attempt of `path` has ended, and its end is queued."""
        with self._lock:
            self.account.end(path, usage, how, answered=answered)
            news = [name for name, part in self._parts() if part >= WARN_AT and name not in self._warned]
            self._warned.update(news)
            texts = [self._warning(name) for name in news]
        for text in texts:
            recorder.append(Note(level="warning", code="budget-warning", text=text))
        self._wake()

    def _wake(self) -> None:
        with self._lock:
            waiting, self._waiting = self._waiting, []
        for waiter in waiting:
            waiter.wake()

    def _parts(self) -> list[tuple[str, float]]:
        """How much of each limit is used, 1 for all of it."""
        account, limits = self.account, self.limits
        pairs = (
            ("budget", account.cost, limits.cost),
            ("calls", account.calls, limits.calls),
            ("tokens", account.tokens, limits.tokens),
        )
        return [(name, used / limit if limit else 1.0) for name, used, limit in pairs if limit is not None]

    def _warning(self, name: str) -> str:
        account, limits = self.account, self.limits
        if name == "budget":
            return f"{_usd(account.cost)} of the budget of {_usd(limits.cost or 0)} is spent"
        used, limit = (account.calls, limits.calls) if name == "calls" else (account.tokens, limits.tokens)
        return f"{used} of {limit} {name} are used"


def _left(limit: int | None, used: int) -> int:
    return 0 if limit is None else max(0, limit - used)


def _usd(micro: int) -> str:
    return f"${micro / MICRO:.4f}".removesuffix("00")
