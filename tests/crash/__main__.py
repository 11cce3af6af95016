"""`python -m tests.crash --kills 5000 --seed 1`: kill, resume, compare; a table at the end, exit code 1 for findings.

A finding names its case; `--case 'retry:in_backoff@2+after_commit@4'` plays that one again.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from pathlib import Path
from random import Random

from runkon.failpoints import POINTS

from .campaign import Tally, run_campaign
from .harness import Case, Result, play_case, timed, whole
from .plays import PLAYS
from .power import cuts, findings_of_cut, record


def main() -> int:
    options = _options()
    if options.case:
        return _one(options.case)
    if options.power:
        return _power(options.power, options.seed, 12)
    since, told = timed(), [0]

    def tell(result: Result) -> None:
        told[0] += len(result.killed)
        if result.findings:
            print(f"\nFINDING {result.case}\n  " + "\n  ".join(result.findings), file=sys.stderr, flush=True)
        elif sys.stderr.isatty() or told[0] % 100 < len(result.killed):
            print(f"\r{told[0]} kills, {since():.0f} s, {result.case}", end="\n", file=sys.stderr, flush=True)

    names = [options.play] if options.play else list(PLAYS)
    tally = run_campaign(names, kills=options.kills, seed=options.seed, every_place=not options.sampled, tell=tell)
    if options.json:
        print(json.dumps(_summary(tally)))
    else:
        _print_table(tally, since())
    return 1 if tally.bad else 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.crash", description=__doc__)
    parser.add_argument("--kills", type=int, default=1000, help="how many kills at least")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--play", choices=sorted(PLAYS), help="only this workflow")
    parser.add_argument("--case", help="only this case, as a finding names it")
    parser.add_argument("--power", choices=sorted(PLAYS), help="cut the log of this workflow as a power failure would")
    parser.add_argument("--sampled", action="store_true", help="do not try every place first")
    parser.add_argument("--json", action="store_true", help="the result as JSON")
    return parser.parse_args()


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


def _power(name: str, seed: int, inside: int) -> int:
    folder = Path(tempfile.mkdtemp(prefix="runkon-power-"))
    expected = whole(PLAYS[name], folder / "whole")
    recording = record(PLAYS[name], folder / "recorded")
    found, tried = [], cuts(recording, Random(seed), inside)
    for cut in tried:
        found += findings_of_cut(recording, cut, expected, folder / f"cut-{cut}")
    print(json.dumps({"cuts": len(tried), "acknowledged": len(recording.acknowledged), "findings": found}))
    return 1 if found else 0


def _summary(tally: Tally) -> dict[str, object]:
    return {
        "kills": tally.kills,
        "struck": dict(tally.struck),
        "findings": {str(result.case): result.findings for result in tally.bad},
        "passed": {name: sorted(passed) for name, passed in tally.passed.items()},
    }


def _print_table(tally: Tally, seconds: float) -> None:
    print(f"\n{'play':12} {'cases':>6} {'kills':>6} {'findings':>9}")
    for name in tally.passed:
        of_play = [result for result in tally.results if result.case.play.name == name]
        bad, kills = sum(bool(r.findings) for r in of_play), sum(len(r.killed) for r in of_play)
        print(f"{name:12} {len(of_play):6} {kills:6} {bad:9}")
    print(f"{'all':12} {len(tally.results):6} {tally.kills:6} {len(tally.bad):9}   in {seconds:.0f} s")
    print(f"\n{'place':24} {'kills':>6}")
    for point in sorted(POINTS):
        print(f"{point:24} {tally.struck[point]:6}" + ("" if tally.struck[point] else "   never"))
    for result in tally.bad:
        print(f"FINDING {result.case}: {result.findings[0]:.200}")


if __name__ == "__main__":
    sys.exit(main())
