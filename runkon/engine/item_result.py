"""What a `foreach` says once its items are over: counts, outputs in item order, and why it failed if it did."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from runkon.engine.items import listed
from runkon.language.nodes import ForEachBlock
from runkon.model.items import ItemsCollected
from runkon.model.output import JsonValue, Output
from runkon.model.records import StepError
from runkon.model.status import StepStatus
from runkon.named import NamedTuple


class ItemEnd(NamedTuple):
    """How an item ended, and its last structured output if it gave any."""

    status: StepStatus
    values: Mapping[str, JsonValue] | None = None


def judged(
    node: ForEachBlock,
    found: ItemsCollected,
    ends: Mapping[int, ItemEnd],
    markers: Collection[str],
    *,
    is_halted: bool,
) -> tuple[Output, StepError | None]:
    """The output of the step, and its failure: an item failed, or could not run. `ends` are those of the items that are
    over, by position; `is_halted` says that the others were not begun because of a failure."""
    in_order = [ends.get(index) for index in range(len(found.items))]
    statuses = [None if end is None else end.status for end in in_order]
    succeeded, skipped = statuses.count(StepStatus.COMPLETED), statuses.count(StepStatus.SKIPPED)
    left = [found.items[index].key for index, status in enumerate(statuses) if status is None]
    bad = [found.items[index].key for index, status in enumerate(statuses) if _is_bad(status)]
    counts: dict[str, JsonValue] = {
        "succeeded": succeeded, "failed": len(bad), "skipped": skipped, "total": len(in_order),
    }  # fmt: skip
    if node.body is not None:
        counts["items"] = [_values(end) for end in in_order]
    else:
        counts["items"] = [
            {"item_id": item.key, "status": end.status.value, "output": _values(end)}
            for item, end in zip(found.items, in_order, strict=True)
            if end is not None
        ]
    source = f" from `{found.provider}`" if found.provider else ""
    context = f"{succeeded} completed, {len(bad)} failed, {skipped} skipped of {len(in_order)} items{source}"
    output = Output(markers=frozenset(markers), context=context if in_order else "no items", values=counts)
    if not bad and not left:
        return output, None
    text = f"{len(bad)} of {len(in_order)} items failed: {listed(bad)}" if bad else "not every item could run"
    if left:
        why = "were not begun" if is_halted else "wait for one that failed"
        text += f"; {len(left)} {why}: {listed(left)}"
    return output, StepError("exception", text)


def _is_bad(status: StepStatus | None) -> bool:
    return status not in (None, StepStatus.COMPLETED, StepStatus.SKIPPED)


def _values(end: ItemEnd | None) -> JsonValue:
    return None if end is None or end.values is None else dict(end.values)
