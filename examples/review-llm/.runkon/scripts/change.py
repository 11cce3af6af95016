#!/usr/bin/env python3
"""The change under review, in a copy of its own: `collect` makes the copy, `apply` writes what an agent has mended,
`finish` leaves a patch and removes the copy. Each prints the change as it is then, for the agents.

The copy is a git repository without a commit: its index holds the files as they were, its folder as they are now.
"""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path, PurePosixPath

LONGEST = 100_000  # characters of a change that agents are asked to read
COPY = Path(".runkon", "review-llm", os.environ["RUNKON_WORKFLOW_RUN_ID"])
FIXTURE = Path(__file__).resolve().parents[2] / "fixture"


def git(*words: str, folder: Path = Path()) -> str:
    clean = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    if folder == COPY:
        clean["GIT_CEILING_DIRECTORIES"] = str(COPY.parent.resolve())  # never the repository around it
    done = subprocess.run(["git", "-C", str(folder), *words], capture_output=True, check=False, env=clean)
    if done.returncode != 0:
        raise SystemExit(done.stderr.decode(errors="replace").strip() or f"git {words[0]} failed")
    return done.stdout.decode()


def collect(base: str) -> None:
    before = then(base) if base else tree(FIXTURE / "before")
    after = {name: text(Path(name)) for name in before} if base else tree(FIXTURE / "after")
    shutil.rmtree(COPY, ignore_errors=True)
    COPY.mkdir(parents=True)
    (COPY.parent / ".gitignore").write_text("*\n", "utf-8")
    git("init", "--quiet", folder=COPY)
    write(before)
    git("add", "--all", "--force", folder=COPY)
    for name in before:
        if after.get(name) is None:
            (COPY / name).unlink(missing_ok=True)
    write(after)
    announce()


def then(base: str) -> "dict[str, str | None]":
    """Files that differ from the commit `base`, as they were there; None for those that are new."""
    commit = git("rev-parse", "--verify", "--end-of-options", f"{base}^{{commit}}").strip()
    names = git("diff", "--name-only", "-z", "--no-renames", "--relative", commit).split("\0")[:-1]
    new = set(git("diff", "--name-only", "-z", "--no-renames", "--relative", "--diff-filter=A", commit).split("\0"))
    return {name: None if name in new else git("show", f"{commit}:./{name}") for name in names}


def tree(folder: Path) -> "dict[str, str | None]":
    return {str(file.relative_to(folder)): text(file) for file in sorted(folder.rglob("*.py"))}


def text(file: Path) -> "str | None":
    """The content of a file, None if it is gone or is no text."""
    try:
        return file.read_text("utf-8")
    except (OSError, UnicodeDecodeError):
        return None


def write(files: "dict[str, str | None]") -> None:
    for name, content in files.items():
        if content is not None:
            (COPY / name).parent.mkdir(parents=True, exist_ok=True)
            (COPY / name).write_text(content, "utf-8")


def apply(answer: str) -> None:
    """Write what an agent said, which is data: only files of the copy, and new ones beside them."""
    mended = {one["path"]: one["text"] for one in json.loads(answer)}
    folders = {str(PurePosixPath(name).parent) for name in names()}
    for name in mended:
        path = PurePosixPath(name)
        if path.is_absolute() or ".." in path.parts or ".git" in path.parts or str(path.parent) not in folders:
            raise SystemExit(f"`{name}` is not a file of the change, nor one beside them")
    write(mended)
    announce()


def announce() -> None:
    """Have files that are new stand in the diff."""
    new = names("--others")
    if new:
        git("add", "--force", "--intent-to-add", "--", *new, folder=COPY)


def names(*which: str) -> "list[str]":
    return [name for name in git("ls-files", "-z", *which, folder=COPY).split("\0") if name]


def finish(decision: str, patch: str) -> None:
    if COPY.is_dir():  # else all of this was done before a crash
        if decision == "approved":
            Path(patch).write_text(diff(), "utf-8")
        shutil.rmtree(COPY.rename(COPY.with_suffix(".done")))
    said = f"{patch} is written" if decision == "approved" else f"{decision}: no patch is written"
    block(context=said, patch=patch if decision == "approved" else "")


def diff() -> str:
    return git("diff", "--no-color", "--no-ext-diff", "--unified=10", folder=COPY)


def show() -> None:
    change, number = diff(), len(git("diff", "--name-only", "-z", folder=COPY).split("\0")) - 1
    files = [{"path": name, "text": text(COPY / name)} for name in names() if (COPY / name).is_file()]
    files = [one for one in files if one["text"] is not None]
    length = max(len(change), sum(len(one["text"]) for one in files))
    if length > LONGEST:
        raise SystemExit(f"there are {length} characters to read, more than {LONGEST}: review the change in parts")
    lines = [line for line in change.splitlines() if not line.startswith(("+++", "---"))]
    more, less = (sum(line.startswith(sign) for line in lines) for sign in "+-")
    block(
        markers=["has_changes"] if change else [],
        context=f"{number} file{'s' * (number != 1)}, +{more} -{less}",
        diff=change,
        files=files,
    )


def block(**fields: object) -> None:
    print(f"<<<FLOW_OUTPUT>>>\n{json.dumps(fields)}\n<<<END_FLOW_OUTPUT>>>")


match os.environ["DO"]:
    case "collect":
        collect(os.environ.get("RUNKON_BASE", ""))
        show()
    case "apply":
        apply(os.environ["FILES"])
        show()
    case "finish":
        finish(os.environ["DECISION"], os.environ["PATCH"])
sys.exit(0)
