"""Memory at its peak, in a process of its own."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from benchmarks.measure import Workload
from benchmarks.yardsticks import megabyte

PROBE = "import sys; from benchmarks.memory import probe; probe(sys.argv[1])"


def branches(folder: Path) -> float:
    """Megabytes that 1,000 branches on 32 workers add to a process that has everything loaded and parsed."""
    project = Path(__file__).resolve().parents[1]
    command = [sys.executable, "-c", PROBE, str(folder)]
    return float(subprocess.run(command, cwd=project, capture_output=True, text=True, check=True).stdout)


def probe(folder: str) -> None:
    """Print how much the highest resident size grew during the run, in megabytes."""
    from benchmarks import programs, runs  # late: the parent measures nothing of this

    checked = runs.program(programs.branches(1_000, workers=32))
    before = _peak()
    runs.run_program(Path(folder), checked, workers=32, durability="normal")
    print(_peak() - before)


def _peak() -> float:
    import resource

    size = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return size / (1024 * 1024 if sys.platform == "darwin" else 1024)


WORKLOADS = (Workload("memory of 1,000 branches on 32 workers", "MB", 60.0, 30.0, branches, megabyte),)
