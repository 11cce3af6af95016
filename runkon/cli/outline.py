"""A workflow's syntax tree as the neutral outline that views draw, with step paths as the engine builds them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import TypeAlias

from runkon.language import nodes as n
from runkon.language.keys import result_key
from runkon.language.program import CheckedWorkflow
from runkon.language.source import SourceFile, Span
from runkon.model.ids import occurrence
from runkon.views.outline import Outline

LONGEST_CONDITION = 60
MOST = 400  # statements
ENGINE_SEGMENTS = ("on_fail", "fallback", "always")  # below a call of a workflow


Programs: TypeAlias = Mapping[str, CheckedWorkflow]


def outline_of(workflow: n.Workflow, source: SourceFile, children: Programs = MappingProxyType({})) -> Outline:
    """The whole workflow; its top-level `always` comes last. `children` are the workflows it calls: what stands in them
    is drawn below the call, until all in all `MOST` statements are drawn."""
    inside = _Build(source, children, [MOST]).whole(workflow, "", Counter())
    return Outline("workflow", workflow.name, "", workflow.span.line, inside)


def program_outline(program: CheckedWorkflow) -> Outline:
    """The outline of a checked workflow with all that it calls."""
    return outline_of(program.workflow, program.source, program.children)


class _Build:
    def __init__(self, source: SourceFile, children: Programs, left: list[int]) -> None:
        self._source = source
        self._children = children
        self._left = left  # how many statements may still be drawn, of all files together

    def whole(self, workflow: n.Workflow, prefix: str, seen: Counter[str]) -> tuple[Outline, ...]:
        body = self.body(workflow.body, prefix, seen)
        if not workflow.always:
            return body
        inside = self.body(workflow.always, f"{prefix}always/", Counter())
        return (*body, Outline("always", "", "", workflow.always[0].span.line, inside))

    def body(self, statements: Iterable[n.Statement], prefix: str, seen: Counter[str]) -> tuple[Outline, ...]:
        """The statements of one body. Blocks without a segment of their own share its count of equal names."""
        return tuple(self._statement(statement, prefix, seen) for statement in statements)

    def _statement(self, node: n.Statement, prefix: str, seen: Counter[str]) -> Outline:
        line = node.span.line
        self._left[0] -= 1
        match node:
            case n.IfBlock():
                return self._choice(node, prefix, seen)
            case n.AlwaysBlock():
                return Outline("always", "", "", line, self.body(node.body, prefix, seen))
            case n.DoBlock() if node.name is None:
                return Outline("do", "", "", line, self.body(node.body, prefix, seen))
            case n.DoBlock() | n.ParallelBlock():
                path = _path(node.name or node.kind, prefix, seen)
                return Outline(node.kind, node.name or "", path, line, self._inside(node.body, path))
            case n.WhileBlock() | n.DoWhileBlock():
                keyword = "while" if isinstance(node, n.WhileBlock) else "do"
                path = _path(keyword, prefix, seen)
                label = self._text(node.condition.span)
                return Outline(node.kind.replace("_", " "), label, path, line, self._inside(node.body, path))
            case n.ForEachBlock():
                path = _path(node.key, prefix, seen)
                label = node.name if node.workflow is None else f"{node.name} → {node.workflow}"
                return Outline("foreach", label, path, line, self._inside(node.body or (), path))
            case n.SetStatement():
                return Outline("set", ", ".join(entry.name for entry in node.updates), "", line)
            case n.CallWorkflow():
                key = result_key(node) or node.kind
                path = _path(key, prefix, seen)
                return Outline(node.kind, _title(node, key), path, line, self._called(node.workflow, path))
            case _:
                key = result_key(node) or node.kind
                return Outline(node.kind, _title(node, key), _path(key, prefix, seen), line)

    def _called(self, name: str, path: str) -> tuple[Outline, ...]:
        child = self._children.get(name)
        if child is None or self._left[0] <= 0:
            return ()
        build = _Build(child.source, child.children, self._left)
        return build.whole(child.workflow, f"{path}/", Counter(ENGINE_SEGMENTS))

    def _inside(self, statements: Iterable[n.Statement], path: str) -> tuple[Outline, ...]:
        return self.body(statements, f"{path}/", Counter())

    def _choice(self, node: n.IfBlock, prefix: str, seen: Counter[str]) -> Outline:
        kind = "unless" if node.negated else "if"
        arms = []
        for index, arm in enumerate(node.arms):
            words = ("else if " if index else f"{kind} ") + self._text(arm.condition.span)
            arms.append(Outline("arm", words, "", arm.span.line, self.body(arm.body, prefix, seen)))
        if node.orelse is not None:
            arms.append(Outline("else", "", "", node.span.line, self.body(node.orelse, prefix, seen)))
        return Outline(kind, "", "", node.span.line, tuple(arms))

    def _text(self, span: Span) -> str:
        """A condition as it is written, on one line."""
        text = " ".join(self._source.text[span.start : span.end].split())
        return text if len(text) <= LONGEST_CONDITION else text[: LONGEST_CONDITION - 1] + "…"


def _path(segment: str, prefix: str, seen: Counter[str]) -> str:
    seen[segment] += 1
    return prefix + occurrence(segment, seen[segment])


def _title(node: n.Statement, key: str) -> str:
    """The name as written, with the key where it is another one."""
    match node:
        case n.CallStep():
            name = node.agent.text
        case n.CallWorkflow():
            name = node.workflow
        case n.GateStep():
            name = node.type
        case n.ScriptStep():
            name = node.name
        case _:
            name = key
    return name if name == key else f"{name} as {key}"
