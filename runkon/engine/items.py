"""The items of a `foreach`: collected once, checked before anything runs, and found again by later legs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

from runkon.digest import hex_digest
from runkon.engine.conditions import same
from runkon.errors import UserError
from runkon.language.nodes import Entry, ForEachBlock, Word
from runkon.model.failures import ValueFailure
from runkon.model.ids import StepPath, escape_key
from runkon.model.items import Item, ItemRequest, ItemsCollected, ListedItem
from runkon.model.json_text import check_json
from runkon.model.output import JsonValue
from runkon.model.records import RunRecord
from runkon.model.status import RunStatus
from runkon.model.value_text import as_text
from runkon.named import NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator

    from runkon.engine.environment import Environment
    from runkon.engine.resume import Resumption
    from runkon.engine.scope import Leg, Scope
    from runkon.model.ports import RunStore

LONGEST_KEY = 120  # characters of a key that stand in a path; the rest is told by a digest
_LONGEST_LABEL = 80
_SHOWN = 5  # keys in one message


# ── where items come from ─────────────────────────────────────────────────────────────────────────
class ItemSources:
    """Providers by name, and the lists that earlier legs have collected."""

    def __init__(
        self, store: RunStore, run: RunRecord, how: Resumption, providers: Mapping[str, object] | None = None
    ) -> None:
        self.providers = providers or {}
        self._store = store
        self._run = run
        self._how = how
        self._lists: dict[StepPath, ItemsCollected] | None = None

    def runs(self) -> Sequence[RunRecord]:
        """The recorded runs, newest first."""
        return self._store.runs()

    def recorded(self, path: StepPath, leg: Leg) -> ItemsCollected | None:
        """The list of an earlier leg, once: who comes to the same place again in one leg collects anew. None too where
        the resume was asked to run all of the items again."""
        if self._lists is None:
            self._lists = self._read()
        found = self._lists.pop(path, None)
        if found is None or self._how.mode == "restart":
            return None
        if self._how.step is not None and not _is_partly_kept(path, leg):
            return None
        return found

    def _read(self) -> dict[StepPath, ItemsCollected]:
        run, found = self._run, {}
        origin = run.forked_from if run.status is RunStatus.PENDING else None
        if run.status is RunStatus.PENDING and origin is None:
            return {}
        for envelope in self._store.events_of(origin or run.id, {ItemsCollected.kind}):
            if isinstance(envelope.event, ItemsCollected):
                found[envelope.event.path] = envelope.event
        return found

    @property
    def is_fork(self) -> bool:
        """True where lists come from another run, so that this one has to keep them too."""
        return self._run.status is RunStatus.PENDING


def _is_partly_kept(path: StepPath, leg: Leg) -> bool:
    """True if the resume keeps anything inside: the list it was made with is kept, too."""
    prefix = f"{path}["
    return any(one.startswith(prefix) and record.is_settled for one, record in leg.recorded.items())


# ── collecting ────────────────────────────────────────────────────────────────────────────────────
def collect(node: ForEachBlock, scope: Scope, path: StepPath) -> ItemsCollected:
    """The list as it is now. Raises ValueFailure for one that can't be worked on: before anything of it runs."""
    word = provider_word(node, scope.env)
    if word is None:
        items, ids = _listed(node, scope.env), None
        edges: Sequence[tuple[str, str]] = ()
    else:
        request = _request(node, scope)
        provider = _provider(word, scope)
        found = _provided(word, provider, request)
        items = _with_keys(node, scope.env, [_entry(item) for item in found])
        ids = {item.id: listed.key for item, listed in zip(found, items, strict=True)}
        edges = _edges(word, provider, request) if node.ordered else ()
    refuse_duplicates(items)
    if node.max_items is not None and len(items) > node.max_items:
        raise ValueFailure(
            "too-many-items",
            f"there are {len(items)} items, and `max_items` allows {node.max_items}",
            help="raise `max_items`, or narrow the list",
        )
    blockers = _known(edges, ids or {})
    return ItemsCollected(
        path=path, items=tuple(items), blockers=blockers, provider=word, epoch=scope.leg.epoch_of(path)
    )


def provider_word(node: ForEachBlock, env: Environment) -> str | None:
    """The provider that `over` names: a bare word that is no variable of the blocks around."""
    over = node.over
    if isinstance(over, Word) and "." not in over.text and over.text not in env.extras:
        return over.text
    return None


def item_path(block: StepPath, key: str) -> StepPath:
    """The path of one item; a key that is too long for one is cut, and told from others by a digest."""
    if len(key) > LONGEST_KEY:
        key = f"{key[: LONGEST_KEY - 9]}~{hex_digest(key.encode())[:8]}"
    safe = "".join(char if char.isprintable() else f"%{ord(char):02X}" for char in escape_key(key))
    return StepPath(f"{block}[{safe}]")


def _listed(node: ForEachBlock, env: Environment) -> list[ListedItem]:
    if node.scope:
        raise ValueFailure("no-scope", f"`foreach {node.name}` goes through a list, which takes no `scope`")
    value = env.value(node.over)
    if not isinstance(value, list):
        kind = "nothing" if value is None else type(value).__name__
        raise ValueFailure(
            "not-a-list",
            f"`foreach {node.name}` needs a list, and `over` is {kind}",
            help="name a list field of a step, a list input as `inputs.NAME`, or write the list",
        )
    wanted = _map(node.filter, env)
    kept = [one for one in value if all(same(_field(one, name), wish) for name, wish in wanted.items())]
    return _with_keys(node, env, [ListedItem(str(at), _label(one), one) for at, one in enumerate(kept)])


def _field(value: JsonValue, name: str) -> JsonValue:
    return value.get(name) if isinstance(value, Mapping) else None


def _label(value: JsonValue) -> str:
    if isinstance(value, Mapping):
        value = next((value[name] for name in ("ref", "name", "title", "path", "id") if value.get(name)), dict(value))
    text = " ".join(as_text(value).split())
    return text if len(text) <= _LONGEST_LABEL else f"{text[: _LONGEST_LABEL - 1]}…"


def _with_keys(node: ForEachBlock, env: Environment, items: list[ListedItem]) -> list[ListedItem]:
    """The items with the keys that the statement gives them."""
    if node.item_key is None:
        return items
    keyed_items = []
    for item in items:
        seen = env.with_inputs(variables_of(node, item))
        key = seen.render(node.item_key, unknown="fail").strip()
        if not key:
            raise ValueFailure("empty-key", f"the `key` of item {len(keyed_items) + 1} is empty")
        keyed_items.append(item._replace(key=key))
    return keyed_items


def variables_of(node: ForEachBlock, item: ListedItem) -> dict[str, JsonValue]:
    """What the statements of one item see besides everything else."""
    return {"item": item.value, node.name: item.value} if node.body is not None else {"item": item.value}


def refuse_duplicates(items: Sequence[ListedItem]) -> None:
    """Raises ValueFailure `duplicate-item` where two items have one key."""
    seen: dict[str, int] = {}
    for at, item in enumerate(items, 1):
        first = seen.setdefault(item.key, at)
        if first != at:
            raise ValueFailure(
                "duplicate-item",
                f"items {first} and {at} have the same key `{item.key}`",
                help="give `key` something that is different for every item",
            )


# ── providers ─────────────────────────────────────────────────────────────────────────────────────
def _provider(word: str, scope: Scope) -> object:
    sources = scope.leg.items
    found = None if sources is None else sources.providers.get(word)
    if found is None:
        raise ValueFailure("unknown-provider", f"nothing provides `{word}`", help="install the plugin that brings it")
    return found


def _request(node: ForEachBlock, scope: Scope) -> ItemRequest:
    config, sources = scope.leg.config, scope.leg.items
    assert sources is not None
    return ItemRequest(
        run_id=scope.leg.run,
        scope=_map(node.scope or (), scope.env),
        filter=_map(node.filter, scope.env),
        inputs=scope.env.inputs,
        working_dir=config.working_dir,
        roots=config.roots,
        ordered=node.ordered,
        runs=sources.runs,
    )


def _map(entries: Iterable[Entry], env: Environment) -> dict[str, JsonValue]:
    return {entry.name: env.value(entry.value, unknown="fail") for entry in entries}


def _provided(word: str, provider: object, request: ItemRequest) -> list[Item]:
    try:
        return [_as_item(one) for one in provider.items(request)]  # type: ignore[attr-defined]  # a plugin's
    except Exception as error:  # noqa: BLE001  a plugin's own failure fails the step that asked
        raise _failed(word, error) from error


def _edges(word: str, provider: object, request: ItemRequest) -> list[tuple[str, str]]:
    ask = getattr(provider, "dependencies", None)
    if not callable(ask):
        return []
    try:
        return [(str(first), str(then)) for first, then in ask(request)]
    except Exception as error:  # noqa: BLE001  as above
        raise _failed(word, error) from error


def _failed(word: str, error: Exception) -> ValueFailure:
    if isinstance(error, UserError):
        return ValueFailure("provider-failed", f"`{word}`: {error.message}", help=error.help)
    text = str(error) if isinstance(error, ValueError | OSError) and str(error) else repr(error)
    return ValueFailure("provider-failed", f"`{word}` could not give its items: {text}")


def _as_item(found: object) -> Item:
    match found:
        case Item():
            item = found
        case str():
            item = Item(found)
        case Mapping():
            item = Item(str(found["id"]), str(found.get("ref") or ""), found.get("context") or {})
        case _:
            raise ValueError(f"an item is a {type(found).__name__}, not an `Item`, a map with `id` or a text")
    if not item.id:
        raise ValueError("an item has an empty id")
    check_json(dict(item.context))
    return item


def _entry(item: Item) -> ListedItem:
    label = _label(item.ref or item.id)
    return ListedItem(item.id, label, {**item.context, "id": item.id, "ref": item.ref or item.id})


# ── order ─────────────────────────────────────────────────────────────────────────────────────────
def _known(edges: Iterable[tuple[str, str]], keys: Mapping[str, str]) -> tuple[tuple[str, str], ...]:
    """The pairs by key. Raises ValueFailure `unknown-blocker` for one that names no item."""
    for first, then in edges:
        for one, other in ((first, then), (then, first)):
            if one not in keys:
                raise ValueFailure(
                    "unknown-blocker",
                    f"the order between `{first}` and `{then}` names `{one}`, which is no item",
                    help=f"let the provider list `{one}`, or leave it out of what `{other}` depends on",
                )
    return tuple(dict.fromkeys((keys[first], keys[then]) for first, then in edges))


class Order(NamedTuple):
    """The blockers without those that close a circle, and the circles that were found, as keys."""

    blockers: tuple[tuple[str, str], ...]
    circles: tuple[tuple[str, ...], ...]


def without_circles(keys: Iterable[str], blockers: Sequence[tuple[str, str]]) -> Order:
    """Walks from each item to those that wait for it; a pair that leads back to an item on the way closes a circle."""
    after: dict[str, list[str]] = {}
    for first, then in blockers:
        after.setdefault(first, []).append(then)
    done: set[str] = set()
    dropped: set[tuple[str, str]] = set()
    circles = []
    for key in keys:
        if key in done or key not in after:
            continue
        way: dict[str, Iterator[str]] = {key: iter(after[key])}
        while way:
            here = next(reversed(way))
            then = next(way[here], None)
            if then is None:
                way.popitem()
                done.add(here)
            elif then in way:
                on_way = list(way)
                circles.append((*on_way[on_way.index(then) :], then))
                dropped.add((here, then))
            elif then not in done:
                way[then] = iter(after.get(then, ()))
    return Order(tuple(pair for pair in blockers if pair not in dropped), tuple(circles))


def listed(keys: Sequence[str]) -> str:
    """Some keys, as a message names them."""
    more = f" and {len(keys) - _SHOWN} more" if len(keys) > _SHOWN else ""
    return ", ".join(f"`{key}`" for key in keys[:_SHOWN]) + more
