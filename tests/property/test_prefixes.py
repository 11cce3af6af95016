"""Any beginning of a run's events, written to a store by an engine that then died, is resumed to the same end."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from random import Random

import pytest

from runkon.engine.config import RunConfig
from runkon.engine.runner import Runner
from runkon.model.events import Envelope, RunCreated
from runkon.model.fold import RunState, fold
from runkon.model.ids import RunID
from runkon.model.ports import RunStore
from runkon.model.records import GateAnswer
from runkon.model.status import TERMINAL_RUN, RunStatus
from runkon.store.memory import MemoryRunStore
from runkon.store.sqlite import SqliteRunStore

from ..crash.picture import differences, picture, rows_against
from .generated_runs import Generated, PathAnswers, runnable

SEEDS = range(2400)
PREFIXES = 10  # of each program at most
DEAD = "nowhere 0 1 1 0"  # a holder that no process is


def tell(store: RunStore, envelopes: Sequence[Envelope], sizes: Sequence[int] = (1,)) -> RunID:
    """Write `envelopes` as the engines did that made them, in batches of `sizes` events, taken in turn."""
    first, *rest = envelopes
    assert isinstance(first.event, RunCreated)
    store.create(first.run, first.event, first.at)
    number = 0
    while rest:
        leg = rest[0].leg
        lease = store.acquire(first.run, f"{DEAD} {leg}", rest[0].at, 1)
        assert lease is not None
        assert lease.leg == leg, "a leg that never began"
        size = sizes[number % len(sizes)]
        batch = [one for one in rest[:size] if one.leg == leg]
        store.append(lease, batch)
        rest, number = rest[len(batch) :], number + 1
    return first.run


def go_on(store: RunStore, run: RunID, one: Generated, config: RunConfig, answers: PathAnswers) -> None:
    """Resume `run` until it has ended, answering every question with `rerun`."""
    runner = Runner(store, answers)
    for _ in range(6):
        record = store.run(run)
        assert record is not None
        if record.status in TERMINAL_RUN:
            return
        if runner.execute(run, one.program, config).status is RunStatus.WAITING:
            for gate in store.gates(run):
                if gate.decision is None:
                    store.answer_gate(GateAnswer(run, gate.name, "rerun", "tester", "cli", 1, gate.occurrence))
    raise AssertionError(f"it did not end\n{one.text}")


def whole_run(one: Generated, config: RunConfig, *, stop: int | None = None) -> tuple[MemoryRunStore, RunID]:
    store, answers = MemoryRunStore(), PathAnswers(stop)
    runner = Runner(store, answers)
    run = runner.create(one.program, one.inputs, config)
    runner.execute(run, one.program, config, answers.control)
    go_on(store, run, one, config, answers)
    return store, run


@pytest.mark.parametrize("part", range(4))
def test_every_prefix_is_resumed_to_the_same_end(part: int, tmp_path: Path) -> None:
    config = RunConfig(working_dir=tmp_path)
    resumed = 0
    for one in runnable(SEEDS[part::4]):
        if "parallel" in one.text:  # branches that race may end either way; the crash matrix has those that do not
            continue
        store, run = whole_run(one, config)
        expected, events = picture(store, run), list(store.events(run))
        random = Random(one.seed)
        for length in sorted(random.sample(range(1, len(events) + 1), min(PREFIXES, len(events)))):
            copy = MemoryRunStore(is_alive=lambda holder: not holder.startswith(DEAD))
            tell(copy, events[:length])
            answers = PathAnswers()
            go_on(copy, run, one, config, answers)
            assert differences(expected, picture(copy, run)) == [], f"after {length} events\n{one.text}"
            settled = [step.path for step in fold(events[:length]).in_order() if step.is_settled]
            again = [path for path in settled if answers.called[path] and not path.startswith("always#")]
            assert again == [], f"after {length} events\n{one.text}"
            resumed += 1
    assert resumed > 150, resumed


@pytest.mark.parametrize("kind", ["memory", "sqlite"])
def test_rows_say_what_the_events_say_however_they_were_grouped(kind: str, tmp_path: Path) -> None:
    config = RunConfig(working_dir=tmp_path)
    told = 0
    for one in runnable(range(400 if kind == "sqlite" else 1200)):
        store, run = whole_run(one, config, stop=1 + one.seed % 4)
        events = list(store.events(run))
        random = Random(one.seed)
        length = random.randint(1, len(events))
        file = tmp_path / f"{one.seed}.db"
        copy: RunStore = MemoryRunStore(is_alive=lambda _: False)
        if kind == "sqlite":
            copy = SqliteRunStore(file, durability="normal", is_alive=lambda _: False)
        tell(copy, events[:length], sizes=[random.randint(1, 6) for _ in range(5)])
        assert rows_against(copy, fold(events[:length])) == [], f"after {length} events\n{one.text}"
        copy.close()
        told += 1
    assert told > 20, told


def test_folding_a_prefix_and_then_the_rest_is_folding_all(tmp_path: Path) -> None:
    config = RunConfig(working_dir=tmp_path)
    folded = 0
    for one in runnable(range(800)):
        store, run = whole_run(one, config, stop=2)
        events = list(store.events(run))
        states: list[RunState] = []
        for length in range(len(events)):
            state = fold(events[:length])
            for envelope in events[length:]:
                state.apply(envelope)
            states.append(state)
        for state in states:
            assert (state.run, state.in_order(), state.gates) == (
                states[0].run,
                states[0].in_order(),
                states[0].gates,
            )
            folded += 1
    assert folded > 200, folded
