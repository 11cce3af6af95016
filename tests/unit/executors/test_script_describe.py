"""What a script says it is asked: all that its answer depends on, and nothing else."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from runkon.executors.script import ScriptExecutor
from runkon.model.ids import RunID
from runkon.testing.requests import request_for

OPTIONS: dict[str, Any] = {"run": "echo $A", "env": {"A": "1"}, "inputs": {"scope": "full", "prior_context": "old"}}


def described(folder: Path, **changes: Any) -> dict[str, Any]:
    request = replace(request_for("s"), options={**OPTIONS, **changes}, working_dir=folder, roots=(folder,))
    return dict(ScriptExecutor().describe(request))


def test_the_command_its_env_and_the_inputs_are_in_it_the_history_is_not(tmp_path: Path) -> None:
    assert described(tmp_path) == {"command": "echo $A", "env": {"A": "1"}, "inputs": {"scope": "full"}}


@pytest.mark.parametrize(
    "changes", [{"run": "echo $B"}, {"env": {"A": "2"}}, {"env": {}}, {"inputs": {"scope": "part"}}]
)
def test_each_of_them_counts(tmp_path: Path, changes: dict[str, Any]) -> None:
    assert described(tmp_path, **changes) != described(tmp_path)


def test_what_differs_from_run_to_run_does_not(tmp_path: Path) -> None:
    request = replace(request_for("s"), options=OPTIONS, working_dir=tmp_path)
    later = replace(
        request, run_id=RunID("01LATER"), attempt=4, marks={"A": "B"}, options={**OPTIONS, "kill_grace": 9.0}
    )
    assert ScriptExecutor().describe(later) == ScriptExecutor().describe(request)


def test_the_text_of_the_file_it_names_counts(tmp_path: Path) -> None:
    script = tmp_path / ".runkon" / "scripts" / "x.sh"
    script.parent.mkdir(parents=True)
    found = []
    for text in ("echo a", "echo b", "echo a"):
        script.write_text(text)
        found.append(described(tmp_path, run=".runkon/scripts/x.sh"))
    assert found[0] == found[2]
    assert len(found[0]["file"]) == 64
    assert found[0]["file"] != found[1]["file"]


def test_a_file_that_is_not_there_is_left_out(tmp_path: Path) -> None:
    assert "file" not in described(tmp_path, run="./gone.sh")
