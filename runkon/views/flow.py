"""A workflow's outline as a flow graph: nodes, arrows, and the boxes that blocks draw around their parts.

Mermaid and dot print the same flow, so that both drawings say the same.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

from runkon.named import NamedTuple
from runkon.views.outline import Outline, Overlay

Shape: TypeAlias = Literal["step", "choice", "point", "gate"]


class FlowNode(NamedTuple):
    """`id` is unique in the drawing; `status` is empty without a run."""

    id: str
    label: str
    shape: Shape
    status: str = ""


class Arrow(NamedTuple):
    start: str
    end: str
    label: str = ""


@dataclass(slots=True)
class Box:
    """A part of the drawing with a frame; the outermost one has no label."""

    id: str
    label: str
    nodes: list[FlowNode] = field(default_factory=list)
    boxes: list[Box] = field(default_factory=list)


class Flow(NamedTuple):
    box: Box
    arrows: tuple[Arrow, ...]


class Exit(NamedTuple):
    """Where the flow leaves a part, and what is written at the arrow that goes on from there."""

    node: str
    label: str = ""


def flow_of(outline: Outline, overlay: Mapping[str, Overlay] | None = None) -> Flow:
    """The flow of a whole workflow, from `start` to `end`."""
    drawing = _Drawing(overlay or {})
    box = Box("root", "")
    start = drawing.node(box, outline.label, "point")
    exits = drawing.sequence(box, outline.children, [Exit(start)])
    end = drawing.node(box, "end", "point")
    drawing.join(exits, end)
    return Flow(box, tuple(drawing.arrows))


class _Drawing:
    def __init__(self, overlay: Mapping[str, Overlay]) -> None:
        self._overlay = overlay
        self._count = 0
        self.arrows: list[Arrow] = []

    def node(self, box: Box, label: str, shape: Shape, path: str = "") -> str:
        self._count += 1
        name = f"n{self._count}"
        state = self._overlay.get(path) if path else None
        box.nodes.append(
            FlowNode(name, f"{label}\n{state.text}" if state else label, shape, state.status if state else "")
        )
        return name

    def join(self, exits: Sequence[Exit], end: str) -> None:
        self.arrows += [Arrow(exit.node, end, exit.label) for exit in exits]

    def sequence(self, box: Box, parts: Sequence[Outline], exits: list[Exit]) -> list[Exit]:
        for part in parts:
            exits = self._part(box, part, exits)
        return exits

    def _part(self, box: Box, part: Outline, exits: list[Exit]) -> list[Exit]:
        match part.kind:
            case "if" | "unless":
                return self._choice(box, part, exits)
            case "parallel":
                return self._parallel(box, part, exits)
            case "while":
                return self._while(self._inner(box, part), part, exits)
            case "do while":
                return self._do_while(self._inner(box, part), part, exits)
            case "foreach" if part.children:
                return self._foreach(self._inner(box, part), part, exits)
            case "do" | "always" | "call_workflow" if part.children:
                return self.sequence(self._inner(box, part), part.children, exits)
            case _:
                return self._leaf(box, part, exits)

    def _leaf(self, box: Box, part: Outline, exits: list[Exit]) -> list[Exit]:
        name = self.node(box, _titled(part), "gate" if part.kind == "gate" else "step", part.path)
        self.join(exits, name)
        return [Exit(name)]

    def _inner(self, box: Box, part: Outline) -> Box:
        self._count += 1
        state = self._overlay.get(part.path) if part.kind == "call_workflow" else None
        inner = Box(f"b{self._count}", f"{_titled(part)}\n{state.text}" if state else _titled(part))
        box.boxes.append(inner)
        return inner

    def _choice(self, box: Box, part: Outline, exits: list[Exit]) -> list[Exit]:
        ends: list[Exit] = []
        for arm in part.children:
            if arm.kind == "else":
                return ends + self.sequence(box, arm.children, exits)
            question = self.node(box, arm.label, "choice")
            self.join(exits, question)
            ends += self.sequence(box, arm.children, [Exit(question, "yes")])
            exits = [Exit(question, "no")]
        return ends + exits

    def _parallel(self, box: Box, part: Outline, exits: list[Exit]) -> list[Exit]:
        inner = self._inner(box, part)
        fork = self.node(inner, "all of", "point", part.path)
        self.join(exits, fork)
        ends = [end for branch in part.children for end in self._part(inner, branch, [Exit(fork)])]
        return ends or [Exit(fork)]

    def _while(self, box: Box, part: Outline, exits: list[Exit]) -> list[Exit]:
        question = self.node(box, part.label, "choice")
        self.join(exits, question)
        self.join(self.sequence(box, part.children, [Exit(question, "yes")]), question)
        return [Exit(question, "no")]

    def _do_while(self, box: Box, part: Outline, exits: list[Exit]) -> list[Exit]:
        head = self.node(box, "do", "point")
        self.join(exits, head)
        question_exits = self.sequence(box, part.children, [Exit(head)])
        question = self.node(box, part.label, "choice")
        self.join(question_exits, question)
        self.join([Exit(question, "yes")], head)
        return [Exit(question, "no")]

    def _foreach(self, box: Box, part: Outline, exits: list[Exit]) -> list[Exit]:
        head = self.node(box, "each item", "point", part.path)
        self.join(exits, head)
        self.join(self.sequence(box, part.children, [Exit(head)]), head)
        return [Exit(head, "done")]


def _titled(part: Outline) -> str:
    return f"{part.kind.replace('_', ' ')} {part.label}".strip()
