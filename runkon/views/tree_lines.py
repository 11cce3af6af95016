"""A run's tree as lines that fit a given height: finished branches folded, failures open, what runs always visible."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence

from runkon.model.records import StepRecord
from runkon.model.status import StepStatus
from runkon.named import NamedTuple
from runkon.views.lines import first_line, result_text, skip_text
from runkon.views.outline import static_path
from runkon.views.run_tree import KEYWORDS, TreeNode
from runkon.views.status import BAD_STEP, OPEN_STEP, SIGNS
from runkon.views.times import elapsed, money

_ORDER = (
    (StepStatus.COMPLETED, "ok"),
    (StepStatus.FAILED, "failed"),
    (StepStatus.TIMED_OUT, "timed out"),
    (StepStatus.RUNNING, "running"),
    (StepStatus.BACKOFF, "retrying"),
    (StepStatus.WAITING, "waiting"),
    (StepStatus.SKIPPED, "skipped"),
    (StepStatus.CANCELLED, "cancelled"),
    (StepStatus.INTERRUPTED, "interrupted"),
)
MANY_ITEMS = 10  # of a `foreach`; of more only those stand for themselves that run or have failed


class TreeLine(NamedTuple):
    """One line; all texts are data, not yet made visible. `place` is where a failed step stands."""

    depth: int
    sign: str
    kind: str
    name: str
    time: str
    detail: str
    place: str
    status: StepStatus


def tree_lines(
    root: TreeNode,
    *,
    now: int,
    height: int | None = None,
    progress: Mapping[str, str] | None = None,
    is_reused: frozenset[str] = frozenset(),
    kinds: Mapping[str, str] | None = None,
) -> list[TreeLine]:
    """All lines of the tree, or at most `height` of them: then finished branches are folded first, then finished steps
    are left out from the top, then the rest is cut; one line says how many were left out. `kinds` maps the static
    paths of blocks without a record to their keywords."""
    draw = _Draw(now, progress or {}, is_reused, kinds or {})
    lines = list(draw.children(root, 0, folds=False))
    if height is None or len(lines) <= height:
        return lines
    lines = list(draw.children(root, 0, folds=True))
    return lines if len(lines) <= height else _cut(lines, max(height, 1))


def _cut(lines: Sequence[TreeLine], height: int) -> list[TreeLine]:
    """Drop quiet lines from the top, then anything open from the end, until `height` lines are left."""
    surplus = len(lines) - height + 1  # one line tells what is missing
    dropped: set[int] = set()
    for wanted in (_is_finished, _is_anything):
        ordered = range(len(lines)) if wanted is _is_finished else range(len(lines) - 1, -1, -1)
        for at in ordered:
            if len(dropped) >= surplus:
                break
            if at not in dropped and wanted(lines[at]):
                dropped.add(at)
    more = TreeLine(0, "…", "", f"{len(dropped)} more", "", "", "", StepStatus.COMPLETED)
    return [more, *(line for at, line in enumerate(lines) if at not in dropped)]


def _has_unknown_end(step: StepRecord) -> bool:
    """True for a step that does not run any more, but since when is not on its record."""
    return step.ended_at is None and step.status in (StepStatus.INTERRUPTED, StepStatus.WAITING)


def _is_finished(line: TreeLine) -> bool:
    return line.status not in OPEN_STEP and line.status not in BAD_STEP


def _is_anything(_line: TreeLine) -> bool:
    return True


class _Draw:
    def __init__(
        self, now: int, progress: Mapping[str, str], is_reused: frozenset[str], kinds: Mapping[str, str]
    ) -> None:
        self._now = now
        self._progress = progress
        self._reused = is_reused
        self._kinds = kinds

    def children(self, node: TreeNode, depth: int, *, folds: bool) -> Iterator[TreeLine]:
        has_many = len(node.children) > MANY_ITEMS
        folded: list[TreeNode] = []
        for child in node.children.values():
            if has_many and child.is_item and child.status in (StepStatus.COMPLETED, StepStatus.SKIPPED):
                folded.append(child)
                continue
            yield from self._folded(folded, depth)
            folded = []
            yield self._line(child, depth, is_folded=folds and child.is_quiet)
            if child.children and not (folds and child.is_quiet):
                yield from self.children(child, depth + 1, folds=folds)
        yield from self._folded(folded, depth)

    def _folded(self, items: Sequence[TreeNode], depth: int) -> Iterator[TreeLine]:
        """One line for items beside each other of which there is nothing to tell."""
        if not items:
            return
        counts = Counter(item.status for item in items)
        told = " · ".join(f"{counts[status]} {word}" for status, word in _ORDER if counts[status])
        ends = [items[0].segment, items[-1].segment] if len(items) > 1 else [items[0].segment]
        yield TreeLine(
            depth, "▸", "item" if len(items) == 1 else "items", " … ".join(ends), "", told, "", items[0].status
        )

    def _line(self, node: TreeNode, depth: int, *, is_folded: bool) -> TreeLine:
        status, record = node.status, node.record
        sign = ("▸" if is_folded else "▾") if node.is_block else SIGNS[status]
        kind, name = self._title(node)
        detail = self._counts(node) if node.is_block else self._detail(record)
        place = f"{record.info.file}:{record.info.line}" if record is not None and status in BAD_STEP else ""
        return TreeLine(depth, sign, kind, name, self._time(node), detail, place, status)

    def _title(self, node: TreeNode) -> tuple[str, str]:
        """The keyword of what stands here, and its name with number, round or item key."""
        if node.record is not None:
            kind = node.record.info.kind.replace("_", " ")
        else:
            kind = self._kinds.get(static_path(node.path), "").replace("_", " ")
        if node.record is None and node.is_item:
            kind = "item"
        elif not kind and any(child.is_item for child in node.children.values()):
            kind = "foreach"
        if not kind and node.keyword in KEYWORDS:
            kind = node.keyword
        if node.keyword != kind.partition(" ")[0]:
            return kind, node.segment
        return kind, "" if node.segment == "always#1" else node.segment[len(node.keyword) :]

    def _time(self, node: TreeNode) -> str:
        steps = [node.record] if node.record is not None else list(node.steps())
        starts = [step.started_at for step in steps if step.started_at is not None]
        if not starts or node.status is StepStatus.SKIPPED:
            return ""
        ended = [step for step in steps if not _has_unknown_end(step)]
        ends = [step.ended_at if step.ended_at is not None else self._now for step in ended]
        return elapsed(max(ends) - min(starts)) if ends else ""

    def _counts(self, node: TreeNode) -> str:
        counts = Counter(step.status for step in node.steps())
        told = [f"{counts[status]} {word}" for status, word in _ORDER if counts[status]]
        if node.record is not None and node.record.error is not None:
            told.append(first_line(node.record.error.message))
        return " · ".join(told)

    def _detail(self, step: StepRecord | None) -> str:
        if step is None:
            return ""
        usage = step.output.usage
        paid = [money(usage.cost_usd)] if usage is not None and usage.cost_usd else []
        broken = (
            [f"can't be used{'' if step.effect == 'write' else ', runs again'}: {step.damage}"] if step.damage else []
        )
        return " · ".join([*paid, *broken, *filter(None, [self._state(step)])])

    def _state(self, step: StepRecord) -> str:
        attempt = f"attempt {step.attempts}" if step.attempts > 1 else ""
        match step.status:
            case StepStatus.COMPLETED:
                kept = "kept" if step.path in self._reused else ""
                return " · ".join(filter(None, [kept, attempt, result_text(step.output)]))
            case StepStatus.SKIPPED | StepStatus.CANCELLED:
                return skip_text(step.skip_reason or str(step.status))
            case StepStatus.FAILED | StepStatus.TIMED_OUT | StepStatus.BACKOFF:
                message = first_line(step.error.message) if step.error else str(step.status)
                handled = f"handled: {step.handled}" if step.handled else ""
                return " · ".join(filter(None, [attempt, message, handled]))
            case StepStatus.INTERRUPTED if step.skip_reason is not None:
                return f"nobody saw how it ended: {skip_text(step.skip_reason)}"
            case StepStatus.INTERRUPTED:
                return "interrupted; a resume runs it again"
            case StepStatus.WAITING if step.info.kind == "gate":
                return "waits for a decision"
            case StepStatus.WAITING:
                return " · ".join(filter(None, [attempt, "waits for a decision: nobody saw how it ended"]))
            case _:
                said = first_line(self._progress.get(step.path, ""))
                return " · ".join(filter(None, [attempt, said]))
