"""Results of tests as JUnit XML, which most build servers read."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING
from xml.sax.saxutils import quoteattr

from runkon.cli.files import cannot_write
from runkon.language.columns import visible

if TYPE_CHECKING:
    from runkon.testing.cases import CaseResult


def write_junit(path: Path, results: Sequence[CaseResult]) -> None:
    """Write one suite with one case per result. Raises UserError `cannot-write`."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(junit_text(results), encoding="utf-8", errors="backslashreplace")
    except OSError as error:
        raise cannot_write(path, error) from error


def junit_text(results: Sequence[CaseResult]) -> str:
    """The document."""
    failed = sum(one.outcome == "failed" for one in results)
    errors = sum(one.outcome == "error" for one in results)
    seconds = sum(one.seconds for one in results)
    lines = [
        '<?xml version="1.0" encoding="utf-8"?>',
        f'<testsuites><testsuite name="runkon" tests="{len(results)}" failures="{failed}" errors="{errors}"'
        f' skipped="0" time="{seconds:.3f}">',
    ]
    for one in results:
        file = one.source.path
        head = (
            f"<testcase classname={_attribute(file)} name={_attribute(one.name)} file={_attribute(file)}"
            f' line="{one.span.line}" time="{one.seconds:.3f}"'
        )
        if one.passed:
            lines.append(f"{head}/>")
            continue
        word = "failure" if one.outcome == "failed" else "error"
        message = _attribute(one.findings[0].message)
        lines += [f"{head}>", f"<{word} message={message}>{_text(one.text())}</{word}>", "</testcase>"]
    return "\n".join([*lines, "</testsuite></testsuites>", ""])


def _attribute(text: str) -> str:
    return quoteattr(visible(text))


def _text(text: str) -> str:
    shown = "\n".join(visible(line) for line in text.split("\n"))
    return shown.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
