"""Limits of a run and of the workflows it calls: nothing begins that could exceed them.

Before an attempt begins, the most it may use is set aside, under one lock, so that branches can't exceed a limit
together: in the book of the run and in those of the called workflows around it that have limits of their own. What does
not fit waits for the next attempt to end and give its place back, holding no slot; once none is open, nothing can fit
any more, and the run, or the called workflow, ends. An attempt's end settles it with what it has really used.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, TypeAlias

from runkon.engine.account import TOLD, Account, Past, Reserve, Wanted, is_at_or_below, within
from runkon.engine.answers import Failed
from runkon.engine.cancellation import BUDGET, CHILD_BUDGET, CancelReason, Waiter
from runkon.engine.ends import Stopped
from runkon.engine.limits import MICRO, Limits, limits_of
from runkon.engine.plan import ALWAYS
from runkon.model.costs import costs_said
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
    from runkon.model.ports import Recorder, RunStore
    from runkon.model.records import RunRecord

End: TypeAlias = Callable[[CancelReason], object]
DEFAULT_TOKENS = 4_000
WARN_AT = 0.8


def open_ledger(meta: Meta, config: RunConfig, store: RunStore, record: RunRecord) -> Ledger:
    """The ledger of the next leg: what earlier ones have spent, and what people said of calls that nobody knew."""
    past = list(store.events_of(record.id, TOLD)) if record.seq > 1 else []
    account = Account(costs_said(store.gate_answers(record.id)) if past else None)
    account.read(past)
    return Ledger(Book(limits_of(meta, config), account), config, past)


class Book:
    """Limits and what counts against them: of the run, or of the called workflow at `path`, which `end` ends."""

    def __init__(self, limits: Limits, account: Account, path: StepPath | None = None, end: End | None = None) -> None:
        self.limits = limits
        self.account = account
        self.path = path
        self.end = end
        self.warned = {name for name, part in self.parts() if part >= WARN_AT}

    def holds(self, path: StepPath) -> bool:
        return self.path is None or within(path, self.path)

    def is_always(self, path: StepPath) -> bool:
        """True for a step of the always block."""
        return is_in_always(path) if self.path is None else path.startswith(f"{self.path}/{ALWAYS}")

    def against(self, reserve: Reserve, path: StepPath) -> str | None:
        """Why this can't be set aside now."""
        account, limits, name = self.account, self.limits, reserve.executor
        of = "" if self.path is None else f" of `{self.path}`"
        if limits.calls is not None and account.calls >= limits.calls:
            calls = "1 call" if limits.calls == 1 else f"{limits.calls} calls"
            return f"the limit{of} of {calls} is reached before step `{path}`"
        if limits.cost is not None and not reserve.is_unpriced and (reserve.cost or reserve.metered):
            total = account.cost + account.reserved
            if total + reserve.cost > limits.cost or account.cost >= limits.cost:
                return (
                    f"the budget{of} of {_usd(limits.cost)} leaves no room for step `{path}`: {_usd(total)} is spent, "
                    f"and a call of `{name}` may cost {_usd(reserve.cost)}"
                )
        if limits.tokens is not None and (reserve.tokens or reserve.metered):
            used = account.tokens + account.reserved_tokens
            if used + reserve.tokens > limits.tokens or account.tokens >= limits.tokens:
                return (
                    f"the limit{of} of {limits.tokens} tokens leaves no room for step `{path}`: {used} are used, "
                    f"and a call of `{name}` may use {reserve.tokens}"
                )
        return None

    def alone(self, reserve: Reserve, path: StepPath) -> str | None:
        """Why this has to wait for calls that are open: only tokens are guessed, so only their limit asks for it."""
        others = [one for one in self.account.open.values() if one.is_call]
        if self.limits.tokens is not None and (any(one.alone for one in others) or (reserve.alone and others)):
            return f"nothing is known of `{reserve.executor}` yet, so step `{path}` waits for other calls"
        return None

    def parts(self) -> list[tuple[str, float]]:
        """How much of each limit is used, 1 for all of it."""
        account, limits = self.account, self.limits
        pairs = (
            ("budget", account.cost, limits.cost),
            ("calls", account.calls, limits.calls),
            ("tokens", account.tokens, limits.tokens),
        )
        return [(name, used / limit if limit else 1.0) for name, used, limit in pairs if limit is not None]

    def news(self) -> list[str]:
        """Warnings that nobody was given yet."""
        found = [name for name, part in self.parts() if part >= WARN_AT and name not in self.warned]
        self.warned.update(found)
        return [self._warning(name) for name in found]

    def _warning(self, name: str) -> str:
        account, limits = self.account, self.limits
        of = "" if self.path is None else f" of `{self.path}`"
        if name == "budget":
            return f"{_usd(account.cost)} of the budget{of} of {_usd(limits.cost or 0)} is spent"
        used, limit = (account.calls, limits.calls) if name == "calls" else (account.tokens, limits.tokens)
        return f"{used} of {limit} {name}{of} are used"


class Refused(NamedTuple):
    """Why an attempt can't begin now, and whose limits say so."""

    text: str
    book: Book


class Ledger:
    """What one leg may still use. Safe for concurrent calls."""

    def __init__(self, root: Book, config: RunConfig, past: Sequence[Envelope] = ()) -> None:
        self._books = [root]
        self._past = Past(past)
        self._anew: set[StepPath] = set()
        self._allow_unpriced = config.allow_unpriced
        self._exempts_always = config.always_budget
        self._lock = threading.Lock()
        self._waiting: list[Waiter] = []

    @property
    def limits(self) -> Limits:
        """Those of the run."""
        return self._books[0].limits

    @property
    def bounds_cost(self) -> bool:
        """True if any limit is one of money."""
        return any(book.limits.cost is not None for book in self._books)

    # ── called workflows ──────────────────────────────────────────────────────────────────────────
    def enter(self, path: StepPath, limits: Limits, end: End) -> None:
        """The workflow at `path` begins, or goes on, with limits of its own; `end` is told if they leave no room."""
        account = Account(self._books[0].account.said)
        with self._lock:
            is_anew = any(is_at_or_below(path, call) for call in self._anew)
        if not is_anew:
            account.read(self._past.within(path))
        with self._lock:
            self._books = [*(book for book in self._books if book.path != path), Book(limits, account, path, end)]

    def begin_anew(self, path: StepPath) -> None:
        """The call at `path` is tried again: what earlier legs have spent in it counts for the run alone."""
        with self._lock:
            self._anew.add(path)

    def leave(self, path: StepPath) -> None:
        with self._lock:
            self._books = [book for book in self._books if book.path != path]

    # ── before an attempt ─────────────────────────────────────────────────────────────────────────
    def hold(self, wanted: Wanted, token: Token, end_run: End) -> Reserve | Failed:
        """Set aside what the next attempt may use, once it fits. Raises `Stopped` if told to stop meanwhile, or if it
        can never fit: then `end_run`, or the called workflow's own end, is told why. In the always block the step fails
        instead."""
        while True:
            if token.reason is not None:
                raise Stopped(token.reason)
            waiter = Waiter()
            with self._lock:
                taken = self._take(wanted)
                if isinstance(taken, Reserve):
                    return taken
                is_over = not taken.book.account.open
                if not is_over:
                    self._waiting.append(waiter)
            if is_over:
                return self._ended(taken, wanted.path, token, end_run)
            undo = token.on_cancel(waiter.wake)
            waiter.wait()
            undo()

    def _ended(self, refused: Refused, path: StepPath, token: Token, end_run: End) -> Failed:
        book = refused.book
        if book.is_always(path):
            return Failed(StepError("fatal", refused.text))
        end = end_run if book.end is None else book.end
        reason = CancelReason(BUDGET if book.end is None else CHILD_BUDGET, refused.text)
        end(reason)
        raise Stopped(reason if token.reason is None else token.reason)

    def hold_at_once(self, wanted: Wanted) -> Reserve | None:
        """The same without waiting; None if it does not fit now."""
        with self._lock:
            taken = self._take(wanted)
        return taken if isinstance(taken, Reserve) else None

    def withdraw(self, path: StepPath) -> None:
        """The attempt does not begin after all."""
        with self._lock:
            for book in self._books:
                book.account.withdraw(path)
        self._wake()

    def _take(self, wanted: Wanted) -> Reserve | Refused:
        """With the lock held: set it aside in all books, or say why not."""
        path = wanted.path
        books = [book for book in self._books if book.holds(path)]
        reserve = self._estimate(wanted, books)
        for book in books if reserve.is_call else ():
            if self._exempts_always and book.is_always(path):
                continue
            why = self._unpriced(reserve, path, book) or book.against(reserve, path) or book.alone(reserve, path)
            if why is not None:
                return Refused(why, book)
        for book in books:
            book.account.begin(path, reserve)
        return reserve

    def _estimate(self, wanted: Wanted, books: Sequence[Book]) -> Reserve:
        """What an attempt may use at most: what the step says, what its executor says, what its calls have come to in
        this run so far. Of money nothing is guessed; of tokens it is, and then nothing runs beside it."""
        executor, account = wanted.executor, self._books[0].account
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
        bounds = [book for book in books if book.limits.tokens is not None]
        is_guess = metered and tokens is None and bool(bounds)
        if tokens is None:
            left = [_left(book.limits.tokens, book.account.tokens) for book in bounds]
            tokens = min(DEFAULT_TOKENS, *left) if is_guess else 0
        is_unpriced = metered and (cost is None or (said is None and name in account.unpriced))
        return Reserve(name, cost or 0, int(tokens), metered, True, is_guess, is_unpriced)

    def _unpriced(self, reserve: Reserve, path: StepPath, book: Book) -> str | None:
        if not reserve.is_unpriced or self._allow_unpriced or book.limits.cost is None:
            return None
        return (
            f"unpriced-call: nothing says what a call of `{reserve.executor}` costs, so the budget can't bound step "
            f"`{path}`; give it `max_cost_usd`, or set `allow_unpriced = true`"
        )

    # ── after an attempt ──────────────────────────────────────────────────────────────────────────
    def settle(
        self, recorder: Recorder, path: StepPath, usage: Usage | None, how: str, *, answered: bool = False
    ) -> None:
        """The attempt of `path` has ended, and its end is queued."""
        texts: list[str] = []
        with self._lock:
            for book in self._books:
                book.account.end(path, usage, how, answered=answered)
                texts += book.news()
        for text in texts:
            recorder.append(Note(level="warning", code="budget-warning", text=text))
        self._wake()

    def _wake(self) -> None:
        with self._lock:
            waiting, self._waiting = self._waiting, []
        for waiter in waiting:
            waiter.wake()


def _left(limit: int | None, used: int) -> int:
    return 0 if limit is None else max(0, limit - used)


def _usd(micro: int) -> str:
    return f"${micro / MICRO:.4f}".removesuffix("00")
