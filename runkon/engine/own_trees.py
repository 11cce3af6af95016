"""Who runs in a worktree of its own, told from the text. What is done for them is imported when there are any."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from runkon.engine.plan import Step
from runkon.language.keys import all_statements
from runkon.model.status import StepStatus

if TYPE_CHECKING:
    from runkon.engine.config import RunConfig
    from runkon.engine.group import Branch
    from runkon.engine.plan import Planned
    from runkon.engine.scope import Scope
    from runkon.engine.trees import Unmerged
    from runkon.language.nodes import ForEachBlock, ParallelBlock
    from runkon.language.program import CheckedWorkflow
    from runkon.model.ids import StepPath
    from runkon.model.output import Output
    from runkon.model.ports import Executors


def is_isolated(planned: Planned, block: ParallelBlock) -> bool:
    """True if a branch says something about worktrees, or its block does."""
    own = planned.options.isolation if isinstance(planned, Step) else None
    return own is not None or block.isolation is not None


def branch_scope(planned: Planned, scope: Scope, block: ParallelBlock) -> Scope:
    """The scope of a branch, in its own worktree if it has one."""
    if not is_isolated(planned, block):
        return scope
    from runkon.engine.isolation import branch_tree  # late: few branches have one

    return branch_tree(planned, scope, block)


def merge_branches(branches: Sequence[Branch], block: ParallelBlock) -> Unmerged | None:
    """Merge the worktrees of the branches that are completed, in declaration order; why one can't be, if so."""
    if not any(is_isolated(branch.planned, block) for branch in branches):
        return None
    from runkon.engine.isolation import merge_all  # late: see above

    ended = [branch for branch in branches if branch.end is StepStatus.COMPLETED]
    return merge_all([(branch.scope, branch.planned.key) for branch in ended])


def item_scope(path: StepPath, scope: Scope, block: ForEachBlock) -> Scope:
    """The scope of an item, in its own worktree if it has one."""
    if block.isolation is None:
        return scope
    from runkon.engine.isolation import in_own_tree  # late: see above

    return in_own_tree(scope, (path,), block)


def merge_items(items: Iterable[tuple[Scope, str]]) -> Unmerged | None:
    """Merge the worktrees of items, in their order; why one can't be, if so."""
    from runkon.engine.isolation import merge_all  # late: see above

    return merge_all(items)


def with_place(scope: Scope | None, path: StepPath, output: Output) -> Output:
    """The output of the step at `path`, with the place of a worktree that is kept for it."""
    tree = None if scope is None else scope.env.facts.tree
    return output if tree is None else tree.told(path, output)


def check_worktrees(program: CheckedWorkflow, config: RunConfig, executors: Executors) -> None:
    """Raises UserError `no-worktrees` where a workflow asks for worktrees and its run can't have any."""
    worktrees = None if config.dry_run or not _asks(program) else getattr(executors, "worktrees", None)
    if worktrees is not None:
        worktrees.check(config.working_dir)


def _asks(program: CheckedWorkflow) -> bool:
    for statement in all_statements(program.workflow):
        options = getattr(statement, "options", statement)
        if getattr(options, "isolation", None) == "worktree":
            return True
    return any(_asks(child) for child in program.children.values())
