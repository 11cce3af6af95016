"""What the steps of a run left behind: the table conditions and templates read, and the history of contexts.

A table can be forked for the branches of a parallel block. A fork reads its parent and writes only itself, so
branches never see each other and need no lock; `join` applies what they wrote, in the order given. Both cost only
what the branches wrote, never the length of the history.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

from runkon.frozen import record
from runkon.model.output import NO_OUTPUT, JsonValue, Output
from runkon.model.records import StepError
from runkon.model.status import StepStatus

# Names whose value the engine or the host gives: no output of a step may take their place.
ENGINE_NAMES = frozenset(
    {
        "workflow_run_id", "prior_context", "prior_contexts", "prior_output", "prior_output_file", "gate_feedback",
        "dry_run", "failed_step", "failure_reason", "retry_count", "workflow_status",
    }
)  # fmt: skip
HOST_NAMES = frozenset(
    {
        "ticket_id", "ticket_source_id", "ticket_source_type", "ticket_title", "ticket_body", "ticket_url",
        "ticket_raw_json", "repo_id", "repo_path", "repo_name", "worktree_id",
    }
)  # fmt: skip
RESERVED_NAMES = ENGINE_NAMES | HOST_NAMES


@record
class StepResult:
    """The latest end of a step. `attempts` counts those made; `iteration` is the innermost loop's, from 0. `block`
    marks the result of a whole block (`parallel`, `foreach`): it is read by its key only, it adds neither to the
    history nor to the variables."""

    key: str
    status: StepStatus
    output: Output = NO_OUTPUT
    error: StepError | None = None
    attempts: int = 1
    iteration: int = 0
    block: bool = False


class Results:
    """Step results by key; the newest in program order wins. Safe while each thread writes only its own fork and
    nobody writes a table that has open forks."""

    __slots__ = ("_child", "_exports", "_feedback", "_last", "_log", "_parent", "_table", "_values")

    def __init__(self, parent: Results | None = None) -> None:
        self._parent = parent
        self._table: dict[str, StepResult] = {}
        self._child: dict[str, StepResult] = {}  # results of child workflows, below everything of the run itself
        self._exports: dict[str, str] = {}
        self._log: list[StepResult] = []
        self._last: StepResult | None = None
        self._values: Mapping[str, JsonValue] | None = None
        self._feedback: str | None = None

    # ── writing ───────────────────────────────────────────────────────────────────────────────────
    def put(self, key: str, result: StepResult) -> None:
        """`result` is the newest one of `key`. A completed step also adds its context to the history and exports the
        scalar fields of its structured output as variables."""
        self._table[key] = result
        if not result.block and result.status is StepStatus.COMPLETED:
            self._remember(result)

    def adopt(self, child: Results) -> None:
        """Take over what a child workflow did: its history and variables come before what follows here; its steps
        are readable by their keys as long as no step here has that key."""
        for result in child._log:
            self._remember(replace(result, iteration=0) if result.iteration else result)
        self._child.update(child._child)
        self._child.update(child._table)

    def tell(self, result: StepResult) -> None:
        """Add the end of a block to the history, without its fields becoming variables."""
        self._log.append(result)
        self._last = result
        self._values = result.output.values or self._values

    def give_feedback(self, text: str) -> None:
        """What a person said at a gate: the variable `gate_feedback` from now on."""
        self._feedback = text

    def fork(self) -> Results:
        """A table for one branch: sees everything here, keeps what it writes to itself until it is joined."""
        return Results(self)

    def join(self, branches: Sequence[Results]) -> None:
        """Apply what forks of this table wrote, as if the branches had run one after the other in this order."""
        for branch in branches:
            self._table.update(branch._table)
            self._child.update(branch._child)
            self._exports.update(branch._exports)
            self._log.extend(branch._log)
            self._last = branch._last or self._last
            self._values = branch._values or self._values
            self._feedback = self._feedback if branch._feedback is None else branch._feedback

    def _remember(self, result: StepResult) -> None:
        self._log.append(result)
        self._last = result
        values = result.output.values
        if not values:
            return
        self._values = values
        for name, value in values.items():
            exported = _as_variable(value)
            if exported is not None and name not in RESERVED_NAMES:
                self._exports[name] = exported

    # ── reading ───────────────────────────────────────────────────────────────────────────────────
    def get(self, key: str) -> StepResult | None:
        """The newest result of `key`, or None if no such step has ended yet."""
        for table in self._chain():
            if (found := table._table.get(key)) is not None:
                return found
        for table in self._chain():
            if (found := table._child.get(key)) is not None:
                return found
        return None

    def exported(self, name: str) -> str | None:
        """The variable `name` as a step's structured output gave it last, or None."""
        for table in self._chain():
            if (found := table._exports.get(name)) is not None:
                return found
        return None

    def exported_names(self) -> frozenset[str]:
        """All names that `exported` knows."""
        return frozenset(name for table in self._chain() for name in table._exports)

    @property
    def prior_context(self) -> str:
        """The context of the step that completed last; empty before the first."""
        for table in self._chain():
            if table._last is not None:
                return table._last.output.context
        return ""

    @property
    def last(self) -> StepResult | None:
        """The step that completed last, None before the first."""
        return next((table._last for table in self._chain() if table._last is not None), None)

    @property
    def prior_values(self) -> Mapping[str, JsonValue] | None:
        """The newest structured output that is not empty; None before the first."""
        for table in self._chain():
            if table._values is not None:
                return table._values
        return None

    @property
    def own_values(self) -> Mapping[str, JsonValue] | None:
        """The newest structured output of steps that wrote this very table; None before the first."""
        return self._values

    @property
    def feedback(self) -> str | None:
        """What was said at the last gate that was told anything, or None."""
        for table in self._chain():
            if table._feedback is not None:
                return table._feedback
        return None

    def history(self) -> Iterator[StepResult]:
        """The completed steps, oldest first."""
        for table in reversed(tuple(self._chain())):
            yield from table._log

    def _chain(self) -> Iterator[Results]:
        """This table and those it was forked from: as many as blocks are nested, however long the run."""
        table: Results | None = self
        while table is not None:
            yield table
            table = table._parent


def _as_variable(value: JsonValue) -> str | None:
    """A scalar as the text of a variable; None for what is not exported."""
    match value:
        case str():
            return value
        case bool():
            return "true" if value else "false"
        case int() | float():
            return repr(value)
        case _:
            return None
