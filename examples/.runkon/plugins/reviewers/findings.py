"""What a reviewer reports, and how it reads the tree it reviews."""

from __future__ import annotations

import ast
import warnings
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from runkon import Output, StepRequest

SEVERITIES = ("high", "medium", "low")


class Finding(NamedTuple):
    """One remark about one line. `high` blocks the verdict, the others don't."""

    file: str
    line: int
    severity: str
    rule: str
    message: str


class Module(NamedTuple):
    """One parsed Python file; `path` is relative to the tree."""

    path: str
    text: str
    tree: ast.Module

    @property
    def is_test(self) -> bool:
        parts = Path(self.path).parts
        return "tests" in parts or parts[-1].startswith("test_") or parts[-1] == "conftest.py"


Rule = Callable[[Module], Iterator[Finding]]


def tree_of(request: StepRequest) -> Path:
    """The folder under review: the workflow's input `path`, seen from the project."""
    return (request.working_dir / str(request.inputs.get("path") or ".")).resolve()


def files_of(request: StepRequest) -> list[str]:
    """The files the survey found, as this step was given them."""
    files = request.inputs.get("files")
    return [file for file in files if isinstance(file, str)] if isinstance(files, list) else []


def read_modules(root: Path, files: Sequence[str]) -> Iterator[Module | Finding]:
    """Each file parsed, or the finding that it can't be."""
    for file in files:
        try:
            text = (root / file).read_text(encoding="utf-8")
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # an odd escape in a reviewed file is not our warning
                yield Module(file, text, ast.parse(text, filename=file))
        except SyntaxError as error:
            yield Finding(file, error.lineno or 1, "high", "syntax", f"does not parse: {error.msg}")
        except (OSError, ValueError, RecursionError) as error:
            yield Finding(file, 1, "medium", "unreadable", f"can't be read: {error}")


def is_allowed(line: str, rule: str) -> bool:
    """True if the line itself says that this is meant: `# noqa` or `# review: allow RULE`."""
    return "# noqa" in line or "# nosec" in line or f"# review: allow {rule}" in line


def review(request: StepRequest, rules: Sequence[Rule]) -> Output:
    """Apply the rules to every file of the step and report what they find."""
    found: list[Finding] = []
    root, seen = tree_of(request), 0
    for module in read_modules(root, files_of(request)):
        request.cancel.raise_if_cancelled()
        seen += 1
        if isinstance(module, Finding):
            found.append(module)
            continue
        lines = module.text.splitlines()
        for rule in rules:
            for finding in rule(module):
                line = lines[finding.line - 1] if finding.line <= len(lines) else ""
                if not is_allowed(line, finding.rule):
                    found.append(finding)
        if seen % 100 == 0:
            request.emit(f"{seen} files, {len(found)} findings")
    return as_output(found, f"{seen} files")


def as_output(found: Sequence[Finding], scope: str) -> Output:
    """Findings as a step's output: markers for conditions, a sentence for people, rows for the report."""
    markers = {f"has_{finding.severity}_findings" for finding in found}
    if found:
        markers.add("has_findings")
    return Output(
        markers=frozenset(markers),
        context=f"{len(found)} findings in {scope}",
        values={"findings": [dict(finding._asdict()) for finding in sorted(found)]},
    )
