"""A workflow's syntax tree as the neutral outline that views draw, with step paths as the engine builds them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from runkon.language import nodes as n
from runkon.language.keys import result_key
from runkon.language.source import SourceFile, Span
from runkon.model.ids import occurrence
from runkon.views.outline import Outline

LONGEST_CONDITION = 60


def outline_of(workflow: n.Workflow, source: SourceFile) -> Outline:
    """The whole workflow; its top-level `always` comes last."""
    build = _Build(source)
    children = build.body(workflow.body, "", Counter())
    if workflow.always:
        inside = build.body(workflow.always, "always/", Counter())
        children = (*children, Outline("always", "", "", workflow.always[0].span.line, inside))
    return Outline("workflow", workflow.name, "", workflow.span.line, children)


class _Build:
    def __init__(self, source: SourceFile) -> None:
        self._source = source

    def body(self, statements: Iterable[n.Statement], prefix: str, seen: Counter[str]) -> tuple[Outline, ...]:
        """The statements of one body. Blocks without a segment of their own share its count of equal names."""
        return tuple(self._statement(statement, prefix, seen) for statement in statements)

    def _statement(self, node: n.Statement, prefix: str, seen: Counter[str]) -> Outline:
        line = node.span.line
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
            case _:
                key = result_key(node) or node.kind
                return Outline(node.kind, _title(node, key), _path(key, prefix, seen), line)

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
