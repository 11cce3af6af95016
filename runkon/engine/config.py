"""How a run is executed: the settings that are stored with it and restored on resume."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field
from pathlib import Path
from typing import Any

from runkon.frozen import value_class
from runkon.model.output import EMPTY, JsonValue

_OTHERWISE = frozenset({"working_dir", "roots", "log_dir", "fork", "start_key", "imported"})  # read apart, or by others


@value_class(frozen=True, slots=True, kw_only=True)
class RunConfig:
    """Execution settings of one run. Times in seconds. `executors` overrides a step's executor, by result key;
    `until` names the step (key or path) after which the run stops as `interrupted`."""

    working_dir: Path
    roots: tuple[Path, ...] = ()  # where scripts and other files are looked up, first hit wins; default: working_dir
    log_dir: Path | None = None
    max_parallel: int = 16
    fail_fast: bool = True
    dry_run: bool = False
    model: str | None = None
    executors: Mapping[str, str] = field(default_factory=dict)
    until: str | None = None
    timeout: float | None = None
    timeout_anew: bool = False  # it counts from the beginning of this leg, not of the run
    automatic: bool = False  # nobody asked for this leg
    attends: bool = False  # somebody may decide while the leg goes on: it stays at open gates
    kill_grace: float = 5.0
    always_grace: float = 300.0
    versions: Mapping[str, str] = field(default_factory=dict)  # of each executor: version and plugin, as text
    agents: Mapping[str, JsonValue] = field(default_factory=lambda: EMPTY)  # what `AgentChoice.as_json` gave
    budget_usd: float | None = None  # most the run may cost; of this, `max_calls` and `meta` the lower holds
    max_calls: int | None = None
    new_limits: Mapping[str, JsonValue] = field(default_factory=lambda: EMPTY)  # what a resume put in their place
    allow_unpriced: bool = False  # calls without a known price run under a budget, too
    always_budget: bool = False  # no limit holds in the always block
    records: bool = False  # every executor is described, so that its answers can be given again
    uses_cache: bool = True
    replay: Mapping[str, JsonValue] | None = None  # what answers in place of the executors, and how
    cassette: str | None = None  # the file that a leg leaves its answers in
    injected: Mapping[str, JsonValue] = field(default_factory=lambda: EMPTY)  # `repo_path`, `repo_name`, …
    environment: Mapping[str, str] = field(default_factory=dict)  # process variables the workflow may read, as `env.X`

    @property
    def has_limits(self) -> bool:
        """True if more than the workflow limits what the run may use."""
        return self.budget_usd is not None or self.max_calls is not None or bool(self.new_limits)

    def as_json(self) -> dict[str, JsonValue]:
        """What the run's record keeps, so that every later leg executes it the same way; `until`, `timeout_anew`,
        `automatic` and `attends` are of one leg only."""
        return {
            "working_dir": str(self.working_dir),
            "roots": [str(root) for root in self.roots],
            "log_dir": None if self.log_dir is None else str(self.log_dir),
            "max_parallel": self.max_parallel,
            "fail_fast": self.fail_fast,
            "dry_run": self.dry_run,
            "model": self.model,
            "executors": dict(self.executors),
            "timeout": self.timeout,
            "kill_grace": self.kill_grace,
            "always_grace": self.always_grace,
            "injected": dict(self.injected),
            "versions": dict(self.versions),
            **({"agents": dict(self.agents)} if self.agents else {}),
            "environment": dict(self.environment),
            "budget_usd": self.budget_usd,
            "max_calls": self.max_calls,
            "new_limits": dict(self.new_limits),
            "allow_unpriced": self.allow_unpriced,
            "always_budget": self.always_budget,
            **self._of_recording(),
        }

    def _of_recording(self) -> dict[str, JsonValue]:
        """What most runs do not have."""
        found: dict[str, JsonValue] = {
            "records": self.records,
            "uses_cache": self.uses_cache,
            "cassette": self.cassette,
        }
        found["replay"] = None if self.replay is None else dict(self.replay)
        usual = RunConfig(working_dir=self.working_dir)
        return {name: value for name, value in found.items() if value != getattr(usual, name)}

    @classmethod
    def from_json(cls, stored: Mapping[str, JsonValue]) -> RunConfig:
        """The settings a run was recorded with. Raises KeyError or TypeError on a record that is not one."""
        known: Mapping[str, Any] = stored  # written by `as_json`, so each field has its type
        fields = {key: known[key] for key in known if key not in _OTHERWISE}
        log_dir = known.get("log_dir")
        return cls(
            working_dir=Path(known["working_dir"]),
            roots=tuple(Path(root) for root in known.get("roots", ())),
            log_dir=None if log_dir is None else Path(log_dir),
            **fields,
        )
