"""How a run is executed: the settings that are stored with it and restored on resume."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from runkon.model.output import EMPTY, JsonValue


@dataclass(frozen=True, slots=True, kw_only=True)
class RunConfig:
    """Execution settings of one run. Times in seconds. `executors` overrides a step's executor, by result key;
    `until` names the step (key or path) after which the run stops as `interrupted`."""

    working_dir: Path
    log_dir: Path | None = None
    max_parallel: int = 16
    fail_fast: bool = True
    dry_run: bool = False
    model: str | None = None
    executors: Mapping[str, str] = field(default_factory=dict)
    until: str | None = None
    timeout: float | None = None
    kill_grace: float = 5.0
    always_grace: float = 300.0
    injected: Mapping[str, JsonValue] = field(default_factory=lambda: EMPTY)  # `repo_path`, `repo_name`, …
