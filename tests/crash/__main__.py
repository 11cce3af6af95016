"""`python -m tests.crash --kills 5000 --seed 1`: kill, resume, compare; a table at the end, exit code 1 for findings.

A finding names its case; `--case 'retry:in_backoff@2+after_commit@4'` plays that one again.
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
import tempfile
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from random import Random
from typing import Any

from runkon.failpoints import POINTS

from .campaign import Tally, run_campaign
from .harness import Case, Result, play_case, timed, whole
from .outside import Battle
from .plays import PLAYS
from .power import cuts, findings_of_cut, record

POWER = ("chain", "mixed", "large")  # plays whose log is cut in a full run
INSIDE = 12  # cuts at bytes that end no commit


def main() -> int:
    options = _options()
    if options.case:
        return _one(options.case)
    if options.power:
        return _power(options.power, options.seed)
    if options.play:
        return _campaign(options)
    return _everything(options)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.crash", description=__doc__)
    parser.add_argument("--kills", type=int, default=1000, help="how many kills at least")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--jobs", type=int, default=2, help="how many workflows are played at a time")
    parser.add_argument("--battles", type=int, default=20, help="how many pairs of real processes are killed")
    parser.add_argument("--play", choices=sorted(PLAYS), help="only this workflow; the result as JSON")
    parser.add_argument("--case", help="only this case, as a finding names it")
    parser.add_argument("--power", choices=sorted(PLAYS), help="cut the log of this workflow as a power failure would")
    parser.add_argument(
        "--every", choices=("place", "brief", "none"), default="place", help="which places are tried before the sample"
    )
    return parser.parse_args()


# ── one workflow ──────────────────────────────────────────────────────────────────────────────────
def _campaign(options: argparse.Namespace) -> int:
    def tell(result: Result) -> None:
        if result.findings:
            print(f"FINDING {result.case}\n  " + "\n  ".join(result.findings), file=sys.stderr, flush=True)

    tally = run_campaign([options.play], kills=options.kills, seed=options.seed, every=options.every, tell=tell)
    print(json.dumps(_summary(tally)))
    return 1 if tally.bad else 0


def _summary(tally: Tally) -> dict[str, object]:
    return {
        "cases": len(tally.results),
        "kills": tally.kills,
        "struck": dict(tally.struck),
        "findings": {str(result.case): result.findings for result in tally.bad},
        "passed": {name: sorted(passed) for name, passed in tally.passed.items()},
    }


def _one(text: str) -> int:
    head, _, kills = text.rpartition(":")
    name, _, mode = head.partition(":")
    folder = Path(tempfile.mkdtemp(prefix="runkon-crash-"))
    expected = whole(PLAYS[name], folder / "whole")
    case = Case(PLAYS[name], tuple(kills.split("+")), "full" if mode == "full" else "normal")
    result = play_case(case, expected, folder / "case")
    print(f"{result.case}: killed at {', '.join(result.killed) or 'nothing'}")
    print("\n".join(result.findings) or "nothing is wrong")
    return 1 if result.findings else 0


def _power(name: str, seed: int) -> int:
    folder = Path(tempfile.mkdtemp(prefix="runkon-power-"))
    expected = whole(PLAYS[name], folder / "whole")
    recording = record(PLAYS[name], folder / "recorded")
    found, tried = [], cuts(recording, Random(seed), INSIDE)
    for cut in tried:
        found += findings_of_cut(recording, cut, expected, folder / f"cut-{cut}")
    if not found:
        shutil.rmtree(folder)
    print(json.dumps({"cuts": len(tried), "acknowledged": len(recording.acknowledged), "findings": found}))
    return 1 if found else 0


# ── all of it ─────────────────────────────────────────────────────────────────────────────────────
def _everything(options: argparse.Namespace) -> int:
    since, share = timed(), -(-options.kills // len(PLAYS))
    found: dict[str, dict[str, Any]] = {}

    def play(name: str) -> None:
        words = ["--play", name, "--kills", str(share), "--every", options.every]
        found[name] = _by_itself(options.seed, *words)
        print(f"{since():5.0f} s  {name}: {found[name]['kills']} kills", file=sys.stderr, flush=True)

    with ThreadPoolExecutor(options.jobs) as pool:
        list(pool.map(play, PLAYS))
    told = [f"{case}: {text}" for one in found.values() for case, texts in one["findings"].items() for text in texts]
    cut = {name: _by_itself(options.seed, "--power", name) for name in POWER}
    told += [f"power {name}: {text}" for name, one in cut.items() for text in one["findings"]]
    outside: Counter[str] = Counter()
    for number in range(options.battles):
        folder, seed = Path(tempfile.mkdtemp(prefix="runkon-battle-")), options.seed * 1000 + number
        battle = Battle(folder / "project", seed)
        wrong = battle.fight()
        told += [f"battle {seed}: {text}" for text in wrong]
        if not wrong:
            shutil.rmtree(folder)
        outside += battle.kills
    _print_tables(found)
    print(f"logs cut at {sum(one['cuts'] for one in cut.values())} places; killed from outside: {dict(outside)}")
    print(f"{sum(one['kills'] for one in found.values()) + outside.total()} kills in {since():.0f} s, ", end="")
    print(f"{len(told)} findings" if told else "nothing is wrong")
    for text in told:
        print(f"FINDING {text:.500}")
    return 1 if told else 0


def _by_itself(seed: int, *words: str) -> dict[str, Any]:
    """The result of this program for one workflow: in a process without threads, because it forks."""
    command = [sys.executable, "-m", "tests.crash", "--seed", str(seed), *words]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False)
    if not done.stdout:
        raise SystemExit(f"`{' '.join(command)}` ended with {done.returncode} and no result")
    result: dict[str, Any] = json.loads(done.stdout)
    return result


def _print_tables(found: dict[str, dict[str, Any]]) -> None:
    print(f"\n{'workflow':12} {'cases':>6} {'kills':>6} {'findings':>9}")
    for name, one in found.items():
        print(f"{name:12} {one['cases']:6} {one['kills']:6} {len(one['findings']):9}")
    struck = sum((Counter(one["struck"]) for one in found.values()), Counter())
    print(f"\n{'place':24} {'kills':>6}")
    for point in sorted(POINTS):
        print(f"{point:24} {struck[point]:6}" + ("" if struck[point] else "   never passed before a kill"))
    print()


if __name__ == "__main__":
    sys.exit(main())
