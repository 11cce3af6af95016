"""Tests of workflows under pytest: every `.wftest` file it comes by is collected, one item per test.

pytest loads this module at every start, so nothing else of runkon is imported until there is such a file.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from runkon.cli.case_files import ProjectWorkflows
    from runkon.language.case_nodes import Case, ParsedCases
    from runkon.testing.cases import CaseResult


def pytest_collect_file(file_path: Path, parent: pytest.Collector) -> pytest.Collector | None:
    """pytest's hook: a file, or none of ours."""
    if file_path.suffix != ".wftest":
        return None
    return CaseFile.from_parent(parent, path=file_path)


class CaseFile(pytest.File):
    """One `.wftest` file."""

    def collect(self) -> Iterable[pytest.Item]:
        from runkon.cli.case_files import read_cases  # late: only where there is such a file
        from runkon.cli.files import shown
        from runkon.errors import UserError
        from runkon.language.diagnostics import Severity
        from runkon.language.render import render_all

        try:
            parsed = read_cases(shown(self.path))
        except UserError as error:
            raise self.CollectError(error.message) from error
        errors = [found for found in parsed.diagnostics if found.severity is Severity.ERROR]
        if errors:
            raise self.CollectError(render_all(errors, parsed.source))
        workflows = _workflows(self.path.parent)
        for case in parsed.cases:
            item: CaseItem = CaseItem.from_parent(self, name=case.name.text)
            item.case, item.parsed, item.workflows = case, parsed, workflows
            yield item


class CaseItem(pytest.Item):
    """One test of such a file."""

    case: Case
    parsed: ParsedCases
    workflows: ProjectWorkflows

    def runtest(self) -> None:
        from runkon.testing.cases import run_case  # late: as above

        result = run_case(self.case, self.parsed.source, self.workflows)
        if not result.passed:
            raise CaseFailed(result)

    def repr_failure(self, excinfo: pytest.ExceptionInfo[BaseException], style: object = None) -> str:  # noqa: ARG002
        if isinstance(excinfo.value, CaseFailed):
            return excinfo.value.result.text()
        return str(super().repr_failure(excinfo))

    def reportinfo(self) -> tuple[Path, int, str]:
        return self.path, self.case.span.line - 1, self.name


class CaseFailed(Exception):
    """A test of a workflow did not pass; `result` says why."""

    def __init__(self, result: CaseResult) -> None:
        super().__init__(result.text())
        self.result = result


@cache
def _workflows(folder: Path) -> ProjectWorkflows:
    """The workflows of the project around a folder; its plugins are loaded once."""
    from runkon.app import App  # late: as above
    from runkon.cli.case_files import ProjectWorkflows
    from runkon.settings import load_settings

    settings = load_settings(folder)
    return ProjectWorkflows(App(settings, plugins=settings.plugins))
