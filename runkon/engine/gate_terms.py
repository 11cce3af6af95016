"""What a gate offers, who may decide it, and what its decision comes to, in the scope in which it is reached."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence

from runkon.engine.environment import Environment
from runkon.language.nodes import GateStep
from runkon.model.decisions import (
    APPROVED,
    BY_TIME,
    MARKERS,
    NEEDED,
    REJECTED,
    RESOLVED,
    SELECTED,
    TIMED_OUT,
    VALUES,
    deciding,
)
from runkon.model.events import Event
from runkon.model.failures import ValueFailure
from runkon.model.gates import ANY
from runkon.model.ids import StepPath
from runkon.model.output import JsonValue, Output
from runkon.model.records import GateAnswer
from runkon.model.secrets import redact, redact_json
from runkon.named import NamedTuple

_MOST = 100  # percent


class Verdict(NamedTuple):
    """How a gate was decided; `decision` is one of `approved rejected timed_out`, `is_late` says that it follows from
    the end of the wait."""

    decision: str
    by: str
    via: str
    at: int
    reason: str = ""
    selected: tuple[str, ...] = ()
    values: Mapping[str, JsonValue] = {}
    is_late: bool = False

    @property
    def feedback(self) -> str | None:
        """What later steps read as `gate_feedback`; None if nothing was said."""
        return ", ".join(self.selected) or (None if self.decision == TIMED_OUT else self.reason) or None

    def output(self) -> Output:
        """The result of the gate as later steps read it."""
        markers = {self.decision, TIMED_OUT} if self.is_late else {self.decision}
        chosen = self.selected and self.decision == APPROVED
        values: dict[str, JsonValue] = {
            **self.values,
            "decision": ", ".join(self.selected) if chosen else self.decision,
            "reason": self.reason or None,
            "feedback": self.feedback,
            "by": self.by,
            "at": _iso(self.at),
        }
        return Output(markers=frozenset(markers), values=values, text=f"{self.decision}, by {self.by}")


class Opened(NamedTuple):
    """One opening of a gate. `order` is that of its step, None for a step that was put aside."""

    path: StepPath
    name: str
    occurrence: int
    epoch: int
    order: str | None
    deadline_at: int | None
    node: GateStep | None = None


class Decided(NamedTuple):
    """How a gate was decided, and the events that have to be recorded before the end of its step."""

    verdict: Verdict
    before: tuple[Event, ...]


def needed(node: GateStep) -> int:
    """How many people have to approve."""
    return 1 if node.mode == "review_decision" else max(1, node.min_approvals)


def options_of(node: GateStep, env: Environment) -> dict[str, str]:
    """What can be chosen, with a label each; empty if there is nothing to choose. Raises ValueFailure if the step that
    gives the options has none."""
    if node.choices_from is None:
        return dict(node.choices or ())
    key, _, field = node.choices_from.partition(".")
    result = env.results.get(key)
    if result is None:
        raise _no_options(node, f"`{key}` has not run")
    found: JsonValue = dict(result.output.values)
    for part in field.split("."):
        found = found.get(part) if isinstance(found, dict) else None
    if isinstance(found, Mapping):
        return {str(one): label for one, label in found.items() if isinstance(label, str)}
    if isinstance(found, list):
        return {one: one for one in found if isinstance(one, str)}
    raise _no_options(node, f"`{key}` gave no list or map of texts called `{field}`")


def _no_options(node: GateStep, why: str) -> ValueFailure:
    return ValueFailure("unknown-variable", f"the options of gate `{node.key}` are `{node.choices_from}`, but {why}")


def prompt_of(node: GateStep, env: Environment, options: Mapping[str, str], *, is_resolved: bool) -> str:
    """What the person who decides reads; `is_resolved` says that a resolver is asked as well. Raises ValueFailure like
    any template."""
    prompt = env.render(node.prompt) if node.prompt else f"gate `{node.key}` waits for a decision"
    if node.type in RESOLVED and not is_resolved:
        prompt += f"\nno plugin looks after `{node.type}` here, so a person decides"
    labelled = [f"{key}: {label}" for key, label in options.items() if key != label]
    return "\n".join([prompt, *labelled])


def terms_of(node: GateStep, options: Mapping[str, str]) -> dict[str, JsonValue]:
    """What the record says about the gate, where it is not the usual."""
    terms: dict[str, JsonValue] = {"on_timeout": node.on_timeout, "on_reject": node.on_reject}
    if node.approvers:
        terms["approvers"] = list(node.approvers)
    if needed(node) > 1:
        terms["needed"] = needed(node)
    if node.form is not None:
        terms["form"] = node.form
    if any(key != label for key, label in options.items()):
        terms["labels"] = dict(options)
    return terms


def verdict_of(
    node: GateStep,
    occurrence: int,
    deadline_at: int | None,
    answers: Sequence[GateAnswer],
    secrets: Mapping[str, str],
) -> Verdict | None:
    """What `answers` to this gate decide for one occurrence; None while they decide nothing. One for this occurrence
    comes before one for all of them, of which the newest counts. What came after the deadline does not count."""
    mine = [one for one in answers if one.occurrence == occurrence and _counts(one, node, deadline_at)]
    found = deciding(mine)
    if found is None:
        standing = [one for one in answers if one.occurrence == ANY and _counts(one, node, deadline_at)]
        found = _newest(standing, needed(node))
    if found is None:
        return None
    if found.choice == TIMED_OUT:
        return at_timeout(node, found.at if deadline_at is None else deadline_at)
    selected, values = found.form.get(SELECTED), found.form.get(VALUES)
    return Verdict(
        found.choice,
        found.by,
        found.via,
        found.at,
        redact(found.reason, secrets),
        tuple(str(one) for one in selected) if isinstance(selected, list) else (),
        {str(key): redact_json(value, secrets) for key, value in values.items()} if isinstance(values, Mapping) else {},
    )


def _newest(standing: Sequence[GateAnswer], people: int) -> GateAnswer | None:
    if not standing or people <= 1 or standing[-1].choice != APPROVED:
        return standing[-1] if standing else None
    return deciding([one._replace(form={**one.form, NEEDED: people}) for one in standing])


def _counts(answer: GateAnswer, node: GateStep, deadline_at: int | None) -> bool:
    if answer.choice not in MARKERS:
        return False
    if answer.via == BY_TIME:
        return True
    if deadline_at is not None and answer.at > deadline_at:
        return False
    return not node.approvers or answer.by in node.approvers or answer.via == "resolver"


def at_timeout(node: GateStep, at: int) -> Verdict:
    """What follows when nobody has decided in time."""
    why = f"timed out: nobody decided within {duration(node.timeout)}"
    decision = {"approve": APPROVED, "reject": REJECTED}.get(node.on_timeout, TIMED_OUT)
    return Verdict(decision, "runkon", BY_TIME, at, why, is_late=True)


def judged(node: GateStep, env: Environment, now: int) -> Verdict:
    """The decision of a quality gate. Raises ValueFailure if its source has no result."""
    assert node.source is not None
    assert node.threshold is not None
    result = env.results.get(node.source)
    if result is None:
        raise ValueFailure("unknown-variable", f"gate `{node.key}` judges `{node.source}`, which has no result")
    score, why = _score(result.output.values)
    is_good = score >= node.threshold
    dry = "" if is_good or not env.facts.dry_run else "in a dry run agents are not asked, so it may well be met"
    said = f"the confidence of `{node.source}` is {score}, the threshold is {node.threshold}"
    said = "; ".join(filter(None, (said, why, dry)))
    values: dict[str, JsonValue] = {"confidence": score, "threshold": node.threshold}
    return Verdict(APPROVED if is_good else REJECTED, "runkon", "score", now, said, values=values)


def _score(values: Mapping[str, JsonValue]) -> tuple[int, str]:
    found = values.get("confidence")
    if isinstance(found, bool) or not isinstance(found, int | float):
        return 0, "it gave none" if found is None else "what it gave is no number"
    return min(_MOST, int(found)), ""


def duration(milliseconds: int) -> str:
    """A time as it is written in a workflow: `48h`, `90s`, `1500ms`."""
    for unit, size in (("h", 3_600_000), ("m", 60_000), ("s", 1000)):
        if milliseconds % size == 0 and milliseconds >= size:
            return f"{milliseconds // size}{unit}"
    return f"{milliseconds}ms" if milliseconds % 1000 else f"{milliseconds // 1000}s"


def _iso(at: int) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(at // 1000)) + f".{at % 1000:03d}Z"
