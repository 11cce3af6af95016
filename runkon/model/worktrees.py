"""Git worktrees of steps: the event that keeps what became of one, and what the engine asks of git."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar, Protocol

from runkon.frozen import frozen as event
from runkon.model.ids import StepPath
from runkon.named import NamedTuple

OVER = frozenset({"merged", "unchanged", "kept", "dropped"})  # what ends a worktree; after it another one may be made


@event
class WorktreeChanged:
    """Something became of the worktree of the step at `path`: it was `made` at the commit `base`, its changes were
    `merged`, were in `conflict` with those of the tree around it (`files`), it held none (`unchanged`), it was `kept`
    or `dropped`. A resume goes by the last one of each path. `commit` is that of the merge, None where the changes came
    in uncommitted."""

    kind: ClassVar[str] = "worktree_changed"
    path: StepPath
    what: str
    folder: str
    branch: str
    base: str
    commit: str | None = None
    files: tuple[str, ...] = ()


class Worktree(NamedTuple):
    """One worktree: the folder of the tree that it was made from and is merged into (`around`), its own folder, its
    branch, and the commit it began at, empty before it is made."""

    around: Path
    folder: Path
    branch: str
    base: str = ""

    @property
    def name(self) -> str:
        """What tells it from the others of its repository: the run and the step."""
        return f"{self.folder.parent.name}/{self.folder.name}"


class Merge(NamedTuple):
    """What came of a merge: the commit it made, if it made one; `files` are those that changed, or, where the merge
    `failed`, those that both sides changed; `branch` is then the one to merge by hand."""

    commit: str | None = None
    files: tuple[str, ...] = ()
    failed: bool = False
    branch: str = ""


class Worktrees(Protocol):
    """Makes git worktrees, merges and removes them. Every method can be called again after the process was killed in
    the middle of it. Safe for concurrent calls, also from several processes. All but `check` raise StepFailure with
    what git said."""

    def check(self, folder: Path) -> None:
        """Raises UserError `no-worktrees` where `folder` can't have worktrees: no git, no repository, no commit."""
        ...

    def top(self, folder: Path) -> Path:
        """The top folder of the tree that `folder` is in."""
        ...

    def place(self, run: str, path: StepPath, around: Path, number: int) -> Worktree:
        """Where the worktree number `number` of the step at `path` is to be. Asks nobody."""
        ...

    def make(self, worktree: Worktree) -> Worktree:
        """Make it, with everything that is in the tree around it now, committed or not, but for ignored files; and its
        base. What stands in its place is removed."""
        ...

    def is_there(self, worktree: Worktree) -> bool: ...

    def has_changes(self, worktree: Worktree) -> bool:
        """True if anything in it differs from what it began with, committed or not."""
        ...

    def merge(self, worktree: Worktree, title: str, trailers: Sequence[str]) -> Merge:
        """Bring what changed in it into the tree around it, once: a second call finds it done."""
        ...

    def drop(self, worktree: Worktree) -> None:
        """Remove it, its branch, and what is remembered of its merge."""
        ...

    def drop_all(self, run: str, around: Path, kept: Sequence[Path]) -> None:
        """Remove whatever is left of the worktrees of `run` but those in `kept`. Never raises."""
        ...
