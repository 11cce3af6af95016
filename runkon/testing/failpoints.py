"""Arming failpoints: at which place, at which passing, and what then happens to the process or the thread.

A specification is `point[:path=GLOB][:hit=N][:leg=N][:do=ACTION]`, several of them joined with `;`. Actions:

- `kill` (the default): SIGKILL to this process; `exit(N)`: the process ends at once with that code
- `torn`: `kill`, at a `_half` place only, where half of the bytes are in the file
- `raise(KIND)`: one of `KINDS` is raised on the thread that passes
- `sql(NAME)`: as if SQLite had failed with `FULL`, `LOCKED`, `READONLY`, `IOERR` or `CORRUPT`
- `sleep(MS)`, `hang`: the thread waits for that long, or for ever
- `steal`, `clock(SECONDS)`: calls what was given to `arm` under that name
"""

from __future__ import annotations

import errno
import os
import signal
import sqlite3
import sys
import threading
import time
from collections.abc import Callable, Mapping
from fnmatch import fnmatchcase
from types import TracebackType

from runkon.errors import EXIT_USAGE, Cancelled, Fatal, InternalError, LeaseLost, StoreUnavailable, Transient, UserError
from runkon.failpoints import POINTS, react
from runkon.named import NamedTuple
from runkon.pattern import pattern

SPEC, PERMISSION = "RUNKON_FAILPOINTS", "RUNKON_TESTING"
_ACTION = pattern(r"([a-z]+)(?:\(([^()]*)\))?")
_SQL = {
    "FULL": (sqlite3.SQLITE_FULL, "database or disk is full"),
    "LOCKED": (sqlite3.SQLITE_BUSY, "database is locked"),
    "READONLY": (sqlite3.SQLITE_READONLY, "attempt to write a readonly database"),
    "IOERR": (sqlite3.SQLITE_IOERR, "disk I/O error"),
    "CORRUPT": (sqlite3.SQLITE_CORRUPT, "database disk image is malformed"),
}
KINDS: Mapping[str, Callable[[str], BaseException]] = {
    "internal": InternalError,
    "value": ValueError,
    "memory": MemoryError,
    "os": lambda text: OSError(errno.ENOSPC, text),
    "lease": LeaseLost,
    "store": StoreUnavailable,
    "transient": Transient,
    "fatal": Fatal,
    "cancelled": Cancelled,
    "keyboard": KeyboardInterrupt,
}


class _Trap(NamedTuple):
    """What happens at one place. `hit` counts the passings that match everything else, from 1; None: each."""

    point: str
    path: str | None
    hit: int | None
    leg: int | None
    act: Callable[[str], None]


class Armed:
    """Failpoints of this process that are armed until `disarm`, or until the end of a `with` block. `passed` counts
    how often each place was come to, armed or not."""

    def __init__(self, traps: list[_Trap]) -> None:
        self.passed: dict[str, int] = {}
        self._traps = traps
        self._hits = [0] * len(traps)
        self._lock = threading.Lock()
        self._leg: int | None = None  # of the run that took its lease last
        react(self._react)

    def disarm(self) -> None:
        """No place does anything from now on."""
        react(None)

    def __enter__(self) -> Armed:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.disarm()

    def _react(self, point: str, path: str | None, number: int | None) -> None:
        due: list[_Trap] = []
        with self._lock:
            self.passed[point] = self.passed.get(point, 0) + 1
            if point == "after_lease":
                self._leg = number
            for index, trap in enumerate(self._traps):
                if self._is_meant(trap, point, path):
                    self._hits[index] += 1
                    if trap.hit is None or trap.hit == self._hits[index]:
                        due.append(trap)
        for trap in due:
            trap.act(point)

    def _is_meant(self, trap: _Trap, point: str, path: str | None) -> bool:
        if trap.point != point or (trap.leg is not None and trap.leg != self._leg):
            return False
        return trap.path is None or (path is not None and fnmatchcase(path, trap.path))


def arm(spec: str, *, steal: Callable[[], None] | None = None, clock: Callable[[float], None] | None = None) -> Armed:
    """Arm the places that `spec` names, instead of those armed before; says so on stderr. `steal` is called for the
    action of that name and is to take the run's lease for somebody else; `clock` gets the seconds to jump.

    Raises UserError `invalid-failpoint` for an unknown place or action, and for anything else it can't read."""
    given = {"steal": steal, "clock": clock}
    armed = Armed([_trap(text.strip(), given) for text in spec.split(";") if text.strip()])
    print(f"warning: failpoints are armed, this process fails on purpose: {spec}", file=sys.stderr, flush=True)
    return armed


def arm_from_environment() -> Armed | None:
    """Arm what `RUNKON_FAILPOINTS` says, if `RUNKON_TESTING` is 1: nobody is to fail on purpose by accident."""
    spec = os.environ.get(SPEC)
    return arm(spec) if spec and os.environ.get(PERMISSION) == "1" else None


# ── reading a specification ───────────────────────────────────────────────────────────────────────
def _trap(text: str, given: Mapping[str, Callable[..., None] | None]) -> _Trap:
    point, *rest = _parts(text)
    if point not in POINTS:
        raise _refused(f"no failpoint is called `{point}`", f"the failpoints are: {', '.join(sorted(POINTS))}")
    named = dict(part.partition("=")[::2] for part in rest)
    strange = sorted(set(named) - {"path", "hit", "leg", "do"})
    if strange:
        raise _refused(f"failpoint `{text}` has an unknown part `{strange[0]}`", "write path, hit, leg or do")
    act = _action(named.get("do", "kill"), point, given)
    return _Trap(point, named.get("path"), _number(named, "hit", text), _number(named, "leg", text), act)


def _parts(text: str) -> list[str]:
    """Split at colons that begin a part: paths and actions may hold others."""
    parts = text.split(":")
    joined = parts[:1]
    for part in parts[1:]:
        if "=" in part or len(joined) == 1:
            joined.append(part)
        else:
            joined[-1] += ":" + part
    return joined


def _number(named: Mapping[str, str], name: str, text: str) -> int | None:
    if name not in named:
        return None
    if not named[name].isdecimal() or int(named[name]) < 1:
        raise _refused(f"`{name}` of failpoint `{text}` is no number from 1", "the first passing has number 1")
    return int(named[name])


def _action(text: str, point: str, given: Mapping[str, Callable[..., None] | None]) -> Callable[[str], None]:
    found = _ACTION.fullmatch(text)
    name, argument = found.groups() if found else (text, None)
    make = _ACTIONS.get(name)
    try:
        if name in given and (call := given[name]) is not None:
            return (lambda _: call()) if argument is None else (lambda _, seconds=float(argument): call(seconds))  # type: ignore[misc]
        if make is not None and (name != "torn" or point.endswith("_half")):
            return make(argument)
    except (KeyError, TypeError, ValueError):
        pass
    help = f"the actions are: exit(N), hang, kill, raise({' | '.join(KINDS)}), sleep(MS), sql({' | '.join(_SQL)}), torn"
    raise _refused(f"failpoint `{point}` can't do `{text}`", help)


def _refused(message: str, help: str) -> UserError:
    return UserError("invalid-failpoint", message, help=help, exit_code=EXIT_USAGE)


# ── actions ───────────────────────────────────────────────────────────────────────────────────────
def _kill(argument: str | None) -> Callable[[str], None]:
    if argument is not None:
        raise ValueError(argument)
    return lambda _: os.kill(os.getpid(), signal.SIGKILL)


def _exit(argument: str | None) -> Callable[[str], None]:
    code = int(argument or "")
    return lambda _: os._exit(code)


def _raise(argument: str | None) -> Callable[[str], None]:
    kind = KINDS[argument or ""]

    def act(point: str) -> None:
        raise kind(f"raised at failpoint {point}")

    return act


def _sleep(argument: str | None) -> Callable[[str], None]:
    seconds = int(argument or "") / 1000
    return lambda _: time.sleep(seconds)


def _hang(argument: str | None) -> Callable[[str], None]:
    if argument is not None:
        raise ValueError(argument)

    def act(_: str) -> None:
        threading.Event().wait()

    return act


def _sql(argument: str | None) -> Callable[[str], None]:
    code, text = _SQL[argument or ""]

    def act(_: str) -> None:
        error = sqlite3.OperationalError(text)
        error.sqlite_errorcode = code
        error.sqlite_errorname = f"SQLITE_{argument}"
        raise error

    return act


_ACTIONS: Mapping[str, Callable[[str | None], Callable[[str], None]]] = {
    "kill": _kill,
    "torn": _kill,
    "exit": _exit,
    "raise": _raise,
    "sleep": _sleep,
    "hang": _hang,
    "sql": _sql,
}
