"""Kills around git worktrees: a resume ends with the same files, and with one merge per branch."""

from __future__ import annotations

import signal
import subprocess
import time
from pathlib import Path

import pytest

from .life import KILLED, Life

TEXT = """workflow x {
  script prepare { run = "echo prepared > prepared.txt" on_unknown = rerun }
  parallel checks {
    isolation = worktree
    merge = auto
    script one { run = "cat prepared.txt >> log.txt; echo one >> log.txt" on_unknown = rerun }
    script two { run = "echo two >> two.txt; git add two.txt; git commit -qm two; rm gone.txt" on_unknown = rerun }
  }
  script last {
    run = "cat log.txt > last.txt; mkdir -p d/e; echo x > d/e/f"
    isolation = worktree
    merge = auto
    on_unknown = rerun
  }
}"""
FILES = {
    "log.txt": "start\nprepared\none\n", "two.txt": "two\n", "last.txt": "start\nprepared\none\n",
    "prepared.txt": "prepared\n", "d/e/f": "x\n",
}  # fmt: skip
ONCE = [
    "worktree_before_add",
    "worktree_after_add",
    "worktree_made",
    "merge_begun",
    "merge_planned",
    "merge_files_begun",
]
ONCE += ["merge_files_written", "merge_index_written", "merge_committed", "merge_done", "merge_recorded"]
ONCE += ["worktree_before_drop", "worktree_after_drop"]
STEPS = ["before_dispatch:path=checks/one", "after_return:path=checks/two", "before_finish:path=last", "before_join"]


def git(folder: Path, *words: str) -> str:
    done = subprocess.run(["git", *words], cwd=folder, capture_output=True, text=True, check=True)
    return done.stdout


def repository(folder: Path) -> None:
    git(folder, "init", "-q", "-b", "main")
    git(folder, "config", "user.name", "somebody")
    git(folder, "config", "user.email", "somebody@localhost")
    (folder / "log.txt").write_text("start\n")
    (folder / "gone.txt").write_text("here\n")
    (folder / ".gitignore").write_text("/.runkon/\n/home/\n/calls\n/answers.json\n")
    git(folder, "add", ".")
    git(folder, "commit", "-qm", "begin")


def assert_as_without_kills(folder: Path) -> None:
    assert {name: (folder / name).read_text() for name in FILES} == FILES
    assert not (folder / "gone.txt").exists()
    titles = git(folder, "log", "--first-parent", "--format=%s").splitlines()
    assert titles == ["Merge what `last` did", "Merge what `two` did", "Merge what `one` did", "begin"]
    assert git(folder, "status", "--porcelain").split() == ["??", "prepared.txt"]
    assert git(folder, "worktree", "list", "--porcelain").count("worktree ") == 1
    assert git(folder, "branch", "--format=%(refname:short)").split() == ["main"]
    assert git(folder, "for-each-ref", "refs/runkon") == ""
    assert not list((folder / ".runkon" / "worktrees").glob("*/*"))
    git(folder, "fsck", "--strict")


def test_without_a_kill(tmp_path: Path) -> None:
    life = Life(tmp_path, TEXT)
    repository(tmp_path)
    life.do("run", "x.wf")
    assert_as_without_kills(tmp_path)
    told = [event.what for event in life.events if event.kind == "worktree_changed"]
    assert (told.count("made"), told.count("merged"), len(told)) == (3, 3, 6)
    message = git(tmp_path, "log", "-1", "--format=%B")
    assert f"Runkon-Run: {life.run.id}\nRunkon-Step: last\n" in message


@pytest.mark.parametrize("place", [*(f"{point}:hit={hit}" for point in ONCE for hit in (1, 3)), *STEPS])
def test_a_kill_changes_nothing(place: str, tmp_path: Path) -> None:
    life = Life(tmp_path, TEXT)
    repository(tmp_path)
    life.killed(place)
    life.resumed()
    assert_as_without_kills(tmp_path)
    life.assert_sound()


def test_kills_one_after_the_other_change_nothing(tmp_path: Path) -> None:
    life = Life(tmp_path, TEXT)
    repository(tmp_path)
    life.killed("worktree_after_add")
    for place in ("worktree_made", "merge_files_begun", "merge_files_written", "merge_committed", "merge_done"):
        life.do("resume", "@last", fail=place, exits=KILLED)
        life.assert_sound()
    life.resumed()
    assert_as_without_kills(tmp_path)


def test_what_somebody_edits_between_a_kill_and_the_resume_is_not_lost(tmp_path: Path) -> None:
    life = Life(tmp_path, TEXT)
    repository(tmp_path)
    life.killed("merge_files_begun")
    (tmp_path / "log.txt").write_text("mine\nstart\n")
    life.do("resume", "@last", exits=None)
    assert "mine\n" in (tmp_path / "log.txt").read_text()


STOPPED = """workflow x {{
  script quick {{ run = "touch quick.txt" isolation = worktree merge = keep }}
  script s {{
    run = "echo x >> x.txt; test -e {0}/go || {{ touch {0}/began; sleep 60; }}"
    isolation = worktree
    merge = auto
    on_unknown = rerun
  }}
}}"""


def stopped(folder: Path, how: signal.Signals | None) -> Life:
    """A run that was stopped in its isolated step: by a signal, or by `cancel` if there is none."""
    project = folder / "project"
    life = Life(project, STOPPED.format(folder))
    repository(project)
    with life.start("run", "x.wf") as process:
        deadline = time.monotonic() + 60
        while not (folder / "began").exists():
            assert time.monotonic() < deadline
            assert process.poll() is None
            time.sleep(0.01)
        if how is None:
            life.do("cancel", "@last")
        else:
            process.send_signal(how)
        life.out, life.err = process.communicate(timeout=60)
    return life


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_a_step_that_was_stopped_begins_anew(how: signal.Signals, tmp_path: Path) -> None:
    life = stopped(tmp_path, how)
    (tmp_path / "go").touch()
    life.resumed()
    assert (life.folder / "x.txt").read_text() == "x\n"
    assert [one.name for one in (life.folder / ".runkon" / "worktrees").glob("*/*")] == ["quick"]


def test_a_cancelled_run_leaves_what_somebody_may_want(tmp_path: Path) -> None:
    life = stopped(tmp_path, None)
    left = sorted(one.name for one in (life.folder / ".runkon" / "worktrees").glob("*/*"))
    assert (life.run.status, left) == ("cancelled", ["quick", "s"])
    (told,) = [event.text for event in life.events if event.kind == "note"]
    assert told.startswith("worktrees with changes that are not merged are left: ")
    assert told.endswith("/s")
