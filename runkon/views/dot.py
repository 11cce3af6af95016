"""A flow as Graphviz text."""

from __future__ import annotations

from collections.abc import Iterator

from runkon.views.flow import Box, Flow

_SHAPES = {"step": "box", "choice": "diamond", "point": "oval", "gate": "octagon"}
_COLORS = {
    "completed": "#dcfce7",
    "failed": "#fee2e2",
    "timed_out": "#fee2e2",
    "running": "#dbeafe",
    "waiting": "#fef9c3",
    "skipped": "#f3f4f6",
    "cancelled": "#e5e7eb",
    "interrupted": "#e5e7eb",
}


def dot(flow: Flow) -> Iterator[str]:
    """The lines of a directed graph, top to bottom."""
    yield "digraph workflow {"
    yield '  node [fontname="sans-serif", style="filled", fillcolor="white"]'
    yield '  edge [fontname="sans-serif"]'
    yield from _box(flow.box, "  ")
    for arrow in flow.arrows:
        label = f" [label={_quoted(arrow.label)}]" if arrow.label else ""
        yield f"  {arrow.start} -> {arrow.end}{label}"
    yield "}"


def _box(box: Box, indent: str) -> Iterator[str]:
    for node in box.nodes:
        color = f', fillcolor="{_COLORS[node.status]}"' if node.status in _COLORS else ""
        yield f"{indent}{node.id} [label={_quoted(node.label)}, shape={_SHAPES[node.shape]}{color}]"
    for inner in box.boxes:
        yield f"{indent}subgraph cluster_{inner.id} {{"
        yield f"{indent}  label={_quoted(inner.label)}"
        yield from _box(inner, indent + "  ")
        yield f"{indent}}}"


def _quoted(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return f'"{escaped}"'
