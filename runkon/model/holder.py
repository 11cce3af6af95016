"""Who holds a run: naming this process so that another one can prove it dead without a clock.

A holder is one text: host, boot, process id, start time of the process, random bits. Process ids are reused, so a
process counts as alive only if its start time matches too. A holder of another host, or of another container, whose
process ids mean other processes, can't be judged; nor can one whose process this user may not look at.
"""

from __future__ import annotations

import os
import time
from pathlib import Path

_PROC = Path("/proc")
TTL_MS = 30_000  # how long a run stays held without being renewed
RENEWAL_MS = TTL_MS // 3  # who lives renews at least this often; one that is late is waited for as long, once


def this_holder() -> str:
    """A new holder text for this process; every call differs in its random bits."""
    pid = os.getpid()
    return " ".join((_host(), _boot(), str(pid), _started(pid) or "?", os.urandom(8).hex()))


def is_alive(holder: str) -> bool | None:
    """False if the process of `holder` is proved dead, True if it runs, None if that can't be told from here."""
    parts = holder.split(" ")
    if len(parts) != 5 or not parts[2].isdecimal():
        return None
    host, boot, pid, started, _ = parts
    if host != _host() or "?" in (boot, started):
        return None
    if boot != _boot():
        return False  # this host has started again since
    now = _started(int(pid))
    if now is None and _is_hidden(int(pid)):
        return None
    return now == started


def is_held(holder: str | None, until: int | None) -> bool:
    """True if `holder` advances a run: its process lives, or, where that can't be seen, its time has not run out."""
    if holder is None:
        return False
    alive = is_alive(holder)
    return (until or 0) >= time.time_ns() // 1_000_000 if alive is None else alive


def describe(holder: str) -> str:
    """`holder` in words, for messages: which process, on which host."""
    parts = holder.split(" ")
    return f"process {parts[2]} on {parts[0].partition('/')[0]}" if len(parts) == 5 else f"`{holder}`"


def _is_hidden(pid: int) -> bool:
    """True if there is such a process, but its start time is kept from this user. Sends nothing."""
    try:
        os.kill(pid, 0)
    except PermissionError:
        return True
    except (ProcessLookupError, OverflowError):
        return False
    return False  # our own: then its start time was read, or it waits to be reaped


def _host() -> str:
    """The host's name and, where there are some, the process namespace: containers may share a name."""
    name = os.uname().nodename.replace(" ", "-") or "?"
    try:
        return f"{name}/{os.readlink('/proc/self/ns/pid').strip('pid:[]')}"
    except OSError:
        return name


def _boot() -> str:
    try:
        return (_PROC / "sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        import psutil  # late: only where there is no /proc

        return str(int(psutil.boot_time()))


def _started(pid: int) -> str | None:
    """When the process began, in the system's own unit; None if it is gone or waits only to be reaped."""
    try:
        stat = (_PROC / str(pid) / "stat").read_text()
    except FileNotFoundError:
        return None if (_PROC / "self").exists() else _started_elsewhere(pid)
    except OSError:
        return None
    fields = stat.rpartition(")")[2].split()  # the name before it may hold blanks and brackets
    return None if fields[0] in "ZX" else fields[19]


def _started_elsewhere(pid: int) -> str | None:
    import psutil  # late: only where there is no /proc

    try:
        process = psutil.Process(pid)
        return None if process.status() == psutil.STATUS_ZOMBIE else repr(process.create_time())
    except psutil.Error:
        return None
