"""`isolation = worktree`: statements that run in a git worktree of their own.

A worktree is made when the first attempt below its place is about to begin, so that answers from the record need none.
What became of it is an event; a leg that comes back goes by the last one. While anything in it is completed and not
merged yet, it stays as it is, whatever happens; with nothing completed in it, it is made anew from the tree around it.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from runkon.engine.answers import Failed
from runkon.engine.ends import Failure
from runkon.engine.plan import Step
from runkon.engine.trees import OwnTree, Trees, Unmerged
from runkon.failpoints import failpoint
from runkon.language.nodes import AlwaysBlock, DoBlock, IfBlock
from runkon.model.events import WorktreeChanged
from runkon.model.failures import StepFailure
from runkon.model.records import StepError
from runkon.model.status import StepStatus
from runkon.model.worktrees import OVER, Merge, Worktree

if TYPE_CHECKING:
    from runkon.engine.plan import Planned
    from runkon.engine.scope import Leg, Scope
    from runkon.model.ids import StepPath
    from runkon.model.output import JsonValue, Output

ISOLATED = "worktree"
_SHOWN = 10  # files in one message


class Options(Protocol):
    """What a step or a block says about worktrees."""

    @property
    def isolation(self) -> str | None: ...
    @property
    def merge(self) -> str | None: ...


class Tree:
    """The worktree of one place. `merge` is what becomes of its changes; None: kept if there are any."""

    def __init__(
        self, leg: Leg, trees: Trees, places: Sequence[StepPath], outer: OwnTree | None, merge: str | None
    ) -> None:
        """`places` are those of its statements; the first names it."""
        self.path = path = places[0]
        self._places = places
        self.merge = merge
        self._leg = leg
        self._trees = trees
        self._outer = outer
        self._is_ready = False
        self._lock = threading.Lock()
        self._past = trees.past(path)
        last = self._past[-1] if self._past else None
        if last is not None and self._is_in_use():  # also once it is over: what was seen there is compared
            base = "" if last.what in OVER else last.base
            self.worktree = Worktree(self._around, Path(last.folder), last.branch, base)
        else:
            self.worktree = self._next_place()

    def _next_place(self) -> Worktree:
        number = 1 + sum(one.what == "kept" for one in self._past)
        return self._trees.git.place(self._leg.run, self.path, self._around, number)

    @property
    def _around(self) -> Path:
        return self._leg.config.working_dir.absolute() if self._outer is None else self._outer.worktree.folder

    def _is_in_use(self) -> bool:
        """True if anything is completed here."""
        leg = self._leg
        found = [one for path in self._places for one in (path, *leg.below(path), *leg.rounds_of(path))]
        return any(one in leg.recorded and leg.recorded[one].status is StepStatus.COMPLETED for one in found)

    # ── what attempts see ─────────────────────────────────────────────────────────────────────────
    @property
    def folder(self) -> Path:
        found = self._trees.inside(self.worktree.folder, self._leg.config.working_dir)
        return self.worktree.folder if found is None else found

    @property
    def roots(self) -> tuple[Path, ...]:
        roots = self._leg.config.roots
        inside = (self._trees.inside(self.worktree.folder, root) for root in roots or (self._leg.config.working_dir,))
        return (*(one for one in inside if one is not None), *roots)

    def variables(self, injected: Mapping[str, JsonValue]) -> Mapping[str, JsonValue]:
        """What the host says, with where a step runs."""
        return _Injected(self, injected)

    def refused(self) -> Failed | None:
        try:
            self.ready()
        except StepFailure as failure:
            return Failed(StepError("fatal", failure.message))
        return None

    def ready(self) -> None:
        with self._lock:
            if self._is_ready:
                return
            if self._outer is not None:
                self._outer.ready()
            git = self._trees.git
            if self.worktree.base:
                if not git.is_there(self.worktree):
                    why = (
                        f"the worktree `{self.worktree.folder}` is not there any more, with what steps have done in it"
                    )
                    raise StepFailure("exception", f"{why}\nhelp: `--from {self.path}` does them again")
            else:
                self.worktree = git.make(self._next_place())
                self._tell("made", self.worktree)
                failpoint("worktree_made", self.path)
            self._is_ready = True

    def told(self, path: StepPath, output: Output) -> Output:
        if path != self.path or self.merge in ("none", "auto") or not self._past:
            return output
        if self.merge is None and self._past[-1].what != "kept" and not self._has_changes():
            return output
        return replace(output, values={**self.fields, **(output.values or {})})

    @property
    def fields(self) -> dict[str, JsonValue]:
        return {"worktree": str(self.worktree.folder), "branch": self.worktree.branch}

    def _has_changes(self) -> bool:
        git = self._trees.git
        with suppress(StepFailure):
            return self._past[-1].what not in OVER and git.is_there(self.worktree) and git.has_changes(self.worktree)
        return False

    # ── its end ───────────────────────────────────────────────────────────────────────────────────
    def settle(self, name: str) -> StepError | None:
        last = self._past[-1] if self._past else None
        if last is None or last.what in OVER:
            return None
        self._leg.recorder.commit()  # what was done is never done again, so it is merged once
        worktree = Worktree(self._around, Path(last.folder), last.branch, last.base)
        failpoint("merge_begun", self.path)
        try:
            if self._outer is not None:
                self._outer.ready()
            return self._settled(worktree, name)
        except StepFailure as failure:
            return StepError(
                "exception", f"the worktree of `{name}` could not be merged: {failure.message}{_help(worktree)}"
            )

    def _settled(self, worktree: Worktree, name: str) -> StepError | None:
        git = self._trees.git
        if self.merge != "auto":
            is_there = git.is_there(worktree)
            is_kept = is_there and (self.merge == "keep" or (self.merge is None and git.has_changes(worktree)))
            self._tell("kept" if is_kept else "dropped", worktree)
            if not is_kept:
                self._drop(worktree)
            return None
        run = self._leg.run
        merge = git.merge(worktree, f"Merge what `{name}` did", (f"Runkon-Run: {run}", f"Runkon-Step: {self.path}"))
        failpoint("merge_done", self.path)
        if merge.failed:
            self._tell("conflict", worktree, merge)
            return StepError("exception", _conflict(worktree, name, merge))
        self._tell("merged" if merge.commit or merge.files else "unchanged", worktree, merge)
        self._drop(worktree)
        return None

    def _tell(self, what: str, worktree: Worktree, merge: Merge | None = None) -> None:
        event = WorktreeChanged(
            path=self.path,
            what=what,
            folder=str(worktree.folder),
            branch=worktree.branch,
            base=worktree.base,
            commit=None if merge is None else merge.commit,
            files=() if merge is None else merge.files,
        )
        self._past.append(event)
        self._leg.recorder.append(event)

    def _drop(self, worktree: Worktree) -> None:
        """Remove it, once it is on record that nothing needs it; what can't be removed now is at the end of the run."""
        self._leg.recorder.commit()
        failpoint("merge_recorded", self.path)
        with suppress(StepFailure):
            self._trees.git.drop(worktree)


class _Injected(Mapping[str, "JsonValue"]):
    """The variables of the host where a step runs in a worktree, as it is when they are read."""

    def __init__(self, tree: Tree, outside: Mapping[str, JsonValue]) -> None:
        self._tree = tree
        self._outside = outside

    def __getitem__(self, name: str) -> JsonValue:
        if name == "worktree_branch":
            return self._tree.worktree.branch
        if name == "repo_path":
            with suppress(StepFailure):
                return str(self._tree.folder)
        return self._outside[name]

    def __iter__(self) -> Iterator[str]:
        return iter({**self._outside, "worktree_branch": None})

    def __len__(self) -> int:
        return sum(1 for _ in self)


# ── for constructs ────────────────────────────────────────────────────────────────────────────────
def in_own_tree(scope: Scope, places: Sequence[StepPath], *options: Options) -> Scope:
    """The scope with a worktree for the statements at `places`, where one of `options`, the nearest first, asks for
    one, and the walk is not in it already."""
    leg, outer = scope.leg, scope.env.facts.tree
    asking = [one for one in options if one.isolation is not None]
    if not asking or asking[0].isolation != ISOLATED or (outer is not None and outer.path == places[0]):
        return scope
    trees = leg.trees
    if trees is None:
        return scope
    merge = next((one.merge for one in options if one.merge is not None), None)
    tree = Tree(leg, trees, places, outer, merge)
    facts = scope.env.facts
    return scope.with_facts(replace(facts, tree=tree, injected=tree.variables(facts.injected)))


def branch_tree(planned: Planned, scope: Scope, block: Options) -> Scope:
    """The scope of one branch of a block, with its worktree if it is to have one."""
    options = (planned.options, block) if isinstance(planned, Step) else (block,)
    return in_own_tree(scope, tuple(_places(planned, scope)), *options)


def _places(planned: Planned, scope: Scope) -> Iterator[StepPath]:
    """Where a statement, or what is in a block without a place of its own, has its records."""
    yield scope.path_of(planned)
    node = planned.node
    if isinstance(node, IfBlock | AlwaysBlock) or (isinstance(node, DoBlock) and node.name is None):
        for body in planned.bodies:
            for inner in body:
                yield from _places(inner, scope)


def run_isolated(step: Step, scope: Scope, run: Callable[..., None]) -> None:
    """Run a step in its own worktree, and merge that once it is completed. Raises as the step does, and `BodyFailed`
    where it can't be merged."""
    inner = in_own_tree(scope, (scope.path_of(step),), step.options)
    run(step, inner)
    result = scope.env.results.get(step.key)
    if inner is scope or result is None or result.status is not StepStatus.COMPLETED:
        return
    problem = merge_all([(inner, step.key)])
    if problem is not None:
        path = scope.path_of(step)
        failure = Failure(path, f"`{step.key}` failed: {problem.error.message}")
        scope.leg.ended_badly(step.key, path, failure)
        scope.fail(failure)


def merge_all(ended: Iterable[tuple[Scope | None, str]]) -> Unmerged | None:
    """Merge the worktrees of what ended well, in this order, until one can't be merged: why not."""
    for scope, name in ended:
        tree = None if scope is None else scope.env.facts.tree
        if scope is None or tree is None or scope.token.is_recall:
            continue
        error = tree.settle(name)
        if error is not None:
            return Unmerged(error, tree.fields)
    return None


def _conflict(worktree: Worktree, name: str, merge: Merge) -> str:
    files = merge.files
    more = f" and {len(files) - _SHOWN} more" if files[_SHOWN:] else ""
    shown = ", ".join(f"`{file}`" for file in files[:_SHOWN]) + more
    where = f"on branch `{worktree.branch}` and in `{worktree.around}`"
    return f"what `{name}` did can't be merged: {shown} changed {where}{_help(worktree, merge.branch)}"


def _help(worktree: Worktree, branch: str = "") -> str:
    merge = f"git -C '{worktree.around}' merge {branch or worktree.branch}"
    how = f"`{merge}` merges by hand (commit what is uncommitted in those files before), then resume the run"
    return f"\nhelp: its worktree is kept in `{worktree.folder}`; {how}"
