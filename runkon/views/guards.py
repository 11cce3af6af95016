"""Which decisions stand between the beginning of a workflow and one of its steps: where their records are found."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence

from runkon.model.ids import occurrence
from runkon.named import NamedTuple
from runkon.views.outline import Outline, static_path

_LOOPS = ("while", "do while")


class Guard(NamedTuple):
    """A condition that a step lies behind. `kind` is `if`, `while` or `do while`; `place` the path of its records
    without rounds, `depth` how many segments of the step's path lead there."""

    kind: str
    place: str
    depth: int

    def record_path(self, step: str) -> str | None:
        """The path under which the decision that led to `step` is recorded; None for the first round of a loop that
        tests last."""
        segments = step.split("/")
        if self.kind not in _LOOPS:
            return "/".join([*segments[: self.depth], self.place.rpartition("/")[2]])
        path = "/".join(segments[: self.depth + 1])
        if self.kind == "while":
            return path
        before, _, number = path.rpartition("[")
        index = int(number.removesuffix("]"))
        return f"{before}[{index - 1}]" if index else None


def guards_of(outline: Outline, path: str) -> tuple[Guard, ...]:
    """The conditions around the step at `path`, outermost first; none if it does not stand in this workflow."""
    wanted = static_path(path)
    return next((found for place, found in _walk(outline.children, "", Counter(), ()) if place == wanted), ())


def step_places(outline: Outline) -> tuple[str, ...]:
    """The paths of everything that has one, without rounds."""
    return tuple(place for place, _ in _walk(outline.children, "", Counter(), ()))


_Found = tuple[str, tuple[Guard, ...]]


def _walk(nodes: Sequence[Outline], prefix: str, seen: Counter[str], around: tuple[Guard, ...]) -> Iterator[_Found]:
    """Everything with a path, and what is around it. Blocks without a segment of their own count their choices with the
    body they stand in."""
    depth = prefix.count("/")
    for node in nodes:
        if node.path:
            yield node.path, around
            inside = (*around, Guard(node.kind, node.path, depth)) if node.kind in _LOOPS else around
            yield from _walk(node.children, f"{node.path}/", Counter(), inside)
        elif node.kind in ("if", "unless"):
            seen["if"] += 1
            guard = Guard("if", prefix + occurrence("if", seen["if"]), depth)
            for arm in node.children:
                yield from _walk(arm.children, prefix, seen, (*around, guard))
        elif node.kind == "always" and not prefix:
            yield from _walk(node.children, "always/", Counter(), around)
        else:
            yield from _walk(node.children, prefix, seen, around)
