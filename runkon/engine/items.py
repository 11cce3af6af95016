"""The items of a `foreach`: collected once, checked before anything runs, and found again by later legs."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from runkon.digest import hex_digest
from runkon.engine.conditions import same
from runkon.engine.stopping import untouched
from runkon.errors import UserError
from runkon.language.nodes import Entry, ForEachBlock, Word
from runkon.model.events import Note, StepSkipped
from runkon.model.failures import StepFailure, ValueFailure
from runkon.model.ids import StepPath, escape_key
from runkon.model.items import Item, ItemRequest, ItemsCollected, ListedItem
from runkon.model.json_text import check_json
from runkon.model.output import JsonValue
from runkon.model.value_text import as_text
from runkon.named import NamedTuple

if TYPE_CHECKING:
    from runkon.engine.environment import Environment
    from runkon.engine.plan import Planned
    from runkon.engine.scope import Scope

GONE = "gone"  # why an item is skipped that a list collected again does not hold any more
LONGEST_KEY = 120  # characters of a key that stand in a path; the rest is told by a digest
_LONGEST_LABEL = 80
_SHOWN = 5  # keys in one message


# ── the list ────────────────────────────────────────────────────────────────────────────────────
def the_list(planned: Planned, scope: Scope, path: StepPath) -> ItemsCollected:
    """The list of an earlier leg, else as it is now, which is recorded. Raises StepFailure for one nobody can use,
    `Stopped` where only the record is looked at and has none."""
    node, leg = planned.node, scope.leg
    assert isinstance(node, ForEachBlock)
    found = None if leg.items is None else leg.items.recorded(path, leg.recorded, is_kept=scope.token.is_recall)
    if found is None and scope.token.is_recall:
        raise untouched()
    if found is None:
        scope.check()
        found = collect(node, scope, path)
        order = without_circles((item.key for item in found.items), found.blockers)
        if order.circles:
            circle = " → ".join(f"`{key}`" for key in order.circles[0])
            if node.on_cycle == "fail":
                raise StepFailure("value", f"items wait for each other in a circle: {circle}")
            text = f"items of `{path}` wait for each other in a circle ({circle}); its last link is not looked at"
            leg.recorder.append(Note(level="warning", code="item-circle", text=text, path=path))
            found = replace(found, blockers=order.blockers)
        if node.ordered and not _may_be_ordered(found.provider, scope):
            text = f"nothing says which items of `{path}` wait for which: `ordered = true` changes nothing"
            leg.recorder.append(Note(level="warning", code="no-order", text=text, path=path))
        leg.recorder.append(found, *_gone(path, scope, found))
    elif leg.items is not None and leg.items.is_fork:
        leg.recorder.append(found)
    return found


def _gone(path: StepPath, scope: Scope, found: ItemsCollected) -> Iterator[StepSkipped]:
    """The ends of items that an earlier list had and this one has not."""
    leg = scope.leg
    if not leg.recorded:
        return
    paths = {item_path(path, item.key) for item in found.items}
    for one, record in leg.recorded.items():
        is_own = one.startswith(f"{path}[") and one.count("/") == path.count("/")
        if is_own and record.info.kind == "item" and one not in paths and not record.is_settled:
            yield StepSkipped(path=one, reason=GONE, info=record.info, epoch=record.epoch)


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
    if value is None and env.facts.dry_run:
        return []  # the step that would have given it was not carried out
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
    keyed_items: list[ListedItem] = []
    for item in items:
        seen = env.with_inputs(variables_of(node, item))
        key = seen.render(node.item_key, unknown="fail").strip()
        if not key:
            raise ValueFailure("empty-key", f"the `key` of item {len(keyed_items) + 1} is empty")
        keyed_items.append(item._replace(key=key))
    return keyed_items


def variables_of(node: ForEachBlock, item: ListedItem) -> dict[str, JsonValue]:
    """What the statements of one item see besides everything else. A called workflow is always told `item.id` and
    `item.ref`: of an item that has none of its own its key, and how people read it."""
    if node.body is not None:
        return {"item": item.value, node.name: item.value}
    names = {"item.id": item.key, "item.ref": item.label}
    return {"item": item.value, **{name: one for name, one in names.items() if _field(item.value, name[5:]) is None}}


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


def _may_be_ordered(word: str | None, scope: Scope) -> bool:
    return word is not None and callable(getattr(_provider(word, scope), "dependencies", None))


def _request(node: ForEachBlock, scope: Scope) -> ItemRequest:
    config, sources = scope.leg.config, scope.leg.items
    assert sources is not None
    tree = scope.env.facts.tree
    if tree is not None:
        tree.ready()
    return ItemRequest(
        run_id=scope.leg.run,
        scope=_map(node.scope or (), scope.env),
        filter=_map(node.filter, scope.env),
        inputs=scope.env.inputs,
        working_dir=config.working_dir if tree is None else tree.folder,
        roots=config.roots if tree is None else tree.roots,
        ordered=node.ordered,
        runs=sources.runs,
    )


def _map(entries: Iterable[Entry], env: Environment) -> dict[str, JsonValue]:
    return {entry.name: env.value(entry.value, unknown="fail") for entry in entries}


def _provided(word: str, provider: object, request: ItemRequest) -> list[Item]:
    try:
        return [_as_item(one) for one in provider.items(request)]  # type: ignore[attr-defined]  # a plugin's
    except Exception as error:
        raise _failed(word, error) from error


def _edges(word: str, provider: object, request: ItemRequest) -> list[tuple[str, str]]:
    ask = getattr(provider, "dependencies", None)
    if not callable(ask):
        return []
    try:
        return [(str(first), str(then)) for first, then in ask(request)]
    except Exception as error:
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
    for first, later in blockers:
        after.setdefault(first, []).append(later)
    done: set[str] = set()
    dropped: set[tuple[str, str]] = set()
    circles = []
    for key in keys:
        if key in done or key not in after:
            continue
        way: dict[str, Iterator[str]] = {key: iter(after[key])}
        while way:
            here = next(reversed(way))
            then: str | None = next(way[here], None)
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
