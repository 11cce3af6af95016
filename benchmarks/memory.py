"""Memory at its peak, in a process of its own."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from benchmarks.measure import Workload
from benchmarks.yardsticks import megabyte

PROBE = "import sys; from benchmarks.memory import probe; probe(sys.argv[1])"


def branches(folder: Path) -> float:
    """Megabytes that a process which runs 1,000 branches on 32 workers occupies at most, the interpreter included."""
    project = Path(__file__).resolve().parents[1]
    command = [sys.executable, "-c", PROBE, str(folder)]
    return float(subprocess.run(command, cwd=project, capture_output=True, text=True, check=True).stdout)


def probe(folder: str) -> None:
    """Print the highest resident size, in megabytes."""
    from benchmarks import programs, runs  # late: the parent measures nothing of this

    checked = runs.program(programs.branches(1_000, workers=32))
    runs.run_program(Path(folder), checked, workers=32, durability="normal")
    print(_peak())


def _peak() -> float:
    """Megabytes that were resident at most in this process. `getrusage` would not do: on Linux a child begins with
    the peak of its parent."""
    for line in Path("/proc/self/status").read_text(encoding="ascii").splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) / 1024
    raise RuntimeError("this system does not say `VmHWM`")


WORKLOADS = (Workload("memory of 1,000 branches on 32 workers", "MB", 60.0, 30.0, branches, megabyte),)
