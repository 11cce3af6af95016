"""The state of a working tree as a commit, without touching its index, its branch or its files."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

from runkon.worktrees.git import Git, GitFailed

_OWN = ":(exclude,top,glob)**/.runkon/.gitignore"  # a file that every project of runkon has, committed or not
_SNAPSHOT = "runkon: uncommitted changes of the tree around this worktree\n"


def snapshot(git: Git) -> str:
    """The commit that the tree of `git` is at; where something in it is not committed, a commit on top of that with all
    but ignored files. Equal trees give the commit they are at."""
    head = git.line("rev-parse", "HEAD")
    tree = _written(git)
    if tree == git.line("rev-parse", f"{head}^{{tree}}"):
        return head
    return git.commit_tree(tree, _SNAPSHOT, head)


def _written(git: Git) -> str:
    """The tree of everything that is not ignored, by an index of its own: git keeps the real one as it is."""
    top = Path(git.line("rev-parse", "--show-toplevel"))
    real = top / git.line("rev-parse", "--git-path", "index")
    with tempfile.TemporaryDirectory(prefix="runkon-index-") as folder:
        index = Path(folder) / "index"
        if real.exists():
            shutil.copy2(real, index)  # with what git knows of files that did not change
        extra = {"GIT_INDEX_FILE": str(index)}
        whole = Git(top, git.keep)
        whole.run("add", "--all", "--", ".", _OWN, extra=extra)
        return whole.line("write-tree", extra=extra)


def commit_all(git: Git, message: str) -> str:
    """The commit that a worktree is at, once what was left uncommitted in it is committed too."""
    if git.run("status", "--porcelain", "--untracked-files=normal"):
        git.run("add", "--all", "--", ".")
        try:
            git.run("commit", "--quiet", "--no-verify", "-m", message, extra=git.identity())
        except GitFailed as error:
            if "nothing to commit" not in error.said:  # only modes or ends of lines differed
                code, _ = git.call("diff", "--cached", "--quiet", fine=(1,))
                if code:
                    raise
    return git.line("rev-parse", "HEAD")
