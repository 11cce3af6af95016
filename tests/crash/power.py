"""Power loss, as a model: the database and its log as they lay on the disk when the log ended at some byte."""

from __future__ import annotations

import os
import shutil
import signal
import struct
from dataclasses import dataclass
from pathlib import Path
from random import Random

from runkon.engine.runner import Runner
from runkon.failpoints import react
from runkon.store.sqlite import SqliteRunStore

from .cast import Cast, append_line, lines
from .harness import Case, Whole, finish, in_child, to_the_end
from .plays import Play

HEADER, FRAME_HEADER = 32, 24  # bytes of a write-ahead log before the frames, and of a frame before its page


@dataclass(frozen=True)
class Recording:
    """A run that was killed before its end, with a log that holds all of it. `acknowledged` tells how long the log was
    when a commit had returned, and the number of the last event then."""

    play: Play
    folder: Path
    acknowledged: tuple[tuple[int, int], ...]

    @property
    def log(self) -> Path:
        return self.folder / "state" / "runs.db-wal"


def record(play: Play, folder: Path) -> Recording:
    """Run `play` with full durability and kill it just before its last event."""
    status = in_child(folder, lambda: _run_until_the_end(play, folder))
    assert status == -signal.SIGKILL, lines(folder / "log")[-20:]
    pairs = [line.split() for line in lines(folder / "acknowledged")]
    return Recording(play, folder, tuple((int(size), int(number)) for size, number in pairs))


def _run_until_the_end(play: Play, folder: Path) -> None:
    file = folder / "state" / "runs.db"
    store = SqliteRunStore(file, durability="full")

    def reaction(point: str, path: str | None, number: int | None) -> None:
        if point == "after_commit":
            runs = store.runs()
            append_line(folder / "acknowledged", f"{os.stat(f'{file}-wal').st_size} {runs[0].seq if runs else 0}")
        elif point == "before_end":
            os.kill(os.getpid(), signal.SIGKILL)

    react(reaction)
    to_the_end(Runner(store, Cast(play, folder, store)), store, play, folder, None)


def cuts(recording: Recording, random: Random, inside: int) -> list[int]:
    """Lengths at which the log may have ended: after each commit, and at `inside` other bytes."""
    log = recording.log.read_bytes()
    step = FRAME_HEADER + struct.unpack(">I", log[8:12])[0]
    frames = range(HEADER, len(log) - step + 1, step)
    ends = [at + step for at in frames if struct.unpack(">I", log[at + 4 : at + 8])[0]]
    within = random.sample(range(len(log)), min(inside, len(log)))
    return sorted({0, *ends, *within})


def findings_of_cut(recording: Recording, cut: int, expected: Whole, folder: Path) -> list[str]:
    """What is wrong with the copy whose log ends after `cut` bytes: it has to hold what was acknowledged by then, be
    sound, and go on to the same end."""
    shutil.copytree(recording.folder / "state", folder / "state", ignore=shutil.ignore_patterns("*-shm"))
    os.truncate(folder / "state" / "runs.db-wal", cut)
    promised = max((number for size, number in recording.acknowledged if size <= cut), default=0)
    status = in_child(folder, lambda: _look(folder, promised))
    if status or lines(folder / "findings"):
        return [f"cut at {cut}: {status} {lines(folder / 'findings')} {lines(folder / 'log')[-8:]}"]
    found = finish(Case(recording.play, (), "full"), expected, folder)
    return [f"cut at {cut}: {text}" for text in found]


def _look(folder: Path, promised: int) -> None:
    store = SqliteRunStore(folder / "state" / "runs.db", durability="full")
    runs = store.runs()
    held = runs[0].seq if runs else 0
    if held < promised:
        append_line(folder / "findings", f"{promised} events were acknowledged, {held} are there")
    store.close()
