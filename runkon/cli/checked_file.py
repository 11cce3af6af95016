"""The workflow of a file that is about to run: checked, with everything wrong with it shown."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from runkon.cli.findings import finding_object, finding_objects, show_findings
from runkon.cli.session import Session
from runkon.language.columns import visible
from runkon.language.program import CheckedWorkflow
from runkon.model.output import JsonValue


def checked_workflow(session: Session, path: Path, executors: Mapping[str, str]) -> CheckedWorkflow | None:
    """The workflow of a file; None after everything wrong with it was shown."""
    from runkon.language.checks.unsupported import unsupported  # late: runs only

    check = session.app.check_file(path, executors=executors)
    warn_about_plugins(session, session.app.around(path).loaded.warnings)
    show_findings(session.console, check.diagnostics, check.source)
    checked = check.results[0].checked if check.results else None
    if not check.ok or checked is None:
        if session.as_json:
            session.console.data(_invalid(path, finding_objects(check)))
        return None
    refused = unsupported(checked.workflow, checked.children)
    show_findings(session.console, refused, check.source)
    if refused and session.as_json:
        session.console.data(_invalid(path, [finding_object(found, check.source) for found in refused]))
    return None if refused else checked


def _invalid(path: Path, found: list[JsonValue]) -> dict[str, JsonValue]:
    """What is wrong with the workflow, in place of the run that there is not."""
    file: dict[str, JsonValue] = {"file": str(path), "ok": False, "diagnostics": found, "facts": None}
    return {"schema": "runkon.validate/1", "ok": False, "files": [file]}


def warn_about_plugins(session: Session, warnings: tuple[str, ...]) -> None:
    """A plugin that could not be loaded is named, and nothing else happens."""
    for warning in warnings:
        text = session.console.paint_err("warning", "warning[broken-plugin]")
        session.console.note(f"{text}: {visible(warning)}")
