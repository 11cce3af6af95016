"""What a construct receives: the scope of one walk, and the leg it belongs to.

A step that fails calls `Scope.fail`, which raises `BodyFailed` when the run stops at the first failure and else keeps
it for the end of the walk.
"""

from __future__ import annotations

import threading
from bisect import bisect_left
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

from runkon.engine.always_grace import AlwaysGrace
from runkon.engine.cancellation import FINAL, UNTIL, CancelReason, Token
from runkon.engine.ends import BodyFailed, Failure, Stopped
from runkon.engine.scheduler import Grace
from runkon.errors import EXIT_ENVIRONMENT, UserError
from runkon.model.events import ChoiceMade, Event, Note, RunCancelled, RunCompleted, StepCancelled, StepSkipped
from runkon.model.gates import UNDECIDED, is_undecided
from runkon.model.ids import RunID, StepPath
from runkon.model.log_names import log_name

if TYPE_CHECKING:
    from runkon.engine.conditions import Choice
    from runkon.engine.config import RunConfig
    from runkon.engine.environment import Environment, RunFacts
    from runkon.engine.gate_terms import Decided
    from runkon.engine.plan import ChildBodies, Planned
    from runkon.engine.results import StepResult
    from runkon.engine.resume import Beginning
    from runkon.engine.scheduler import Pool, Slots, Strand
    from runkon.engine.trees import Trees
    from runkon.model.agents import AgentCall
    from runkon.model.output import Output
    from runkon.model.ports import ActionExecutor, Clock, Executors, Recorder
    from runkon.model.records import StepInfo, StepRecord
    from runkon.model.state import Reducer
    from runkon.model.worktrees import Worktrees

    SettleUnseen: TypeAlias = Callable[..., StepResult | None]  # (attempts): its result, None if it may be attempted
    DecideGate: TypeAlias = Callable[..., Decided]  # (node, scope, path, info): may raise Waits
    DeadlineOf: TypeAlias = Callable[[StepPath], int | None]
    Withdraw: TypeAlias = Callable[[frozenset[StepPath], CancelReason], None]


class Leg:
    """One tenure of a run: everything that is the same for all its steps."""

    _trees: Trees | None = None  # once somebody asks

    def __init__(
        self,
        *,
        run: RunID,
        workflow: str,
        number: int,
        config: RunConfig,
        fail_fast: bool,
        recorder: Recorder,
        executors: Executors,
        clock: Clock,
        begun: Beginning,
        slots: Slots,
        pool: Pool,
        body_token: Token,
        secrets: Mapping[str, str],
        progress: Callable[[StepPath, str], None] | None,
    ) -> None:
        self.run = run
        self.workflow = workflow
        self.number = number
        self.config = config
        self.fail_fast = fail_fast
        self.recorder = recorder
        self.clock = clock
        self.recorded = begun.recorded
        self.choices, self.looks_again, self.takes_edits = begun.choices, begun.looks_again, begun.takes_edits
        self.visited: set[StepPath] = set()  # what the walk has come by, for a leg that looks again
        self.failed_before = begun.failed_before
        self.retried = dict(begun.retried)
        self.ledger = begun.ledger
        self.metered: set[StepPath] = set()  # steps whose last attempt costs money
        self.slots = slots
        self.pool = pool
        self.body_token = body_token
        self.secrets = secrets
        self.progress = progress
        self.settle_unseen: SettleUnseen | None = None  # where steps are in question: what follows for one of them
        self.withdraw: Withdraw | None = None  # its question, because its block needs it no more
        self.decide_gate: DecideGate | None = None
        self.deadline_of: DeadlineOf | None = None  # of a gate that an earlier leg has opened
        self.items, self.past = begun.items, begun.past
        self.until = config.until
        self.calls: list[StepPath] = []  # of workflows, kept where the run is to stop at a step
        self.planned: dict[int, ChildBodies] = {}  # called workflows whose places are known when they run
        self.always_token = Token(clock)  # of what is done at an end, whatever stops the body
        self.always = AlwaysGrace(clock, config.always_grace)
        self.read_steps: Callable[[], Sequence[StepRecord]] = tuple  # what is on record now
        self._below: list[StepPath] = []
        self.failed_at: frozenset[StepPath] = frozenset()  # what of the step to stop after has failed, and is not taken
        self.grace = Grace(clock, config.kill_grace)
        self._once = threading.Lock()
        self.mark = ""  # what begins the mark of processes; a number for each attempt ends it
        self.attempts = count()
        self.has_processes = False  # an attempt has told of one
        self.has_given_up = False  # a call that may have started some has not come back
        self.exhausted: dict[str, str] = {}  # who failed for good in this leg or can't be called, and why
        self._executors = executors
        self._found: dict[str, ActionExecutor | None] = {}
        self._log_dir = None if config.log_dir is None else config.log_dir / run

    def executor(self, name: str) -> ActionExecutor | None:
        """The executor of that name, looked up once per leg."""
        try:
            return self._found[name]
        except KeyError:
            found = self._found[name] = self._executors.find(name)
            return found

    @property
    def find_agent(self) -> Callable[[AgentCall], ActionExecutor] | None:
        """Finds who carries out an agent file, where anybody can."""
        return getattr(self._executors, "agent", None)

    @property
    def cached_call(self) -> Callable[[StepPath], tuple[Output, str] | None] | None:
        """In a replay: finds the calls of workflows that were answered from the cache."""
        return getattr(self._executors, "cached_call", None)

    def keep_agent(self, key: str, call: AgentCall) -> None:
        """Have the executor behind `call` found under `key` from now on. Raises AgentRefused if there is none."""
        if self._found.get(key) is None:
            assert self.find_agent is not None
            self._found[key] = self.find_agent(call)

    @property
    def trees(self) -> Trees | None:
        """The worktrees of this leg; None where nobody makes any: in tests of workflows, replays and dry runs."""
        git: Worktrees | None = getattr(self._executors, "worktrees", None)
        if git is None or self.past is None or self.config.dry_run:
            return None
        from runkon.engine.trees import Trees, told_of  # late: few workflows have them

        with self._once:
            if self._trees is None:
                self._trees = Trees(git, self.config, partial(told_of, self.past, self.run))
        return self._trees

    def end_trees(self, end: Event) -> None:
        """Remove the worktrees that nothing will need after this end of the leg, and tell of those that a run leaves
        which can't go on."""
        if self._trees is None or not isinstance(end, RunCompleted | RunCancelled):
            return
        left = self._trees.end(self.run, is_completed=isinstance(end, RunCompleted))
        if left:
            text = f"worktrees with changes that are not merged are left: {', '.join(left)}"
            self.recorder.append(Note(level="warning", code="worktrees-left", text=text))

    def reducer(self, name: str) -> Reducer | None:
        """The reducer of that name that a plugin brought."""
        find = getattr(self._executors, "reducer", None)
        found: Reducer | None = None if find is None else find(name)
        return found

    def log_path(self, path: StepPath) -> Path | None:
        """The file an executor may keep the step's raw output in; nothing is created here."""
        return None if self._log_dir is None else self._log_dir / log_name(path)

    def epoch_of(self, path: StepPath) -> int:
        """The epoch of a step's current record."""
        record = self.recorded.get(path)
        return 1 if record is None else record.epoch

    def below(self, path: StepPath) -> list[StepPath]:
        """The paths of records that earlier attempts and legs left inside of a block."""
        if not self.recorded:
            return []
        if len(self._below) != len(self.recorded):
            self._below = sorted(self.recorded)
        known, prefix = self._below, f"{path}/"
        return known[bisect_left(known, prefix) : bisect_left(known, f"{path}0")]  # `0` comes right after `/`

    def rounds_of(self, path: StepPath) -> list[StepPath]:
        """The same for the rounds of a loop, or the items of a `foreach`."""
        self.below(path)
        known = self._below if self.recorded else []
        return known[bisect_left(known, f"{path}[") : bisect_left(known, f"{path}\\")]  # comes right after `[`

    def add_secrets(self, secrets: Mapping[str, str]) -> None:
        """What was given as text for a secret of a called workflow is one for the whole run."""
        self.secrets = {**self.secrets, **secrets}

    def ended(self, key: str, path: StepPath) -> None:
        """Stops the run if this is the step or named block it was to stop after."""
        if self.until is not None and self._stops_at(key, path):
            self.body_token.cancel(UNTIL)

    def ended_badly(self, key: str, path: StepPath, failure: Failure) -> None:
        """Remembers that the step or named block to stop after has failed: the run stops once somebody takes that."""
        if self.until is not None and self._stops_at(key, path):
            self.failed_at = frozenset((failure.path, *failure.paths))

    def _stops_at(self, key: str, path: StepPath) -> bool:
        """A key means a step of the run's own file; inside a called workflow only paths are names."""
        if self.until == key:
            return not any(path.startswith(f"{call}/") for call in self.calls)
        return self.until == path

    def taken(self, failure: Failure) -> None:
        """A failure counts as settled: stops the run if it is that of the step to stop after."""
        if self.failed_at and not self.failed_at.isdisjoint((failure.path, *failure.paths)):
            self.body_token.cancel(UNTIL)


class Scope:
    """One walk of statements: where it is, what it sees, what stops it, and what failed in it."""

    __slots__ = ("env", "failures", "iteration", "leg", "order", "prefix", "strand", "token")

    def __init__(
        self,
        leg: Leg,
        env: Environment,
        token: Token,
        strand: Strand,
        *,
        prefix: str = "",
        order: str = "",
        iteration: int = 0,
        failures: list[Failure] | None = None,
    ) -> None:
        self.leg = leg
        self.env = env
        self.token = token
        self.strand = strand
        self.prefix = prefix
        self.order = order
        self.iteration = iteration
        self.failures = failures if failures is not None else []

    def inside(self, prefix: str, order: str, iteration: int) -> Scope:
        """The same walk, deeper: a named block or a round of a loop."""
        return Scope(
            self.leg,
            self.env,
            self.token,
            self.strand,
            prefix=prefix,
            order=order,
            iteration=iteration,
            failures=self.failures,
        )

    def with_env(self, env: Environment) -> Scope:
        """The same place, seeing other variables; failures are its own."""
        return Scope(
            self.leg, env, self.token, self.strand, prefix=self.prefix, order=self.order, iteration=self.iteration
        )

    def on(self, strand: Strand, env: Environment, token: Token) -> Scope:
        """The same place, walked by somebody else; failures are its own."""
        return Scope(self.leg, env, token, strand, prefix=self.prefix, order=self.order, iteration=self.iteration)

    def with_facts(self, facts: RunFacts) -> Scope:
        """The same walk at the same place, run elsewhere."""
        env = self.env.with_facts(facts)
        return Scope(
            self.leg,
            env,
            self.token,
            self.strand,
            prefix=self.prefix,
            order=self.order,
            iteration=self.iteration,
            failures=self.failures,
        )

    # ── places ────────────────────────────────────────────────────────────────────────────────────
    def path_of(self, planned: Planned) -> StepPath:
        return planned.path if planned.path is not None else StepPath(self.prefix + planned.segment)

    def order_of(self, planned: Planned) -> str:
        return planned.static_order if planned.static_order is not None else self.order + planned.order

    def info_of(self, planned: Planned) -> StepInfo:
        return planned.info if planned.info is not None else planned.info_at(self.order_of(planned), self.iteration)

    # ── ends ──────────────────────────────────────────────────────────────────────────────────────
    def check(self) -> None:
        """Raises `Stopped` once this scope is cancelled: before every statement, attempt, round and slot."""
        if self.token.reason is not None:
            raise Stopped(self.token.reason)

    def fail(self, failure: Failure) -> None:
        """Something failed and nobody took it: the walk ends, or goes on to its end where the run is told to. It ends
        at the step that the run was to stop after."""
        self.failures.append(failure)
        if self.leg.fail_fast or not self.leg.failed_at.isdisjoint((failure.path, *failure.paths)):
            raise BodyFailed(failure)

    # ── records that belong to no attempt ─────────────────────────────────────────────────────────
    def chose(self, path: StepPath, construct: str, choice: Choice, *, result: bool) -> None:
        """Keep why a condition came out as it did; it becomes durable with the step it leads to."""
        if self.leg.choices:
            self.leg.choices.check(path, construct, choice, result=result)
        if self.token.is_recall:  # it is on record
            return
        self.leg.recorder.append(
            ChoiceMade(path=path, construct=construct, text=choice.text, operands=choice.operands, result=result)
        )

    def never_ran(self, planned: Planned, reason: CancelReason) -> None:
        """Record a statement that was not begun because its block or run ended for good; a pause leaves no trace."""
        path = self.path_of(planned)
        record = self.leg.recorded.get(path)
        self.leg.visited.add(path)
        if (
            not planned.kind
            or reason.kind not in FINAL
            or (record is not None and (record.is_settled or record.handled is not None))
        ):
            return
        event = StepSkipped if reason.kind in ("until_reached", "always_grace") else StepCancelled
        is_open = event is StepCancelled and record is not None and is_undecided(record)
        why = UNDECIDED if is_open else reason.kind  # it is still to be asked about when it is wanted again
        epoch = self.leg.epoch_of(path)
        self.leg.recorder.append(event(path=path, reason=why, info=self.info_of(planned), epoch=epoch))


def replay_mismatch(path: StepPath, recorded: StepInfo, found_kind: str, found_name: str) -> UserError:
    """The error for a workflow that has another step where the record has one."""
    return UserError(
        "replay-mismatch",
        f"the record has {recorded.kind} `{recorded.name}` at `{path}`, the workflow has {found_kind} `{found_name}`",
        help="continue with the workflow the run was started with, or start a new run",
        exit_code=EXIT_ENVIRONMENT,
    )
