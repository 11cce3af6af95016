"""One merge of a worktree into the tree around it, exactly once whatever is killed.

Everything is worked out first, from three trees and without touching any file: how the tree around was when the
worktree began, how it is now, how the worktree is. The plan is then kept under a reference of the repository, and
carried out: files, index, branch. Each step of it can be done again, so whoever finds a plan carries it out.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from runkon.failpoints import failpoint
from runkon.model.failures import StepFailure
from runkon.model.worktrees import Merge, Worktree
from runkon.named import NamedTuple
from runkon.worktrees.git import Git
from runkon.worktrees.snapshots import snapshot

_BUSY = ("MERGE_HEAD", "CHERRY_PICK_HEAD", "REVERT_HEAD", "rebase-merge", "rebase-apply")
BY_HAND = ".changes"  # ends the name of a branch that is offered to be merged by hand
_GONE = "000000"
_SUBMODULE = "160000"
_PLANNED = "A merge that runkon has planned\n\n"


class _Plan(NamedTuple):
    """`before` and `after` are states of the tree's files; `commit` is what its branch goes to from `head`, None where
    the changes stay uncommitted."""

    before: str
    after: str
    head: str
    commit: str | None


class Merging:
    """The merge of `worktree`; `git` runs in the top folder of the tree around it."""

    def __init__(self, git: Git, worktree: Worktree) -> None:
        self._git = git
        self._worktree = worktree
        self._planned = f"refs/runkon/{worktree.name}/planned"
        self._done = f"refs/runkon/{worktree.name}/done"

    def done(self) -> Merge | None:
        """What came of it, if it was carried out."""
        found = self._git.resolve(self._done)
        return None if found is None else self._result(self._read(found))

    def is_begun(self) -> bool:
        """True if there is a plan that still fits. Files that somebody has edited since it was made are left to a new
        one, and so is a branch that has moved."""
        found = self._git.resolve(self._planned)
        if found is None:
            return False
        plan, head = self._read(found), self._git.line("rev-parse", "HEAD")
        is_there = plan.commit is not None and self._git.holds(plan.commit, head)
        if is_there or (head == plan.head and self._is_as_planned(plan)):
            return True
        self._git.run("update-ref", "-d", self._planned)
        return False

    def forget(self) -> None:
        """Remove what is remembered of it."""
        for name in (self._planned, self._done, f"refs/heads/{self._worktree.branch}{BY_HAND}"):
            if self._git.resolve(name) is not None:
                self._git.run("update-ref", "-d", name)

    # ── the plan ──────────────────────────────────────────────────────────────────────────────────
    def prepare(self, ours: str, title: str, trailers: Sequence[str]) -> Merge | None:
        """Keep a plan that brings what the commit `ours` of the worktree holds; or say why there is none: nothing
        changed, somebody has merged it, both sides changed the same."""
        git, base = self._git, self._worktree.base
        if git.line("rev-parse", f"{ours}^{{tree}}") == git.line("rev-parse", f"{base}^{{tree}}"):
            return Merge()
        self._refuse_unfinished()
        head = git.line("rev-parse", "HEAD")
        offered = git.resolve(f"refs/heads/{self._worktree.branch}{BY_HAND}")
        if git.holds(ours, head) or (offered is not None and git.holds(offered, head)):
            return Merge(commit=head)
        if git.holds(head, ours) and not git.holds(head, base):  # somebody has merged the other way round
            base = head
        now = snapshot(git)
        tree, conflicts = self._merged(base, now, ours)
        if conflicts:
            return Merge(failed=True, files=conflicts, branch=self._offer(base, ours, title))
        committed, conflicts = (tree, ()) if now == head else self._merged(base, head, ours)
        commit = None
        if not conflicts:  # else the changes rest on some that nobody has committed
            message = "\n".join([title, "", *trailers]) + "\n"
            parents = (head, ours) if git.holds(base, head) else (head,)
            commit = git.commit_tree(committed, message, *parents)
        plan = _Plan(now, tree, head, commit)
        self._keep(plan)
        failpoint("merge_planned")
        return None

    def _merged(self, base: str, one: str, other: str) -> tuple[str, tuple[str, ...]]:
        """The tree that holds the changes of both sides since `base`, and the files in which they can't be both."""
        git = self._git
        sides = [git.commit_tree(f"{side}^{{tree}}", "side\n", base) for side in (one, other)]
        code, text = git.call("merge-tree", "--write-tree", "--name-only", "--no-messages", "-z", *sides, fine=(1,))
        tree, *files = text.rstrip("\0").split("\0")
        return tree, tuple(dict.fromkeys(file for file in files if file)) if code else ()

    def _offer(self, base: str, ours: str, title: str) -> str:
        """The branch that holds the changes for a merge by hand. That of the worktree also has what was uncommitted in
        the tree around when it began, where that is anything; another one is made without it, if there can be one."""
        git, branch = self._git, self._worktree.branch
        head = git.line("rev-parse", "HEAD")
        if git.holds(base, head):
            return branch
        began = git.line("rev-parse", f"{base}^")
        tree, conflicts = self._merged(base, began, ours)
        if conflicts:
            return branch
        git.run("update-ref", f"refs/heads/{branch}{BY_HAND}", git.commit_tree(tree, f"{title}\n", began))
        return f"{branch}{BY_HAND}"

    def _refuse_unfinished(self) -> None:
        for name in _BUSY:
            if (self._git.folder / self._git.line("rev-parse", "--git-path", name)).exists():
                what = "rebase" if name.startswith("rebase") else "merge"
                raise StepFailure("exception", f"a {what} in `{self._git.folder}` is not finished: finish or abort it")

    def _keep(self, plan: _Plan) -> None:
        text = json.dumps({"head": plan.head, "commit": plan.commit})
        parents = dict.fromkeys((plan.before, plan.commit or plan.head))  # so that git's cleaning keeps them
        kept = self._git.commit_tree(f"{plan.after}^{{tree}}", _PLANNED + text + "\n", *parents)
        self._git.run("update-ref", self._planned, kept)

    def _read(self, kept: str) -> _Plan:
        message = self._git.run("log", "-1", "--format=%B", kept)
        told = json.loads(message.removeprefix(_PLANNED))
        before = self._git.line("rev-parse", f"{kept}^1")
        return _Plan(before, kept, told["head"], told["commit"])

    def _is_as_planned(self, plan: _Plan) -> bool:
        """True if each file of the plan is as before, as after it, or half-way: gone or cut short."""
        for mode, new, old, name in self._git.files_between(plan.before, plan.after):
            file = self._git.folder / name
            if mode == _SUBMODULE or file.is_symlink() or not file.is_file():
                continue
            if self._git.line("hash-object", "--path", name, "--", name) in (new, old):
                continue
            whole = b"" if mode == _GONE else self._git.run("cat-file", "blob", new).encode("utf-8", "surrogateescape")
            if not whole.startswith(file.read_bytes()):
                return False
        return True

    # ── carrying it out ───────────────────────────────────────────────────────────────────────────
    def carry_out(self) -> Merge:
        """Do what the plan says."""
        git = self._git
        kept = git.line("rev-parse", self._planned)
        plan = self._read(kept)
        head = git.line("rev-parse", "HEAD")
        if plan.commit is None or not git.holds(plan.commit, head):
            self._write_files(plan)
            failpoint("merge_files_written")
            if plan.commit is not None:
                self._write_index(plan.head, plan.commit)
                failpoint("merge_index_written")
                git.run("update-ref", "-m", "runkon: merge of a worktree", "HEAD", plan.commit, plan.head)
                failpoint("merge_committed")
        git.run("update-ref", self._done, kept)
        git.run("update-ref", "-d", self._planned)
        return self._result(plan)

    def _result(self, plan: _Plan) -> Merge:
        return Merge(plan.commit, tuple(name for *_, name in self._git.files_between(plan.before, plan.after)))

    def _write_files(self, plan: _Plan) -> None:
        git = self._git
        changed = git.files_between(plan.before, plan.after)
        for name in (name for mode, _, _, name in changed if mode == _GONE):
            _remove(git.folder, name)
        wanted = [name for mode, _, _, name in changed if mode not in (_GONE, _SUBMODULE)]
        if not wanted:
            return
        index = self._own_index("files")
        with suppress(FileNotFoundError):
            index.unlink()
        extra = {"GIT_INDEX_FILE": str(index)}
        git.run("read-tree", plan.after, extra=extra)
        failpoint("merge_files_begun")
        git.run("checkout-index", "--force", "-z", "--stdin", given=_names(wanted), extra=extra)
        index.unlink(missing_ok=True)

    def _write_index(self, before: str, after: str) -> None:
        """Tell the tree's index of the files that the branch goes on with; what else is staged stays so. Written beside
        it and put in its place at once, so that a kill leaves one or the other, and no lock of git's."""
        git = self._git
        real = git.folder / git.line("rev-parse", "--git-path", "index")
        own, lock = self._own_index("index"), real.with_name("index.lock")
        if lock.exists() and own.exists() and lock.samefile(own):  # ours, from before a kill
            lock.unlink()
        own.unlink(missing_ok=True)
        shutil.copy2(real, own)
        entries = "".join(
            f"0 {'0' * len(new)}\t{name}\0" if mode == _GONE else f"{mode} {new}\t{name}\0"
            for mode, new, _, name in git.files_between(before, after)
        )
        extra = {"GIT_INDEX_FILE": str(own)}
        git.run("update-index", "-z", "--index-info", given=entries.encode("utf-8", "surrogateescape"), extra=extra)
        git.run("update-index", "-q", "--refresh", extra=extra, fine=(1,))
        try:
            os.link(own, lock)
        except FileExistsError as error:
            why = f"another git holds `{lock}`; if none runs any more, remove that file"
            raise StepFailure("exception", why) from error
        os.replace(lock, real)
        own.unlink(missing_ok=True)

    def _own_index(self, what: str) -> Path:
        """An index that only this merge uses, on the disk of the real one."""
        folder = self._git.folder / self._git.line("rev-parse", "--git-path", "index")
        return folder.with_name(f"runkon-{what}-{self._worktree.name.replace('/', '-')}")


def _names(names: Sequence[str]) -> bytes:
    return "".join(f"{name}\0" for name in names).encode("utf-8", "surrogateescape")


def _remove(top: Path, name: str) -> None:
    """Remove a file, and the folders that are empty without it."""
    file = top / name
    with suppress(FileNotFoundError, NotADirectoryError, IsADirectoryError):
        file.unlink()
    for folder in file.parents:
        if folder == top:
            return
        try:
            folder.rmdir()
        except FileNotFoundError:
            continue
        except OSError:
            return
