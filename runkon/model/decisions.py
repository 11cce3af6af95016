"""Decisions about gates: the words for them, whose answers decide, and what a resolver is asked and says.

Answers to a gate are votes. A rejection decides at once; approvals decide once as many people have given one as the
answers themselves ask for, usually one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import field
from typing import Protocol, TypeAlias

from runkon.frozen import value_class
from runkon.model.ids import RunID, StepPath
from runkon.model.output import EMPTY, JsonValue
from runkon.model.records import GateAnswer

APPROVED, REJECTED, TIMED_OUT = MARKERS = ("approved", "rejected", "timed_out")
SELECTED, VALUES, NEEDED = "selected", "values", "needed"  # what the `form` of an answer holds
BY_TIME = "timeout"  # how a decision came that nobody took
BY_RESOLVER = "resolver"
RESOLVED = ("pr_approval", "pr_checks")  # types of gates that a program can decide, if a plugin brings one
UNKNOWN = "unknown"  # the type of a gate that asks about a lost step


def deciding(answers: Sequence[GateAnswer]) -> GateAnswer | None:
    """The answer that decides, of all answers to one occurrence in their order; None while none does."""
    people: set[str] = set()
    for answer in answers:
        if answer.choice != APPROVED:
            return answer
        people.add(answer.by)
        needed = answer.form.get(NEEDED, 1)
        if not isinstance(needed, int) or len(people) >= needed:
            return answer
    return None


@value_class(frozen=True, slots=True, kw_only=True)
class GateRequest:
    """What a resolver is asked. `params` holds the gate's own `prompt`, `min_approvals`, `mode`, `options`,
    `approvers`, `timeout` (seconds) and `identity`; `inputs` what scripts see; `poll` counts the questions from 0."""

    run_id: RunID
    workflow: str
    path: StepPath
    gate: str
    type: str
    occurrence: int = 1
    params: Mapping[str, JsonValue] = field(default_factory=lambda: EMPTY)
    inputs: Mapping[str, JsonValue] = field(default_factory=lambda: EMPTY)
    poll: int = 0


@value_class(frozen=True, slots=True)
class Approved:
    """The gate may be passed. `by` is who said so, otherwise the resolver."""

    feedback: str = ""
    by: str = ""


@value_class(frozen=True, slots=True)
class Rejected:
    """The gate stays closed, for this reason."""

    reason: str = ""
    by: str = ""


@value_class(frozen=True, slots=True)
class Pending:
    """Nobody has decided yet; ask again later."""


Resolution: TypeAlias = Approved | Rejected | Pending


class GateResolver(Protocol):
    """Decides gates of one type, its `name`. Asked again every `interval` seconds (5 without one), never twice at once
    about the same gate; may take its time. What it raises counts as not decided yet."""

    @property
    def name(self) -> str: ...

    def poll(self, request: GateRequest) -> Resolution: ...
