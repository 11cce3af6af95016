"""Which `.wftest` files are meant, and the workflows their tests name. For `runkon test` and for pytest."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from runkon.app import App
from runkon.cli.files import WORKFLOW_FOLDERS, shown
from runkon.errors import EXIT_INVALID, EXIT_USAGE, UserError
from runkon.language.case_nodes import ParsedCases
from runkon.language.case_parser import SUFFIX, parse_cases
from runkon.language.check import check
from runkon.language.diagnostics import Diagnostic, Severity
from runkon.language.loader import read_source
from runkon.language.program import (
    Catalog,
    CheckedWorkflow,
    CheckResult,
    LoadedWorkflow,
    Located,
    NameKind,
    ResourceKind,
)
from runkon.language.source import SourceFile
from runkon.named import NamedTuple

_SKIPPED = frozenset({"node_modules", "__pycache__"})
_WORKTREES = ".runkon/worktrees"


def case_files(app: App, targets: Sequence[str]) -> list[Path]:
    """The files behind `targets`: files, folders with everything below; without targets all of the current folder and
    of the project's workflow folders. Raises UserError `no-tests`, `file-not-found`."""
    if targets:
        found = [path for target in targets for path in _behind(Path(target))]
    else:
        folders = [Path(), *(app.settings.root / folder for folder in WORKFLOW_FOLDERS)]
        found = [file for folder in folders for file in _below(folder)]
    if not found:
        where = "in " + ", ".join(f"`{target}`" for target in targets) if targets else "here"
        help = f"a test of a workflow stands in a file that ends in `{SUFFIX}`"
        raise UserError("no-tests", f"there are no tests {where}", help=help, exit_code=EXIT_USAGE)
    return [shown(path) for path in {path.resolve(): path for path in found}.values()]


def _behind(target: Path) -> list[Path]:
    return _below(target) if target.is_dir() else [target]


def _below(folder: Path) -> list[Path]:
    """Everything below, but for folders with a dot, those nobody looks into, and worktrees of runs."""
    if not folder.is_dir():
        return []
    found = (file for file in folder.rglob(f"*{SUFFIX}") if file.is_file())
    return sorted(file for file in found if not _is_aside(file.relative_to(folder).parent))


def _is_aside(folder: Path) -> bool:
    return any(map(_is_skipped, folder.parts)) or f"{_WORKTREES}/" in f"{folder.as_posix()}/"


def _is_skipped(name: str) -> bool:
    return name in _SKIPPED or (name.startswith(".") and name not in (".runkon", ".conductor"))


def read_cases(path: Path) -> ParsedCases:
    """The tests of a file. Raises UserError if it can't be read."""
    return parse_cases(read_source(path, str(path)))


class CaseCheck(NamedTuple):
    """What is wrong with a file of tests, in the shape of a checked workflow file."""

    source: SourceFile
    diagnostics: tuple[Diagnostic, ...]
    results: tuple[CheckResult, ...] = ()

    @property
    def ok(self) -> bool:
        return not any(found.severity is Severity.ERROR for found in self.diagnostics)


def check_cases(app: App, path: Path, *, syntax_only: bool = False) -> CaseCheck:
    """All that shows in a file of tests before any of them runs. Raises UserError if it can't be read."""
    from runkon.testing.cases import mistakes_of  # late: brings the engine

    parsed = read_cases(path)
    found = list(parsed.diagnostics)
    if not syntax_only:
        workflows = ProjectWorkflows(app)
        found += [
            one
            for case in parsed.cases
            if case.entry("workflow")
            for one in mistakes_of(case, parsed.source, workflows)
        ]
    return CaseCheck(parsed.source, tuple(sorted(set(found), key=lambda one: one.span.start)))


class TestedWorkflow(NamedTuple):
    """A workflow that a test names, the folder its runs work in, those its files are looked up in, and the item
    providers it sees, by name."""

    program: CheckedWorkflow
    root: Path
    roots: tuple[Path, ...]
    providers: Mapping[str, object]


class ProjectWorkflows:
    """The workflows of a project as `run` finds them, seen from the folder of the test first."""

    def __init__(self, app: App) -> None:
        self._app = app
        self._known: dict[Path, TestedWorkflow] = {}

    def find(self, name: str, beside: Path) -> TestedWorkflow:
        """The workflow of that name or file, checked; executors need not exist. Raises UserError `workflow-not-found`
        and `invalid-workflow`, which names the first error."""
        path = self.locate(name, beside)
        if path not in self._known:
            self._known[path] = self._checked(path)
        return self._known[path]

    def locate(self, name: str, beside: Path) -> Path:
        """The file behind it. Raises UserError `workflow-not-found`."""
        near = [beside / name, beside / f"{name}.wf"]
        return next((file for file in near if file.is_file()), None) or self._app.find_workflow(name)

    def _checked(self, path: Path) -> TestedWorkflow:
        source = read_source(path, str(path))
        parsed = self._app.parsed_files.parse(source)
        found = list(parsed.diagnostics)
        if parsed.is_whole and parsed.workflows:
            around = self._app.around(source.path)
            result = check(parsed, parsed.workflows[0], _Answered(around.project))
            if result.checked is not None and parsed.ok:
                providers = around.loaded.registry.things("provider")
                return TestedWorkflow(result.checked, self._app.settings.root, around.roots, providers)
            found += result.diagnostics
        first = next((one for one in found if one.severity is Severity.ERROR), None)
        said = f": {first.message} ({first.span.file}:{first.span.line})" if first else ""
        raise UserError(
            "invalid-workflow",
            f"the workflow `{path}` has errors{said}",
            next=f"runkon validate {path}",
            exit_code=EXIT_INVALID,
        )


class _Answered(Catalog):
    """A project in which every executor exists, because tests answer for them."""

    def __init__(self, project: Catalog) -> None:
        self._project = project

    def knows(self, kind: NameKind, name: str) -> bool:
        return kind == "executor" or self._project.knows(kind, name)

    def names(self, kind: NameKind) -> Sequence[str]:
        return self._project.names(kind)

    def locate(self, kind: ResourceKind, name: str, workflow: str, caller: SourceFile | None = None) -> Located:
        return self._project.locate(kind, name, workflow, caller)

    def workflow(self, name: str, caller: SourceFile) -> LoadedWorkflow:
        return self._project.workflow(name, caller)
