"""The processes that attempts start: marked in their environment, found again by it, and ended.

Each of them inherits `RUNKON_OWNERS`, a chain of `RUN/FENCE/NUMBER` texts separated by `;`: run, lease and attempt,
those of outer runs first. The mark survives `setsid`, double forks, closed pipes and the death of whoever started the
process. A process counts as the same only if its start time is; this one and its ancestors are spared, and of its group
whatever bears no mark.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from typing import TypeAlias

from runkon.named import NamedTuple

OWNERS = "RUNKON_OWNERS"
CONFIRM = 2.0  # seconds a killed process gets to be gone
_FIRST_PROBE, _PROBE = 0.002, 0.05  # seconds between two looks at processes that are to end
_PROC = "/proc"
_OF_THE_SYSTEM = 0x00200000  # the flag PF_KTHREAD of a process
_ENVIRONMENT_END = 48  # counted from the field after the name: where it ends in memory, 0 without one
_LOOKS = 5
_WHOLE = "p"  # instead of an attempt's number, with that of the process: started by whoever, in the leg's own process
_KEY = b"\0" + OWNERS.encode() + b"="


class Owner(NamedTuple):
    """One link of a chain: the attempt `number` of the leg that holds `run` by `fence`."""

    run: str
    fence: int
    number: int


class Found(NamedTuple):
    """A process. `began` is its start time in the system's own unit, `name` its program's; a dead one only waits to
    be reaped. `is_nested`: it belongs to an inner run, whose own engine stops it, if that lives."""

    pid: int
    began: str
    parent: int
    group: int
    session: int
    name: str
    is_dead: bool
    owners: str
    is_nested: bool = False


Find: TypeAlias = Callable[[], Sequence[Found]]


# ── marks ─────────────────────────────────────────────────────────────────────────────────────────
def marks_of(mark: str, number: int) -> dict[str, str]:
    """The environment that marks what an attempt starts; `mark` is that of its leg."""
    return {OWNERS: f"{mark}{number}"}


def mark_of_leg(run: str, fence: int) -> str:
    """The mark of what a leg starts: the chain this process was given, and one link without its attempt's number."""
    outer = _outer_chain()
    return f"{outer};{run}/{fence}/" if outer else f"{run}/{fence}/"


@contextmanager
def marked(run: str, fence: int) -> Iterator[None]:
    """Inside, whatever this process starts carries the mark of the leg, also what an executor starts without the mark
    of its attempt. Only for a process that does nothing but advance this run."""
    before = os.environ.get(OWNERS)
    os.environ[OWNERS] = f"{mark_of_leg(run, fence)}{_WHOLE}{os.getpid()}"
    try:
        yield
    finally:
        if before is None:
            os.environ.pop(OWNERS, None)
        else:
            os.environ[OWNERS] = before


def _outer_chain() -> str:
    """The chain this process was given, without the link it has made for itself."""
    chain = os.environ.get(OWNERS, "")
    outer, _, last = chain.rpartition(";")
    return outer if last.endswith(f"/{_WHOLE}{os.getpid()}") else chain


def last_owner(marks: Mapping[str, str]) -> Owner | None:
    """The attempt that `marks` were made for."""
    owners = list(_owners(marks.get(OWNERS, "")))
    return owners[-1] if owners else None


def is_inside(run: str) -> bool:
    """True if this process was started by an attempt of `run`, directly or through other runs."""
    return any(owner.run == run for owner in _owners(_outer_chain()))


def _owners(chain: str) -> Iterator[Owner]:
    for link in chain.split(";"):
        run, _, rest = link.partition("/")
        fence, _, number = rest.partition("/")
        if fence.isdecimal():
            yield Owner(run, int(fence), int(number) if number.isdecimal() else -1)


# ── finding ───────────────────────────────────────────────────────────────────────────────────────
def of_leg(run: str, *, first: int = 0, last: int | None = None, of_attempts: bool = False) -> list[Found]:
    """What lives of the legs that held `run` by fences from `first` to `last`, and what descends from it. `of_attempts`
    leaves out what carries no mark of an attempt: executors may keep it for their next call."""

    def is_own(owner: Owner) -> bool:
        is_held = owner.run == run and owner.fence >= first and (last is None or owner.fence <= last)
        return is_held and (owner.number >= 0 or not of_attempts)

    return _family(is_own, ())


def of_attempt(owner: Owner | None, leader: int | None = None) -> list[Found]:
    """What lives of one attempt: marked as its own, or in the session of `leader`, a child that is not reaped yet."""
    sessions = () if leader is None else (leader,)
    return [one for one in _family(lambda other: other == owner, sessions) if one.pid != leader]


def of_leaders(leaders: Iterable[tuple[int, str]]) -> tuple[list[Found], list[Found]]:
    """What lives in the sessions of recorded processes (number, start time), and what can't be told from strangers:
    its leader is gone, so that the number may have been another's since."""
    everybody = {one.pid: one for one in _everybody()}
    sure: set[int] = set()
    doubtful: set[int] = set()
    for pid, began in leaders:
        leader = everybody.get(pid)
        if leader is None:
            doubtful.add(pid)
        elif leader.began == began:
            sure.add(pid)
    return (
        _with_descendants([one for one in everybody.values() if one.pid in sure or one.session in sure], everybody),
        [one for one in everybody.values() if one.session in doubtful and not one.is_dead],
    )


def began(pid: int) -> str | None:
    """When the process began, in the system's own unit; None if there is none."""
    one = _look(pid)
    return None if one is None else one.began


def is_alive(one: Found) -> bool:
    """True while that very process runs: another one with its number does not count."""
    now = _look(one.pid)
    return now is not None and now.began == one.began and not now.is_dead


def _family(is_own: Callable[[Owner], bool], sessions: Sequence[int]) -> list[Found]:
    if not sessions and not any(is_own(owner) for chain in _chains() for owner in _owners(chain)):
        return []  # as a rule; a third of the cost of looking at everything
    everybody = {one.pid: one for one in _everybody()}
    marked = {one.pid: one for one in everybody.values() if any(map(is_own, _owners(one.owners)))}
    own = [*marked.values()]
    for one in everybody.values():
        if one.pid not in marked and (one.session in marked or one.session in sessions):
            own.append(_replaced_owners(one, marked.get(one.session)))
    return [
        one._replace(is_nested=bool(one.owners) and not is_own(list(_owners(one.owners))[-1]))
        for one in _with_descendants(own, everybody, proved=marked)
    ]


def _replaced_owners(one: Found, source: Found | None) -> Found:
    """A process that lost its mark belongs to whom its parent or the leader of its session belongs to."""
    return one if one.owners or source is None else one._replace(owners=source.owners)


def _with_descendants(
    found: Sequence[Found], everybody: Mapping[int, Found], proved: Collection[int] = ()
) -> list[Found]:
    """`found` and all their descendants that live and may be ended: in this process's own group only those that are
    `proved` by their mark, as strangers may be in it."""
    children: dict[int, list[Found]] = {}
    for one in everybody.values():
        children.setdefault(one.parent, []).append(one)
    spared, own_group, taken = _spared(everybody), os.getpgrp(), dict[int, Found]()
    waiting = list(reversed(found))
    while waiting:
        one = waiting.pop()
        if one.pid not in taken and one.pid not in spared and (one.group != own_group or one.pid in proved):
            taken[one.pid] = one
            waiting[:0] = [_replaced_owners(child, one) for child in children.get(one.pid, ())]
    return [one for one in taken.values() if not one.is_dead]


def _spared(everybody: Mapping[int, Found]) -> set[int]:
    """The system's first process, this one, and whoever it descends from."""
    spared, pid = {0, 1}, os.getpid()
    while pid not in spared:
        spared.add(pid)
        pid = everybody[pid].parent if pid in everybody else 0
    return spared


def _chains() -> Iterator[str]:
    """The chains of owners of all processes that have one."""
    for pid in _pids():
        chain = _chain(pid) if os.path.exists(_PROC) else getattr(_look_elsewhere(pid), "owners", "")
        if chain:
            yield chain


def _pids() -> list[int]:
    try:
        pids = [int(name) for name in os.listdir(_PROC) if name.isdecimal()]
    except OSError:
        pids = []
    if not pids:
        import psutil  # late: only where there is no /proc

        pids = psutil.pids()
    return pids


def _everybody() -> Iterator[Found]:
    for pid in _pids():
        one = _look(pid, with_owners=True)
        if one is not None:
            yield one


def _look(pid: int, *, with_owners: bool = False) -> Found | None:
    stat = _read(f"{_PROC}/{pid}/stat")
    if stat is None:
        return None if os.path.exists(f"{_PROC}/self") else _look_elsewhere(pid)
    head, _, rest = stat.rpartition(b")")  # the name before it may hold blanks and brackets
    fields = rest.split()
    if len(fields) < 20:
        return None
    name = head.partition(b"(")[2].decode("utf-8", "replace")
    chain = _chain(pid) if with_owners else ""
    return Found(
        pid=pid,
        began=fields[19].decode(),
        parent=int(fields[1]),
        group=int(fields[2]),
        session=int(fields[3]),
        name=name,
        is_dead=fields[0] in b"ZX",
        owners=chain,
    )


def _is_changing(pid: int) -> bool:
    """True while a process changes its program. A thread of the system never has an environment."""
    fields = (_read(f"{_PROC}/{pid}/stat") or b"").rpartition(b")")[2].split()
    is_without = len(fields) > _ENVIRONMENT_END and fields[_ENVIRONMENT_END] == b"0"
    return is_without and fields[0] not in b"ZX" and not int(fields[6]) & _OF_THE_SYSTEM


def _chain(pid: int) -> str:
    """The chain of owners in a process's environment; empty without one, and where it may not be read."""
    environment = _read(f"{_PROC}/{pid}/environ")
    for _ in range(_LOOKS):
        if environment == b"" and _is_changing(pid):
            time.sleep(0.001)  # it takes but a moment
            environment = _read(f"{_PROC}/{pid}/environ")
    _, found, rest = (b"\0" + (environment or b"")).partition(_KEY)
    return rest.partition(b"\0")[0].decode("utf-8", "replace") if found else ""


def _read(path: str) -> bytes | None:
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        pieces = []
        while piece := os.read(descriptor, 1 << 16):
            pieces.append(piece)
            if len(piece) % 4096:  # the system gives whole pages as long as there are some
                break
        return b"".join(pieces)
    except OSError:  # it ended meanwhile
        return None
    finally:
        os.close(descriptor)


def _look_elsewhere(pid: int) -> Found | None:
    import psutil  # late: only where there is no /proc

    try:
        process = psutil.Process(pid)
        is_dead = process.status() == psutil.STATUS_ZOMBIE
        chain = ""
        with suppress(psutil.Error, OSError):
            chain = process.environ().get(OWNERS, "")
        group, session = os.getpgid(pid), os.getsid(pid)
        return Found(pid, repr(process.create_time()), process.ppid(), group, session, process.name(), is_dead, chain)
    except (psutil.Error, OSError):
        return None


# ── ending ────────────────────────────────────────────────────────────────────────────────────────
class Ending:
    """Ends what `find` finds, also what it starts meanwhile. `found` is everything that was told to end. Members of
    `told_group` have had their SIGTERM: a second one means something else to many programs."""

    def __init__(self, find: Find, *, told_group: int = 0) -> None:
        self._find = find
        self._told_group = told_group
        self._known: dict[tuple[int, str], Found] = {}
        self._alive: list[Found] = []
        self._pause = _FIRST_PROBE
        self._next_look = 0.0

    @property
    def found(self) -> list[Found]:
        return list(self._known.values())

    def tell(self, number: signal.Signals = signal.SIGTERM) -> bool:
        """Look for all of them and send the signal, SIGTERM once to each that no inner engine stops; true if there are
        none."""
        found = list(self._find())
        pids = {one.pid for one in found}  # a child may have lost, with its parent, what it was found by
        self._alive = found + [one for one in self._known.values() if one.pid not in pids and is_alive(one)]
        for one in self._alive:
            is_told = one.is_nested or one.group == self._told_group or (one.pid, one.began) in self._known
            if number != signal.SIGTERM or not is_told:
                send(one, number)
            self._known[one.pid, one.began] = one
        return not self._alive

    def is_over(self) -> bool:
        """True once none is left. Looks at those it knows, and for others when these are gone; seldom, however often
        it is asked."""
        now = time.monotonic()
        if now < self._next_look:
            return False
        self._pause = min(2 * self._pause, _PROBE)
        self._next_look = now + self._pause
        self._alive = [one for one in self._alive if is_alive(one)]
        return not self._alive and self.tell()

    def wait(self, seconds: float) -> bool:
        """Wait at most so long for the last one; true if none is left."""
        deadline = time.monotonic() + seconds
        while not self.is_over():
            if time.monotonic() >= deadline:
                return False
            time.sleep(self._pause)
        return True

    def kill(self, seconds: float = CONFIRM) -> list[Found]:
        """SIGKILL to all of them until none is left; returns those that are still there after `seconds`."""
        deadline = time.monotonic() + seconds
        pause = _FIRST_PROBE
        while not self.tell(signal.SIGKILL):
            if time.monotonic() >= deadline:
                return self._alive
            time.sleep(pause)
            pause = min(2 * pause, _PROBE)
        return []


class Ended(NamedTuple):
    """What was found, and what of it is still there."""

    found: Sequence[Found]
    left: Sequence[Found]


def end(find: Find, grace: float) -> Ended:
    """SIGTERM to everything that `find` finds, SIGKILL after `grace` seconds, and proof that it is gone. Every look is
    one pass over all processes, a few milliseconds per hundred."""
    ending = Ending(find)
    if ending.tell(signal.SIGTERM if grace > 0 else signal.SIGKILL) or ending.wait(grace):
        return Ended(ending.found, ())
    return Ended(ending.found, ending.kill())


def send(one: Found, number: signal.Signals) -> None:
    """Signal that very process, never another one that has its number by now; silent if it is gone."""
    if one.pid <= 1 or one.pid == os.getpid():
        return
    with suppress(OSError):
        try:
            handle = os.pidfd_open(one.pid)
        except ProcessLookupError:
            return
        except (AttributeError, OSError):  # there are no handles here, or none is left
            if is_alive(one):
                os.kill(one.pid, number)
            return
        try:
            if is_alive(one):
                signal.pidfd_send_signal(handle, number)
        finally:
            os.close(handle)
