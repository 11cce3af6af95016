"""The worktrees of runs in git repositories: made, found again, removed."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from runkon.digest import hex_digest
from runkon.errors import EXIT_ENVIRONMENT, RunkonError, UserError
from runkon.failpoints import failpoint
from runkon.model.failures import StepFailure
from runkon.model.ids import StepPath
from runkon.model.worktrees import Merge, Worktree
from runkon.worktrees.git import Git, GitFailed, NoGit, alone
from runkon.worktrees.merging import BY_HAND, Merging
from runkon.worktrees.snapshots import commit_all, snapshot

OLDEST = (2, 38)  # of git: the first with `merge-tree --write-tree`
_LONGEST = 60  # characters of a step's path in the name of its worktree


class GitWorktrees:
    """Worktrees below `root`, one folder per run, one inside it per step."""

    def __init__(self, root: Path) -> None:
        self._root = root.absolute()

    def check(self, folder: Path) -> None:
        git = Git(folder)
        try:
            numbers = re.findall(r"\d+", git.run("--version"))
            if tuple(int(number) for number in numbers[:2]) < OLDEST:
                raise _none(f"git is {'.'.join(numbers[:3])}", "install git 2.38 or a later one")
            if git.line("rev-parse", "--is-inside-work-tree") != "true":
                raise _none(f"`{folder}` is in a bare repository", "run it in a checkout")
            if git.resolve("HEAD^{commit}") is None:
                raise _none(f"the repository of `{folder}` has no commit yet", "commit something first")
        except NoGit as error:
            raise _none("there is no program `git`", "install git") from error
        except GitFailed as error:
            if "not a git repository" in error.said:
                raise _none(
                    f"`{folder}` is not in a git repository", "run it in a checkout, or `git init` one"
                ) from error
            raise _none(error.message, "see what git says") from error

    # ── one worktree ──────────────────────────────────────────────────────────────────────────────
    def top(self, folder: Path) -> Path:
        return Path(Git(folder).line("rev-parse", "--show-toplevel"))

    def place(self, run: str, path: StepPath, around: Path, number: int) -> Worktree:
        name = name_of(path) if number == 1 else f"{name_of(path)}-{number}"
        return Worktree(around, self._root / run / name, f"runkon/{run}/{name}")

    def make(self, worktree: Worktree) -> Worktree:
        folder = worktree.folder
        with self._repository(worktree.around) as git:
            base = snapshot(git)
            self._remove(git, worktree)
            folder.parent.mkdir(parents=True, exist_ok=True)
            _hide(self._root)
            failpoint("worktree_before_add")
            git.run("worktree", "add", "--quiet", "--force", "--force", "-B", worktree.branch, str(folder), base)
            failpoint("worktree_after_add")
        return worktree._replace(base=base)

    def is_there(self, worktree: Worktree) -> bool:
        return (worktree.folder / ".git").exists()

    def has_changes(self, worktree: Worktree) -> bool:
        git = Git(worktree.folder)
        return snapshot(git) != worktree.base

    def merge(self, worktree: Worktree, title: str, trailers: Sequence[str]) -> Merge:
        with self._repository(worktree.around) as git:
            merging = Merging(git, worktree)
            done = merging.done()
            if done is not None:
                return done
            if not merging.is_begun():
                if not self.is_there(worktree):
                    raise StepFailure("exception", f"the worktree `{worktree.folder}` is not there any more")
                found = merging.prepare(commit_all(Git(worktree.folder), title), title, trailers)
                if found is not None:
                    return found
            return merging.carry_out()

    def drop(self, worktree: Worktree) -> None:
        with self._repository(worktree.around) as git:
            failpoint("worktree_before_drop")
            self._remove(git, worktree)
            failpoint("worktree_after_drop")
        with suppress(OSError):
            worktree.folder.parent.rmdir()

    def drop_all(self, run: str, around: Path, kept: Sequence[Path]) -> None:
        folder = self._root / run
        with suppress(RunkonError, OSError):
            names = {one.name for one in folder.iterdir()} if folder.is_dir() else set()
            refs = Git(around).run(
                "for-each-ref", "--format=%(refname)", f"refs/heads/runkon/{run}", f"refs/runkon/{run}"
            )
            for ref in refs.splitlines():  # of those whose folder is gone already
                names.add(ref.partition(f"runkon/{run}/")[2].partition("/")[0].removesuffix(BY_HAND))
            for name in sorted(names):
                if folder / name not in kept:
                    self.drop(Worktree(around, folder / name, f"runkon/{run}/{name}"))

    # ── the repository ────────────────────────────────────────────────────────────────────────────
    @contextmanager
    def _repository(self, folder: Path) -> Iterator[Git]:
        """Git in the top folder of the tree that `folder` is in, with the repository to itself."""
        git = Git(folder)
        common, top = git.line("rev-parse", "--git-common-dir"), git.line("rev-parse", "--show-toplevel")
        with alone((folder / common).resolve()) as descriptor:
            yield Git(Path(top), descriptor)

    def _remove(self, git: Git, worktree: Worktree) -> None:
        """Whatever is left of it, also half of it."""
        if worktree.folder.exists():
            with suppress(GitFailed):  # a half-made one is none to git
                git.run("worktree", "remove", "--force", "--force", str(worktree.folder))
            shutil.rmtree(worktree.folder, ignore_errors=True)
        git.run("worktree", "unlock", str(worktree.folder), fine=(1, 128, 255))
        git.run("worktree", "prune", "--expire=now")
        if git.resolve(f"refs/heads/{worktree.branch}") is not None:
            git.run("update-ref", "-d", f"refs/heads/{worktree.branch}")
        Merging(git, worktree).forget()


def name_of(path: StepPath) -> str:
    """A step's path as one name of a file and of a branch; what is lost of it stands in a digest."""
    plain = re.sub(r"[^A-Za-z0-9_-]+", "-", path.replace("/", "~").replace("~", "--")).strip("-")[:_LONGEST]
    return plain if plain.replace("--", "/") == path else f"{plain or 'step'}-{hex_digest(path.encode())[:8]}"


def _hide(root: Path) -> None:
    """What is in the folder is no file of the tree around it."""
    with suppress(OSError):
        descriptor = os.open(root / ".gitignore", os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o644)
        os.write(descriptor, b"*\n")
        os.close(descriptor)


def _none(why: str, help: str) -> UserError:
    return UserError(
        "no-worktrees", f"`isolation = worktree` needs git worktrees: {why}", help=help, exit_code=EXIT_ENVIRONMENT
    )
