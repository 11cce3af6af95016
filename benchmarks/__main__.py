"""`python -m benchmarks [--rounds 5] [--only NAME] [--json FILE]`: a table; exit code 1 if a requirement is missed."""

from __future__ import annotations

import argparse
import json
import platform
import sys
from collections.abc import Sequence
from pathlib import Path

from benchmarks import memory, parsing, recovery, runs, starts
from benchmarks.measure import Result, Workload, measure

WORKLOADS: tuple[Workload, ...] = (
    *runs.WORKLOADS,
    *recovery.WORKLOADS,
    *starts.WORKLOADS,
    *parsing.WORKLOADS,
    *memory.WORKLOADS,
)


def main(arguments: Sequence[str] | None = None) -> int:
    options = _options(arguments)
    chosen = [one for one in WORKLOADS if options.only is None or options.only.lower() in one.name.lower()]
    if not chosen:
        print(f"no workload has `{options.only}` in its name", file=sys.stderr)
        return 2
    results = measure(chosen, options.rounds, lambda line: print(line, file=sys.stderr))
    print(table(results))
    if options.json:
        options.json.write_text(json.dumps(as_json(results), indent=2) + "\n", encoding="utf-8")
    return 0 if all(result.ok for result in results) else 1


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--rounds", type=int, default=5, help="rounds; the median of their ratios counts")
    parser.add_argument("--only", metavar="NAME", help="only workloads with this in their name")
    parser.add_argument("--json", metavar="FILE", type=Path, help="also write every ratio to a file")
    return parser.parse_args(arguments)


def table(results: Sequence[Result]) -> str:
    """One line per workload: median ratio, its spread, and what is wanted of it."""
    lines = [f"{'workload':<42}{'ratio':>8}  {'yardstick':<10}{'spread':>15}{'required':>10}{'goal':>7}  ok?"]
    for result in results:
        spread = f"{min(result.ratios):.2f}-{max(result.ratios):.2f}"
        verdict = "goal" if result.reached_goal else "ok" if result.ok else "MISSED"
        wanted = result.workload
        lines.append(
            f"{wanted.name:<42}{result.ratio:>8.2f}  {wanted.unit:<10}{spread:>15}"
            f"{wanted.required:>10.2f}{wanted.goal:>7.2f}  {verdict}"
        )
    return "\n".join(lines)


def as_json(results: Sequence[Result]) -> dict[str, object]:
    """The same for machines, with every round."""
    return {
        "schema": "runkon.bench/1",
        "python": platform.python_version(),
        "results": [
            {
                "name": result.workload.name,
                "unit": result.workload.unit,
                "ratio": result.ratio,
                "ratios": result.ratios,
                "required": result.workload.required,
                "goal": result.workload.goal,
                "ok": result.ok,
            }
            for result in results
        ],
    }


if __name__ == "__main__":
    sys.exit(main())
