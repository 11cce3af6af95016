"""The engine with the SQLite store: chains, branches, sleeping steps."""

from __future__ import annotations

import time
from functools import cache, partial
from pathlib import Path
from typing import Literal

from benchmarks import programs
from benchmarks.measure import Workload, stopwatch
from benchmarks.yardsticks import ideal_sleep, raw_full, raw_normal
from runkon import StepRequest, executor
from runkon.engine.config import RunConfig
from runkon.engine.runner import Runner
from runkon.language.program import CheckedWorkflow
from runkon.model.status import RunStatus
from runkon.plugin.registry import Registry
from runkon.store.sqlite import SqliteRunStore
from runkon.testing.running import check_text

NAP = 0.05


@executor("noop", effect="pure")
def noop(_: StepRequest) -> None:
    """Answers at once."""


@executor("nap", effect="pure")
def nap(_: StepRequest) -> None:
    """Keeps a worker busy without using the processor."""
    time.sleep(NAP)


program = cache(check_text)


def run(folder: Path, *, text: str, workers: int = 16, durability: Literal["full", "normal"] = "normal") -> float:
    """The seconds from creating a run to its end, in a store that has been used before: the yardsticks have their
    table too."""
    return run_program(folder, program(text), workers=workers, durability=durability)


def run_program(
    folder: Path, checked: CheckedWorkflow, *, workers: int, durability: Literal["full", "normal"]
) -> float:
    registry = Registry()
    registry.register_executor(noop, "benchmarks")
    registry.register_executor(nap, "benchmarks")
    config = RunConfig(working_dir=folder, max_parallel=workers)
    store = SqliteRunStore(folder / "runkon.db", durability=durability)
    try:
        runner = Runner(store, registry)
        warm = program(programs.chain(1))
        runner.execute(runner.create(warm, {}, config), warm, config)
        with stopwatch() as took:
            record = runner.execute(runner.create(checked, {}, config), checked, config)
    finally:
        store.close()
    if record.status is not RunStatus.COMPLETED:
        raise RuntimeError(f"the measured run ended as {record.status}: {record.error}")
    return took[0]


CHAIN = partial(run, text=programs.chain(1_000))
WIDE = partial(run, text=programs.branches(1_000, workers=32), workers=32)
NAPS = partial(run, text=programs.branches(64, workers=64, name="nap"), workers=64, durability="full")
IDEAL = partial(ideal_sleep, seconds=NAP, workers=64)


def tenth_of_a_long_chain(folder: Path) -> float:
    return run(folder, text=programs.chain(10_000)) / 10


WORKLOADS = (
    Workload("chain of 1,000 steps, normal", "Yn", 3.3, 2.0, CHAIN, raw_normal),
    Workload("chain of 1,000 steps, full", "Yf", 1.0, 0.75, partial(CHAIN, durability="full"), raw_full),
    Workload("1,000 branches on 32 workers, normal", "Yn", 3.0, 1.5, WIDE, raw_normal),
    Workload("1,000 branches on 32 workers, full", "Yf", 0.40, 0.20, partial(WIDE, durability="full"), raw_full),
    Workload("64 naps of 50 ms on 64 workers", "I", 1.35, 1.2, NAPS, IDEAL),
    Workload("10,000-step chain, per step", "of 1,000", 1.2, 1.05, tenth_of_a_long_chain, CHAIN),
)
