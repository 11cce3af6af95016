"""`runkon validate`: check workflows, and say what they need and may cost."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import click

from runkon.app import FileCheck
from runkon.cli.checked_file import warn_about_plugins
from runkon.cli.complaints import user_error
from runkon.cli.files import CASES, workflow_files
from runkon.cli.findings import finding_objects, show_findings
from runkon.cli.options import VariableOption
from runkon.cli.options import command as runkon_command
from runkon.cli.session import Session
from runkon.errors import EXIT_INVALID, EXIT_OK, UserError
from runkon.language.checks.unsupported import unsupported
from runkon.language.diagnostics import Severity
from runkon.language.keys import all_statements
from runkon.language.nodes import GateStep
from runkon.language.program import Facts
from runkon.model.decisions import RESOLVED
from runkon.model.output import JsonValue
from runkon.views.times import counted

if TYPE_CHECKING:
    from runkon.cli.case_files import CaseCheck
    from runkon.language.check import Known
    from runkon.language.project import Project

MOST_NAMES = 20  # of one kind, for one file


@runkon_command(
    "validate",
    summary="""Check workflow files and print what each needs: calls at most, gates, scripts, inputs, executors.

    FILES are files, names, or folders; without them, every workflow of this folder and of the project,
    and the tests beside them.""",
)
@click.argument("files", nargs=-1)
@click.option("--strict", cls=VariableOption, is_flag=True, help="warnings fail too")
@click.option("--syntax", cls=VariableOption, is_flag=True, help="only the text: look nothing up outside the file")
@click.pass_obj
def command(session: Session, files: tuple[str, ...], *, strict: bool, syntax: bool) -> int:
    report = _Report(session, is_strict=strict, is_syntax=syntax)
    known: dict[Project, Known] = {}
    for path in workflow_files(session.app, files, with_cases=True):
        try:
            report.take(path, _checked(session, path, known, is_syntax=syntax))
            if not syntax:
                report.warn(session.app.around(path).loaded.warnings)
        except UserError as error:
            report.unreadable(path, error)
    return report.close()


def _checked(session: Session, path: Path, known: dict[Project, Known], *, is_syntax: bool) -> FileCheck | CaseCheck:
    if path.suffix == CASES.lstrip("*"):
        from runkon.cli.case_files import check_cases  # late: for files of tests only

        return check_cases(session.app, path, syntax_only=is_syntax)
    return session.app.check_file(path, syntax_only=is_syntax, known=known)


class _Report:
    """Prints file after file, or gathers them for one JSON object."""

    def __init__(self, session: Session, *, is_strict: bool, is_syntax: bool) -> None:
        self._session = session
        self._is_strict = is_strict
        self._is_syntax = is_syntax
        self._files: list[JsonValue] = []
        self._exit = EXIT_OK
        self._told: set[str] = set()

    def warn(self, warnings: tuple[str, ...]) -> None:
        """Plugins that could not be loaded, each named once: what they would have brought is missing."""
        warn_about_plugins(self._session, tuple(one for one in warnings if one not in self._told))
        self._told |= {*warnings}

    def take(self, path: Path, check: FileCheck | CaseCheck) -> None:
        """A file that could be read."""
        warnings = any(found.severity is Severity.WARNING for found in check.diagnostics)
        is_ok = check.ok and not (self._is_strict and warnings)
        if not is_ok:
            self._exit = EXIT_INVALID
        facts = check.results[0].facts if check.results else None
        if self._session.as_json:
            found = finding_objects(check)
            self._files.append(
                {"file": str(path), "ok": is_ok, "diagnostics": found, "facts": _facts_object(facts) if facts else None}
            )
            return
        console = self._session.console
        show_findings(console, check.diagnostics, check.source)
        console.result(f"{path}: {console.paint_out('good', 'ok') if is_ok else _verdict(check)}")
        if facts is not None and check.ok and not console.is_quiet:
            for line in (*_facts_lines(facts), *self._gate_lines(path, check), *_refused_lines(check)):
                console.result(f"  {line}")

    def _gate_lines(self, path: Path, check: FileCheck | CaseCheck) -> Iterator[str]:
        """Gates that a program could decide, and that wait for a person because no plugin brings it."""
        statements = all_statements(check.results[0].checked.workflow) if check.results[0].checked else ()
        types = {one.type: None for one in statements if isinstance(one, GateStep) and one.type in RESOLVED}
        if types and not self._is_syntax:
            there = self._session.app.around(path).loaded.registry.names_of("gate")
            left = [name for name in types if name not in there]
            if left:
                yield f"decided by a person, as no plugin looks after them: {', '.join(left)}"

    def unreadable(self, path: Path, error: UserError) -> None:
        """A file that could not be read: the others are still checked."""
        self._exit = self._exit or error.exit_code
        if self._session.as_json:
            found: dict[str, JsonValue] = {
                "severity": "error",
                "code": error.code,
                "message": error.message,
                "file": str(path),
                "line": None,
                "column": None,
                "end_line": None,
                "end_column": None,
                "help": error.help,
            }
            self._files.append({"file": str(path), "ok": False, "diagnostics": [found], "facts": None})
            return
        console = self._session.console
        console.error(user_error(error, color=console.err_color) + "\n")

    def close(self) -> int:
        if self._session.as_json:
            is_ok = self._exit == EXIT_OK
            self._session.console.data({"schema": "runkon.validate/1", "ok": is_ok, "files": self._files})
        return self._exit


def _verdict(check: FileCheck | CaseCheck) -> str:
    """How many findings a file has."""
    numbers = {severity: sum(1 for d in check.diagnostics if d.severity is severity) for severity in Severity}
    return ", ".join(counted(number, str(severity)) for severity, number in numbers.items() if number)


def _facts_lines(facts: Facts) -> Iterator[str]:
    yield f"calls: {_at_most(facts.calls_max)}, at once: {_at_most(facts.concurrency_max)}"
    named = (
        ("inputs required", facts.inputs_required),
        ("scripts", facts.scripts),
        ("gates", facts.gates),
        ("executors", facts.executors),
        ("providers", facts.providers),
        ("reducers", facts.reducers),
        ("missing", facts.missing),
    )
    for name, values in named:
        if values:
            left = f" and {len(values) - MOST_NAMES} more" if len(values) > MOST_NAMES else ""
            yield f"{name}: {', '.join(values[:MOST_NAMES])}{left}"


def _refused_lines(check: FileCheck | CaseCheck) -> Iterator[str]:
    """What `run` would refuse, for a file that is right: `gate` (line 3)."""
    checked = check.results[0].checked
    refused = unsupported(checked.workflow, checked.children) if checked is not None else ()
    if refused:
        places = ", ".join(f"{found.message.split('`')[1]} (line {found.span.line})" for found in refused)
        yield f"not executed by this version: {places}"


def _at_most(bound: int | None) -> str:
    return "no bound" if bound is None else "none" if bound == 0 else f"at most {bound}"


def _facts_object(facts: Facts) -> dict[str, JsonValue]:
    return {
        "calls_max": facts.calls_max,
        "concurrency_max": facts.concurrency_max,
        "gates": list(facts.gates),
        "scripts": list(facts.scripts),
        "inputs_required": list(facts.inputs_required),
        "executors": list(facts.executors),
        "missing": list(facts.missing),
        "providers": list(facts.providers),
        "reducers": list(facts.reducers),
    }
