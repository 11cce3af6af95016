"""The decisions of a test: who answers which gate, and when. Time goes on to the next decision or deadline."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Protocol

from runkon.engine.gate_terms import needed
from runkon.errors import UserError
from runkon.language.case_nodes import Case, CaseBlock
from runkon.language.diagnostics import Diagnostic, Severity
from runkon.language.program import CheckedWorkflow
from runkon.model.decisions import APPROVED, NEEDED, REJECTED, SELECTED, VALUES
from runkon.model.ids import RunID
from runkon.model.output import JsonValue
from runkon.model.ports import RunStore
from runkon.model.records import GateAnswer, GateRecord
from runkon.testing.cases.checking import gates_of
from runkon.testing.cases.forms import filled_in, is_rejected
from runkon.testing.cases.values import json_of, seconds_of
from runkon.testing.clock import FakeClock

SOMEBODY = "test"


class Found(Protocol):
    """The workflow of a test, and the folder its runs work in."""

    @property
    def program(self) -> CheckedWorkflow: ...
    @property
    def root(self) -> Path: ...
    @property
    def roots(self) -> tuple[Path, ...]: ...


class Decisions:
    """The `decide` blocks of one test, each given once: several for one gate serve its visits, or its approvers, in
    turn."""

    def __init__(self, case: Case, found: Found, store: RunStore, run: RunID, clock: FakeClock) -> None:
        program = found.program
        self._values = {
            block.span: filled_in(block, program, found.roots or (found.root,)) for block in case.blocks("decide")
        }
        self._needed = {gate.key: needed(gate) for gate in gates_of(program)}
        self._left = list(case.blocks("decide"))
        self._store = store
        self._run = run
        self._clock = clock

    def next_one(self) -> bool:
        """Move time to what comes first, a decision or a deadline, and decide. False if nothing will come."""
        open_gates = [gate for gate in self._store.gates(self._run) if gate.decision is None]
        due = [(self._due(gate, block), gate, block) for gate in open_gates if (block := self._for(gate)) is not None]
        deadlines = [gate.deadline_at for gate in open_gates if gate.deadline_at is not None]
        if not due and not deadlines:
            return False
        first = min(due, key=lambda one: one[0], default=None)
        if first is None or (deadlines and min(deadlines) <= first[0]):
            self._go_to(min(deadlines))
            return True
        at, gate, block = first
        self._go_to(at)
        self._left.remove(block)
        try:
            self._store.answer_gate(self._answer(gate, block))
        except UserError as error:
            if error.code != "gate-decided":
                raise
        return True

    def unused(self, help: str | None) -> Iterator[Diagnostic]:
        """What was never asked for; the first says `help`."""
        opened = {name for gate in self._store.gates(self._run) for name in _names(gate)}
        for block in self._left:
            why = "it had its decision before" if block.name in opened else "it was never open"
            message = f"expected `{block.name}` to wait for this decision"
            yield Diagnostic("expectation-failed", Severity.ERROR, message, block.name_span, label=why, help=help)
            help = None

    def _for(self, gate: GateRecord) -> CaseBlock | None:
        names = _names(gate)
        return next((block for block in self._left if block.name in names), None)

    def _due(self, gate: GateRecord, block: CaseBlock) -> int:
        after = block.entry("after")
        seconds = None if after is None else seconds_of(after.value)
        return gate.opened_at + round((seconds or 0.0) * 1000)

    def _go_to(self, at: int) -> None:
        self._clock.advance(max(0, at - self._clock.now_ms()) / 1000)

    def _answer(self, gate: GateRecord, block: CaseBlock) -> GateAnswer:
        people = self._needed.get(gate.name, 1)
        now, values = self._clock.now_ms(), self._values[block.span]
        return _said(block, values, self._run, gate.name, gate.occurrence, people, now)


def early_decisions(case: Case, program: CheckedWorkflow, root: Path, run: RunID, at: int) -> Iterator[GateAnswer]:
    """The decisions of a test as answers to gates that are not open yet, given at the instant `at`. Several for one
    gate serve its openings, or its approvers, in turn; how long they take does not count."""
    people = {gate.key: needed(gate) for gate in gates_of(program)}
    numbers: Counter[str] = Counter()
    for block in case.blocks("decide"):
        name, _, number = str(block.name).rpartition("/")[2].partition("#")
        occurrence = int(number) if number.isdigit() else numbers[name] // max(1, people.get(name, 1)) + 1
        numbers[name] += 1
        values = filled_in(block, program, (root,))
        yield _said(block, values, run, name, occurrence, people.get(name, 1), at)


def _said(
    block: CaseBlock, values: Mapping[str, JsonValue], run: RunID, gate: str, occurrence: int, people: int, at: int
) -> GateAnswer:
    """What a `decide` block says about one opening of a gate that needs so many people."""
    said: dict[str, JsonValue] = {entry.name: json_of(entry.value) for entry in block.written}
    form: dict[str, JsonValue] = {NEEDED: people}
    if values:
        form[VALUES] = dict(values)
    if "select" in said:
        form[SELECTED] = said["select"] if isinstance(said["select"], list) else [said["select"]]
    return GateAnswer(
        run=run,
        gate=gate,
        choice=REJECTED if is_rejected(block) else APPROVED,
        by=str(said.get("by", SOMEBODY)),
        via="test",
        at=at,
        occurrence=occurrence,
        reason=str(said.get("reason", "")),
        form=form,
    )


def _names(gate: GateRecord) -> tuple[str, ...]:
    """What a test may call an open gate: by key, by path, by its number."""
    return gate.name, str(gate.path), f"{gate.name}#{gate.occurrence}"
