"""Items: what a `foreach` goes through, who gives them, and the event that keeps their list."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import field
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Protocol

from runkon.frozen import frozen as event
from runkon.frozen import value_class
from runkon.model.ids import StepPath
from runkon.model.output import EMPTY, JsonValue
from runkon.named import NamedTuple

if TYPE_CHECKING:
    from runkon.model.records import RunRecord


class Item(NamedTuple):
    """One item of a provider. `id` tells it from the others, also in a later leg; `ref` is what people read; `context`
    holds the fields that the statements see as `item.FIELD`."""

    id: str
    ref: str = ""
    context: Mapping[str, JsonValue] = EMPTY


class ListedItem(NamedTuple):
    """One item as it is on record: `value` is what the statements see as `item`."""

    key: str
    label: str
    value: JsonValue


def _no_runs() -> Sequence[RunRecord]:
    return ()


@value_class(frozen=True, slots=True, kw_only=True)
class ItemRequest:
    """What a provider is asked for. `scope` and `filter` are those of the statement, `roots` the folders in which files
    are looked up, `runs` gives the recorded runs, newest first."""

    run_id: str = ""
    scope: Mapping[str, JsonValue] = field(default_factory=lambda: EMPTY)
    filter: Mapping[str, JsonValue] = field(default_factory=lambda: EMPTY)
    inputs: Mapping[str, JsonValue] = field(default_factory=lambda: EMPTY)
    working_dir: Path = Path()
    roots: tuple[Path, ...] = ()
    ordered: bool = False
    runs: Callable[[], Sequence[RunRecord]] = _no_runs


class ItemProvider(Protocol):
    """Gives the items of a `foreach`. Safe for concurrent calls; whatever it raises fails the step. An optional method
    `dependencies(request)` gives pairs of ids, what blocks first, for `ordered = true`."""

    @property
    def name(self) -> str: ...

    def items(self, request: ItemRequest) -> Iterable[Item | Mapping[str, JsonValue] | str]:
        """The items in order; a map has the fields of `Item`, a text is an id."""
        ...


@event
class ItemsCollected:
    """The list of a `foreach` is fixed, for every leg that comes. `blockers` are pairs of keys, what blocks first;
    `provider` is None for a list that the workflow gave."""

    kind: ClassVar[str] = "items_collected"
    path: StepPath
    items: tuple[ListedItem, ...]
    blockers: tuple[tuple[str, str], ...] = ()
    provider: str | None = None
    epoch: int = 1
