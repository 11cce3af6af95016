"""What a resume does with each recorded step: answered from its record, run again, asked about, dropped. One pure
function, used by the preview and by the leg itself.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from runkon.engine.resume_places import Places, Target, form_of, is_around, is_at_or_below
from runkon.engine.reuse import changed_inputs
from runkon.engine.variables import EVERY_NAME
from runkon.model.events import AttemptCancelled, AttemptFailed, AttemptTimedOut, Envelope, Event, StepSuperseded
from runkon.model.gates import UNDECIDED, answer_for, ask_name, is_undecided, occurrence_of
from runkon.model.ids import StepPath, is_in_always
from runkon.model.plans import ASK, DROP, FAIL, NEW, RERUN, REUSE, PlanLine, ResumePlan
from runkon.model.records import GateAnswer, GateRecord, StepRecord, fresh_step
from runkon.model.status import StepStatus
from runkon.named import NamedTuple

if TYPE_CHECKING:
    from runkon.engine.resume_edits import Edits

NORMAL, ONLY_FAILED, FROM, RESTART = MODES = ("normal", "only-failed", "from", "restart")
FAILED_ATTEMPT = (AttemptFailed.kind, AttemptTimedOut.kind, AttemptCancelled.kind)
_BAD = frozenset({StepStatus.FAILED, StepStatus.TIMED_OUT})
_OF_ANY_STEP = frozenset({"prior_context", "prior_contexts", "prior_output", EVERY_NAME})
_LOST = {
    "process_lost": "process lost",
    "worker_lost": "worker lost",
    "lease_lost": "taken over by another engine",
}
_ANSWERED = {"rerun": RERUN, "done": REUSE, "failed": FAIL}  # what a person's decision comes to
_STOPPED = {"user": "the run was cancelled", "fail_fast": "`fail_fast` of its block"}


class Wish(NamedTuple):
    """How a resume was asked for: `mode` is one of `MODES`, `target` what `--from` means, `edits` the difference
    between the recorded text and the one to go on with, `inputs` the names of inputs that get another value."""

    mode: str = NORMAL
    target: Target | None = None
    edits: Edits | None = None
    inputs: frozenset[str] = frozenset()

    @property
    def looks_again(self) -> bool:
        """True if settled steps are to be compared with what they would see now."""
        return self.mode == ONLY_FAILED or self.edits is not None or bool(self.inputs)


_NORMAL_WISH = Wish()


class Course(NamedTuple):
    """A plan with what a leg needs to follow it: why a record is put aside, by path, moved ones as they are at their
    new place, and the completed steps that must not run twice unasked although their result is lost."""

    plan: ResumePlan
    aside: Mapping[StepPath, str]
    moved: Mapping[StepPath, StepRecord]
    doubtful: frozenset[StepPath] = frozenset()
    kept: int = 0  # records that are kept and have no line in the plan, as nobody reads it

    def superseded(self, steps: Sequence[StepRecord]) -> list[Event]:
        """The events that put records aside."""
        return [
            StepSuperseded(path=step.path, why=self.aside[step.path], epoch=step.epoch)
            for step in steps
            if step.path in self.aside
        ]

    def recorded(self, steps: Sequence[StepRecord]) -> dict[StepPath, StepRecord]:
        """The records the leg begins with: those put aside begin anew, in their next epoch."""
        if not (self.aside or self.doubtful):  # as a rule
            return {step.path: step for step in steps}
        found: dict[StepPath, StepRecord] = {}
        for step in steps:
            found[step.path] = fresh_step(step) if step.path in self.aside else step
            if step.path in self.doubtful:
                asked = replace(found[step.path], status=StepStatus.CANCELLED, skip_reason=UNDECIDED)
                found[step.path] = asked
        return found


def plan_resume(
    steps: Sequence[StepRecord],
    places: Places,
    wish: Wish,
    *,
    seq: int,
    now: int,
    notes: tuple[str, ...] = (),
    is_read: bool = True,
) -> Course:
    """What a resume does with `steps`, the current records of a run, at `now` (milliseconds UTC). Pure. `places` are
    those of the text to go on with. Unless somebody reads the plan, it leaves out what goes without saying: what a
    normal resume keeps, and what has no record yet."""
    body = [step for step in steps if not is_in_always(step.path)]
    count = len(body)
    if not is_read and wish == _NORMAL_WISH:
        body = [step for step in body if step.status is not StepStatus.COMPLETED or step.damage is not None]
        body = [step for step in body if step.damage is not None or not is_kept(step)]
    planner = _Planner(places, wish, now)
    lines = [planner.line(step) for step in body]
    lines = planner.with_readers(body, lines)
    if is_read:
        lines += planner.missing(body)
    edits = wish.edits
    plan = ResumePlan(wish.mode, seq, tuple(lines), edits.told if edits is not None else (), notes)
    doubtful = frozenset(step.path for step in body if step.path in planner.doubtful)
    return Course(plan, planner.aside, planner.moved, doubtful, count - len(body))


class _Planner:
    """Decides one record after the other."""

    def __init__(self, places: Places, wish: Wish, now: int) -> None:
        self.aside: dict[StepPath, str] = {}
        self.moved: dict[StepPath, StepRecord] = {}
        self.doubtful: set[StepPath] = set()
        self._places = places
        self._wish = wish
        self._now = now

    def line(self, step: StepRecord) -> PlanLine:
        decision, reason = self._decide(step)
        age = None if step.ended_at is None else max(0, self._now - step.ended_at)
        usage = step.output.usage if step.info.kind in ("call", "script") else None
        return PlanLine(step.path, decision, reason, age, None if usage is None else usage.cost_usd)

    def _decide(self, step: StepRecord) -> tuple[str, str]:
        edits, form = self._wish.edits, form_of(step.path)
        if edits is not None and form in edits.removed:
            return self._put_aside(step, DROP, "not in the workflow any more")
        reason = self._put_back(step)
        if reason is not None and reason == step.damage and self._asks_about_damage(step):
            self.doubtful.add(step.path)
            return self._put_aside(step, ASK, f"{reason}; it writes")
        if reason is not None:
            return self._put_aside(step, RERUN, reason)
        if edits is not None and form in edits.moved and step.is_settled:
            leaf = self._places.leaves[edits.moved[form]]
            assert leaf.info is not None  # only what stands outside of loops is matched by its key
            self.moved[step.path] = replace(step, path=StepPath(edits.moved[form]), info=leaf.info)
            self.aside[step.path] = f"moved to `{edits.moved[form]}`"
            return REUSE, f"{_settled_reason(step)}, moved to `{edits.moved[form]}`"
        if is_kept(step):
            return REUSE, _settled_reason(step)
        policy = self._policy(step)
        if policy == "fail":
            return FAIL, f"{_cut_off_reason(step)}, `on_unknown = fail`"
        return (ASK, _cut_off_reason(step)) if policy == "ask" else (RERUN, _rerun_reason(step))

    def _put_aside(self, step: StepRecord, decision: str, why: str) -> tuple[str, str]:
        self.aside[step.path] = why
        return decision, why

    def _put_back(self, step: StepRecord) -> str | None:
        """Why a record is not to be used, whatever it says; None if nothing speaks against it."""
        wish, path = self._wish, step.path
        if step.damage is not None:
            return step.damage
        if wish.edits is not None and (changed := wish.edits.changed.get(form_of(path))) is not None:
            return changed
        if wish.inputs and step.is_settled and step.seen is not None:
            read = [name for name in step.seen.names if name.partition(".")[2] in wish.inputs or name in wish.inputs]
            if step.info.kind == "script":  # has every input in its environment
                read = sorted(wish.inputs)
            if read:
                return changed_inputs(read)
        match wish.mode:
            case "restart":
                return "--restart runs everything again"
            case "only-failed" if step.status in _BAD:
                return _rerun_reason(step)
            case "from":
                return self._after_target(step)
            case _:
                return None

    def _asks_about_damage(self, step: StepRecord) -> bool:
        """True for a step that has done its work, changes something each time, and was not named to run again."""
        if step.status is not StepStatus.COMPLETED or step.effect != "write" or self._wish.mode == RESTART:
            return False
        leaf = self._places.leaves.get(form_of(step.path))
        policy = None if leaf is None else leaf.options.on_unknown
        return policy in (None, "ask") and (self._wish.target is None or self._after_target(step) is None)

    def _after_target(self, step: StepRecord) -> str | None:
        target, path = self._wish.target, step.path
        assert target is not None
        if is_at_or_below(path, target.path):
            return "named by --from" if path == target.path else "inside the step of --from"
        if is_around(path, target.path):
            return "around the step of --from"
        if self._order(step) > target.order and not self._places.are_beside(target.path, path):
            return "after --from"
        return None

    def _order(self, step: StepRecord) -> str:
        """Where the step stands in the text to go on with, which an edit may have changed."""
        leaf = self._places.leaves.get(step.path)
        return step.info.order if leaf is None or leaf.static_order is None else leaf.static_order

    def _policy(self, step: StepRecord) -> str:
        """What follows for a step that has to run again: `rerun`, or `ask` or `fail` where nobody saw its end."""
        if not (step.status is StepStatus.RUNNING or is_undecided(step)):
            return "rerun"
        leaf = self._places.leaf(form_of(step.path))
        if leaf is not None and leaf.options.on_unknown is not None:
            return leaf.options.on_unknown
        asks = step.effect == "write" or step.status in (StepStatus.WAITING, StepStatus.CANCELLED)
        return "ask" if asks else "rerun"

    # ── what follows from the lines ───────────────────────────────────────────────────────────────
    def with_readers(self, body: Sequence[StepRecord], lines: list[PlanLine]) -> list[PlanLine]:
        """The lines, with what kept steps have read of steps that run again."""
        if not self._wish.looks_again:
            return lines
        keys: set[str] = set()
        names: set[str] = set()
        for step, line in zip(body, lines, strict=True):
            if line.decision in (RERUN, DROP, ASK, FAIL):
                keys.add(step.info.key)
                names.update(step.output.values)
        if not keys:
            return lines
        found = []
        first = min(step.info.order for step, line in zip(body, lines, strict=True) if line.decision != REUSE)
        for step, line in zip(body, lines, strict=True):
            if line.decision == REUSE and step.seen is not None and step.info.order > first:
                read = [name for name in step.seen.names if _reads(name, keys, names)]
                line = line._replace(unless=tuple(read))
            found.append(line)
        return found

    def missing(self, body: Sequence[StepRecord]) -> list[PlanLine]:
        """Steps outside of loops that have no record yet."""
        known = {str(step.path) for step in (*body, *self.moved.values())}
        arrived = set() if self._wish.edits is None else {one.path for one in self._wish.edits.told if not one.before}
        return [
            PlanLine(StepPath(form), NEW, "added" if form in arrived else "not reached yet")
            for form, leaf in self._places.leaves.items()
            if leaf.static_order is not None and form not in known and not form.endswith("/on_fail")
        ]


def with_answers(
    plan: ResumePlan, steps: Sequence[StepRecord], gates: Sequence[GateRecord], answers: Sequence[GateAnswer]
) -> ResumePlan:
    """The plan with what follows from answers that no leg has taken yet. Not for a fork, which asks anew."""
    by_path = {step.path: step for step in steps}
    lines = []
    for line in plan.lines:
        if line.decision == ASK and (step := by_path.get(line.path)) is not None:
            answer = answer_for(ask_name(step.path), occurrence_of(step, gates, answers), answers)
            if answer is not None and answer.choice in _ANSWERED:
                said = f"answered: {answer.choice}, by {answer.by}"
                line = line._replace(decision=_ANSWERED[answer.choice], reason=said)
        elif line.decision == RERUN and (step := by_path.get(line.path)) is not None and step.info.kind == "gate":
            line = _of_gate(line, step, gates, answers)
        lines.append(line)
    return plan._replace(lines=tuple(lines))


def _of_gate(line: PlanLine, step: StepRecord, gates: Sequence[GateRecord], answers: Sequence[GateAnswer]) -> PlanLine:
    """What follows for a gate that is still open: it waits, or its decision counts."""
    gate = next((one for one in gates if one.path == step.path and one.decision is None), None)
    if gate is None or step.status is not StepStatus.WAITING:
        return line
    answer = answer_for(gate.name, gate.occurrence, answers)
    if answer is None:
        return line._replace(decision=ASK, reason="waits for a decision")
    return line._replace(reason=f"answered: {answer.choice}, by {answer.by}")


def with_failed_attempts(plan: ResumePlan, steps: Sequence[StepRecord], failed: Sequence[Envelope]) -> ResumePlan:
    """The plan with what attempts have cost that gave no result: `failed` are the events of `FAILED_ATTEMPT`."""
    epochs = {step.path: step.epoch for step in steps}
    completed = {step.path for step in steps if step.status is StepStatus.COMPLETED}  # theirs is the last attempt's
    spent: dict[StepPath, float] = {}
    for event in (envelope.event for envelope in failed):
        if not isinstance(event, AttemptFailed | AttemptTimedOut | AttemptCancelled):
            continue
        if epochs.get(event.path) == event.epoch and event.usage is not None and event.usage.cost_usd is not None:
            spent[event.path] = spent.get(event.path, 0.0) + event.usage.cost_usd
    lines = [
        line._replace(cost_usd=spent[line.path] + ((line.cost_usd or 0.0) if line.path in completed else 0.0))
        if line.path in spent
        else line
        for line in plan.lines
    ]
    return plan._replace(lines=tuple(lines))


def is_kept(step: StepRecord) -> bool:
    """True if a normal resume answers the step from its record."""
    return step.is_settled or (step.status is StepStatus.CANCELLED and step.handled is not None)


def keep_cancelled(steps: Sequence[StepRecord]) -> list[StepRecord]:
    """The records, where a step that `fail_fast` stopped stays as it is if its failure was taken: the block around has
    counted it. Its failure is that of the nearest block around both."""
    stopped = [step for step in steps if step.status is StepStatus.CANCELLED and step.skip_reason == "fail_fast"]
    if not stopped:
        return list(steps)
    failed = [step for step in steps if step.status in _BAD and step.handled != "continue"]
    kept = {step.path for step in stopped if _was_taken(step, failed)}
    return [replace(step, handled="min_success") if step.path in kept else step for step in steps]


def _was_taken(step: StepRecord, failed: Collection[StepRecord]) -> bool:
    depths = [(_shared(step.path, one.path), one) for one in failed]
    deepest = max((depth for depth, _ in depths), default=0)
    return deepest > 0 and all(one.handled is not None for depth, one in depths if depth == deepest)


def _shared(one: str, other: str) -> int:
    """How many outer segments two paths have in common."""
    count = 0
    for first, second in zip(one.split("/")[:-1], other.split("/"), strict=False):
        if first != second:
            break
        count += 1
    return count


def _reads(name: str, keys: Collection[str], values: Collection[str]) -> bool:
    return name in _OF_ANY_STEP or name in values or name.partition(".")[0] in keys


# ── reasons ───────────────────────────────────────────────────────────────────────────────────────
def _settled_reason(step: StepRecord) -> str:
    match step.status:
        case StepStatus.SKIPPED:
            return "skipped" if step.skip_reason != "condition" else "skipped by its condition, which is tested again"
        case StepStatus.FAILED | StepStatus.TIMED_OUT:
            return f"{_words(step.status)}, taken by {step.handled}"
        case StepStatus.CANCELLED:
            return f"stopped, taken by {step.handled}"
        case _:
            return "completed" if step.cached_from is None else f"completed in {step.cached_from.partition('/')[0]}"


def _rerun_reason(step: StepRecord) -> str:
    match step.status:
        case StepStatus.FAILED | StepStatus.TIMED_OUT:
            return f"{_words(step.status)}: {step.error.message}" if step.error else _words(step.status)
        case StepStatus.RUNNING | StepStatus.INTERRUPTED:
            return _cut_off_reason(step)
        case StepStatus.CANCELLED:
            return f"stopped: {_STOPPED.get(step.skip_reason or '', _words(step.skip_reason or ''))}"
        case StepStatus.BACKOFF:
            return "between two attempts"
        case _:
            return _words(step.status)


def _cut_off_reason(step: StepRecord) -> str:
    if step.status is StepStatus.WAITING:
        return "waits for an answer: nobody saw how its last attempt ended"
    if step.status is StepStatus.CANCELLED:
        return "nobody has said what became of its last attempt"
    cause = "process_lost" if step.status is StepStatus.RUNNING else step.skip_reason
    if cause is None:
        return "cut off: stopped before its end"
    return f"cut off: {_LOST.get(cause, 'end not seen')}, effect {step.effect or 'read'}"


def _words(text: str) -> str:
    return text.replace("_", " ")
