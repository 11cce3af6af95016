"""Files in the reference language, as they stand in repositories, are read and checked without a single finding."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from runkon.language.cache import ParsedFiles
from runkon.language.check import check
from runkon.language.loader import read_source
from runkon.language.program import Catalog, LoadedWorkflow, Located, NameKind, ResourceKind
from runkon.language.project import Project, SyntaxOnly
from runkon.language.source import SourceFile

FILES = Path(__file__).parent / "reference"
CASES = sorted(path.name for path in FILES.glob("*.wf"))


class Repository(Catalog):
    """The repository of the files: their agents, snippets, schemas and scripts are there, workflows are real."""

    def __init__(self) -> None:
        self._project = Project(FILES, {}, ParsedFiles(None))

    def knows(self, kind: NameKind, name: str) -> bool:
        return (kind, name) in {("provider", "tickets"), ("provider", "worktrees"), ("provider", "workflow_runs")}

    def names(self, kind: NameKind) -> Sequence[str]:
        return ("claude",) if kind == "runtime" else ()

    def locate(self, kind: ResourceKind, name: str, workflow: str, caller: SourceFile | None = None) -> Located:
        return Located(Path(name), ())

    def workflow(self, name: str, caller: SourceFile) -> LoadedWorkflow:
        return self._project.workflow(name, caller)


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("catalog", [Repository, SyntaxOnly])
def test_a_file_of_the_reference_language_has_no_finding(case: str, catalog: type[Catalog]) -> None:
    source = read_source(FILES / case, str(FILES / case))
    parsed = ParsedFiles(None).parse(source)
    assert parsed.diagnostics == ()
    (workflow,) = parsed.workflows
    result = check(parsed, workflow, catalog())
    assert result.diagnostics == ()
    assert result.checked is not None


def test_there_are_files_to_read() -> None:
    assert len(CASES) >= 14
