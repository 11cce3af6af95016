"""The findings of a file check, as text for people and as JSON."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from runkon.cli.console import Console
from runkon.language.diagnostics import Diagnostic, Severity
from runkon.language.source import SourceFile
from runkon.model.output import JsonValue

if TYPE_CHECKING:
    from runkon.app import FileCheck
    from runkon.cli.case_files import CaseCheck


def show_findings(console: Console, diagnostics: Sequence[Diagnostic], source: SourceFile) -> None:
    """Print all findings to standard error, each with its excerpt; nothing if there are none. `--quiet` keeps
    errors."""
    from runkon.language.render import render  # late: a file without findings needs no drawing

    shown = [d for d in diagnostics if d.severity is Severity.ERROR or not console.is_quiet]
    for found in shown:
        near = source if found.span.file == source.path else None
        console.error(render(found, near, color=console.err_color) + "\n")


def finding_objects(check: FileCheck | CaseCheck) -> list[JsonValue]:
    """All findings of a file. Lines and columns count from 1, columns in characters; ends are exclusive."""
    return [finding_object(found, check.source) for found in check.diagnostics]


def finding_object(found: Diagnostic, source: SourceFile) -> dict[str, JsonValue]:
    span = found.span
    end = source.span(span.end, span.end) if span.file == source.path else span
    return {
        "severity": str(found.severity),
        "code": found.code,
        "message": found.message,
        "file": span.file,
        "line": span.line,
        "column": span.column,
        "end_line": end.line,
        "end_column": end.column,
        "help": found.help,
    }
