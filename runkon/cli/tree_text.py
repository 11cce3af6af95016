"""A run's tree as plain text, for `show`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from runkon.cli.console import Console
from runkon.language.columns import visible, width
from runkon.model.records import StepRecord
from runkon.views.run_tree import run_tree
from runkon.views.status import BAD_STEP, is_reused
from runkon.views.tree_lines import TreeLine, tree_lines

WIDEST_NAMES = 48


def tree_text(console: Console, steps: Sequence[StepRecord], *, leg: int, now: int) -> Iterator[str]:
    """The lines of the tree, columns aligned, everything from elsewhere made visible."""
    reused = frozenset(step.path for step in steps if is_reused(step, leg))
    lines = tree_lines(run_tree(steps), now=now, is_reused=reused)
    names = [_name(line) for line in lines]
    column = min(max((width(name) for name in names), default=0), WIDEST_NAMES)
    for line, name in zip(lines, names, strict=True):
        detail = "  ".join(filter(None, [visible(line.detail), visible(line.place)]))
        text = f"{name}{' ' * max(0, column - width(name))}  {line.time:>6}  {detail}".rstrip()
        yield console.paint_out(_style(line), text)


def _name(line: TreeLine) -> str:
    return visible(f" {'  ' * line.depth}{line.sign} " + " ".join(filter(None, (line.kind, line.name))))


def _style(line: TreeLine) -> str:
    return "bad" if line.status in BAD_STEP else "info"
