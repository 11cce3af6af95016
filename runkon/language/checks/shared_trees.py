"""Agents that may change files, side by side in one working tree. Of a workflow that is called, all steps count;
scripts do not, for most of them change nothing that others see."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence

from runkon.language.checks.context import Context, child_context
from runkon.language.checks.resources import locate_agent
from runkon.language.diagnostics import Diagnostic, Related, diagnose
from runkon.language.keys import bodies, result_key
from runkon.language.nodes import CallStep, CallWorkflow, ForEachBlock, ParallelBlock, Statement
from runkon.language.source import Span
from runkon.named import NamedTuple
from runkon.pattern import pattern

_MAY_COMMIT = pattern(r"\A---[ \t]*$(?:(?!^---).)*?^can_commit[ \t]*:[ \t]*(?:true|yes|on)\b", re.M | re.S | re.I)


class _Writer(NamedTuple):
    key: str
    span: Span


def check_shared_trees(context: Context) -> Iterable[Diagnostic]:
    """Two branches of a `parallel`, or a `foreach` with several items at once, that call agents which may commit, none
    of them in a worktree of its own."""
    for block in context.statements:
        if isinstance(block, ParallelBlock) and block.isolation != "worktree":
            writers = [writer for branch in block.body if (writer := _writer((branch,), context)) is not None]
            if len(writers) > 1:
                first, second, *_ = writers
                where = (Related(first.span, f"`{first.key}`"),)
                yield diagnose("shared-tree", second.span, name=second.key, beside=f"`{first.key}`", related=where)
        elif isinstance(block, ForEachBlock) and block.isolation != "worktree" and block.max_parallel > 1:
            writer = _called(block.workflow, context, ()) if block.body is None else _writer(block.body, context)
            if writer is not None:
                yield diagnose("shared-tree", writer.span, name=writer.key, beside=f"`{writer.key}` of another item")


def _writer(body: Iterable[Statement], context: Context, above: Sequence[str] = ()) -> _Writer | None:
    """The first call of an agent that may commit to the tree which is shared."""
    return next(_writers(body, context, above), None)


def _writers(body: Iterable[Statement], context: Context, above: Sequence[str]) -> Iterator[_Writer]:
    for statement in body:
        options = getattr(statement, "options", statement)
        if getattr(options, "isolation", None) == "worktree":
            continue
        if isinstance(statement, CallStep):
            if _may_commit(statement, context):
                yield _Writer(str(result_key(statement)), statement.agent.span)
        elif isinstance(statement, CallWorkflow | ForEachBlock) and statement.workflow is not None:
            found = _called(statement.workflow, context, above)
            if found is not None:
                yield _Writer(f"{result_key(statement)}/{found.key}", statement.name_span)
        for inner in bodies(statement):
            yield from _writers(inner, context, above)


def _called(name: str | None, context: Context, above: Sequence[str]) -> _Writer | None:
    loaded = None if name is None or name in above else context.children.get(name)
    if name is None or loaded is None or loaded.workflow is None or loaded.source is None:
        return None
    child = child_context(context, loaded)
    return _writer(loaded.workflow.body, child, (*above, name))


def _may_commit(call: CallStep, context: Context) -> bool:
    """True for an agent file that says so; the step's own word comes first."""
    agent, options = call.agent, call.options
    if options.effect in ("pure", "read") or options.executor is not None or result_key(call) in context.overrides:
        return False
    if agent.form == "name" and context.catalog.knows("executor", agent.text):
        return False
    located = locate_agent(agent, options.plugin_dirs, context)
    if located.path is None or located.problem is not None:
        return False
    try:
        text = located.path.read_text("utf-8")
    except (OSError, UnicodeDecodeError):
        return False
    return _MAY_COMMIT.match(text.lstrip("\ufeff").replace("\r\n", "\n")) is not None
