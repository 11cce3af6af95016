#!/usr/bin/env python3
"""Finds the Python files of the tree $TREE and says, as an output block, what kind of tree it is."""

import json
import os
import subprocess
import sys
from pathlib import Path

SKIPPED = {"node_modules", "venv", "build", "dist", "site-packages", "__pycache__"}


def tracked(root: Path) -> "list[str] | None":
    """What git knows or does not ignore, or None outside a git work tree."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    command = ["git", "-C", str(root), "ls-files", "-z", "--cached", "--others", "--exclude-standard", "--", "*.py"]
    try:
        listed = subprocess.run(command, capture_output=True, check=True, timeout=60, env=clean)
    except (OSError, subprocess.SubprocessError):
        return None
    return [os.fsdecode(name) for name in listed.stdout.split(b"\0") if name]


def walked(root: Path) -> "list[str]":
    found = []
    for folder, folders, files in os.walk(root):
        folders[:] = [name for name in folders if not name.startswith(".") and name not in SKIPPED]
        found += [str((Path(folder) / name).relative_to(root)) for name in files if name.endswith(".py")]
    return found


def is_test(name: str) -> bool:
    *folders, last = Path(name).parts
    stem = last[: -len(".py")]
    return (
        bool({"test", "tests"} & {*folders, stem}) or stem.startswith("test_") or stem.endswith(("_test", "conftest"))
    )


def main() -> int:
    root = Path(os.environ.get("TREE") or ".")
    if not root.is_dir():
        print(f"there is no folder `{root}`, seen from {Path.cwd()}", file=sys.stderr)
        return 1
    listed = tracked(root)
    names = listed or walked(root)  # git lists nothing in a tree it ignores
    files = sorted({name for name in names if (root / name).is_file() and not (root / name).is_symlink()})
    tests = [name for name in files if is_test(name)]
    markers = ["has_python"] * bool(files) + ["has_tests"] * bool(tests) + ["has_history"] * (listed is not None)
    many = "Python file" if len(files) == 1 else "Python files"
    block = {"markers": markers, "context": f"{len(files)} {many}", "files": files, "tests": tests}
    print(f"<<<FLOW_OUTPUT>>>\n{json.dumps(block)}\n<<<END_FLOW_OUTPUT>>>")
    return 0


sys.exit(main())
