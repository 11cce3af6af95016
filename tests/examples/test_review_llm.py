"""The review by agents: offline to its gate and past it, as recorded, with answers, and on a repository."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from .conftest import EXAMPLES, Project, step

FOLDER = EXAMPLES / "review-llm"
CASSETTE = ".runkon/cassettes/written.json"
PATCH = "review-llm.patch"


@pytest.fixture
def review(project: Project, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Project:
    """The example as a project of its own, with the current folder in it."""
    project.folder = tmp_path / "review-llm"
    shutil.copytree(FOLDER, project.folder, ignore=shutil.ignore_patterns("runkon.db*", "logs", "cache", PATCH))
    monkeypatch.chdir(project.folder)
    return project


def as_json(project: Project, *words: str, code: int = 0) -> dict:
    return json.loads(project.runkon(*words, "--json", code=code))


def patched(folder: Path, files: Path, patch: Path) -> Path:
    """A copy of `files` in `folder` with the patch on it."""
    shutil.copytree(files, folder)
    command = ["git", "-C", str(folder), "apply", "--unsafe-paths", "--directory", str(folder), str(patch)]
    clean = {**os.environ, "GIT_CEILING_DIRECTORIES": str(folder.parent)}
    subprocess.run(command, check=True, env=clean, capture_output=True)
    return folder


def contents(folder: Path) -> dict[str, str]:
    return {file.name: file.read_text("utf-8") for file in folder.glob("*.py")}


# ── as it stands there ────────────────────────────────────────────────────────────────────────────
def test_it_is_valid_and_canonical_and_its_tests_pass(review: Project) -> None:
    review.runkon("validate", "--strict", "review.wf")
    review.runkon("fmt", "--check", "review.wf", "review.wftest")
    review.runkon("test")
    assert review.err.endswith("5 passed\n")


def test_its_tests_pass_from_anywhere(project: Project) -> None:
    project.runkon("test", str(FOLDER))
    assert project.err.endswith("5 passed\n")


def test_offline_it_ends_at_the_gate_and_goes_on_after_the_decision(review: Project, tmp_path: Path) -> None:
    run = as_json(review, "run", "review.wf", "--model", "test", code=4)
    assert (run["status"], run["waiting"]["gate"], run["calls"], run["models"]) == (
        "waiting", "human_review", 4, ["test"],
    )  # fmt: skip
    assert not Path(PATCH).exists()
    review.runkon("approve", "@last")
    outputs = as_json(review, "resume")["outputs"]
    assert outputs == {"decision": "approved", "verdict": "Nothing blocks it.", "open": [], "patch": PATCH}
    after = patched(tmp_path / "patched", FOLDER / "fixture" / "before", Path(PATCH).absolute())
    assert contents(after) == contents(FOLDER / "fixture" / "after")
    assert [one.name for one in Path(".runkon/review-llm").iterdir()] == [".gitignore"]


def test_a_rejected_change_leaves_no_patch(review: Project) -> None:
    review.runkon("run", "review.wf", code=4)
    review.runkon("reject", "@last", "-m", "not now")
    assert as_json(review, "resume")["outputs"]["decision"] == "rejected"
    assert not Path(PATCH).exists()


def test_it_runs_from_anywhere_by_its_path(project: Project) -> None:
    run = as_json(project, "run", str(FOLDER / "review.wf"), "--model", "test", code=4)
    assert run["waiting"]["prompt"] == "Keep the change as it is now (1 file, +11 -0)? The judge: Nothing blocks it."
    project.runkon("approve", "@last")
    project.runkon("resume")
    assert (project.folder / PATCH).is_file()


# ── as recorded ───────────────────────────────────────────────────────────────────────────────────
def test_the_cassette_answers_the_whole_review(review: Project) -> None:
    for words in (["replay", CASSETTE], ["run", "review.wf", "--cassette", CASSETTE, "--replay", "strict"]):
        review.runkon(*words)
        run = as_json(review, "show", "@last")
        assert (run["status"], run["outputs"]["decision"]) == ("completed", "approved")
        assert step(run, "do[0]/reviewers/review-security")["attempts"] == 2
        assert step(run, "do[0]/judge")["markers"] == ["has_findings", "has_high_findings", "not_approved"]
        assert step(run, "do[1]/judge")["markers"] == []
        assert not Path(PATCH).exists()
        review.runkon("verify", "@last")


def test_the_cassette_needs_no_settings_and_no_runtime(project: Project) -> None:
    words = ["run", str(FOLDER / "review.wf"), "--cassette", str(FOLDER / CASSETTE), "--replay", "strict"]
    assert "verdict = Nothing blocks it any more.\n" in project.runkon(*words)
    run = as_json(project, *words)
    assert (run["schema"], run["outputs"]["decision"]) == ("runkon.run/1", "approved")
    assert (run["replay"]["identical"], run["replay"]["answered"]) == (True, 13)


def test_an_edited_prompt_is_named(review: Project) -> None:
    agent = Path(".runkon/agents/judge.md")
    agent.write_text(agent.read_text("utf-8").replace("Three reviewers", "Three careful reviewers"), "utf-8")
    review.runkon("replay", CASSETTE, code=1)
    assert "`do[0]/judge`" in review.err
    assert "careful" in review.err


def test_the_cassette_is_what_the_written_answers_give(review: Project) -> None:
    def timeless(path: str) -> object:
        found: dict = json.loads(Path(path).read_text("utf-8"))
        found["answers"].sort(key=lambda one: (one["path"], one["outcome"]))
        for one in found["answers"]:
            one.pop("elapsed_ms", None)
            one.pop("seen", None)  # of a script it depends on its folder; the request is what is compared
        for one in found["decisions"]:
            one.pop("at", None)
        return found

    review.runkon("run", "review.wf", "--model", "written", "--record", "--cassette", "new.json", code=4)
    review.runkon("approve", "@last", "--as", "kim", "-m", "Good.")
    review.runkon("resume")
    assert timeless("new.json") == timeless(CASSETTE)


# ── with a runtime ────────────────────────────────────────────────────────────────────────────────
def test_one_word_of_the_settings_chooses_who_answers(review: Project, tmp_path: Path) -> None:
    settings = Path("runkon.toml")
    text = settings.read_text("utf-8")
    assert text.count('model = "test"') == 1
    settings.write_text(text.replace('model = "test"', 'model = "written"'), "utf-8")
    run = as_json(review, "run", "review.wf", code=4)
    assert (run["models"], run["calls"]) == (["written"], 10)
    review.runkon("approve", "@last")
    review.runkon("resume")
    mended = patched(tmp_path / "mended", FOLDER / "fixture" / "before", Path(PATCH).absolute())
    assert ran_tests(mended) == 0
    shutil.copy(FOLDER / "fixture" / "after" / "orders.py", mended)
    assert ran_tests(mended) == 1


def ran_tests(folder: Path) -> int:
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(folder)]
    return subprocess.run(command, cwd=folder, capture_output=True, check=False).returncode


def test_a_flag_that_names_a_runtime_is_meant(review: Project) -> None:
    run = as_json(review, "run", "review.wf", "--runtime", "written", code=4)
    assert run["calls"] == 10
    assert "warning" not in review.err


# ── a repository of one's own ─────────────────────────────────────────────────────────────────────
def test_what_changed_since_a_commit_is_reviewed(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    project.write("kept.py", "a = 1\n")
    project.write("sub/changed.py", "a = 1\n")
    project.write("gone.py", "a = 1\n")
    project.write("odd name é.py", "a = 1\n")
    project.commit_all()
    project.write("sub/changed.py", "a = 2\n")
    project.write("odd name é.py", "a = 3\n")
    project.write("new.py", "a = 4\n")
    project.write("picture.bin", b"\xff\x00")
    (project.tree / "gone.py").unlink()
    project.git("add", "new.py", "picture.bin")
    (project.tree / ".runkon").mkdir()
    monkeypatch.chdir(project.tree)
    words = ["run", str(FOLDER / "review.wf"), "--model", "test", "-i", "base=HEAD"]
    run = as_json(project, *words, code=4)
    change = step(run, "change")["output"]
    assert {one["path"]: one["text"] for one in change["files"]} == {
        "sub/changed.py": "a = 2\n", "odd name é.py": "a = 3\n", "new.py": "a = 4\n",
    }  # fmt: skip
    assert step(run, "change")["context"] == "4 files, +3 -3"
    assert "deleted file" in change["diff"]
    project.runkon("approve", "@last")
    project.runkon("resume")
    project.git("stash", "--quiet")
    project.git("apply", PATCH)
    assert (project.tree / "new.py").read_text() == "a = 4\n"
    assert not (project.tree / "gone.py").exists()


@pytest.mark.parametrize(
    ("base", "said"),
    [("HEAD", "there is no change to review"), ("nowhere", "Needed a single revision"), ("--output=x", "revision")],
)
def test_what_cannot_be_reviewed_is_said(
    project: Project, monkeypatch: pytest.MonkeyPatch, base: str, said: str
) -> None:
    project.write("a.py", "a = 1\n")
    project.commit_all()
    (project.tree / ".runkon").mkdir()
    monkeypatch.chdir(project.tree)
    run = as_json(project, "run", str(FOLDER / "review.wf"), "--model", "test", "-i", f"base={base}", code=1)
    assert said in run["error"]["message"] + project.err
    assert run["calls"] == 0


# ── the script that writes what agents say ────────────────────────────────────────────────────────
def change(do: str, code: int = 0, **given: str) -> str:
    """What `change.py` prints in the current folder; its complaint if it fails."""
    env = {**os.environ, "RUNKON_WORKFLOW_RUN_ID": "01RUN", "DO": do, **given}
    program = [sys.executable, str(FOLDER / ".runkon" / "scripts" / "change.py")]
    done = subprocess.run(program, env=env, capture_output=True, text=True, check=False)
    assert done.returncode == code, done.stderr
    return done.stdout if code == 0 else done.stderr


@pytest.mark.parametrize(
    "path", ["../outside.py", "/etc/outside.py", ".git/hooks/pre-commit", "elsewhere/new.py", "a/../../b.py"]
)
def test_an_agent_writes_only_files_of_the_change(project: Project, path: str) -> None:
    change("collect")
    said = change("apply", code=1, FILES=json.dumps([{"path": path, "text": "x"}]))
    assert said == f"`{path}` is not a file of the change, nor one beside them\n"
    copy = project.folder / ".runkon" / "review-llm" / "01RUN"
    assert sorted(file.name for file in copy.iterdir()) == [".git", "orders.py", "test_orders.py"]


def test_a_step_that_is_repeated_after_a_crash_does_no_harm(project: Project) -> None:
    first = change("collect")
    assert change("collect") == first
    files = json.dumps([{"path": "new.py", "text": "a = 1\n"}])
    second = change("apply", FILES=files)
    assert change("apply", FILES=files) == second != first
    done = change("finish", DECISION="approved", PATCH="out.patch")
    assert change("finish", DECISION="approved", PATCH="out.patch") == done
    assert "+++ b/new.py" in (project.folder / "out.patch").read_text()


def test_a_change_that_is_too_large_is_refused(project: Project) -> None:
    change("collect")
    said = change("apply", code=1, FILES=json.dumps([{"path": "big.py", "text": "x" * 100_001}]))
    assert "more than 100000: review the change in parts" in said


# ── its page ──────────────────────────────────────────────────────────────────────────────────────
def test_the_commands_of_its_page_work_in_order(review: Project, tmp_path: Path) -> None:
    page = (FOLDER / "README.md").read_text("utf-8")
    blocks = re.findall(r"^```sh\n(.*?)^```$", page, re.MULTILINE | re.DOTALL)
    lines = [line for block in blocks for line in block.splitlines()]
    assert len(lines) == 8
    for line in lines:
        program, *words = shlex.split(line)
        assert program == "runkon"
        if "sonnet" not in words:
            review.runkon(*words, code=4 if words[0] == "run" else 0)


@pytest.mark.parametrize("link", sorted(set(re.findall(r"\]\(([^)]+)\)", (FOLDER / "README.md").read_text("utf-8")))))
def test_every_link_of_its_page_leads_somewhere(link: str) -> None:
    assert (FOLDER / link).exists()
