"""Workflows as they run, one case of data each: `<construct>/<behaviour>.wf` with what is answered and what happens.

The form of a case stands in README.md. Set RUNKON_UPDATE=1 to write the expectations from what happens now, and review
the difference.
"""

from __future__ import annotations

import json
import os
import re
import threading
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from runkon.engine.config import RunConfig
from runkon.engine.runner import Runner
from runkon.errors import UserError
from runkon.language.keys import all_statements
from runkon.language.nodes import ForEachBlock, ParallelBlock
from runkon.model.events import Event
from runkon.model.ids import RunID
from runkon.model.output import Output
from runkon.model.ports import RunStore
from runkon.model.records import GateAnswer, StepRecord
from runkon.store.memory import MemoryRunStore
from runkon.testing import FakeClock, TextRun, check_text
from runkon.testing.running import recorded

from .stage import Stage
from .trace import timeless, trace

HERE = Path(__file__).parent
NOT_RUN = ("errors", "reference", "language", "output")
CASES = sorted(
    str(path.relative_to(HERE).with_suffix("")) for path in HERE.glob("*/*.wf") if path.parent.name not in NOT_RUN
)
UPDATE = bool(os.environ.get("RUNKON_UPDATE"))
CONFIG = ("fail_fast", "dry_run", "max_parallel", "until", "model", "executors", "injected", "attends")
OTHERS = ("providers", "resolvers")
OPTIONS = {*CONFIG, "files", "metered", "time", "at_once", "count", "legs", "decide", "sweep", *OTHERS}
STEADY = {
    "fail_fast",
    "sweep",
    "decide",
    "count",
    "files",
    *OTHERS,
}  # options that leave a case as it is when it is cut


class Case:
    """The files of one case, and one run of it on a stage of its own."""

    def __init__(self, name: str, folder: Path) -> None:
        self.path = HERE / name
        self.text = self.sibling(".wf").read_text("utf-8")
        self.answers = self.json(".answers.json")
        self.inputs = self.json(".inputs.json")
        self.options = self.json(".options.json")
        unknown = set(self.options) - OPTIONS
        assert not unknown, f"{name}: no such option: {unknown}"
        self.config = RunConfig(working_dir=folder, kill_grace=0.5)
        self.config = replace(self.config, **{key: self.options[key] for key in CONFIG if key in self.options})
        for file, text in self.options.get("files", {}).items():
            path = folder / file
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
            path.chmod(0o755)
        self.stage = self.new_stage()
        self.legs = 1

    def new_stage(self) -> Stage:
        told = {key: self.options.get(key, {}) for key in OTHERS}
        return Stage(self.answers, metered=self.options.get("metered", ()), **told)

    def sibling(self, suffix: str) -> Path:
        return self.path.with_name(self.path.name + suffix)

    def json(self, suffix: str) -> dict[str, Any]:
        file = self.sibling(suffix)
        return json.loads(file.read_text("utf-8")) if file.exists() else {}

    def play(self) -> TextRun:
        """All legs: the first, and as many resumes as the case asks for."""
        moves = self.options.get("time")
        done = self.leg() if moves is None else self.timed_leg(moves)
        for _ in range(1, self.options.get("legs", 1)):
            done = self.resumed(done)
        return done

    def leg(self, clock: FakeClock | None = None) -> TextRun:
        store, program = MemoryRunStore(), check_text(self.text)
        runner = self.runner(store, clock)
        run = runner.create(program, self.inputs, self.config)
        self.decide(store, run, 1)
        return recorded(runner.execute(run, program, self.config, self.stage.control), store, program)

    def runner(self, store: RunStore, clock: FakeClock | None = None) -> Runner:
        stage = self.stage
        return Runner(store, stage, sinks=[stage], clock=clock, providers=stage.providers, resolvers=stage.resolvers)

    def decide(self, store: RunStore, run: RunID, leg: int) -> None:
        """Give the answers to gates that are there before this leg begins."""
        for at, one in enumerate(self.options.get("decide", {}).get(str(leg), ())):
            store.answer_gate(GateAnswer(run=run, via="api", at=1_000 * leg + at, **one))

    def resumed(self, before: TextRun) -> TextRun:
        """One more leg, on a new stage as after a new start of the program: only the answers used up stay so."""
        stage = self.new_stage()
        stage.scripted = self.stage.scripted
        self.stage = stage
        self.legs += 1
        self.decide(before.store, before.record.id, self.legs)
        config = replace(self.config, until=None)
        record = self.runner(before.store).execute(before.record.id, before.program, config, stage.control)
        return recorded(record, before.store, before.program)

    def timed_leg(self, moves: Sequence[Mapping[str, float]]) -> TextRun:
        """A leg in virtual time: each move waits for so many calls and for a timer, then lets time pass."""
        clock = FakeClock()
        ended: list[TextRun | BaseException] = []

        def run() -> None:
            try:
                ended.append(self.leg(clock))
            except BaseException as error:
                ended.append(error)

        thread = threading.Thread(target=run, daemon=True)
        thread.start()
        for move in moves:
            self.stage.scripted.wait_for_calls(int(move.get("calls", 0)))
            clock.wait_for_timer(move["timer"])
            clock.advance(move["timer"] - clock.monotonic())
        thread.join(60)
        assert ended, "the run did not end"
        if isinstance(ended[0], BaseException):
            raise ended[0]
        return ended[0]

    # ── what was expected ─────────────────────────────────────────────────────────────────────────
    def compare(self, suffix: str, found: str) -> None:
        file = self.sibling(suffix)
        if UPDATE and found:
            file.write_text(found, encoding="utf-8")
        elif UPDATE:
            file.unlink(missing_ok=True)
        assert found == (file.read_text("utf-8") if file.exists() else "")


def blocks_of(done: TextRun) -> frozenset[str]:
    """The names of the blocks with parts that run at the same time, in the workflow and in those it calls."""
    found: set[str] = set()
    programs = [done.program]
    for program in programs:
        programs += program.children.values()
        for each in all_statements(program.workflow):
            if isinstance(each, ParallelBlock) and each.name:
                found.add(each.name)
            elif isinstance(each, ForEachBlock) and each.max_parallel > 1:
                found.add(each.key)
    return frozenset(found)


@pytest.mark.parametrize("name", CASES)
def test_a_workflow_runs_as_its_case_says(name: str, tmp_path: Path) -> None:
    case = Case(name, tmp_path)
    try:
        done = case.play()
    except UserError as error:
        case.compare(".status", f"refused {error.code}\n")
        assert all(part in error.message for part in case.json(".says.json").get("", ()))
        return
    record = done.record
    reason = f" {record.reason}" if record.reason and record.status == "failed" else ""
    case.compare(".status", f"{record.status}{reason}\n")
    case.compare(".outputs.json", json.dumps(dict(record.outputs), indent=2) + "\n" if record.outputs else "")
    case.compare(".events", trace(done.events, blocks_of(done)))
    says(case, done)
    if "at_once" in case.options:
        assert case.stage.most == case.options["at_once"]
    if "count" in case.options:
        assert len(case.stage.scripted.calls) == case.options["count"]


def says(case: Case, done: TextRun) -> None:
    """`.says.json`: what the words for people must hold, by path; the run's own under the empty path."""
    for path, parts in case.json(".says.json").items():
        if path:
            step = done.step(path)
            text = f"{step.error.message if step.error else ''} {step.skip_reason or ''}"
        else:
            text = done.record.error or ""
        assert [part for part in parts if part not in text] == [], text


# ── interrupted anywhere ──────────────────────────────────────────────────────────────────────────
def lists(value: object) -> bool:
    return isinstance(value, list) or (isinstance(value, dict) and any(key.startswith("$") for key in value))


def can_be_cut(name: str) -> bool:
    """True for cases whose answers do not depend on how often they were asked for, and that need no clock."""
    answers = HERE / f"{name}.answers.json"
    options = HERE / f"{name}.options.json"
    given = json.loads(options.read_text("utf-8")) if options.exists() else {}
    if name.startswith("limits/"):  # an attempt that was cut off has used up its part
        return False
    if set(given) - STEADY or set(given.get("decide", ())) - {"1"}:
        return False
    if (HERE / f"{name}.status").read_text("utf-8").startswith(("refused", "interrupted", "cancelled")):
        return False
    given = json.loads(answers.read_text("utf-8")) if answers.exists() else {}
    return not any(lists(value) for value in given.values())


@pytest.mark.parametrize("name", [name for name in CASES if not UPDATE and can_be_cut(name)])
def test_interrupted_anywhere_it_ends_as_if_it_had_not_been(name: str, tmp_path: Path) -> None:
    whole = Case(name, tmp_path).play()
    for number in range(2, len(whole.events) + 1):
        folder = tmp_path / str(number)
        folder.mkdir()
        case = Case(name, folder)
        case.stage.interrupt_at = number
        done = case.leg()
        if done.record.status == "interrupted":
            done = case.resumed(done)
        where = f"interrupted at event {number} of {name}"
        assert (done.record.status, done.record.reason) == (whole.record.status, whole.record.reason), where
        assert done.record.outputs == whole.record.outputs, where
        assert facts_of(done.steps) == facts_of(whole.steps), where
        assert repeated(done.events) == [], where


def facts_of(steps: Sequence[StepRecord]) -> list[tuple[object, ...]]:
    """What a step came to, apart from when, in which leg, and how often it was cut off."""
    body = [step for step in steps if not re.search(r"(^|/)always#", str(step.path))]
    return [(s.path, s.info.key, s.status, s.handled, output_of(s), error_of(s), s.skip_reason) for s in body]


def output_of(step: StepRecord) -> Output:
    return replace(step.output, values=timeless(step.output))


def error_of(step: StepRecord) -> tuple[str, str] | None:
    """Its error; what a block says of how many attempts a step below had is left out."""
    error = step.error
    return None if error is None else (error.kind, re.sub(r" after \d+ attempts", "", error.message))


def repeated(events: Sequence[Event]) -> list[str]:
    """Paths that were started again after they had completed."""
    completed: set[str] = set()
    again = []
    for event in events:
        path = str(getattr(event, "path", ""))
        if event.kind == "step_completed":
            completed.add(path)
        elif event.kind == "attempt_started" and path in completed:
            again.append(path)
    return again


# ── the data itself ───────────────────────────────────────────────────────────────────────────────
def test_every_expectation_belongs_to_a_case() -> None:
    known = (
        ".wf",
        ".answers.json",
        ".inputs.json",
        ".options.json",
        ".says.json",
        ".events",
        ".status",
        ".outputs.json",
    )
    names = {HERE / name for name in CASES}
    folders = {path.parent for path in names}
    strays = [
        str(file.relative_to(HERE))
        for folder in folders
        for file in folder.iterdir()
        if not any(file.name.endswith(s) and file.with_name(file.name.removesuffix(s)) in names for s in known)
    ]
    assert strays == []
