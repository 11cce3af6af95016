"""A flow as Mermaid text, for READMEs and issue trackers that draw it."""

from __future__ import annotations

from collections.abc import Iterator

from runkon.views.flow import Box, Flow, FlowNode

_SHAPES = {"step": ('["', '"]'), "choice": ('{"', '"}'), "point": ('(["', '"])'), "gate": ('[["', '"]]')}
_COLORS = {
    "completed": "fill:#dcfce7,stroke:#16a34a",
    "failed": "fill:#fee2e2,stroke:#dc2626",
    "timed_out": "fill:#fee2e2,stroke:#dc2626",
    "running": "fill:#dbeafe,stroke:#2563eb",
    "waiting": "fill:#fef9c3,stroke:#ca8a04",
    "skipped": "fill:#f3f4f6,stroke:#9ca3af",
    "cancelled": "fill:#f3f4f6,stroke:#6b7280",
    "interrupted": "fill:#f3f4f6,stroke:#6b7280",
}


def mermaid(flow: Flow) -> Iterator[str]:
    """The lines of a top-down flowchart."""
    yield "flowchart TD"
    yield from _box(flow.box, "  ")
    for arrow in flow.arrows:
        label = f'|"{_escaped(arrow.label)}"|' if arrow.label else ""
        yield f"  {arrow.start} -->{label} {arrow.end}"
    used = sorted({node.status for node in _nodes(flow.box) if node.status in _COLORS})
    for status in used:
        yield f"  classDef {status} {_COLORS[status]}"
        yield f"  class {','.join(node.id for node in _nodes(flow.box) if node.status == status)} {status}"


def _box(box: Box, indent: str) -> Iterator[str]:
    for node in box.nodes:
        left, right = _SHAPES[node.shape]
        yield f"{indent}{node.id}{left}{_escaped(node.label)}{right}"
    for inner in box.boxes:
        yield f'{indent}subgraph {inner.id}["{_escaped(inner.label)}"]'
        yield from _box(inner, indent + "  ")
        yield f"{indent}end"


def _nodes(box: Box) -> Iterator[FlowNode]:
    yield from box.nodes
    for inner in box.boxes:
        yield from _nodes(inner)


def _escaped(text: str) -> str:
    """Text that Mermaid shows as it is: its own signs as character codes, newlines as breaks."""
    for char in '#"<>&|`':
        text = text.replace(char, {"#": "#35;"}.get(char, f"#{ord(char)};"))
    return text.replace("\n", "<br/>")
