"""Workloads, rounds and medians. A time alone says nothing on a shared machine: only ratios are kept."""

from __future__ import annotations

import gc
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

Measurement: TypeAlias = Callable[[Path], float]  # given an empty folder; mostly seconds


@dataclass(frozen=True, slots=True)
class Workload:
    """What is measured and against what; `required` is the ratio it must stay below, `goal` the one to aim for."""

    name: str
    unit: str  # what one yardstick is called in the table
    required: float
    goal: float
    measure: Measurement
    yardstick: Measurement


@dataclass(frozen=True, slots=True)
class Result:
    """The ratios of one workload, one per round."""

    workload: Workload
    ratios: tuple[float, ...]

    @property
    def ratio(self) -> float:
        return statistics.median(self.ratios)

    @property
    def ok(self) -> bool:
        return self.ratio <= self.workload.required

    @property
    def reached_goal(self) -> bool:
        return self.ratio <= self.workload.goal


def measure(workloads: Sequence[Workload], rounds: int, tell: Callable[[str], None]) -> list[Result]:
    """Every workload once per round, each next to its yardstick; which of the two goes first alternates."""
    ratios: dict[str, list[float]] = {workload.name: [] for workload in workloads}
    for number in range(rounds):
        for workload in workloads:
            pair = [workload.measure, workload.yardstick]
            first, second = pair if number % 2 else reversed(pair)
            took = {id(one): _in_empty_folder(one) for one in (first, second)}
            ratio = took[id(workload.measure)] / took[id(workload.yardstick)]
            ratios[workload.name].append(ratio)
            tell(f"round {number + 1}/{rounds}  {workload.name}: {ratio:.2f} {workload.unit}")
    return [Result(workload, tuple(ratios[workload.name])) for workload in workloads]


@contextmanager
def stopwatch() -> Iterator[list[float]]:
    """The seconds spent inside, as the only item of the list, once the block has ended."""
    gc.collect()
    seconds: list[float] = []
    began = time.perf_counter()
    yield seconds
    seconds.append(time.perf_counter() - began)


def _in_empty_folder(measurement: Measurement) -> float:
    with tempfile.TemporaryDirectory(prefix="runkon-bench-") as folder:
        return measurement(Path(folder))
