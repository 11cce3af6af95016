"""Where recorded steps stand in the program: which statement made a record, what runs beside what, and which step a
word of the command line means.

A record of a loop carries the number of its round (`do[2]/review`); the statement behind it has a *form* without
numbers (`do[]/review`).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

from runkon.engine.plan import ALWAYS, ChildCall, ForEachPlace, Leaf, Planned, agent_leaf
from runkon.errors import EXIT_USAGE, UserError
from runkon.language import nodes as n
from runkon.language.suggest import closest
from runkon.model.ids import StepPath, is_in_always
from runkon.model.records import StepRecord
from runkon.named import NamedTuple
from runkon.pattern import pattern

_ROUND = pattern(r"\[[^\]]*\]")
_SHOWN = 5  # paths in one message


def form_of(path: str) -> str:
    """The path of the statement behind a record: rounds without their numbers."""
    return _ROUND.sub("[]", path) if "[" in path else path


class Target(NamedTuple):
    """What `--from` means: the path of a step, of a block, or of one round of a loop, and where it stands in program
    order."""

    path: str
    order: str


class Places:
    """The statements of a body by form. `branches` holds, for each parallel block, the number of the branch that a
    form inside belongs to."""

    def __init__(self, body: Sequence[Planned]) -> None:
        self._body: Sequence[Planned] | None = body
        self._leaves: dict[str, Leaf] = {}
        self._branches: dict[str, dict[str, int]] = {}
        self._unordered: set[str] = set()

    @property
    def leaves(self) -> dict[str, Leaf]:
        self._look()
        return self._leaves

    def leaf(self, form: str) -> Leaf | None:
        """The leaf of that form. One outside of blocks is found without a look at all the others."""
        outer = next((one for one in self._body or () if one.path == form), None)
        return outer if isinstance(outer, Leaf) else self.leaves.get(form)

    @property
    def branches(self) -> dict[str, dict[str, int]]:
        self._look()
        return self._branches

    @property
    def unordered(self) -> set[str]:
        self._look()
        return self._unordered

    def _look(self) -> None:
        """Once somebody asks: most resumes keep all they find."""
        body, self._body = self._body, None
        if body is not None:
            self._take(body, "", ())

    def _take(self, body: Sequence[Planned], prefix: str, inside: tuple[tuple[str, int], ...]) -> None:
        for planned in body:
            form, node = prefix + planned.segment, planned.node
            if isinstance(planned, Leaf):
                self._take_leaf(planned, form, inside)
                continue
            if isinstance(planned, ChildCall):
                self._take_child(planned, form, inside)
                continue
            is_loop = isinstance(node, n.WhileBlock | n.DoWhileBlock | n.ForEachBlock)
            is_parallel = isinstance(node, n.ParallelBlock)
            adds = is_loop or is_parallel or (isinstance(node, n.DoBlock) and node.name is not None)
            if adds:
                self._mark(form, inside)
            if isinstance(node, n.ForEachBlock) and not node.ordered:
                self._unordered.add(form)
            below = (f"{form}[]/" if is_loop else f"{form}/") if adds else prefix
            if is_parallel:
                self._branches[form] = {}
                for number, branch in enumerate(planned.bodies[0]):
                    self._take((branch,), below, (*inside, (form, number)))
            else:
                for inner in planned.bodies:
                    self._take(inner, below, inside)
            if isinstance(planned, ForEachPlace) and planned.inside is not None:
                self._take(planned.inside.body, below, inside)
                self._take(planned.inside.always, f"{below}{ALWAYS}", inside)

    def _take_leaf(self, leaf: Leaf, form: str, inside: tuple[tuple[str, int], ...]) -> None:
        self._leaves[form] = leaf
        self._mark(form, inside)
        on_fail = leaf.options.on_fail
        if isinstance(on_fail, n.AgentRef):
            self._leaves[f"{form}/on_fail"] = agent_leaf(on_fail, leaf, leaf.run)
            self._mark(f"{form}/on_fail", inside)

    def _take_child(self, call: ChildCall, form: str, inside: tuple[tuple[str, int], ...]) -> None:
        self._mark(form, inside)
        for ref, segment in ((call.options.fallback, "fallback"), (call.options.on_fail, "on_fail")):
            if isinstance(ref, n.AgentRef):
                self._leaves[f"{form}/{segment}"] = agent_leaf(ref, call, call.run, segment)
                self._mark(f"{form}/{segment}", inside)
        self._take(call.inside.body, f"{form}/", inside)
        self._take(call.inside.always, f"{form}/{ALWAYS}", inside)

    def _mark(self, form: str, inside: Iterable[tuple[str, int]]) -> None:
        for block, number in inside:
            self._branches[block][form] = number

    def are_beside(self, one: str, other: str) -> bool:
        """True if the two stand in different branches of one execution of a parallel block, or in different items of a
        `foreach` that has no order among them."""
        for block in _outer(one):
            if form_of(block) in self.unordered and other.startswith(f"{block}["):
                items = {path[len(block) :].partition("]")[0] for path in (one, other)}
                if "" not in items and len(items) > 1:
                    return True
            branches = self.branches.get(form_of(block))
            if branches is None or not other.startswith(f"{block}/"):
                continue
            first, second = (_branch(branches, path) for path in (one, other))
            if first is not None and second is not None and first != second:
                return True
        return False

    # ── the step of `--from` ──────────────────────────────────────────────────────────────────────
    def find(self, word: str, steps: Sequence[StepRecord]) -> Target:
        """What `word` means: a path, a key or a beginning of a path that only one step has. Raises UserError
        `unknown-step` (exit code 2), with the paths that come close."""
        recorded = [step for step in steps if not is_in_always(step.path)]
        orders = self._orders(recorded)
        if word in orders:
            return Target(word, orders[word])
        if word.endswith("#1") and word[:-2] in orders:
            return Target(word[:-2], orders[word[:-2]])
        found = sorted({str(step.path) for step in recorded if step.info.key == word}) or self._of_key(word)
        if not found and word:
            found = _outermost(path for path in orders if path.startswith(word))
        if len(found) == 1:
            return Target(found[0], orders[found[0]])
        raise _unknown(word, found, orders)

    def _orders(self, recorded: Iterable[StepRecord]) -> dict[str, str]:
        """Every path that can be named, with its place in program order: that of the first record at or below it."""
        orders: dict[str, str] = {}
        for form, leaf in self.leaves.items():
            if leaf.static_order is not None:
                orders[form] = leaf.static_order
        for step in recorded:
            orders.setdefault(str(step.path), step.info.order)
        for path, order in list(orders.items()):
            for block in _outer(path):
                orders[block] = min(order, orders.get(block, order))
        return orders

    def _of_key(self, word: str) -> list[str]:
        return sorted(form for form, leaf in self.leaves.items() if leaf.key == word and "[]" not in form)


def _unknown(word: str, found: Sequence[str], orders: Mapping[str, str]) -> UserError:
    if found:
        listed = ", ".join(f"`{path}`" for path in found[:_SHOWN]) + (", …" if len(found) > _SHOWN else "")
        return UserError(
            "unknown-step",
            f"`{word}` stands for several steps: {listed}",
            help="give the path of one of them",
            exit_code=EXIT_USAGE,
        )
    close = closest(word, list(orders))
    listed = ", ".join(f"`{path}`" for path in list(orders)[:_SHOWN]) + (", …" if len(orders) > _SHOWN else "")
    hint = f"did you mean `{close}`?" if close else f"this run has {listed}" if orders else None
    return UserError("unknown-step", f"this run has no step `{word}`", help=hint, exit_code=EXIT_USAGE)


def _outer(path: str) -> Iterator[str]:
    """Every path around this one, from outside in; of a round also its loop: `fix`, `fix[2]`, `fix[2]/checks`."""
    parts = path.split("/")
    for count in range(1, len(parts) + 1):
        block = "/".join(parts[:count])
        if block.endswith("]"):
            yield block[: block.rindex("[")]
        if count < len(parts):
            yield block


def _branch(branches: Mapping[str, int], path: str) -> int | None:
    for place in (path, *reversed(list(_outer(path)))):
        number = branches.get(form_of(place))
        if number is not None:
            return number
    return None


def _outermost(paths: Iterable[str]) -> list[str]:
    """Those that lie in none of the others."""
    kept: list[str] = []
    for path in sorted(paths):
        if not any(is_at_or_below(path, one) for one in kept):
            kept.append(path)
    return kept


def is_at_or_below(path: str, block: str) -> bool:
    """True if `path` is `block`, or lies inside of it or of one of its rounds."""
    return path == block or (path.startswith(block) and path[len(block)] in "/[")


def is_around(block: StepPath, path: str) -> bool:
    """True if the record `block` is that of a block in which `path` lies."""
    return path.startswith((f"{block}/", f"{block}["))


def has_choices(body: Sequence[Planned]) -> bool:
    """True if anything in `body` depends on a condition."""
    for planned in body:
        if isinstance(planned, Leaf):
            if planned.options.condition is not None:
                return True
            continue
        node = planned.node
        if isinstance(node, n.IfBlock | n.WhileBlock | n.DoWhileBlock | n.CallWorkflow):
            return True  # of a called workflow it is not worth looking
        if isinstance(node, n.ParallelBlock) and node.until is not None:
            return True
        if isinstance(planned, ForEachPlace) and planned.child is not None:
            return True
        if any(has_choices(inner) for inner in planned.bodies):
            return True
    return False


def calls_workflows(body: Sequence[Planned]) -> bool:
    """True if anything in `body` calls a workflow."""
    return any(
        isinstance(planned, ChildCall)
        or (isinstance(planned, ForEachPlace) and planned.child is not None)
        or any(calls_workflows(inner) for inner in planned.bodies)
        for planned in [one for one in body if type(one) is not Leaf]  # nearly all are
    )
