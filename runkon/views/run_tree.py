"""The steps of a run as a tree of its paths: what `show` prints and the live view draws.

Records exist for steps only; the blocks around them are read from the paths.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from runkon.model.records import StepRecord
from runkon.model.status import StepStatus
from runkon.views.status import BAD_STEP, BLOCKS, OPEN_STEP


@dataclass(slots=True)
class TreeNode:
    """One segment of a path. `record` is None for a block that has no result of its own."""

    segment: str
    path: str
    record: StepRecord | None = None
    children: dict[str, TreeNode] = field(default_factory=dict)

    def steps(self) -> Iterator[StepRecord]:
        """The records below and at this node that do work of their own, in the order they were added."""
        if self.record is not None and not self.is_block:
            yield self.record
        for child in self.children.values():
            yield from child.steps()

    @property
    def is_block(self) -> bool:
        """True for what only holds other steps; a step with an `on_fail` agent below it is still a step."""
        return bool(self.children) and (self.record is None or self.record.info.kind in BLOCKS)

    @property
    def status(self) -> StepStatus:
        """The node's own status, else the most urgent one below it."""
        if self.record is not None:
            return self.record.status
        below = {step.status for step in self.steps()}
        for status in (StepStatus.RUNNING, StepStatus.WAITING, StepStatus.BACKOFF, StepStatus.INTERRUPTED):
            if status in below:
                return status
        bad = next((s.status for s in self.steps() if s.status in BAD_STEP and s.handled is None), None)
        if bad is not None:
            return bad
        if StepStatus.CANCELLED in below:
            return StepStatus.CANCELLED
        return StepStatus.COMPLETED if below - {StepStatus.SKIPPED} else StepStatus.SKIPPED

    @property
    def is_quiet(self) -> bool:
        """True if nothing below is open or failed: the branch can be folded to one line."""
        return not any(step.status in OPEN_STEP or step.status in BAD_STEP for step in self.steps()) and (
            self.record is None or self.record.status not in (OPEN_STEP | BAD_STEP)
        )

    @property
    def is_item(self) -> bool:
        """True for one item of a `foreach`; rounds of loops have the keyword of their loop."""
        return self.segment.endswith("]") and self.keyword not in _LOOPS

    @property
    def keyword(self) -> str:
        """The segment without number, round or item key."""
        return self.segment.partition("[")[0].partition("#")[0]


_LOOPS = frozenset({"while", "do"})
KEYWORDS = _LOOPS | {"parallel", "always", "on_fail"}


def run_tree(steps: Iterable[StepRecord]) -> TreeNode:
    """The tree of the records, which come in program order; its root has the empty path. Items stand below their
    `foreach`."""
    root = TreeNode("", "")
    for step in steps:
        node, path = root, ""
        for segment in step.path.split("/"):
            path = f"{path}/{segment}" if path else segment
            inner = TreeNode(segment, path)
            if inner.is_item:
                block = segment[: segment.rindex("[")]
                node = node.children.setdefault(block, TreeNode(block, path[: path.rindex("[")]))
            node = node.children.setdefault(segment, inner)
        node.record = step
    return root
