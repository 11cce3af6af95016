"""A workflow's outline drawn as a text tree."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from runkon.model.status import StepStatus
from runkon.views.outline import Outline, Overlay
from runkon.views.status import SIGNS


def ascii_tree(outline: Outline, overlay: Mapping[str, Overlay] | None = None) -> Iterator[str]:
    """The lines of the tree, the workflow's name first."""
    yield f"{outline.kind} {outline.label}".strip()
    yield from _children(outline, "", overlay)


def _children(outline: Outline, indent: str, overlay: Mapping[str, Overlay] | None) -> Iterator[str]:
    children = list(_flat(outline.children))
    for index, child in enumerate(children):
        is_last = index == len(children) - 1
        yield f"{indent}{'└─' if is_last else '├─'} {_line(child, overlay)}"
        yield from _children(child, indent + ("   " if is_last else "│  "), overlay)


def _flat(children: Iterable[Outline]) -> Iterator[Outline]:
    """The children, with the arms of a choice in its place."""
    for child in children:
        if child.kind in ("if", "unless"):
            yield from child.children
        else:
            yield child


def _line(outline: Outline, overlay: Mapping[str, Overlay] | None) -> str:
    text = f"{'' if outline.kind == 'arm' else outline.kind.replace('_', ' ')} {outline.label}".strip()
    if overlay is None or not outline.path:
        return text
    state = overlay.get(outline.path)
    return f"{SIGNS[StepStatus(state.status)]} {text}  {state.text}" if state else text
