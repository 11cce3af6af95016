"""Two or three engines over one store, with clocks that jump, pauses and thefts: one of them may write, and no step is
carried out after it was settled."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from random import Random

import pytest

from runkon.errors import LeaseLost, UserError
from runkon.model import events as ev
from runkon.model.events import Envelope, Event, RunCreated
from runkon.model.fold import RunState, fold
from runkon.model.ids import RunID, StepPath, new_run_id
from runkon.model.ports import RunStore
from runkon.model.records import Lease
from runkon.model.status import TERMINAL_RUN, StepStatus
from runkon.store.memory import MemoryRunStore
from runkon.store.sqlite import SqliteRunStore
from runkon.testing.store_story import SOURCES, START_MS, completed, started

from ..crash.picture import rows_against

TTL_MS = 30_000
PATHS = tuple(StepPath(f"s{number}") for number in range(6))
Judge = Callable[[str], bool | None]


@dataclass
class Engine:
    """What one engine believes: its lease, and the record as it was when it took the run or last wrote."""

    name: str
    lives: int = 1
    ahead: int = 0  # milliseconds its clock is ahead of the true time
    lease: Lease | None = None
    state: RunState = field(default_factory=RunState)

    @property
    def holder(self) -> str:
        return f"{self.name}-{self.lives}"


class World:
    """The store, the engines and the true time; each step of `play` is one thing that one engine does."""

    def __init__(self, make: Callable[[Judge], RunStore], seed: int, engines: int) -> None:
        self.random = Random(seed)
        self.now = START_MS
        self.engines = [Engine(f"engine{number}") for number in range(engines)]
        self.store = make(self._judge)
        self.run: RunID = new_run_id()
        self.store.create(self.run, RunCreated(workflow="w", sources=SOURCES, inputs={}, config={}), self.now)
        self.executed: Counter[StepPath] = Counter()
        self.settled: set[StepPath] = set()
        self.refused = self.taken = 0

    def _judge(self, holder: str) -> bool | None:
        """Some holders are provably dead, of the others nothing is known: only then does the clock decide."""
        known = {engine.holder for engine in self.engines}
        return None if holder in known else False

    def play(self, turns: int) -> None:
        for _ in range(turns):
            engine = self.random.choice(self.engines)
            self.random.choices(
                (self._work, self._take, self._extend, self._wait, self._jump, self._die, self._steal),
                weights=(60, 12, 8, 8, 4, 4, 4),
            )[0](engine)
            self._check()

    # ── what an engine does ───────────────────────────────────────────────────────────────────────
    def _take(self, engine: Engine) -> None:
        lease = self.store.acquire(self.run, engine.holder, self.now + engine.ahead, TTL_MS)
        if lease is None or (engine.lease is not None and lease.fence == engine.lease.fence):
            return
        self.taken += 1
        engine.lease, engine.state = lease, fold(self.store.events(self.run))
        if engine.state.run.status in TERMINAL_RUN:
            self.store.append(lease, (), release=True)
            engine.lease = None
            return
        cut = [
            ev.AttemptCutOff(
                path=step.path, number=step.attempts - 1, certainty="unknown", cause="process_lost", epoch=step.epoch
            )
            for step in engine.state.in_order()
            if step.status is StepStatus.RUNNING
        ]
        first = engine.state.run.started_at is None
        begun: Event = (
            ev.RunStarted(owner=engine.holder) if first else ev.RunResumed(owner=engine.holder, reused=0, rerun=0)
        )
        self._write(engine, *cut, begun)

    def _extend(self, engine: Engine) -> None:
        if engine.lease is not None:
            kept = self.store.extend(engine.lease, self.now + engine.ahead, TTL_MS)
            assert (kept is not None) == self._is_owner(engine)
            engine.lease = kept

    def _work(self, engine: Engine) -> None:
        """The next thing a leg would write: the end of its open attempt, another beginning, or the end of the run."""
        if engine.lease is None or engine.lease.leg != engine.state.run.leg:
            return
        steps = engine.state.steps
        opened = [path for path, step in steps.items() if step.status is StepStatus.RUNNING]
        if opened and self.random.random() < 0.7:
            path = self.random.choice(opened)
            if self._write(engine, completed(path)):
                assert path not in self.settled
                self.settled.add(path)
            return
        missing = [path for path in PATHS if path not in opened and not (path in steps and steps[path].is_settled)]
        if missing:
            path = missing[0]
            number = steps[path].attempts if path in steps else 0
            if self._write(engine, started(path, number, order=PATHS.index(path))):
                assert path not in self.settled, f"`{path}` was carried out again after it was settled"
                self.executed[path] += 1
        elif not opened and self._write(engine, ev.RunCompleted(outputs={}), release=True):
            engine.lease = None

    def _wait(self, engine: Engine) -> None:
        self.now += self.random.choice((1, 100, TTL_MS // 2, 2 * TTL_MS))

    def _jump(self, engine: Engine) -> None:
        engine.ahead = self.random.choice((-3_600_000, -TTL_MS, 0, TTL_MS, 3_600_000))

    def _die(self, engine: Engine) -> None:
        """Killed: it forgets all, and whoever asks can prove its last life over."""
        engine.lives += 1
        engine.lease, engine.state = None, RunState()

    def _steal(self, engine: Engine) -> None:
        """Somebody takes the run whose clock is far ahead, whoever holds it."""
        ahead, engine.ahead = engine.ahead, 10 * TTL_MS
        self._take(engine)
        engine.ahead = ahead

    def _write(self, engine: Engine, *events: Event, release: bool = False) -> bool:
        """Append as `engine`; a fenced-out engine changes nothing and gives up."""
        assert engine.lease is not None
        owns, before = self._is_owner(engine), self._everything()
        at, seq = self.now + engine.ahead, engine.state.run.seq
        lease = engine.lease
        batch = [Envelope(self.run, seq + n, at, lease.leg, lease.fence, event) for n, event in enumerate(events, 1)]
        try:
            self.store.append(lease, batch, release=release)
        except (LeaseLost, UserError):
            self.refused += 1
            assert not owns, f"{engine.holder} holds the run and was refused"
            assert self._everything() == before
            engine.lease = None
            return False
        assert owns, f"{engine.holder} wrote without holding the run"
        for envelope in batch:
            engine.state.apply(envelope)
        return True

    # ── what has to be true ───────────────────────────────────────────────────────────────────────
    def _is_owner(self, engine: Engine) -> bool:
        record = self.store.run(self.run)
        assert record is not None
        return engine.lease is not None and (record.fence, record.holder) == (engine.lease.fence, engine.lease.holder)

    def _everything(self) -> object:
        return self.store.run(self.run), list(self.store.steps(self.run)), list(self.store.events(self.run))

    def _check(self) -> None:
        assert sum(self._is_owner(engine) for engine in self.engines) <= 1
        events = list(self.store.events(self.run))
        fences = [envelope.fence for envelope in events]
        assert fences == sorted(fences)
        assert rows_against(self.store, fold(events)) == []
        done = Counter(e.event.path for e in events if isinstance(e.event, ev.StepCompleted))
        assert set(done) == self.settled
        assert all(count == 1 for count in done.values())
        begun = Counter(e.event.path for e in events if isinstance(e.event, ev.AttemptStarted))
        assert begun == self.executed, "an attempt on record that nobody carried out, or the other way round"


def memory(judge: Judge) -> RunStore:
    return MemoryRunStore(is_alive=judge)


@pytest.mark.parametrize("engines", [2, 3])
def test_one_owner_at_a_time_in_memory(engines: int) -> None:
    refused = taken = 0
    for seed in range(40):
        world = World(memory, seed, engines)
        world.play(120)
        refused, taken = refused + world.refused, taken + world.taken
    assert refused > 20, refused
    assert taken > 100, taken


@pytest.mark.parametrize("engines", [2, 3])
def test_one_owner_at_a_time_in_a_file(engines: int, tmp_path: Path) -> None:
    refused = taken = 0
    for seed in range(100, 106):
        world = World(
            lambda judge: SqliteRunStore(tmp_path / "runs.db", durability="normal", is_alive=judge), seed, engines
        )
        world.play(90)
        world.store.close()
        refused, taken = refused + world.refused, taken + world.taken
    assert refused > 2, refused
    assert taken > 12, taken
