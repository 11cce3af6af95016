"""Which kills are tried: all places a play passes, first and last, and seeded pairs and triples of them."""

from __future__ import annotations

import shutil
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from random import Random
from typing import NamedTuple

from .harness import Case, Result, Whole, play_case, whole
from .plays import PLAYS, Play

LATER = ("after_takeover", "during_replay", "after_supersede")  # places that only a later leg passes
ASKED = (
    "before_open",
    "after_open",
    "before_apply",
    "before_decide",
    "after_decide",
)  # only a leg after a lost attempt that writes
RARE = ("planned", "before_lease", "after_lease")  # places before a leg has done anything: one kill each is enough


class Tally(NamedTuple):
    """A finished campaign: its results, and how many kills struck at each place."""

    results: list[Result]
    struck: Counter[str]
    passed: dict[str, dict[str, int]]

    @property
    def kills(self) -> int:
        return sum(self.struck.values())

    @property
    def bad(self) -> list[Result]:
        return [result for result in self.results if result.findings]


def every_place(play: Play, expected: Whole, random: Random, *, brief: bool) -> list[Case]:
    """Every place the play passes, at its first and its last passing, and those that only a later leg passes; in
    brief one of each two."""
    cases = []
    for point, hits in sorted(expected.passed.items()):
        both = [f"{point}@{hit}" for hit in sorted({1, hits} if point not in RARE else {1})]
        for kill in [random.choice(both)] if brief else both:
            cases.append(Case(play, (kill,), _mode(random)))
    before = (f"after_return@{max(1, expected.passed['after_return'] // 2)}", "before_end@1")
    for point in [random.choice(LATER)] if brief else LATER:
        for first in [random.choice(before)] if brief else before:
            cases.append(Case(play, (first, f"{point}@{random.choice((1, 1, 2, 4))}"), _mode(random)))
    if play.writers:
        lost = f"after_return@1@*{min(play.writers)}"
        for point in ASKED:
            cases.append(Case(play, (lost, f"{point}@1"), _mode(random)))
            cases.append(Case(play, (lost, f"{point}@1", f"{point}@1"), _mode(random)))
    return cases


def sampled(play: Play, expected: Whole, random: Random) -> Iterator[Case]:
    """Without end: one to three kills, one leg after the other."""
    points = sorted(expected.passed)
    while True:
        count = random.choice((1, 1, 2, 2, 3))
        kills = []
        for number in range(count):
            point = random.choice(points if number == 0 else [*points, *LATER, *ASKED])
            passed = expected.passed.get(point, 6)
            most = passed if number == 0 else max(1, passed // 2)
            kills.append(f"{point}@{random.randint(1, most)}")
        yield Case(play, tuple(kills), _mode(random))


def _mode(random: Random) -> str:
    return "full" if random.random() < 0.08 else "normal"


def run_campaign(
    names: list[str],
    *,
    kills: int,
    seed: int,
    every: str,
    tell: Callable[[Result], None] = lambda result: None,
    folder: Path | None = None,
) -> Tally:
    """Kill each of the plays `names` until about `kills` kills have struck in all of them together. With `every`
    (`place` or `brief`) each place is tried first, whatever `kills` says; with `none` not."""
    root = folder or Path(tempfile.mkdtemp(prefix="runkon-crash-"))
    tally = Tally([], Counter(), {})
    for index, name in enumerate(names):
        play = PLAYS[name]
        random = Random(f"{seed} {name}")
        expected = whole(play, root / f"{name}-whole")
        tally.passed[name] = expected.passed
        share = kills * (index + 1) // len(names)
        chosen = iter(() if every == "none" else every_place(play, expected, random, brief=every == "brief"))
        more = sampled(play, expected, random)
        number = 0
        while (case := next(chosen, None)) is not None or (tally.kills < share and (case := next(more))):
            number += 1
            result = play_case(case, expected, root / f"{name}-{number}")
            tally.struck.update(kill.partition("@")[0] for kill in result.killed)
            tally.results.append(result)
            tell(result)
    if folder is None and not tally.bad:
        shutil.rmtree(root)
    return tally
