"""What is read from the output of a script: `output/blocks.toml` says what was printed and what it means."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from runkon.engine.config import RunConfig
from runkon.executors.script import ScriptExecutor
from runkon.model.status import RunStatus
from runkon.testing import run_text

CASES = tomllib.loads((Path(__file__).parent / "output" / "blocks.toml").read_text("utf-8"))["case"]
TEXT = 'workflow w { script s { run = "cat printed" } }'


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["id"])
def test_what_was_printed_is_read_as_the_case_says(case: Mapping[str, Any], tmp_path: Path) -> None:
    (tmp_path / "printed").write_text(case["printed"], encoding="utf-8")
    done = run_text(TEXT, [ScriptExecutor()], config=RunConfig(working_dir=tmp_path))
    assert done.record.status is RunStatus.COMPLETED
    output = done.step("s").output
    if case.get("no_block"):
        expected: tuple[object, ...] = ([], case["printed"].strip(), {})
        assert (sorted(output.markers), output.context.strip(), dict(output.values)) == expected
    else:
        expected = (case["markers"], case["context"], case.get("values", {}))
        assert (sorted(output.markers), output.context, dict(output.values)) == expected
