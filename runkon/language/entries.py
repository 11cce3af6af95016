"""Files of a cache folder: each with a checksum of itself, written whole or not at all, the oldest dropped.

A file that is damaged, cut short or unreadable counts as absent. Where nothing can be written there is just no cache.
"""

from __future__ import annotations

import os
import threading
from pathlib import Path
from zlib import crc32

MAX_ENTRIES = 200
SUFFIXES = (".parsed", ".table", ".part")


def read_entry(file: Path) -> bytes | None:
    """What was written to the entry, or None if it is not there as it was written."""
    try:
        found, _, content = file.read_bytes().partition(b"\n")
    except OSError:
        return None
    return content if found == digest(content) else None


def write_entry(file: Path, content: bytes) -> None:
    """Write the entry through a file of its own and a rename, then keep the newest `MAX_ENTRIES` of the folder."""
    temporary = file.with_suffix(f".{os.getpid()}-{threading.get_ident()}.part")
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        temporary.write_bytes(digest(content) + b"\n" + content)
        temporary.replace(file)
        _prune(file.parent)
    except OSError:
        _forget(temporary)


def digest(content: bytes) -> bytes:
    """The first line of an entry: tells damage, not malice, which could make another one. Every start waits for it, and
    a SHA-256 of a long entry takes longer than reading its JSON."""
    return f"{len(content)}-{crc32(content):08x}".encode("ascii")


def _prune(folder: Path) -> None:
    """What a killed writer left behind ages out with the rest; files of others are left alone."""
    ours = [name for name in os.listdir(folder) if name.endswith(SUFFIXES)]
    if len(ours) <= MAX_ENTRIES:
        return
    aged = sorted((_modified(folder / name), name) for name in ours)
    for _, name in aged[: len(ours) - MAX_ENTRIES]:
        _forget(folder / name)


def _modified(file: Path) -> int:
    try:
        return file.stat().st_mtime_ns
    except OSError:
        return 0


def _forget(file: Path) -> None:
    try:
        file.unlink()
    except OSError:
        return
