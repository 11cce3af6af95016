"""A workflow's syntax tree as the neutral outline that views draw, with step paths as the engine builds them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import TypeAlias

from runkon.language import nodes as n
from runkon.language.keys import result_key
from runkon.language.program import CheckedWorkflow, LoadedWorkflow
from runkon.language.source import SourceFile, Span
from runkon.model.ids import occurrence
from runkon.named import NamedTuple
from runkon.views.outline import Outline

LONGEST_CONDITION = 60
MOST = 400  # statements
ENGINE_SEGMENTS = ("on_fail", "fallback", "always")  # below a call of a workflow

Load: TypeAlias = Callable[[str, SourceFile], LoadedWorkflow]  # what `call workflow NAME` in a file means


class Called(NamedTuple):
    """A workflow that is called, and how those are found that it calls itself."""

    workflow: n.Workflow
    source: SourceFile
    find: Find


Find: TypeAlias = "Callable[[str], Called | None]"


def outline_of(workflow: n.Workflow, source: SourceFile, find: Find = lambda name: None) -> Outline:  # noqa: ARG005
    """The whole workflow; its top-level `always` comes last. What stands in the workflows that it calls, and that
    `find` finds, is drawn below the call, until all in all `MOST` statements are drawn."""
    inside = _Build(source, find, [MOST]).whole(workflow, "", Counter())
    return Outline("workflow", workflow.name, "", workflow.span.line, inside)


def program_outline(program: CheckedWorkflow) -> Outline:
    """The outline of a checked workflow with all that it calls."""
    return outline_of(program.workflow, program.source, _of_program(program))


def file_outline(workflow: n.Workflow, source: SourceFile, load: Load) -> Outline:
    """The outline of a workflow as it is read, with those that `load` finds for it: nothing has to be right."""
    return outline_of(workflow, source, _of_file(source, load, (workflow.name,)))


def _of_program(program: CheckedWorkflow) -> Find:
    def find(name: str) -> Called | None:
        child = program.children.get(name)
        return None if child is None else Called(child.workflow, child.source, _of_program(child))

    return find


def _of_file(source: SourceFile, load: Load, chain: tuple[str, ...]) -> Find:
    """Workflows that call themselves, or each other, are drawn once in a chain."""

    def find(name: str) -> Called | None:
        loaded = load(name, source) if name not in chain else None
        if loaded is None or loaded.workflow is None or loaded.source is None:
            return None
        return Called(loaded.workflow, loaded.source, _of_file(loaded.source, load, (*chain, name)))

    return find


class _Build:
    def __init__(self, source: SourceFile, find: Find, left: list[int]) -> None:
        self._source = source
        self._find = find
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
                if node.workflow is not None:
                    return self._calling(
                        node.workflow, Outline("foreach", f"{node.name} → {node.workflow}", path, line)
                    )
                return Outline("foreach", node.name, path, line, self._inside(node.body or (), path))
            case n.SetStatement():
                return Outline("set", ", ".join(entry.name for entry in node.updates), "", line)
            case n.CallWorkflow():
                key = result_key(node) or node.kind
                path = _path(key, prefix, seen)
                return self._calling(node.workflow, Outline(node.kind, _title(node, key), path, line))
            case _:
                key = result_key(node) or node.kind
                return Outline(node.kind, _title(node, key), _path(key, prefix, seen), line)

    def _calling(self, name: str, call: Outline) -> Outline:
        """The call with what stands in the workflow it calls."""
        child = self._find(name) if self._left[0] > 0 else None
        if child is None:
            return call
        build = _Build(child.source, child.find, self._left)
        inside = build.whole(child.workflow, f"{call.path}/", Counter(ENGINE_SEGMENTS))
        file = "" if child.source.path == self._source.path else child.source.path
        return replace(call, children=inside, file=file)

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
