from __future__ import annotations

import multiprocessing
import os
import subprocess
import threading
from pathlib import Path

import pytest

from runkon.errors import UserError
from runkon.model.failures import StepFailure
from runkon.model.ids import StepPath
from runkon.model.worktrees import Merge, Worktree
from runkon.worktrees.trees import GitWorktrees, name_of

RUN = "01JTESTRVN0000000000000000"


def git(folder: Path, *words: str) -> str:
    return subprocess.run(["git", *words], cwd=folder, capture_output=True, text=True, check=True).stdout


@pytest.fixture(autouse=True)
def _nobody_is_configured(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No name and no settings from outside: what a build machine has."""
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("GIT_CONFIG_NOSYSTEM", "1")
    monkeypatch.delenv("XDG_CONFIG_HOME", raising=False)


def new(folder: Path) -> Path:
    folder.mkdir(parents=True)
    git(folder, "init", "-q", "-b", "main")
    (folder / "a.txt").write_text("a\nb\nc\n")
    (folder / "old.txt").write_text("old\n")
    (folder / ".gitignore").write_text("*.log\n")
    git(folder, "add", ".")
    git(folder, "-c", "user.name=me", "-c", "user.email=me@localhost", "commit", "-qm", "begin")
    return folder


@pytest.fixture(params=["plain", "with blanks & ünïcode '1'"])
def tree(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    return new(tmp_path / request.param)


def made(tree: Path, path: str = "fix", number: int = 1) -> tuple[GitWorktrees, Worktree]:
    worktrees = GitWorktrees(tree / ".runkon" / "worktrees")
    return worktrees, worktrees.make(worktrees.place(RUN, StepPath(path), tree, number))


def merged(worktrees: GitWorktrees, worktree: Worktree) -> Merge:
    return worktrees.merge(worktree, "Merge it", ("Runkon-Step: fix",))


# ── making ────────────────────────────────────────────────────────────────────────────────────────
def test_a_worktree_holds_what_the_tree_holds_but_ignored_files(tree: Path) -> None:
    (tree / "a.txt").write_text("changed\n")
    (tree / "new file.txt").write_text("new\n")
    (tree / "x.log").write_text("log\n")
    (tree / "old.txt").unlink()
    git(tree, "add", "a.txt")
    before = git(tree, "status", "--porcelain")
    _, worktree = made(tree)
    held = {one.name: one.read_text() for one in worktree.folder.iterdir() if one.suffix == ".txt"}
    assert held == {"a.txt": "changed\n", "new file.txt": "new\n"}
    assert git(tree, "status", "--porcelain") == before
    assert git(worktree.folder, "status", "--porcelain") == ""
    assert git(worktree.folder, "branch", "--show-current").strip() == worktree.branch == f"runkon/{RUN}/fix"


def test_a_clean_tree_gives_its_own_commit(tree: Path) -> None:
    _, worktree = made(tree)
    assert worktree.base == git(tree, "rev-parse", "HEAD").strip()


def test_what_stands_in_its_place_is_removed(tree: Path) -> None:
    worktrees, first = made(tree)
    (first.folder / "left.txt").write_text("left\n")
    git(tree, "worktree", "lock", str(first.folder))
    worktrees, again = made(tree)
    assert again == first
    assert not (again.folder / "left.txt").exists()
    (again.folder / ".git").unlink()
    worktrees, again = made(tree)
    assert worktrees.is_there(again)


def test_no_hook_runs(tree: Path) -> None:
    for name in ("post-checkout", "pre-commit", "commit-msg", "post-merge", "reference-transaction"):
        hook = tree / ".git" / "hooks" / name
        hook.write_text(f"#!/bin/sh\ntouch '{tree.parent}/hooked'\nexit 1\n")
        hook.chmod(0o755)
    worktrees, worktree = made(tree)
    (worktree.folder / "b.txt").write_text("b\n")
    assert merged(worktrees, worktree).files == ("b.txt",)
    assert not (tree.parent / "hooked").exists()


def test_variables_of_a_hook_around_lead_nowhere_else(tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    other = new(tree.parent / "other")
    monkeypatch.setenv("GIT_DIR", str(other / ".git"))
    monkeypatch.setenv("GIT_INDEX_FILE", str(other / ".git" / "index"))
    worktrees, worktree = made(tree)
    (worktree.folder / "b.txt").write_text("b\n")
    merged(worktrees, worktree)
    monkeypatch.delenv("GIT_DIR")
    monkeypatch.delenv("GIT_INDEX_FILE")
    assert (tree / "b.txt").read_text() == "b\n"
    assert git(other, "status", "--porcelain") == ""
    assert git(other, "branch").split() == ["*", "main"]


def test_a_worktree_in_a_worktree_is_merged_there(tree: Path) -> None:
    worktrees, outer = made(tree)
    inner = worktrees.make(worktrees.place(RUN, StepPath("fix/in"), outer.folder, 1))
    (inner.folder / "deep.txt").write_text("deep\n")
    assert merged(worktrees, inner).files == ("deep.txt",)
    assert (outer.folder / "deep.txt").read_text() == "deep\n"
    assert not (tree / "deep.txt").exists()
    assert merged(worktrees, outer).files == ("deep.txt",)
    assert (tree / "deep.txt").read_text() == "deep\n"


def test_a_detached_head_moves_without_a_branch(tree: Path) -> None:
    git(tree, "checkout", "-q", "--detach")
    worktrees, worktree = made(tree)
    (worktree.folder / "b.txt").write_text("b\n")
    commit = merged(worktrees, worktree).commit
    assert git(tree, "rev-parse", "HEAD").strip() == commit
    assert git(tree, "rev-parse", "main").strip() != commit


def _make_some(tree: Path, first: int) -> None:
    for number in range(first, first + 4):
        worktrees, worktree = made(tree, f"step{number}")
        (worktree.folder / f"{number}.txt").write_text("x\n")
        merged(worktrees, worktree)
        worktrees.drop(worktree)


def test_threads_and_processes_at_once_lose_nothing(tmp_path: Path) -> None:
    tree = new(tmp_path / "tree")
    context = multiprocessing.get_context("spawn")
    processes = [context.Process(target=_make_some, args=(tree, first)) for first in (0, 4)]
    threads = [threading.Thread(target=_make_some, args=(tree, first)) for first in (8, 12)]
    for one in (*processes, *threads):
        one.start()
    for one in (*processes, *threads):
        one.join()
    assert [process.exitcode for process in processes] == [0, 0]
    assert sorted(int(one.stem) for one in tree.glob("[0-9]*.txt")) == list(range(16))
    assert git(tree, "status", "--porcelain") in ("", "?? .runkon/\n")
    assert len(git(tree, "log", "--first-parent", "--format=%s").splitlines()) == 17
    assert git(tree, "branch").split() == ["*", "main"]


# ── merging ───────────────────────────────────────────────────────────────────────────────────────
def test_what_is_committed_and_what_is_not_come_in_one_merge(tree: Path) -> None:
    worktrees, worktree = made(tree)
    (worktree.folder / "b.txt").write_text("b\n")
    git(worktree.folder, "add", ".")
    git(worktree.folder, "-c", "user.name=agent", "-c", "user.email=a@localhost", "commit", "-qm", "its own")
    (worktree.folder / "sub").mkdir()
    (worktree.folder / "sub" / "ünï c.txt").write_text("c\n")
    (worktree.folder / "old.txt").unlink()
    (worktree.folder / "link").symlink_to("a.txt")
    (worktree.folder / "run.sh").write_text("#!/bin/sh\n")
    (worktree.folder / "run.sh").chmod(0o755)
    merge = merged(worktrees, worktree)
    assert set(merge.files) == {"b.txt", "sub/ünï c.txt", "old.txt", "link", "run.sh"}
    assert (tree / "sub" / "ünï c.txt").read_text() == "c\n"
    assert os.readlink(tree / "link") == "a.txt"
    assert os.access(tree / "run.sh", os.X_OK)
    assert not (tree / "old.txt").exists()
    assert git(tree, "status", "--porcelain") in ("", "?? .runkon/\n")
    assert "its own" in git(tree, "log", "--format=%s")
    assert git(tree, "log", "-1", "--format=%an %B").strip() == "runkon Merge it\n\nRunkon-Step: fix"
    assert len(git(tree, "log", "-1", "--format=%P").split()) == 2


def test_a_second_merge_changes_nothing(tree: Path) -> None:
    worktrees, worktree = made(tree)
    (worktree.folder / "b.txt").write_text("b\n")
    first = merged(worktrees, worktree)
    (tree / "b.txt").write_text("mine\n")
    assert merged(worktrees, worktree) == first
    assert (tree / "b.txt").read_text() == "mine\n"
    assert len(git(tree, "log", "--first-parent", "--format=%s").splitlines()) == 2


def test_nothing_changed_is_no_merge(tree: Path) -> None:
    (tree / "new.txt").write_text("new\n")
    worktrees, worktree = made(tree)
    assert not worktrees.has_changes(worktree)
    assert merged(worktrees, worktree) == Merge()
    assert git(tree, "log", "--format=%s") == "begin\n"


def test_uncommitted_files_of_the_tree_are_committed_by_nobody(tree: Path) -> None:
    (tree / "mine.txt").write_text("mine\n")
    (tree / "a.txt").write_text("a\nb\nc\nmine\n")
    (tree / "staged.txt").write_text("staged\n")
    git(tree, "add", "staged.txt")
    before = git(tree, "status", "--porcelain")
    worktrees, worktree = made(tree)
    (worktree.folder / "b.txt").write_text("b\n")
    merge = merged(worktrees, worktree)
    assert git(tree, "show", "--name-only", "--format=", "HEAD").split() == ["b.txt"]
    assert merge.commit == git(tree, "rev-parse", "HEAD").strip()
    assert git(tree, "log", "--format=%s").splitlines() == ["Merge it", "begin"]
    assert git(tree, "status", "--porcelain").replace("?? .runkon/\n", "") == before


def test_changes_of_uncommitted_files_stay_uncommitted(tree: Path) -> None:
    (tree / "mine.txt").write_text("1\n2\n3\n4\n5\n")
    worktrees, worktree = made(tree)
    (worktree.folder / "mine.txt").write_text("1\n2\n3\n4\nfive\n")
    (tree / "mine.txt").write_text("one\n2\n3\n4\n5\n")
    merge = merged(worktrees, worktree)
    assert (merge.commit, merge.files) == (None, ("mine.txt",))
    assert (tree / "mine.txt").read_text() == "one\n2\n3\n4\nfive\n"
    assert git(tree, "log", "--format=%s") == "begin\n"
    assert merged(worktrees, worktree) == merge


def test_both_sides_in_one_file_are_merged_line_by_line(tree: Path) -> None:
    worktrees, worktree = made(tree)
    (worktree.folder / "a.txt").write_text("A\nb\nc\n")
    (tree / "a.txt").write_text("a\nb\nC\n")
    assert merged(worktrees, worktree).failed is False
    assert (tree / "a.txt").read_text() == "A\nb\nC\n"


def test_a_conflict_touches_nothing_and_names_the_files(tree: Path) -> None:
    worktrees, worktree = made(tree)
    (worktree.folder / "a.txt").write_text("theirs\n")
    (worktree.folder / "b.txt").write_text("b\n")
    (tree / "a.txt").write_text("mine\n")
    before = git(tree, "status", "--porcelain")
    assert merged(worktrees, worktree) == Merge(failed=True, files=("a.txt",), branch=worktree.branch)
    assert ((tree / "a.txt").read_text(), git(tree, "status", "--porcelain")) == ("mine\n", before)
    assert not (tree / "b.txt").exists()
    assert git(worktree.folder, "log", "-1", "--format=%s") == "Merge it\n"  # what was left in it is on its branch


@pytest.mark.parametrize("other_way", [False, True])
def test_a_merge_by_hand_is_recognised(tree: Path, other_way: bool) -> None:
    git(tree, "config", "user.name", "me")
    git(tree, "config", "user.email", "me@localhost")
    worktrees, worktree = made(tree)
    (worktree.folder / "a.txt").write_text("theirs\n")
    (tree / "a.txt").write_text("mine\n")
    git(tree, "commit", "-qam", "mine")
    assert merged(worktrees, worktree).failed
    here, branch = (worktree.folder, "main") if other_way else (tree, worktree.branch)
    subprocess.run(["git", "merge", branch], cwd=here, check=False, capture_output=True)
    (here / "a.txt").write_text("both\n")
    git(here, "commit", "-qam", "by hand")
    assert not merged(worktrees, worktree).failed
    assert (tree / "a.txt").read_text() == "both\n"
    assert git(tree, "status", "--porcelain") in ("", "?? .runkon/\n")


def test_an_unfinished_merge_in_the_tree_is_not_disturbed(tree: Path) -> None:
    worktrees, worktree = made(tree)
    (worktree.folder / "b.txt").write_text("b\n")
    (tree / ".git" / "MERGE_HEAD").write_text(git(tree, "rev-parse", "HEAD"))
    with pytest.raises(StepFailure, match=r"a merge in `.*` is not finished: finish or abort it"):
        merged(worktrees, worktree)


def test_a_git_that_is_at_work_is_told(tree: Path) -> None:
    worktrees, worktree = made(tree)
    (worktree.folder / "b.txt").write_text("b\n")
    lock = tree / ".git" / "index.lock"
    lock.write_text("")
    with pytest.raises(StepFailure, match=r"another git holds `.*index.lock`"):
        merged(worktrees, worktree)
    lock.unlink()
    assert merged(worktrees, worktree).files == ("b.txt",)
    assert len(git(tree, "log", "--first-parent", "--format=%s").splitlines()) == 2


def test_a_file_becomes_a_folder_and_back(tree: Path) -> None:
    worktrees, worktree = made(tree)
    (worktree.folder / "old.txt").unlink()
    (worktree.folder / "old.txt").mkdir()
    (worktree.folder / "old.txt" / "in.txt").write_text("in\n")
    merged(worktrees, worktree)
    assert (tree / "old.txt" / "in.txt").read_text() == "in\n"
    worktrees, worktree = made(tree, "back")
    (worktree.folder / "old.txt" / "in.txt").unlink()
    (worktree.folder / "old.txt").rmdir()
    (worktree.folder / "old.txt").write_text("again\n")
    merged(worktrees, worktree)
    assert (tree / "old.txt").read_text() == "again\n"


# ── the end ───────────────────────────────────────────────────────────────────────────────────────
def test_what_is_dropped_leaves_no_trace(tree: Path) -> None:
    worktrees, worktree = made(tree)
    (worktree.folder / "b.txt").write_text("b\n")
    merged(worktrees, worktree)
    worktrees.drop(worktree)
    worktrees.drop(worktree)
    assert git(tree, "worktree", "list", "--porcelain").count("worktree ") == 1
    assert git(tree, "branch").split() == ["*", "main"]
    assert git(tree, "for-each-ref", "refs/runkon") == ""


def test_the_end_of_a_run_leaves_what_is_kept(tree: Path) -> None:
    worktrees, kept = made(tree, "kept")
    made(tree, "left")
    _, half = made(tree, "half")
    git(tree, "worktree", "remove", str(half.folder))
    worktrees.drop_all(RUN, tree, [kept.folder])
    assert [one.name for one in kept.folder.parent.iterdir()] == ["kept"]
    assert worktrees.is_there(kept)
    assert git(tree, "branch", "--format=%(refname:short)").split() == ["main", kept.branch]


def test_names_are_those_of_steps_and_differ() -> None:
    assert (name_of(StepPath("fix")), name_of(StepPath("checks/a"))) == ("fix", "checks--a")
    names = {name_of(StepPath(path)) for path in ("a/b", "a--b", "a[b]", "a b", "a~b", "…", "é", "x" * 300, "x" * 301)}
    assert len(names) == 9
    assert all(
        len(name.encode()) < 80 and git(Path(), "check-ref-format", f"refs/heads/{name}") == "" for name in names
    )


# ── where there can be none ───────────────────────────────────────────────────────────────────────
def refusal(folder: Path) -> str:
    with pytest.raises(UserError) as caught:
        GitWorktrees(folder / "w").check(folder)
    assert (caught.value.code, caught.value.exit_code) == ("no-worktrees", 5)
    assert caught.value.help
    return str(caught.value.message).removeprefix("`isolation = worktree` needs git worktrees: ")


def test_a_folder_without_a_repository(tmp_path: Path) -> None:
    assert refusal(tmp_path) == f"`{tmp_path}` is not in a git repository"


def test_a_repository_without_a_commit(tmp_path: Path) -> None:
    git(tmp_path, "init", "-q")
    assert refusal(tmp_path) == f"the repository of `{tmp_path}` has no commit yet"


def test_a_bare_repository(tmp_path: Path) -> None:
    git(tmp_path, "init", "-q", "--bare")
    assert refusal(tmp_path) == f"`{tmp_path}` is in a bare repository"


def test_no_git(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert refusal(tmp_path) == "there is no program `git`"


def test_an_old_git(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "git").write_text("#!/bin/sh\necho git version 2.25.1\n")
    (tmp_path / "git").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    assert refusal(tmp_path) == "git is 2.25.1"


def test_a_folder_that_can_have_some(tree: Path) -> None:
    (tree / "sub").mkdir()
    GitWorktrees(tree / "w").check(tree / "sub")
