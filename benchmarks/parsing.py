"""Text to tree, next to PyYAML with the same content."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import yaml

from benchmarks import programs
from benchmarks.measure import Workload, stopwatch
from runkon.language.parser import parse
from runkon.language.source import SourceFile

reviews = cache(programs.reviews)
reviews_as_yaml = cache(programs.reviews_as_yaml)


def parse_reviews(steps: int) -> float:
    source = SourceFile("reviews.wf", reviews(steps))
    parse(SourceFile("warm.wf", reviews(1)))  # the parse table is loaded once per process
    with stopwatch() as took:
        result = parse(source)
    if not result.ok or len(result.workflows[0].body) != steps:
        raise RuntimeError("the measured text was not parsed")
    return took[0]


def a_thousand(_: Path) -> float:
    return parse_reviews(1_000)


def hundredth_of_a_hundred_thousand(_: Path) -> float:
    return parse_reviews(100_000) / 100


def yaml_in_c(_: Path) -> float:
    return _load(yaml.CSafeLoader)


def yaml_in_python(_: Path) -> float:
    return _load(yaml.SafeLoader)


def _load(loader: type[yaml.SafeLoader] | type[yaml.CSafeLoader]) -> float:
    text = reviews_as_yaml(1_000)
    with stopwatch() as took:
        found = yaml.load(text, Loader=loader)
    if len(found["steps"]) != 1_000:
        raise RuntimeError("the measured YAML was not read")
    return took[0]


WORKLOADS = (
    Workload("parsing 1,000 steps", "PyYAML C", 3.5, 2.0, a_thousand, yaml_in_c),
    Workload("parsing 1,000 steps, pure Python", "PyYAML", 0.6, 0.4, a_thousand, yaml_in_python),
    Workload("parsing 100,000 steps, per step", "of 1,000", 1.3, 1.1, hundredth_of_a_hundred_thousand, a_thousand),
)
