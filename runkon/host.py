"""What runkon, as its own host, tells every workflow about where it runs."""

from __future__ import annotations

from pathlib import Path

from runkon.model.output import JsonValue


def injected_variables(root: Path) -> dict[str, JsonValue]:
    """The variables runkon gives as its own host."""
    found: dict[str, JsonValue] = {"repo_path": str(root), "repo_name": root.name}
    branch = _git_branch(root)
    if branch:
        found["worktree_branch"] = branch
    return found


def _git_branch(root: Path) -> str | None:
    """The checked-out branch, read from the files that git keeps (starting git would cost more than the run)."""
    git = root / ".git"
    try:
        if git.is_file():  # a linked worktree: `gitdir: PATH`
            git = root / git.read_text().partition(":")[2].strip()
        head = (git / "HEAD").read_text().strip()
    except (OSError, UnicodeDecodeError):
        return None
    prefix = "ref: refs/heads/"
    return head.removeprefix(prefix) if head.startswith(prefix) else None
