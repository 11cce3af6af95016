"""From typing a command to its end, in multiples of a Python process that does nothing."""

from __future__ import annotations

import sys
from pathlib import Path

from benchmarks.measure import Workload
from benchmarks.yardsticks import bare_python, launch, launch_once

RUNKON = [sys.executable, "-c", "import sys; from runkon.cli.main import main; sys.exit(main())"]
ONE_STEP = 'workflow one {\n  script only { run = "true" }\n}\n'


def show_help(folder: Path) -> float:
    return launch([*RUNKON, "--help"], folder)


def validate(folder: Path) -> float:
    return launch([*RUNKON, "validate", _file(folder)], folder)


def run(folder: Path) -> float:
    return launch([*RUNKON, "run", _file(folder), "-q"], folder)


def _file(folder: Path) -> str:
    """A one-step file in a project of its own, parsed once before, so that it comes from the cache."""
    (folder / ".runkon").mkdir()
    (folder / "one.wf").write_text(ONE_STEP, encoding="utf-8")
    launch_once([*RUNKON, "run", "one.wf", "-q"], folder)
    return "one.wf"


WORKLOADS = (
    Workload("--help", "P", 5.0, 3.0, show_help, bare_python),
    Workload("validate of a one-step file, cached", "P", 10.0, 6.0, validate, bare_python),
    Workload("run of a one-step file, cached", "P", 10.0, 6.0, run, bare_python),
)
