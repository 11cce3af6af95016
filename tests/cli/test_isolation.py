"""`isolation = worktree` and `merge`, by real commands in real repositories."""

from __future__ import annotations

import subprocess

import pytest


def git(case, *words):
    return subprocess.run(["git", *words], cwd=case.project, capture_output=True, text=True, check=True).stdout


@pytest.fixture
def repo(case):
    git(case, "init", "-q", "-b", "main")
    git(case, "config", "user.name", "me")
    git(case, "config", "user.email", "me@localhost")
    case.file("a.txt", "a\n").file(".gitignore", "/.runkon/\n")
    git(case, "add", "a.txt", ".gitignore")
    git(case, "commit", "-qm", "begin")
    return case


def branch(case, step):
    (run,) = {line.split("/")[1] for line in git(case, "branch", "--format=%(refname:short)").split() if "/" in line}
    return f"runkon/{run}/{step}"


def left(case):
    """The worktrees that are still there, by the names of their folders."""
    return sorted(one.name for one in (case.project / ".runkon" / "worktrees").glob("*/*"))


def test_branches_see_what_the_run_sees_and_never_each_other(repo):
    repo.wf("""
        workflow w {
          script before { run = "echo before > b.txt" }
          parallel p {
            isolation = worktree
            merge = auto
            script one { run = "cat a.txt b.txt; ls; touch one.txt" }
            script two { run = "cat a.txt b.txt; ls; touch two.txt" }
          }
          script after { run = "ls *.txt" }
          outputs { one = one.context two = two.context after = after.context }
        }
        """).run("run", "x.wf").exits(0)
    seen = "a before a.txt b.txt x.wf"
    assert " ".join(repo.out.split()) == f"one = {seen} two = {seen} after = a.txt b.txt one.txt two.txt"
    assert left(repo) == []


def test_a_worktree_that_is_kept_is_named_in_the_result(repo):
    repo.wf("""
        workflow w {
          script s { run = "echo s > s.txt" isolation = worktree merge = keep }
          script t { run = "cat {{s.worktree}}/s.txt; git branch --list '{{s.branch}}' | wc -l" }
          outputs { t = t.context }
        }
        """).run("run", "x.wf").exits(0)
    assert repo.out.split() == ["t", "=", "s", "1"]
    assert left(repo) == ["s"]
    assert not (repo.project / "s.txt").exists()
    repo.run("show", "@last", "s", "--json").exits(0)
    assert "worktrees" in repo.out


def test_none_throws_away_and_without_merge_nothing_is_lost(repo):
    repo.wf("""
        workflow w {
          script gone { run = "echo s > s.txt" isolation = worktree merge = none }
          script clean { run = "true" isolation = worktree }
          script work { run = "echo s > s.txt" isolation = worktree }
        }
        """).run("run", "x.wf").exits(0)
    assert left(repo) == ["work"]
    assert git(repo, "status", "--porcelain") == "?? x.wf\n"


def test_variables_name_the_worktree(repo):
    repo.wf("""
        workflow w {
          script s {
            run = "pwd; echo {{repo_path}} {{worktree_branch}}; git branch --show-current"
            isolation = worktree
          }
          script t { run = "echo {{worktree_branch}} {{repo_path}}" }
          outputs { s = s.context t = t.context }
        }
        """).run("run", "x.wf").exits(0)
    words = repo.out.split()
    here, named, told, current = words[2:6]
    assert here == named
    assert told == current
    assert here.endswith("/s")
    assert told.startswith("runkon/")
    assert words[6:] == ["t", "=", "main", str(repo.project)]


def test_items_are_merged_in_their_order(repo):
    repo.wf("""
        workflow w {
          foreach n in [1, 2, 3] {
            max_parallel = 3
            isolation = worktree
            merge = auto
            script s { run = "echo {{n}} > {{n}}.txt" }
            script t { run = "cat {{n}}.txt > t{{n}}.txt" }
          }
        }
        """).run("run", "x.wf").exits(0)
    assert git(repo, "log", "--first-parent", "--format=%s").splitlines() == [
        "Merge what `3` did", "Merge what `2` did", "Merge what `1` did", "begin",
    ]  # fmt: skip
    assert (repo.project / "t2.txt").read_text() == "2\n"
    assert left(repo) == []


CONFLICT = """
    workflow w {
      parallel p {
        isolation = worktree
        merge = auto
        script one { run = "echo one > a.txt; echo x >> count" }
        script two { run = "echo two > a.txt" }
        script three { run = "echo three > c.txt" }
      }
      script after { run = "cat a.txt c.txt" }
      outputs { after = after.context }
    }
    """


def test_a_conflict_names_files_branches_and_what_to_do(repo):
    repo.wf(CONFLICT).run("run", "x.wf").exits(1)
    name = branch(repo, "p--two")
    folder = repo.project / ".runkon" / "worktrees" / name.split("/")[1] / "p--two"
    error = repo.err[repo.err.index("error[") :]
    assert f"what `two` did can't be merged: `a.txt` changed on branch `{name}` and in `{repo.project}`" in error
    assert f"its worktree is kept in `{folder}`" in error
    assert f"`git -C '{repo.project}' merge {name}.changes` merges by hand" in error
    assert (repo.project / "a.txt").read_text() == "one\n"
    assert git(repo, "status", "--porcelain") == "?? x.wf\n"
    repo.run("resume", "@last").exits(1)
    subprocess.run(["git", "merge", "-q", f"{name}.changes"], cwd=repo.project, check=False, capture_output=True)
    repo.file("a.txt", "both\n")
    git(repo, "commit", "-qam", "by hand")
    repo.run("resume", "@last").exits(0)
    assert repo.out.split() == ["after", "=", "both", "three"]
    assert git(repo, "branch", "--format=%(refname:short)").split() == ["main"]
    assert git(repo, "log", "--first-parent", "--format=%s").splitlines() == [
        "Merge what `three` did", "by hand", "Merge what `one` did", "begin",
    ]  # fmt: skip
    assert (repo.project / "count").read_text() == "x\n"
    assert left(repo) == []
    repo.run("db", "check").exits(0)


def test_a_failed_branch_is_not_merged(repo):
    repo.wf("""
        workflow w {
          parallel p {
            isolation = worktree
            merge = auto
            min_success = 1
            fail_fast = false
            script good { run = "touch good.txt" }
            script bad { run = "touch bad.txt; false" }
          }
        }
        """).run("run", "x.wf").exits(0)
    assert sorted(one.name for one in repo.project.glob("*.txt")) == ["a.txt", "good.txt"]
    assert left(repo) == []


def test_a_step_that_fails_begins_anew_in_a_resume(repo):
    repo.wf("""
        workflow w {
          script s { run = "echo x >> x.txt; test -e go" isolation = worktree merge = auto }
        }
        """).run("run", "x.wf").exits(1)
    assert left(repo) == ["s"]
    repo.file("go", "").run("resume", "@last").exits(0)
    assert (repo.project / "x.txt").read_text() == "x\n"
    assert left(repo) == []


def test_a_called_workflow_runs_in_one_worktree_and_others_begin_there(repo):
    repo.wf("""
        workflow w {
          call workflow kid { isolation = worktree merge = auto }
          script after { run = "cat all.txt" }
          outputs { after = after.context }
        }
        workflow kid {
          script one { run = "echo one > one.txt" }
          parallel {
            isolation = worktree
            merge = auto
            script two { run = "cat one.txt > two.txt; echo two >> two.txt" }
            do { script three { run = "echo three > three.txt" } script four { run = "cat three.txt > four.txt" } }
          }
          script all { run = "cat two.txt four.txt > all.txt" }
        }
        """).run("run", "x.wf").exits(0)
    assert repo.out.split() == ["after", "=", "one", "two", "three"]
    assert git(repo, "log", "--first-parent", "--format=%s").splitlines() == ["Merge what `kid` did", "begin"]
    assert left(repo) == []


def test_without_a_repository_nothing_begins(case):
    case.wf('workflow w { script s { run = "touch s.txt" isolation = worktree } }').run("run", "x.wf").exits(5)
    case.stderr("""
        error[no-worktrees]: `isolation = worktree` needs git worktrees: `TMP/project` is not in a git repository
          = help: run it in a checkout, or `git init` one
        """)
    assert not (case.project / "s.txt").exists()
    case.run("run", "x.wf", "--dry-run").exits(0)


def test_a_worktree_that_somebody_removed_is_told(repo):
    repo.wf("""
        workflow w {
          call workflow kid { isolation = worktree merge = auto }
        }
        workflow kid {
          script one { run = "echo one > one.txt" }
          script two { run = "test -e go" }
        }
        """).run("run", "x.wf").exits(1)
    git(repo, "worktree", "remove", "--force", str(next((repo.project / ".runkon" / "worktrees").glob("*/kid"))))
    repo.run("resume", "@last").exits(1)
    assert "is not there any more, with what steps have done in it" in repo.err
    assert "`--from kid` does them again" in repo.err
    repo.file("go", "").run("resume", "@last", "--from", "kid").exits(0)
    assert (repo.project / "one.txt").read_text() == "one\n"


def test_explain_and_the_verbose_run_tell(repo):
    repo.wf('workflow w { script s { run = "touch s.txt" isolation = worktree merge = auto } }')
    repo.run("run", "x.wf", "-v").exits(0)
    assert "worktree    s  was merged (" in repo.err
    repo.run("explain", "@last", "s").exits(0)
    assert "its worktree was made at" in repo.out
    assert "its worktree was merged (" in repo.out


def test_a_step_that_is_done_again_gets_a_worktree_beside_the_one_that_is_kept(repo):
    repo.wf("""
        workflow w {
          script s { run = "pwd; date +%N > s.txt" isolation = worktree merge = keep }
          script t { run = "test -e go" }
        }
        """).run("run", "x.wf").exits(1)
    repo.file("go", "").run("resume", "@last", "--only-failed").exits(0)
    assert left(repo) == ["s"]
    repo.run("resume", "@last", "--from", "s").exits(0)
    assert left(repo) == ["s", "s-2"]
    repo.run("resume", "@last", "--restart").exits(0)
    assert left(repo) == ["s", "s-2", "s-3"]
    texts = {one.read_text() for one in (repo.project / ".runkon" / "worktrees").glob("*/*/s.txt")}
    assert len(texts) == 3


@pytest.mark.parametrize("how", [("--with-edits",), ("--only-failed",), ("--fork", "--only-failed")])
def test_what_was_done_in_a_worktree_is_kept_where_steps_are_compared(repo, how):
    repo.wf("""
        workflow w {
          script s { run = "echo s >> s.txt" isolation = worktree merge = auto }
          parallel p {
            isolation = worktree
            merge = auto
            script one { run = "echo one >> one.txt" }
            do { script two { run = "echo two >> two.txt" } }
          }
          foreach f in ["x"] {
            isolation = worktree
            merge = auto
            max_parallel = 1
            script three { run = "echo three >> three.txt" }
          }
          script last { run = "test -e go" }
        }
        """).run("run", "x.wf").exits(1)
    repo.file("go", "").run("resume", "@last", *how).exits(0)
    done = [(repo.project / f"{name}.txt").read_text() for name in ("s", "one", "two", "three")]
    assert done == ["s\n", "one\n", "two\n", "three\n"]
