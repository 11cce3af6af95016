"""Tests of workflows, written beside them in `.wftest` files: read, run in memory and in virtual time, judged."""

from __future__ import annotations

from runkon.testing.cases.deciding import early_decisions
from runkon.testing.cases.running import (
    CaseResult,
    Found,
    Workflows,
    case_inputs,
    cassette_of,
    mistakes_of,
    run_case,
    run_file,
)
from runkon.testing.cases.updating import updated

__all__ = [
    "CaseResult",
    "Found",
    "Workflows",
    "case_inputs",
    "cassette_of",
    "early_decisions",
    "mistakes_of",
    "run_case",
    "run_file",
    "updated",
]
