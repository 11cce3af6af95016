"""Time that moves by itself, and only when nothing else can happen: a wait of two days takes a millisecond.

Whether a thread waits is read off its innermost frame: the engine waits in a few places only, and each has a lock or a
queue that tells a thread that waits from one that was woken. A thread that was woken and has not run since is one that
the machine calls runnable.
"""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable
from types import FrameType
from typing import TypeVar

from runkon.engine.cancellation import Waiter
from runkon.engine.renewal import Renewal
from runkon.engine.scheduler import Pool
from runkon.engine.turns import Turns
from runkon.testing.clock import FakeClock
from runkon.testing.scripted import PATIENCE

_LOOK = 0.0003  # real seconds between two looks
_LOOKS = 3  # so often in a row everything has to wait
_OTHERS = frozenset(
    {"runkon-timer", "runkon-watcher", "runkon-recorder", "runkon-sink", "runkon-kill", "runkon-prompt"}
)


_Result = TypeVar("_Result")


class VirtualClock(FakeClock):
    """A `FakeClock` that `run` moves to the next timer whenever every thread of the engine waits. A lease is not
    renewed by it: nobody else can take a run that is in memory."""

    def call_at(self, when: float, action: Callable[[], None]) -> Callable[[], None]:
        if isinstance(getattr(action, "__self__", None), Renewal):
            return _nothing
        return super().call_at(when, action)

    def run(self, work: Callable[[], _Result]) -> _Result:
        """Do `work` on a thread of its own and return what it returns, time moving meanwhile. What it raises is raised
        here. Raises TimeoutError if for half a minute of real time nothing happens that could end it."""
        ended: list[_Result] = []
        raised: list[BaseException] = []

        def walk() -> None:
            try:
                ended.append(work())
            except BaseException as error:  # noqa: BLE001  raised again by the thread that waits
                raised.append(error)

        thread = threading.Thread(target=walk, name="runkon-virtual", daemon=True)
        thread.start()
        waited, given_up = 0, time.monotonic() + PATIENCE
        while thread.is_alive():
            thread.join(_LOOK)
            waited = waited + 1 if _all_wait() else 0
            if waited >= _LOOKS and self.advance_to_next():
                waited, given_up = 0, time.monotonic() + PATIENCE
            if time.monotonic() > given_up:
                raise TimeoutError("the run waits for something that virtual time does not bring")
        if raised:
            raise raised[0]
        return ended[0]


def _all_wait() -> bool:
    frames, here = sys._current_frames(), threading.current_thread()
    named = [one for one in threading.enumerate() if one.name.startswith("runkon-") and one is not here]
    engine = [one for one in named if one.name not in _OTHERS]
    found = [(frames.get(thread.ident), thread.native_id) for thread in engine if thread.ident is not None]
    return all(frame is not None and _waits(frame) for frame, _ in found) and not any(_is_due(one) for _, one in found)


def _is_due(thread: int | None) -> bool:
    """True if the machine would run the thread now: it was woken, and has not come to do anything yet. False where
    that can't be told."""
    try:
        with open(f"/proc/self/task/{thread}/stat", "rb") as file:
            return file.read().rpartition(b")")[2].split()[0] == b"R"
    except (OSError, IndexError):
        return False


def _waits(frame: FrameType) -> bool:
    code = frame.f_code
    if code is Waiter.wait.__code__:
        lock: threading.Lock = frame.f_locals["self"]._lock
        return lock.locked()
    if code is Pool._loop.__code__:
        pool: Pool = frame.f_locals["self"]
        return pool._unclaimed > 0 and not pool.is_contended
    if code is Turns.enter.__code__:
        return "waiting" in frame.f_locals and frame.f_locals["waiting"].woken.locked()
    return code.co_filename == threading.__file__ and code.co_name in ("join", "_wait_for_tstate_lock")


def _nothing() -> None:
    """Undoes a timer that was never kept."""
