"""What a leg knows of worktrees, and what a step sees of the one it runs in."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from runkon.model.events import WorktreeChanged
from runkon.model.failures import StepFailure
from runkon.model.ids import ROOT, StepPath
from runkon.model.worktrees import OVER, Worktree
from runkon.named import NamedTuple

if TYPE_CHECKING:
    from runkon.engine.answers import Failed
    from runkon.engine.config import RunConfig
    from runkon.model.events import Envelope
    from runkon.model.ids import RunID
    from runkon.model.output import JsonValue, Output
    from runkon.model.ports import RunStore
    from runkon.model.records import StepError
    from runkon.model.worktrees import Worktrees


class OwnTree(Protocol):
    """The worktree that the steps of a place run in."""

    path: StepPath
    worktree: Worktree

    @property
    def folder(self) -> Path:
        """Where its steps run: the place in it that the run's own folder has in its tree. Raises StepFailure."""
        ...

    @property
    def roots(self) -> tuple[Path, ...]:
        """Where its steps look for files: here first, then where the run does. Raises StepFailure."""
        ...

    @property
    def fields(self) -> dict[str, JsonValue]:
        """Where it is, for a result."""
        ...

    def ready(self) -> None:
        """Make it unless it is there. Raises StepFailure."""
        ...

    def refused(self) -> Failed | None:
        """The same; why it can't be made, if so."""
        ...

    def told(self, path: StepPath, output: Output) -> Output:
        """The output of its place with the fields that say where what was done is kept."""
        ...

    def settle(self, name: str) -> StepError | None:
        """What has been done in it is done well: merge, keep or drop it, once; why it can't be merged, if so. Nothing
        where no attempt was made, or where that is on record."""
        ...


class Unmerged(NamedTuple):
    """Why a worktree can't be merged, and where it is."""

    error: StepError
    fields: Mapping[str, JsonValue]


class Trees:
    """The worktrees of one leg: what earlier legs left of them, and who makes them."""

    def __init__(self, git: Worktrees, config: RunConfig, read: Callable[[], Iterable[Envelope]]) -> None:
        self.git = git
        self._folder = config.working_dir.absolute()
        self._read = read
        self._top: Path | None = None
        self._past: dict[StepPath, list[WorktreeChanged]] | None = None
        self._lock = threading.Lock()

    def past(self, path: StepPath) -> list[WorktreeChanged]:
        """What became of the worktrees of the step at `path`, the last one last."""
        with self._lock:
            if self._past is None:
                self._past = {}
                for envelope in self._read():
                    if isinstance(envelope.event, WorktreeChanged):
                        self._past.setdefault(envelope.event.path, []).append(envelope.event)
            return self._past.setdefault(path, [])

    def inside(self, worktree: Path, folder: Path) -> Path | None:
        """The folder of a worktree that stands for `folder` of the run's tree; None for one that is elsewhere."""
        with self._lock:
            if self._top is None:
                self._top = self.git.top(self._folder).resolve()
        with suppress(ValueError):
            return worktree / folder.resolve().relative_to(self._top)
        return None

    def end(self, run: str, *, is_completed: bool) -> list[str]:
        """The run is over: nothing stays but what is to be kept and, where it is not completed, what has changes that
        nobody has merged. The folders of the latter."""
        self.past(ROOT)
        assert self._past is not None
        if not any(self._past.values()):
            return []
        told = [one for found in self._past.values() for one in found]
        kept = [Path(one.folder) for one in told if one.what == "kept"]
        open_ones = [] if is_completed else [found[-1] for found in self._past.values() if found]
        left = [one.folder for one in open_ones if one.what not in OVER and self._has_changes(one)]
        self.git.drop_all(run, self._folder, [*kept, *map(Path, left)])
        return left

    def _has_changes(self, made: WorktreeChanged) -> bool:
        worktree = Worktree(self._folder, Path(made.folder), made.branch, made.base)
        with suppress(StepFailure):
            return self.git.is_there(worktree) and self.git.has_changes(worktree)
        return True


def told_of(store: RunStore, run: RunID) -> Iterator[Envelope]:
    """What became of the worktrees of a run, and of the run that it was forked from."""
    record = store.run(run)
    if record is not None and record.forked_from is not None:
        yield from store.events_of(record.forked_from, {WorktreeChanged.kind})
    yield from store.events_of(run, {WorktreeChanged.kind})
