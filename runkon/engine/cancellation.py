"""Stopping work: a tree of tokens, and the handle by which people stop a run.

The first reason given to a token wins. It goes down the tree, never up or sideways, and wakes every wait at once:
nothing polls. Marking a token touches no lock that its own thread could hold, so a signal handler may do it.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from typing import TypeAlias

from runkon.errors import Cancelled
from runkon.model.ports import CancelToken, Clock
from runkon.named import NamedTuple

Action: TypeAlias = Callable[[], None]


class CancelReason(NamedTuple):
    """Why work is stopped. `kind` is a stable word; `text` and `by` say more, for people; `via` is how a wish came."""

    kind: str
    text: str = ""
    by: str = ""
    via: str = "api"

    def __str__(self) -> str:
        return self.text or self.kind.replace("_", " ")


INTERRUPT = CancelReason("interrupt", "the run was interrupted")
BUDGET = "budget"  # kind: a limit of the run leaves no room for what comes next, text says which
USER = "user"  # kind: the run was given up, text and by are the user's
TIMEOUT = CancelReason("timeout")
CHILD_TIMEOUT = "child_timeout"  # kind: a called workflow has used up its time, text says which
CHILD_BUDGET = "child_budget"  # kind: limits of a called workflow leave no room for what comes next, text says which
IDLE = CancelReason("idle")
FAIL_FAST = CancelReason("fail_fast", "another branch failed")
UNTIL_REACHED = CancelReason("until_reached", "the block needed no more answers")
UNTIL = CancelReason("until", "the run was to stop here")
RUN_TIMEOUT = CancelReason("run_timeout", "the run took longer than its timeout")
ALWAYS_GRACE = CancelReason("always_grace", "the always block took longer than its grace")
KILL = CancelReason("kill", "the run was told to stop at once")
LEASE_LOST = CancelReason("lease_lost", "another engine owns the run now")
STORE_LOST = CancelReason("store", "the store could not be written")
REPLAY = CancelReason("replay", "the workflow differs from the record")
INTERNAL = CancelReason("internal", "runkon itself failed")

# After these nothing is written any more: the run belongs to somebody else.
SILENT = frozenset({"lease_lost"})
# After these the run ends for good; every other stop is a pause.
FINAL = frozenset(
    {"user", "run_timeout", "budget", CHILD_TIMEOUT, CHILD_BUDGET, "fail_fast", "until_reached", "always_grace"}
)


class Waiter:
    """One thread waits, any other wakes it, once or often, before or after. Waking is safe in a signal handler."""

    __slots__ = ("_lock",)

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._lock.acquire()

    def wake(self) -> None:
        try:
            self._lock.release()
        except RuntimeError:
            return  # awake already

    def wait(self) -> None:
        """Return once woken since the last return."""
        self._lock.acquire()


class Token(CancelToken):
    """One scope that can be stopped. `reason` is None until then."""

    __slots__ = ("_actions", "_children", "_clock", "_lock", "_parent", "reason")
    is_recall = False

    def __init__(self, clock: Clock, parent: Token | None = None) -> None:
        self.reason: CancelReason | None = None
        self._clock = clock
        self._parent = parent
        # One reentrant lock per tree: a signal handler may run in the middle of another method of this thread.
        self._lock: threading.RLock = parent._lock if parent is not None else threading.RLock()
        self._children: dict[Token, None] = {}
        self._actions: dict[object, Action] = {}

    @property
    def is_cancelled(self) -> bool:
        return self.reason is not None

    def raise_if_cancelled(self) -> None:
        if self.reason is not None:
            raise Cancelled(str(self.reason))

    def child(self) -> Token:
        """A token that this one stops too. `detach` it when its work is over."""
        token = self._below()
        with self._lock:
            token.reason = self.reason
            self._children[token] = None
        return token

    def _below(self) -> Token:
        return Token(self._clock, self)

    def detach(self) -> None:
        """Forget this token in its parent, so that finished work is not kept."""
        if self._parent is not None:
            with self._lock:
                self._parent._children.pop(self, None)

    def cancel(self, reason: CancelReason) -> None:
        """Stop this scope and all below it; a scope stopped already keeps its reason."""
        run_all(self.mark(reason))

    def mark(self, reason: CancelReason) -> list[Action]:
        """Like `cancel`, but the actions are returned for somebody else to run."""
        with self._lock:
            if self.reason is not None:
                return []
            self.reason = reason
            actions = list(self._actions.values())
            self._actions.clear()
            for token in list(self._children):
                actions += token.mark(reason)
        return actions

    def on_cancel(self, action: Action) -> Action:
        key = object()
        with self._lock:
            if self.reason is None:
                self._actions[key] = action
                return lambda: self._forget(key)
        action()
        return _nothing

    def wait(self, seconds: float) -> bool:
        if self.reason is None and seconds > 0:
            waiter = Waiter()
            undo_cancel = self.on_cancel(waiter.wake)
            undo_timer = self._clock.call_after(seconds, waiter.wake)  # until a due time, mostly: it goes on in sleep
            try:
                waiter.wait()
            finally:
                undo_timer()
                undo_cancel()
        return self.reason is not None

    def _forget(self, key: object) -> None:
        with self._lock:
            self._actions.pop(key, None)


class Recall(Token):
    """The token of a walk that only looks at what is on record and ends where something would have to begin. `why` is
    how that is recorded which had begun and not ended; None: it is left as it is."""

    __slots__ = ("why",)
    is_recall = True

    def __init__(self, clock: Clock, why: CancelReason | None, parent: Token | None = None) -> None:
        super().__init__(clock, parent)
        self.why = why

    def _below(self) -> Token:
        return Recall(self._clock, self.why, self)


def run_all(actions: Iterable[Action]) -> None:
    """Run every action, whatever the others do: some belong to executors."""
    for action in actions:
        try:
            action()
        except Exception:  # noqa: BLE001  an executor's own clean-up must not keep others from being stopped
            continue


def _nothing() -> None:
    """Undoes an action that has already run."""


class RunControl:
    """How a run is stopped from outside. Give it to `Runner.execute`; every method may be called from any thread,
    from a signal handler, before the run begins and after it ended, and returns at once."""

    def __init__(self) -> None:
        self._lock = threading.RLock()
        self._asked: list[CancelReason] = []
        self._listener: Callable[[CancelReason], None] | None = None

    def interrupt(self, cause: str = "interrupt") -> None:
        """Pause: running work is stopped, the always block runs, the run ends `interrupted` and can be resumed."""
        self._ask(CancelReason("interrupt" if cause == "interrupt" else cause, "the run was interrupted"))

    def cancel(self, by: str, reason: str) -> None:
        """The end: running work is stopped, the always block runs, the run ends `cancelled` for good."""
        self._ask(CancelReason(USER, reason, by))

    def kill(self) -> None:
        """Do not wait any longer: process groups are killed now, the always block is cut off."""
        self._ask(KILL)

    def listen(self, listener: Callable[[CancelReason], None] | None) -> None:
        """Where requests go from now on; earlier ones are handed over first. None: nowhere, they are kept
        for the next leg."""
        with self._lock:
            self._listener = listener
            asked, self._asked = (self._asked, []) if listener is not None else ([], self._asked)
        if listener is not None:
            for reason in asked:
                listener(reason)

    def _ask(self, reason: CancelReason) -> None:
        with self._lock:
            listener = self._listener
            if listener is None:
                self._asked.append(reason)
        if listener is not None:
            listener(reason)
