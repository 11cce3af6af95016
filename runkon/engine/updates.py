"""How a walk writes state channels: where they begin, what outputs of steps update, and how branches come together."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from runkon.engine.answers import Answer, Failed
from runkon.engine.ends import BodyFailed, Failure
from runkon.model.events import StateSet
from runkon.model.failures import StepFailure
from runkon.model.ids import StepPath
from runkon.model.records import StepError
from runkon.model.status import StepStatus

if TYPE_CHECKING:
    from runkon.engine.environment import Environment
    from runkon.engine.results import StepResult
    from runkon.engine.scope import Scope
    from runkon.engine.state import Update
    from runkon.language.nodes import Workflow


def begin_state(workflow: Workflow, scope: Scope) -> None:
    """Give the scope's environment the channels of `workflow`. Raises `BodyFailed` if a reducer can't take the first
    value of one."""
    if not workflow.state:
        return
    from runkon.engine.state import State  # late: few workflows have channels

    try:
        scope.env.state = State.of(workflow.state, scope.leg.reducer)
    except StepFailure as failure:
        raise BodyFailed(Failure(StepPath("state"), f"`state`: {failure.message}", "invalid_value")) from None


def left_state(env: Environment) -> list[StateSet]:
    """What the channels hold at the end of a leg, for readers of the record."""
    return [] if env.state is None else [StateSet(updates=env.state.values())]


def judged(answer: Answer, path: StepPath, env: Environment) -> Answer:
    """The answer of an attempt, or its failure if the channels can't take the fields that are meant for them."""
    state = env.state
    if state is None or isinstance(answer, Failed) or not answer.values:
        return answer
    try:
        state.check(state.updates_of(path, answer.values))
    except StepFailure as failure:
        return Failed(StepError(failure.kind, failure.message), usage=answer.usage)
    return answer


def write_output(path: StepPath, result: StepResult, scope: Scope) -> None:
    """Update the channels by what a step gave. A value that was judged fits; one that a person gave, or that an
    edited workflow can't take, fails the walk here."""
    state = scope.env.state
    if state is None or result.status is not StepStatus.COMPLETED or not result.output.values:
        return
    try:
        state.apply(state.updates_of(path, result.output.values))
    except StepFailure as failure:
        reason = "state_conflict" if failure.kind == "state-conflict" else "invalid_value"
        scope.fail(Failure(path, f"`{result.key}` failed: {failure.message}", reason))


def join_state(scope: Scope, branches: Iterable[Sequence[Update]]) -> StepFailure | None:
    """Take over what branches wrote, in this order, all or nothing; why not, if they don't go together."""
    state = scope.env.state
    if state is None:
        return None
    try:
        state.join(list(branches))
    except StepFailure as failure:
        return failure
    return None


def updates_of_branch(path: StepPath, result: StepResult | None, own: Environment, block: Environment) -> list[Update]:
    """What one branch of a block wrote: what stands in its `own` environment, if that is not the block's, and what the
    step that it is gave."""
    state = block.state
    if state is None:
        return []
    found = [] if own.state is state or own.state is None else list(own.state.log)
    if result is not None and result.status is StepStatus.COMPLETED:
        found += state.updates_of(path, result.output.values)
    return found
