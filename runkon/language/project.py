"""What exists around a workflow file: the catalogs that checks ask.

`Project` looks in the folders of a project, `SyntaxOnly` takes everything for granted (a file seen outside its
repository), `StoredProgram` serves a run that goes on with the text it was started with.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

from runkon.errors import EXIT_USAGE, UserError
from runkon.language import places
from runkon.language.diagnostics import Severity
from runkon.language.loader import read_source
from runkon.language.lookup import locate
from runkon.language.program import AgentFault, AgentUse, Catalog, LoadedWorkflow, Located, NameKind, ResourceKind
from runkon.language.source import SourceFile
from runkon.language.suggest import closest

if TYPE_CHECKING:
    from runkon.language.cache import ParsedFiles

EXTENSION = ".wf"
Judge: TypeAlias = Callable[[AgentUse], Iterable[AgentFault]]  # what is wrong with a call of an agent file


class Project(Catalog):
    """A project's folders below `root`, and the names its plugins brought. Reads files, changes nothing."""

    def __init__(
        self,
        root: Path,
        names: Mapping[NameKind, Sequence[str]],
        parsed_files: ParsedFiles,
        judge: Judge | None = None,
    ) -> None:
        self.root = root
        self._names = names
        self._judge = judge
        self._parsed_files = parsed_files

    def knows(self, kind: NameKind, name: str) -> bool:
        return name in self._names.get(kind, ())

    def names(self, kind: NameKind) -> Sequence[str]:
        return self._names.get(kind, ())

    def locate(self, kind: ResourceKind, name: str, workflow: str, caller: SourceFile | None = None) -> Located:
        """Where an agent, snippet, schema or script is, for workflow `workflow` of the file `caller`: names in the
        usual folders, paths below the project root. Never outside the project, not even through a link."""
        return locate(kind, self.roots(caller), name, workflow)

    def agent_faults(self, use: AgentUse) -> Iterable[AgentFault]:
        """What the judge says; without one only that there is no runtime at all."""
        return super().agent_faults(use) if self._judge is None else self._judge(use)

    def judged_by(self, judge: Judge) -> Project:
        """The same project, whose agent files somebody else looks at."""
        return Project(self.root, self._names, self._parsed_files, judge)

    def workflow(self, name: str, caller: SourceFile) -> LoadedWorkflow:
        """The workflow `name` as `call workflow` in `caller` means it: in the same file, beside it, then in the
        workflow folders of the project. A file with errors is found but not loaded."""
        here = self._parsed_files.parse(caller)
        for found in here.workflows:
            if found.name == name:
                return LoadedWorkflow(found, caller)
        folder = Path(caller.path).absolute().parent
        roots = self.roots(caller)
        limit = next((root for root in roots if folder.is_relative_to(root)), folder)
        beside = places.Candidate(limit, folder / (name + EXTENSION), "")
        candidates = [beside, *places.workflow_places(roots, name)]
        located = places.first_file(_relative_to_project(candidates, roots[-1]))
        if located.path is None:
            return LoadedWorkflow(None, None, located.places, located.problem or self._hint(name))
        return self._load(located.path, name, located.places)

    def find_workflow(self, target: str, cwd: Path) -> Path:
        """The file that `run FILE` or `run NAME` means. A FILE is what has a slash, ends in `.wf` or exists; its
        content is not looked at. Raises UserError `workflow-not-found` with the places searched, `invalid-name`."""
        if "/" in target or os.sep in target or target.endswith(EXTENSION) or (target and (cwd / target).is_file()):
            path = Path(target)
            return path if path.is_absolute() or cwd == Path.cwd() else cwd / path
        if not places.is_name(target):
            raise UserError(
                "invalid-name",
                f"`{target}` is neither a file nor the name of a workflow",
                help="a name has letters, digits, `-` and `_`; a file ends in `.wf`",
                exit_code=EXIT_USAGE,
            )
        located = places.first_file(places.workflow_places([self.root], target))
        if located.path is not None:
            return _shown_from(cwd, located.path)
        raise self._no_workflow(target, located, cwd)

    def workflow_names(self) -> tuple[str, ...]:
        """Every name that `run NAME` finds, sorted."""
        found = set()
        for folder in places.PROJECT_FOLDERS:
            for path in _files_in(self.root / folder / "workflows"):
                if path.suffix == EXTENSION and places.is_name(path.stem):
                    found.add(path.stem)
        return tuple(sorted(found))

    def declaring(self, name: str) -> str | None:
        """What to say of a name that no file has but that a workflow in a file of another name declares."""
        head = re.compile(rf"^\s*workflow\s+{re.escape(name)}\s*\{{", re.MULTILINE)
        for folder in places.PROJECT_FOLDERS:
            for path in _files_in(self.root / folder / "workflows"):
                if path.suffix == EXTENSION and head.search(_text(path)):
                    shown = path.relative_to(self.root)
                    return f"`{shown}` holds a workflow of that name, but files are found by their own: `{path.stem}`"
        return None

    def roots(self, caller: SourceFile | None) -> tuple[Path, ...]:
        """Where things are looked for: the caller's own project if it is a nearer one, then this one."""
        if caller is None:
            return (self.root,)
        own = places.nearest_project(Path(caller.path).absolute().parent)
        if own is None or own in (self.root, *self.root.parents) or own.resolve() == self.root.resolve():
            return (self.root,)
        return (own, self.root)

    def _load(self, path: Path, name: str, searched: tuple[str, ...]) -> LoadedWorkflow:
        shown = str(_shown_from(Path.cwd(), path))
        try:
            source = read_source(path, shown)
        except UserError as error:
            return LoadedWorkflow(None, None, searched, error.message)
        parsed = self._parsed_files.parse(source)
        errors = [found for found in parsed.diagnostics if found.severity is Severity.ERROR]
        if errors or not parsed.workflows:
            first = errors[0] if errors else None
            problem = f"{first.message} ({shown}:{first.span.line})" if first else f"`{shown}` holds no workflow"
            return LoadedWorkflow(None, source, searched, problem)
        named = next((found for found in parsed.workflows if found.name == name), parsed.workflows[0])
        return LoadedWorkflow(named, source, searched)

    def _hint(self, name: str) -> str | None:
        """What somebody may have meant who calls a workflow that is not there."""
        close = closest(name, self.workflow_names())
        return f"did you mean `{close}`?" if close else self.declaring(name)

    def _no_workflow(self, target: str, located: Located, cwd: Path) -> UserError:
        beside = target + EXTENSION
        close: str | None = beside if (cwd / beside).is_file() else closest(target, self.workflow_names())
        declaring = self.declaring(target)
        help = f"did you mean `{close}`?" if close else declaring or "name a file, or put it into one of these folders"
        searched = ", ".join(f"`{place}`" for place in located.places)
        problem = f" ({located.problem})" if located.problem else ""
        return UserError(
            "workflow-not-found",
            f"there is no workflow `{target}`: looked for {searched}{problem}",
            help=help,
            next=f"runkon run {close}" if close else None if self.workflow_names() else "runkon init",
            exit_code=EXIT_USAGE,
        )


class SyntaxOnly(Catalog):
    """A catalog in which everything exists: only the text itself is checked."""

    def knows(self, kind: NameKind, name: str) -> bool:  # noqa: ARG002  # the protocol's names
        return True

    def names(self, kind: NameKind) -> Sequence[str]:  # noqa: ARG002
        return ()

    def locate(self, kind: ResourceKind, name: str, workflow: str, caller: SourceFile | None = None) -> Located:  # noqa: ARG002
        return Located(Path(name), ())

    def workflow(self, name: str, caller: SourceFile) -> LoadedWorkflow:  # noqa: ARG002
        """Nothing is known about it, not even that it is missing."""
        return LoadedWorkflow(None, None)


class StoredProgram(SyntaxOnly):
    """For a run that continues with its stored text: files that changed on disk do not matter, executors do. `sources`
    are all files of the run."""

    def __init__(
        self, project: Catalog, sources: Sequence[SourceFile] = (), parsed_files: ParsedFiles | None = None
    ) -> None:
        self._project = project
        self._sources = tuple(sources)
        self._parsed_files = parsed_files

    def knows(self, kind: NameKind, name: str) -> bool:
        return self._project.knows(kind, name)

    def names(self, kind: NameKind) -> Sequence[str]:
        return self._project.names(kind)

    def locate(self, kind: ResourceKind, name: str, workflow: str, caller: SourceFile | None = None) -> Located:
        if kind == "agent":
            return self._project.locate(kind, name, workflow, caller)
        return super().locate(kind, name, workflow, caller)

    def agent_faults(self, use: AgentUse) -> Iterable[AgentFault]:
        """As in the project: the agent files of today are those that run."""
        return self._project.agent_faults(use)

    def workflow(self, name: str, caller: SourceFile) -> LoadedWorkflow:
        """The workflow of that name in the caller's text, or in the stored file that was found for it then."""
        if self._parsed_files is None:
            return super().workflow(name, caller)
        files = [caller, *sorted(self._called(name), key=lambda source: self._distance(source, caller))]
        for source in files:
            workflows = self._parsed_files.parse(source).workflows
            named = next((found for found in workflows if found.name == name), None)
            if named is None and source is not caller and workflows:
                named = workflows[0]
            if named is not None:
                return LoadedWorkflow(named, source)
        return LoadedWorkflow(None, None, (), f"no stored file of the run holds the workflow `{name}`")

    def _called(self, name: str) -> list[SourceFile]:
        return [source for source in self._sources if Path(source.path).name == name + EXTENSION]

    @staticmethod
    def _distance(source: SourceFile, caller: SourceFile) -> tuple[bool, bool, int, int]:
        """Beside the caller first, then the nearest project, there the folders in their order."""
        folder, own = Path(source.path).parent, Path(caller.path).parent
        ranks = [rank for rank, known in enumerate(places.PROJECT_FOLDERS) if folder.parts[-2:] == (known, "workflows")]
        project = Path(*folder.parts[:-2]) if ranks else folder
        return folder != own, not ranks, -len(project.parts), ranks[0] if ranks else len(places.PROJECT_FOLDERS)


def _relative_to_project(candidates: Sequence[places.Candidate], root: Path) -> Iterator[places.Candidate]:
    """The same candidates, each path once, shown from the project root where they lie below it."""
    seen: set[Path] = set()
    for candidate in candidates:
        if candidate.path in seen:
            continue
        seen.add(candidate.path)
        inside = candidate.path.is_relative_to(root)
        yield candidate._replace(shown=str(candidate.path.relative_to(root) if inside else candidate.path))


def _shown_from(cwd: Path, path: Path) -> Path:
    """`path` as somebody in `cwd` would type it."""
    return path.relative_to(cwd) if path.is_relative_to(cwd) else path


def _text(path: Path) -> str:
    try:
        return path.read_text("utf-8", errors="replace")
    except OSError:
        return ""


def _files_in(folder: Path) -> Sequence[Path]:
    try:
        return sorted(path for path in folder.iterdir() if path.is_file())
    except OSError:
        return ()
