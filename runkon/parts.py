"""What passes between the application and those who use it: a file that was checked, what surrounds it, what a run and
a resume are asked for.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import field
from pathlib import Path
from typing import TYPE_CHECKING

from runkon.frozen import value_class
from runkon.model.ids import StepPath
from runkon.model.output import JsonValue
from runkon.named import NamedTuple

if TYPE_CHECKING:
    from runkon.language.diagnostics import Diagnostic
    from runkon.language.program import CheckedWorkflow, CheckResult, ParseResult
    from runkon.language.project import Project
    from runkon.language.source import SourceFile
    from runkon.model.records import RunRecord
    from runkon.plugin.discovery import Loaded
    from runkon.plugin.registry import Registry
    from runkon.settings import Settings

Progress = Callable[[StepPath, str], None]
_REINSTALL = (
    "put back what is missing: the agent file, the plugin, or the version of runkon that the run was started with"
)


@value_class(frozen=True, slots=True, kw_only=True)
class RunOptions:
    """What one `run` or `resume` asks for. `timeout` in seconds; `jobs` is how many executor calls run at once;
    `automatic` says that nobody asked for this leg, `attends` that it stays at gates until somebody decides.
    `model` and `runtime` come before what agent files say. `budget_usd` and `max_calls` limit a new run beside what its
    workflow says, the lower holds; a resume puts them in place of both."""

    dry_run: bool = False
    model: str | None = None
    runtime: str | None = None
    executors: Mapping[str, str] = field(default_factory=dict)
    jobs: int | None = None
    until: str | None = None
    timeout: float | None = None
    automatic: bool = False
    attends: bool = False
    budget_usd: float | None = None
    max_calls: int | None = None
    records: bool = False
    cassette: str | None = None
    uses_cache: bool = True


@value_class(frozen=True, slots=True, kw_only=True)
class ResumeWish:
    """What a resume is to do besides going on: `mode` is `normal`, `only-failed` or `restart`; `step` is where to begin
    again (a path, a key, or a beginning of a path that only one step has); `edited` the workflow to go on with in place
    of the recorded one. With `fork` all of it happens to a new run, and the old one stays as it is."""

    mode: str = "normal"
    step: str | None = None
    fork: bool = False
    edited: CheckedWorkflow | None = None

    @property
    def is_normal(self) -> bool:
        """True if nothing but what is unfinished is to run, in the same run."""
        return self.mode == "normal" and self.step is None and not self.fork and self.edited is None


def agent_choice(settings: Settings, options: RunOptions | None = None) -> dict[str, JsonValue]:
    """What a run says of runtimes and models, as `AgentChoice.as_json` would: flags, variables and options come before
    what an agent file says, settings after it."""
    found: dict[str, JsonValue] = {}
    for name, asked in (("runtime", options and options.runtime), ("model", options and options.model)):
        written = getattr(settings, name)
        if asked or (written and name in settings.given):
            found[name] = asked or written
        if written and name not in settings.given:
            found[f"default_{name}"] = written
    return found


def missing_plugins(record: RunRecord, registry: Registry) -> str:
    """The plugins whose executors the run began with and that are not there any more, as help."""
    known = record.config.get("versions")
    found: dict[str, list[str]] = {}
    for name, text in known.items() if isinstance(known, Mapping) else ():
        if registry.find(name) is None:
            found.setdefault(str(text).partition(" ")[2], []).append(f"`{name}`")
    listed = "; ".join(f"the plugin `{plugin}` brought executor {', '.join(names)}" for plugin, names in found.items())
    return f"install again what is missing: {listed}" if listed else _REINSTALL


class FileCheck(NamedTuple):
    """One file, parsed and checked; `results` has one entry per workflow in it, the first is what `run` starts."""

    source: SourceFile
    parsed: ParseResult
    results: tuple[CheckResult, ...]

    @property
    def diagnostics(self) -> tuple[Diagnostic, ...]:
        """All findings of the file, by position, each once."""
        found = dict.fromkeys(self.parsed.diagnostics)
        for result in self.results:
            found.update(dict.fromkeys(result.diagnostics))
        return tuple(sorted(found, key=lambda d: (d.span.file != self.source.path, d.span.start, d.code)))

    @property
    def ok(self) -> bool:
        return self.parsed.ok and bool(self.results) and all(result.checked for result in self.results)


class Surroundings(NamedTuple):
    """What a file sees: the folders in which things are looked up, first hit wins, and the plugins of those."""

    roots: tuple[Path, ...]
    loaded: Loaded
    project: Project
